#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>

#include "kernels/capability.h"

namespace wavegpt::kernels {

// out = residual + dropout(x), all contiguous. float and bfloat16 may be mixed, double not.
struct AddDropout {
  c10::ScalarType x_type;
  // Of the residual too.
  c10::ScalarType out_type;
  uint64_t seed;
  // On CUDA, where the seed is found when it is not null.
  const int64_t* seed_place;
  double p;
  int64_t count;
  // Null for dropout(x) alone.
  const void* residual;
  const void* x;
  void* out;
};

extern Kernel<void(const AddDropout&)> add_dropout_forward;

}  // namespace wavegpt::kernels
