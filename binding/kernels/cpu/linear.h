#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/capability.h"
#include "kernels/cpu/dense.h"

namespace wavegpt::kernels {

enum class Activation { none, gelu, relu };

// y = activation(x weight^T + bias).
template <typename T>
struct LinearForward {
  using Sum = Accumulate<T>;

  int64_t rows, in, out;
  Activation activation;
  const T* x;         // rows x in
  const Sum* weight;  // out x in
  const Sum* bias;    // out, or null
  T* y;               // rows x out
  T* before;          // rows x out: what the activation was given, or null where nobody asks for it

  T* packed_weight;  // working memory: packed_panels_size<T>(in, out)
};

template <typename T>
struct LinearBackward {
  using Sum = Accumulate<T>;

  int64_t rows, in, out;
  Activation activation;
  const T* d_y;       // rows x out
  const T* x;         // rows x in
  const Sum* weight;  // out x in
  const T* kept;      // rows x out: what GELU was given, what ReLU gave

  // Null where no gradient is wanted; that of x is written as T or as Sum.
  T* d_x;
  Sum* d_x_sums;
  Sum* d_weight;
  Sum* d_bias;

  // Working memory.
  T* packed_weight = nullptr;  // packed_panels_size<T>(out, in), for d_x
  T* transposed = nullptr;     // weight_gradient().left_size() and right_size(), for d_weight
  T* packed = nullptr;
  Sum* bias_sums = nullptr;    // row_tiles(rows) * out, for d_bias
  T* thread_values = nullptr;  // threads * kTileRows * out, with an activation

  // The narrower of x and d_y is the one that is transposed.
  bool transposes_x() const { return in <= out; }
  SumOverRows<T> weight_gradient() const { return {rows, std::min(in, out), std::max(in, out)}; }
};

extern Kernel<void(const LinearForward<float>&)> linear_forward_float;
extern Kernel<void(const LinearForward<double>&)> linear_forward_double;
extern Kernel<void(const LinearForward<c10::BFloat16>&)> linear_forward_bfloat16;
extern Kernel<void(const LinearBackward<float>&)> linear_backward_float;
extern Kernel<void(const LinearBackward<double>&)> linear_backward_double;
extern Kernel<void(const LinearBackward<c10::BFloat16>&)> linear_backward_bfloat16;

}  // namespace wavegpt::kernels
