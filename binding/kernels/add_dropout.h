// Dropout of a seed, alone or on the way into a residual stream.
#pragma once

#include "kernels/dropout.h"

namespace wavegpt::kernels {

struct Dropping {
  double p;
  bool train;
  DropoutSeed seed;

  bool drops() const { return train && p != 0; }
};

// Throws unless both are of floating-point types, of one shape and on one device, and p is from 0
// to 1.
void check_add_dropout(const char* name, const at::Tensor& residual, const at::Tensor& x, double p);

// residual + dropout(x), of the residual's type, by libtorch's operators.
at::Tensor add_dropout_composition(const at::Tensor& residual, const at::Tensor& x,
                                   const Dropping& dropping);

// dropout(x) in the type `to`, differentiable, by the kernel where it can; what it drops is the
// seed's on every device, as a backward pass needs it.
at::Tensor drop_of_seed(const at::Tensor& x, const Dropping& dropping, at::ScalarType to);

}  // namespace wavegpt::kernels
