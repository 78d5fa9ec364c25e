#pragma once

#include "kernels/capability.h"
#include "kernels/cpu/dense.h"

namespace wavegpt::kernels {

// y = gelu(x w1^T + b1) w2^T + b2, of a tile of rows at once: its hidden activations do not leave
// the cache.
template <typename T>
struct MlpForward {
  using Sum = Accumulate<T>;

  int64_t rows, in, hidden, out;
  const T* x;     // rows x in
  const Sum* w1;  // hidden x in
  const Sum* b1;  // hidden, or null
  const Sum* w2;  // out x hidden
  const Sum* b2;  // out, or null
  T* y;           // rows x out
  T* before;      // rows x hidden: what GELU was given, or null where nobody asks for it

  // Working memory.
  T* packed_w1;      // packed_panels_size<T>(in, hidden)
  T* packed_w2;      // packed_panels_size<T>(hidden, out)
  T* thread_values;  // threads * kTileRows * hidden
};

// Computes GELU anew from what it was given.
template <typename T>
struct MlpBackward {
  using Sum = Accumulate<T>;

  int64_t rows, in, hidden, out;
  const T* d_y;     // rows x out
  const T* x;       // rows x in
  const Sum* w1;    // hidden x in
  const Sum* w2;    // out x hidden
  const T* before;  // rows x hidden

  // Null where no gradient is wanted; that of x is written as T or as Sum.
  T* d_x;
  Sum* d_x_sums;
  Sum* d_w1;
  Sum* d_b1;
  Sum* d_w2;
  Sum* d_b2;

  // Working memory; the sums of rows take their left_size() and right_size().
  T* packed_w1 = nullptr;      // packed_panels_size<T>(hidden, in), for d_x
  T* packed_w2 = nullptr;      // packed_panels_size<T>(out, hidden)
  T* transposed_x = nullptr;   // for d_w1
  T* packed_before = nullptr;  // for d_w1
  T* transposed_y = nullptr;   // for d_w2
  T* packed_hidden = nullptr;  // for d_w2
  Sum* b1_sums = nullptr;      // row_tiles(rows) * hidden
  Sum* b2_sums = nullptr;      // row_tiles(rows) * out
  T* thread_values = nullptr;  // threads * kTileRows * (hidden + kPanelColumns)

  SumOverRows<T> w1_gradient() const { return {rows, in, hidden}; }
  SumOverRows<T> w2_gradient() const { return {rows, out, hidden}; }
};

extern Kernel<void(const MlpForward<float>&)> mlp_forward_float;
extern Kernel<void(const MlpForward<double>&)> mlp_forward_double;
extern Kernel<void(const MlpForward<c10::BFloat16>&)> mlp_forward_bfloat16;
extern Kernel<void(const MlpBackward<float>&)> mlp_backward_float;
extern Kernel<void(const MlpBackward<double>&)> mlp_backward_double;
extern Kernel<void(const MlpBackward<c10::BFloat16>&)> mlp_backward_bfloat16;

}  // namespace wavegpt::kernels
