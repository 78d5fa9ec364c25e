#include "kernels/cpu/token_position_embedding.h"

#include <ATen/Parallel.h>

#include "kernels/cpu/vector.h"

namespace wavegpt::kernels {
namespace {

// Elements that are worth a thread of their own.
constexpr int64_t kGrain = 32768;

template <typename T>
void forward(const EmbeddingForward<T>& task) {
  const auto& sizes = task.sizes;
  const int64_t channels = sizes.channels;
  const int64_t grain = std::max<int64_t>(1, kGrain / channels);
  at::parallel_for(0, sizes.batch * sizes.length, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const T* token = task.token_weight + task.tokens[i] * channels;
      const T* position =
          task.position_weight + (sizes.first_position + i % sizes.length) * channels;
      T* out = task.out + i * channels;
      for (int64_t j = 0; j < channels; j += kBlock<T>) {
        const int64_t count = std::min(kBlock<T>, channels - j);
        const auto a = load(token + j, count);
        const auto b = load(position + j, count);
        store(out + j, Pair<T>{a.first + b.first, a.second + b.second}, count);
      }
    }
  });
}

// to += from
template <typename T>
void add(const T* from, Accumulate<T>* to, int64_t channels) {
  using Sum = Accumulate<T>;
  for (int64_t j = 0; j < channels; j += kBlock<T>) {
    const int64_t count = std::min(kBlock<T>, channels - j);
    const auto a = load(to + j, count);
    const auto b = load(from + j, count);
    store(to + j, Pair<Sum>{a.first + b.first, a.second + b.second}, count);
  }
}

template <typename Sum>
void fill_zeros(Sum* to, int64_t count) {
  at::parallel_for(0, count, kGrain,
                   [&](int64_t begin, int64_t end) { std::fill(to + begin, to + end, Sum{0}); });
}

template <typename T>
void backward(const EmbeddingBackward<T>& task) {
  const auto& sizes = task.sizes;
  const int64_t channels = sizes.channels;
  const int64_t tokens = sizes.batch * sizes.length;
  if (task.grad_token_weight != nullptr) {
    fill_zeros(task.grad_token_weight, sizes.vocabulary * channels);
    // Every thread goes through all tokens, in their order, and adds a strip of the channels.
    const int64_t strips = (channels + kBlock<T> - 1) / kBlock<T>;
    const int64_t grain = std::max<int64_t>(1, kGrain / (tokens * kBlock<T>));
    at::parallel_for(0, strips, grain, [&](int64_t begin, int64_t end) {
      const int64_t first = begin * kBlock<T>;
      const int64_t width = std::min(channels, end * kBlock<T>) - first;
      for (int64_t i = 0; i < tokens; i++) {
        add(task.grad + i * channels + first,
            task.grad_token_weight + task.tokens[i] * channels + first, width);
      }
    });
  }
  if (task.grad_position_weight != nullptr) {
    fill_zeros(task.grad_position_weight, sizes.positions * channels);
    const int64_t grain = std::max<int64_t>(1, kGrain / (sizes.batch * channels));
    at::parallel_for(0, sizes.length, grain, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; t++) {
        auto* row = task.grad_position_weight + (sizes.first_position + t) * channels;
        for (int64_t b = 0; b < sizes.batch; b++) {
          add(task.grad + (b * sizes.length + t) * channels, row, channels);
        }
      }
    });
  }
}

}  // namespace

WAVEGPT_REGISTER_KERNEL(embedding_forward_float, forward<float>);
WAVEGPT_REGISTER_KERNEL(embedding_forward_double, forward<double>);
WAVEGPT_REGISTER_KERNEL(embedding_forward_bfloat16, forward<c10::BFloat16>);
WAVEGPT_REGISTER_KERNEL(embedding_backward_float, backward<float>);
WAVEGPT_REGISTER_KERNEL(embedding_backward_double, backward<double>);
WAVEGPT_REGISTER_KERNEL(embedding_backward_bfloat16, backward<c10::BFloat16>);

}  // namespace wavegpt::kernels
