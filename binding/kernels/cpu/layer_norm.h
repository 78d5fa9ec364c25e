#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>

#include "kernels/capability.h"

namespace wavegpt::kernels {

// The types that layer norm has kernels for, as (residual and sum, x, normed): (float, float or
// bfloat16, float or bfloat16), or all bfloat16, or all double. It computes in `Accumulate` of the
// first: weight, bias and statistics too.
struct LayerNormTypes {
  c10::ScalarType sum, x, normed;
};

// sum = residual + dropout(x), normed = layer norm of sum; all of (rows, channels) and contiguous.
struct LayerNormForward {
  LayerNormTypes types;
  int64_t rows, channels;
  const void* residual;
  // Null for a layer norm of the residual itself, which then leaves `sum` alone.
  const void* x;
  bool drop;
  uint64_t seed;
  // As in AddDropout.
  const int64_t* seed_place;
  double p;
  const void* weight;
  const void* bias;
  double eps;
  void* sum;
  void* normed;
  // For each row.
  void* mean;
  void* rstd;
};

struct LayerNormBackward {
  LayerNormTypes types;
  int64_t rows, channels;
  const void* sum;
  const void* mean;
  const void* rstd;
  const void* weight;
  bool drop;
  uint64_t seed;
  // As in AddDropout.
  const int64_t* seed_place;
  double p;
  // The sum's may be null.
  const void* grad_sum;
  const void* grad_normed;
  // Null where not wanted.
  void* grad_residual;
  void* grad_x;
  // Of weight and bias, (2, channels), and workspace for layer_norm_blocks(rows) of it; null where
  // not wanted.
  void* grad_parameters;
  void* partial_sums;
};

// Parameters' gradients are summed over fixed blocks of rows, so that they do not depend on the
// number of threads.
inline int64_t layer_norm_block_rows(int64_t rows) {
  constexpr int64_t least = 32, most_blocks = 64;
  return rows <= least * most_blocks ? least : (rows + most_blocks - 1) / most_blocks;
}
inline int64_t layer_norm_blocks(int64_t rows) {
  const int64_t block = layer_norm_block_rows(rows);
  return (rows + block - 1) / block;
}

extern Kernel<void(const LayerNormForward&)> layer_norm_forward;
extern Kernel<void(const LayerNormBackward&)> layer_norm_backward;

}  // namespace wavegpt::kernels
