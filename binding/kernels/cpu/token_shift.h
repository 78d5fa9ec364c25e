#pragma once

#include <cstdint>

#include "kernels/capability.h"
#include "kernels/gemm.h"

namespace wavegpt::kernels {

// Positions that are summed by one thread, so that sums do not depend on the number of threads.
inline constexpr int64_t kShiftBlock = 64;
inline int64_t shift_blocks(int64_t time) { return (time + kShiftBlock - 1) / kShiftBlock; }

// y[t] = x[t] + share (x[t - 1] - x[t]), of x (batch, time, channels), whose first positions have
// `past` (batch, channels) before them.
template <typename T>
struct TokenShift {
  int64_t batch, time, channels;
  const T* x;
  const T* past;
  // (channels)
  const Accumulate<T>* share;
};

template <typename T>
struct TokenShiftForward {
  TokenShift<T> shift;
  T* y;
};

template <typename T>
struct TokenShiftBackward {
  TokenShift<T> shift;
  const T* d_y;
  // Null where not wanted.
  T* d_x;
  Accumulate<T>* d_share;
  // (batch, shift_blocks(time), channels)
  Accumulate<T>* partial_sums;
};

extern Kernel<void(const TokenShiftForward<float>&)> token_shift_forward_float;
extern Kernel<void(const TokenShiftForward<double>&)> token_shift_forward_double;
extern Kernel<void(const TokenShiftForward<c10::BFloat16>&)> token_shift_forward_bfloat16;
extern Kernel<void(const TokenShiftBackward<float>&)> token_shift_backward_float;
extern Kernel<void(const TokenShiftBackward<double>&)> token_shift_backward_double;
extern Kernel<void(const TokenShiftBackward<c10::BFloat16>&)> token_shift_backward_bfloat16;

}  // namespace wavegpt::kernels
