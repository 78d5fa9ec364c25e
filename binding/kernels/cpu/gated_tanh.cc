#include "kernels/cpu/gated_tanh.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "kernels/cpu/exp.h"
#include "kernels/cpu/vector.h"

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

// e^-2x, of which tanh is (1 - e) / (1 + e). Beyond 20, where it could become infinite, tanh is 1
// in double too.
template <typename T>
inline Vector<T> tanh_exponential(const Vector<T>& x) {
  using V = Vector<T>;
  return exp<T>(at::vec::maximum(at::vec::minimum(x, V(20)), V(-20)) * V(-2));
}

// e^-x, of which the sigmoid is 1 / (1 + e).
template <typename T>
inline Vector<T> sigmoid_exponential(const Vector<T>& x) {
  return exp<T>(Vector<T>(0) - x);
}

template <typename T>
inline Vector<T> gated(const Vector<T>& x, const Vector<T>& gate) {
  const Vector<T> one(1), e = tanh_exponential<T>(x);
  return (one - e) / ((one + e) * (one + sigmoid_exponential<T>(gate)));
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
  using V = Vector<T>;
  // The derivatives by both halves, times that of the result.
  const auto derive = [](const V& x, const V& gate, const V& d) -> std::pair<V, V> {
    const V e = tanh_exponential<T>(x), tanh = (V(1) - e) / (V(1) + e);
    const V sigmoid = V(1) / (V(1) + sigmoid_exponential<T>(gate)), open = d * sigmoid;
    return {open * (V(1) - tanh * tanh), open * tanh * (V(1) - sigmoid)};
  };
  for_blocks<T>(task.rows, task.channels, [&](int64_t row, int64_t j, int64_t count) {
    const int64_t at = row * 2 * task.channels + j;
    const auto x = load(task.x + at, count);
    const auto gate = load(task.x + at + task.channels, count);
    const auto d = load(task.d_out + row * task.channels + j, count);
    const auto [d_x1, d_gate1] = derive(x.first, gate.first, d.first);
    const auto [d_x2, d_gate2] = derive(x.second, gate.second, d.second);
    store(task.d_x + at, Pair<T>{d_x1, d_x2}, count);
    store(task.d_x + at + task.channels, Pair<T>{d_gate1, d_gate2}, count);
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
