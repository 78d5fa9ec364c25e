#pragma once

#include "kernels/capability.h"
#include "kernels/cpu/dense.h"

namespace wavegpt::kernels {

// y = relu(norm(x) weight^T + bias) with norm(x) = (x - mean) rstd norm_weight + norm_bias of each
// row; x is of X, which is T or what T is summed in.
template <typename T, typename X>
struct WaveLayerForward {
  using Sum = Accumulate<T>;

  int64_t rows, in, out;
  double eps;
  const X* x;              // rows x in
  const Sum* norm_weight;  // in
  const Sum* norm_bias;    // in
  const Sum* weight;       // out x in
  const Sum* bias;         // out, or null
  T* y;                    // rows x out
  Sum* mean;               // rows
  Sum* rstd;               // rows

  // Working memory.
  T* packed_weight;  // packed_panels_size<T>(in, out)
  T* thread_values;  // threads * kTileRows * in
};

// Normalizes x anew.
template <typename T, typename X>
struct WaveLayerBackward {
  using Sum = Accumulate<T>;

  int64_t rows, in, out;
  const T* d_y;            // rows x out
  const T* y;              // rows x out
  const X* x;              // rows x in
  const Sum* mean;         // rows
  const Sum* rstd;         // rows
  const Sum* norm_weight;  // in
  const Sum* norm_bias;    // in
  const Sum* weight;       // out x in

  // Null where no gradient is wanted.
  X* d_x;
  Sum* d_norm_weight;
  Sum* d_norm_bias;
  Sum* d_weight;
  Sum* d_bias;

  // Working memory; the sum of rows takes its left_size() and right_size().
  T* packed_weight = nullptr;       // packed_panels_size<T>(out, in)
  T* transposed = nullptr;          // for d_weight
  T* packed = nullptr;              // for d_weight
  Sum* norm_weight_sums = nullptr;  // row_tiles(rows) * in, for the gradient of x or of the norm
  Sum* norm_bias_sums = nullptr;    // as large
  Sum* bias_sums = nullptr;         // row_tiles(rows) * out
  T* thread_values = nullptr;       // threads * kTileRows * (in + out)
  Sum* thread_sums = nullptr;       // threads * kTileRows * in

  bool wants_norm() const {
    return d_x != nullptr || d_norm_weight != nullptr || d_norm_bias != nullptr;
  }
  // The narrower of the normalized x and the gradient before ReLU is the one that is transposed.
  bool transposes_normed() const { return in <= out; }
  SumOverRows<T> weight_gradient() const { return {rows, std::min(in, out), std::max(in, out)}; }
};

extern Kernel<void(const WaveLayerForward<float, float>&)> wave_layer_forward_float;
extern Kernel<void(const WaveLayerForward<double, double>&)> wave_layer_forward_double;
extern Kernel<void(const WaveLayerForward<c10::BFloat16, c10::BFloat16>&)>
    wave_layer_forward_bfloat16;
extern Kernel<void(const WaveLayerForward<c10::BFloat16, float>&)>
    wave_layer_forward_bfloat16_of_float;
extern Kernel<void(const WaveLayerBackward<float, float>&)> wave_layer_backward_float;
extern Kernel<void(const WaveLayerBackward<double, double>&)> wave_layer_backward_double;
extern Kernel<void(const WaveLayerBackward<c10::BFloat16, c10::BFloat16>&)>
    wave_layer_backward_bfloat16;
extern Kernel<void(const WaveLayerBackward<c10::BFloat16, float>&)>
    wave_layer_backward_bfloat16_of_float;

}  // namespace wavegpt::kernels
