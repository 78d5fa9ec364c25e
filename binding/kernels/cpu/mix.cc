#include "kernels/cpu/mix.h"

#include <ATen/Parallel.h>

#include "kernels/cpu/vector.h"

namespace wavegpt::kernels {
namespace {

// Elements that are worth a thread of their own.
constexpr int64_t kGrain = 32768;

template <typename T, typename Body>
void for_blocks_of_rows(const MixForward<T>& task, const Body& body) {
  const int64_t blocks = mix_blocks(task.length);
  const int64_t rows = std::min(kMixBlock, task.length);
  const int64_t grain = std::max<int64_t>(1, kGrain / (rows * task.channels));
  at::parallel_for(0, task.batch * blocks, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const int64_t first = i % blocks * kMixBlock;
      body(i, i / blocks, first, std::min(task.length, first + kMixBlock));
    }
  });
}

template <typename T>
void forward(const MixForward<T>& task) {
  const int64_t channels = task.channels;
  for_blocks_of_rows(task, [&](int64_t, int64_t b, int64_t first, int64_t last) {
    const auto beta = task.beta[task.beta_of_batch ? b : 0];
    const Vector<T> of_h(beta), of_g(1 - beta);
    const auto* h = task.h + b * channels;
    for (int64_t t = first; t < last; t++) {
      const int64_t start = (b * task.length + t) * channels;
      for (int64_t j = 0; j < channels; j += kBlock<T>) {
        const int64_t count = std::min(kBlock<T>, channels - j);
        const auto g = load(task.g + start + j, count);
        const auto other = load(h + j, count);
        store(task.out + start + j,
              Pair<T>{at::vec::fmadd(g.first, of_g, other.first * of_h),
                      at::vec::fmadd(g.second, of_g, other.second * of_h)},
              count);
      }
    }
  });
}

template <typename T>
void backward(const MixBackward<T>& task) {
  using Sum = Accumulate<T>;
  const auto& sizes = task.forward;
  const int64_t channels = sizes.channels;
  const int64_t partial = channels + 1;
  for_blocks_of_rows(sizes, [&](int64_t block, int64_t b, int64_t first, int64_t last) {
    const Sum beta = sizes.beta[sizes.beta_of_batch ? b : 0];
    const Vector<T> of_g(1 - beta), zero(Sum{0});
    const auto* h = sizes.h + b * channels;
    Sum* sums = task.partial_sums + block * partial;
    Vector<T> products(Sum{0});
    for (int64_t j = 0; j < channels; j += kBlock<T>) {
      const int64_t count = std::min(kBlock<T>, channels - j);
      const auto other = load(h + j, count);
      Pair<Sum> grads{zero, zero};
      Pair<Sum> terms{zero, zero};
      for (int64_t t = first; t < last; t++) {
        const int64_t at = (b * sizes.length + t) * channels + j;
        const auto grad = load(task.grad + at, count);
        const auto g = load(sizes.g + at, count);
        if (task.grad_g != nullptr) {
          store(task.grad_g + at, Pair<T>{grad.first * of_g, grad.second * of_g}, count);
        }
        grads.first = grads.first + grad.first;
        grads.second = grads.second + grad.second;
        terms.first = at::vec::fmadd(grad.first, other.first - g.first, terms.first);
        terms.second = at::vec::fmadd(grad.second, other.second - g.second, terms.second);
      }
      store(sums + j, grads, count);
      if (count < kBlock<T>) {
        // What lies beyond the row is no number.
        constexpr int64_t size = Vector<T>::size();
        terms.first = Vector<T>::set(zero, terms.first, std::min(count, size));
        terms.second = Vector<T>::set(zero, terms.second, std::max<int64_t>(0, count - size));
      }
      products = products + terms.first + terms.second;
    }
    sums[channels] = at::vec::vec_reduce_all<Sum>([](auto& x, auto& y) { return x + y; }, products);
  });
  const int64_t blocks = mix_blocks(sizes.length);
  if (task.grad_beta != nullptr && !sizes.beta_of_batch) *task.grad_beta = 0;
  for (int64_t b = 0; b < sizes.batch; b++) {
    const Sum beta = sizes.beta[sizes.beta_of_batch ? b : 0];
    const Sum* sums = task.partial_sums + b * blocks * partial;
    if (task.grad_h != nullptr) {
      Sum* grad_h = task.grad_h + b * channels;
      for (int64_t j = 0; j < channels; j++) {
        Sum sum = 0;
        for (int64_t i = 0; i < blocks; i++) sum += sums[i * partial + j];
        grad_h[j] = beta * sum;
      }
    }
    if (task.grad_beta != nullptr) {
      Sum sum = 0;
      for (int64_t i = 0; i < blocks; i++) sum += sums[i * partial + channels];
      if (sizes.beta_of_batch) {
        task.grad_beta[b] = sum;
      } else {
        *task.grad_beta += sum;
      }
    }
  }
}

}  // namespace

WAVEGPT_REGISTER_KERNEL(mix_forward_float, forward<float>);
WAVEGPT_REGISTER_KERNEL(mix_forward_double, forward<double>);
WAVEGPT_REGISTER_KERNEL(mix_forward_bfloat16, forward<c10::BFloat16>);
WAVEGPT_REGISTER_KERNEL(mix_backward_float, backward<float>);
WAVEGPT_REGISTER_KERNEL(mix_backward_double, backward<double>);
WAVEGPT_REGISTER_KERNEL(mix_backward_bfloat16, backward<c10::BFloat16>);

}  // namespace wavegpt::kernels
