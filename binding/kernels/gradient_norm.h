// The 2-norm of all gradients together.
#pragma once

#include <vector>

#include "libtorch.h"

namespace wavegpt::kernels {

// Of strided floating-point tensors of any devices and dtypes; a scalar on the first one's device.
// float32 and float64 on the CPU are summed in double precision, whatever the number of threads.
at::Tensor norm_of_gradients(const std::vector<at::Tensor>& gradients);

}  // namespace wavegpt::kernels
