#pragma once

#include <cstdint>

#include "kernels/capability.h"
#include "kernels/gemm.h"

namespace wavegpt::kernels {

// Retention (Sun et al., 2023). With queries q, keys k and values v of a head, of `width` channels,
//
//     state[t] = decay state[t - 1] + k[t]^T v[t] / sqrt(width),   o[t] = q[t] state[t],
//
// and o's norm over the head's channels, times the SiLU of the gates, is the result. Products take
// T: bfloat16 is rounded to before them, the state too. All else is Sum, and so is what is kept of
// the state.
template <typename T>
struct RetentionForward {
  using Sum = Accumulate<T>;

  int64_t batch, time, heads, width;
  const T* qkvg;         // batch x time x 4 x heads x width
  const Sum* state;      // batch x heads x width x width
  const double* decays;  // heads
  double eps;            // of the norm
  T* out;                // batch x time x heads x width
  Sum* next;             // as state: the one after the last position
  // What backward wants, or null where nobody asks for it: the norm of o, as out, and how much
  // faster it grows than o / decay^(t + 1), batch x heads x time.
  T* normed;
  Sum* rates;
};

template <typename T>
struct RetentionBackward {
  using Sum = Accumulate<T>;

  int64_t batch, time, heads, width;
  const T* qkvg;
  const Sum* state;
  const double* decays;
  const T* normed;
  const Sum* rates;
  const T* d_out;  // as out
  T* d_qkvg;       // as qkvg
};

extern Kernel<void(const RetentionForward<float>&)> retention_forward_float;
extern Kernel<void(const RetentionForward<double>&)> retention_forward_double;
extern Kernel<void(const RetentionForward<c10::BFloat16>&)> retention_forward_bfloat16;
extern Kernel<void(const RetentionBackward<float>&)> retention_backward_float;
extern Kernel<void(const RetentionBackward<double>&)> retention_backward_double;
extern Kernel<void(const RetentionBackward<c10::BFloat16>&)> retention_backward_bfloat16;

}  // namespace wavegpt::kernels
