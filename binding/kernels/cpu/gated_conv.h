#pragma once

#include "kernels/capability.h"
#include "kernels/cpu/dense.h"

namespace wavegpt::kernels {

// A layer of a WaveNet (van den Oord et al., 2016, section 2.3): with the taps of a position, the
// input `dilation` before it and its own beside each other,
//
//     z = taps w1^T + b1,   y = (tanh(z[: hidden]) sigmoid(z[hidden :])) w2^T + b2,
//
// of a tile of rows at once: neither taps nor hidden activations leave the cache.
template <typename T>
struct GatedConvForward {
  using Sum = Accumulate<T>;

  int64_t batch, time, dilation, in, hidden, out;
  const T* x;     // batch x time x in
  const T* past;  // batch x dilation x in: the inputs before them
  const Sum* w1;  // 2 hidden x 2 in
  const Sum* b1;  // 2 hidden, or null
  const Sum* w2;  // out x hidden
  const Sum* b2;  // out, or null
  T* y;           // batch x time x out
  T* before;      // batch x time x 2 hidden: z, or null where nobody asks for it

  // Working memory.
  T* packed_w1;      // packed_panels_size<T>(2 * in, 2 * hidden)
  T* packed_w2;      // packed_panels_size<T>(hidden, out)
  T* thread_values;  // threads * kTileRows * (2 * in + 3 * hidden)
};

// Computes tanh and sigmoid anew from what they were given.
template <typename T>
struct GatedConvBackward {
  using Sum = Accumulate<T>;

  int64_t batch, time, dilation, in, hidden, out;
  const T* d_y;  // batch x time x out
  const T* x;
  const T* past;
  const Sum* w1;
  const Sum* w2;
  const T* before;

  // Null where no gradient is wanted; that of x is written as T or as Sum. The past has none.
  T* d_x;
  Sum* d_x_sums;
  Sum* d_w1;
  Sum* d_b1;
  Sum* d_w2;
  Sum* d_b2;

  // Working memory; the sums of rows take their left_size() and right_size().
  T* packed_w1 = nullptr;          // packed_panels_size<T>(4 * hidden, in), for d_x
  T* packed_w2 = nullptr;          // packed_panels_size<T>(out, hidden)
  T* d_before = nullptr;           // batch x time x 2 hidden
  T* transposed_before = nullptr;  // for d_w1
  T* packed_taps = nullptr;        // for d_w1
  T* transposed_y = nullptr;       // for d_w2
  T* packed_hidden = nullptr;      // for d_w2
  Sum* b1_sums = nullptr;          // row_tiles(rows()) * 2 * hidden
  Sum* b2_sums = nullptr;          // row_tiles(rows()) * out
  T* thread_values = nullptr;      // threads * kTileRows * (2 * in + kPanelColumns)

  int64_t rows() const { return batch * time; }
  SumOverRows<T> w1_gradient() const { return {rows(), 2 * hidden, 2 * in}; }
  SumOverRows<T> w2_gradient() const { return {rows(), out, hidden}; }
};

extern Kernel<void(const GatedConvForward<float>&)> gated_conv_forward_float;
extern Kernel<void(const GatedConvForward<double>&)> gated_conv_forward_double;
extern Kernel<void(const GatedConvForward<c10::BFloat16>&)> gated_conv_forward_bfloat16;
extern Kernel<void(const GatedConvBackward<float>&)> gated_conv_backward_float;
extern Kernel<void(const GatedConvBackward<double>&)> gated_conv_backward_double;
extern Kernel<void(const GatedConvBackward<c10::BFloat16>&)> gated_conv_backward_bfloat16;

}  // namespace wavegpt::kernels
