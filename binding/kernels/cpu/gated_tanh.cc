#include "kernels/cpu/gated_tanh.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "kernels/cpu/gate.h"

namespace wavegpt::kernels {
namespace {

// Elements that are worth a thread of their own.
constexpr int64_t kGrain = 16384;

// Calls body(row, channel, count) for blocks of a row's channels.
template <typename T, typename Body>
void for_blocks(int64_t rows, int64_t channels, const Body& body) {
  const int64_t grain = std::max<int64_t>(1, kGrain / channels);
  at::parallel_for(0, rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      for (int64_t j = 0; j < channels; j += kBlock<T>) {
        body(row, j, std::min(kBlock<T>, channels - j));
      }
    }
  });
}

template <typename T>
void forward(const GatedTanhForward<T>& task) {
  for_blocks<T>(task.rows, task.channels, [&](int64_t row, int64_t j, int64_t count) {
    const T* from = task.x + row * 2 * task.channels + j;
    const auto x = load(from, count);
    const auto gate = load(from + task.channels, count);
    store(task.out + row * task.channels + j,
          Pair<T>{gated<T>(x.first, gate.first), gated<T>(x.second, gate.second)}, count);
  });
}

template <typename T>
void backward(const GatedTanhBackward<T>& task) {
  for_blocks<T>(task.rows, task.channels, [&](int64_t row, int64_t j, int64_t count) {
    const int64_t at = row * 2 * task.channels + j;
    const auto x = load(task.x + at, count);
    const auto gate = load(task.x + at + task.channels, count);
    const auto d = load(task.d_out + row * task.channels + j, count);
    const Gated<T> first(x.first, gate.first), second(x.second, gate.second);
    store(task.d_x + at, Pair<T>{d.first * first.by_x, d.second * second.by_x}, count);
    store(task.d_x + at + task.channels,
          Pair<T>{d.first * first.by_gate, d.second * second.by_gate}, count);
  });
}

}  // namespace

WAVEGPT_REGISTER_KERNEL(gated_tanh_forward_float, forward<float>);
WAVEGPT_REGISTER_KERNEL(gated_tanh_forward_double, forward<double>);
WAVEGPT_REGISTER_KERNEL(gated_tanh_forward_bfloat16, forward<c10::BFloat16>);
WAVEGPT_REGISTER_KERNEL(gated_tanh_backward_float, backward<float>);
WAVEGPT_REGISTER_KERNEL(gated_tanh_backward_double, backward<double>);
WAVEGPT_REGISTER_KERNEL(gated_tanh_backward_bfloat16, backward<c10::BFloat16>);

}  // namespace wavegpt::kernels
