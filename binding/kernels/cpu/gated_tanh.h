#pragma once

#include <cstdint>

#include "kernels/capability.h"
#include "kernels/gemm.h"

namespace wavegpt::kernels {

// out[r, c] = tanh(x[r, c]) sigmoid(x[r, channels + c]), of x (rows, 2 channels).
template <typename T>
struct GatedTanhForward {
  int64_t rows, channels;
  const T* x;
  T* out;
};

template <typename T>
struct GatedTanhBackward {
  int64_t rows, channels;
  const T* x;
  const T* d_out;
  T* d_x;
};

extern Kernel<void(const GatedTanhForward<float>&)> gated_tanh_forward_float;
extern Kernel<void(const GatedTanhForward<double>&)> gated_tanh_forward_double;
extern Kernel<void(const GatedTanhForward<c10::BFloat16>&)> gated_tanh_forward_bfloat16;
extern Kernel<void(const GatedTanhBackward<float>&)> gated_tanh_backward_float;
extern Kernel<void(const GatedTanhBackward<double>&)> gated_tanh_backward_double;
extern Kernel<void(const GatedTanhBackward<c10::BFloat16>&)> gated_tanh_backward_bfloat16;

}  // namespace wavegpt::kernels
