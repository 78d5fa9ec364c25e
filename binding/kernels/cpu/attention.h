#pragma once

#include <c10/util/BFloat16.h>

#include <cstdint>

#include "kernels/capability.h"
#include "kernels/gemm.h"

namespace wavegpt::kernels {

// Causal self-attention with dropout of the probabilities, in tiles of queries and keys, so that no
// matrix of T x T ever exists (as in FlashAttention, Dao et al., 2022).
//
// The forward pass keeps the logarithm of each query's sum of exponentials; the backward pass
// computes the probabilities from it again, and what was dropped from the seed.
template <typename T>
struct AttentionForward {
  using Sum = Accumulate<T>;

  int64_t batch, time, heads, width;  // width: channels of a head
  const T* qkv;                       // batch x time x 3 x heads x width
  double rate;                        // of dropout; 0 if nothing is dropped
  uint64_t seed;
  T* out;    // batch x time x heads x width
  Sum* lse;  // batch x heads x time
};

template <typename T>
struct AttentionBackward {
  using Sum = Accumulate<T>;

  int64_t batch, time, heads, width;
  const T* qkv;
  double rate;
  uint64_t seed;
  const T* out;
  const Sum* lse;
  const T* d_out;  // as out
  T* d_qkv;        // as qkv
};

extern Kernel<void(const AttentionForward<float>&)> attention_forward_float;
extern Kernel<void(const AttentionForward<double>&)> attention_forward_double;
extern Kernel<void(const AttentionForward<c10::BFloat16>&)> attention_forward_bfloat16;
extern Kernel<void(const AttentionBackward<float>&)> attention_backward_float;
extern Kernel<void(const AttentionBackward<double>&)> attention_backward_double;
extern Kernel<void(const AttentionBackward<c10::BFloat16>&)> attention_backward_bfloat16;

}  // namespace wavegpt::kernels
