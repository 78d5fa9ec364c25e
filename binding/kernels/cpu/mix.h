#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/capability.h"
#include "kernels/gemm.h"

namespace wavegpt::kernels {

// Rows that are summed by one thread, so that sums do not depend on the number of threads.
inline constexpr int64_t kMixBlock = 64;
inline int64_t mix_blocks(int64_t length) { return (length + kMixBlock - 1) / kMixBlock; }

// out = g (1 - beta) + h beta, of g (batch, length, channels) and h (batch, channels).
template <typename T>
struct MixForward {
  using Sum = Accumulate<T>;
  int64_t batch, length, channels;
  const T* g;
  const Sum* h;
  // One, or one for each of the batch.
  const Sum* beta;
  bool beta_of_batch;
  T* out;
};

template <typename T>
struct MixBackward {
  using Sum = Accumulate<T>;
  MixForward<T> forward;
  const T* grad;
  // As the inputs; null where not wanted.
  T* grad_g;
  Sum* grad_h;
  Sum* grad_beta;
  // (batch, mix_blocks(length), channels + 1)
  Sum* partial_sums;
};

extern Kernel<void(const MixForward<float>&)> mix_forward_float;
extern Kernel<void(const MixForward<double>&)> mix_forward_double;
extern Kernel<void(const MixForward<c10::BFloat16>&)> mix_forward_bfloat16;
extern Kernel<void(const MixBackward<float>&)> mix_backward_float;
extern Kernel<void(const MixBackward<double>&)> mix_backward_double;
extern Kernel<void(const MixBackward<c10::BFloat16>&)> mix_backward_bfloat16;

}  // namespace wavegpt::kernels
