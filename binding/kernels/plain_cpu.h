// Which tensors a kernel may read through raw pointers.
#pragma once

#include <initializer_list>
#include <optional>

#include "libtorch.h"

namespace wavegpt::kernels {

// Whether a tensor is an ordinary dense one in the CPU's memory: no wrapper of vmap or functorch,
// no lazy conjugate, no meta tensor, no tangent of forward-mode differentiation. Only then may its
// data be read; else a composition of libtorch's operators does the work.
bool is_plain_cpu(const at::Tensor& tensor);
bool are_plain_cpu(std::initializer_list<std::reference_wrapper<const at::Tensor>> tensors);

// The type to compute in: under autocast the lower one, else the tensor's own.
at::ScalarType compute_type(const at::Tensor& tensor);

}  // namespace wavegpt::kernels
