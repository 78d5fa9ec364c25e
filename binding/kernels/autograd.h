// What the fused operators share in their backward passes.
#pragma once

#include <torch/csrc/autograd/custom_function.h>

#include <functional>

#include "libtorch.h"

namespace wavegpt::kernels {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The gradients of `composition(inputs)` for `grad_outputs`, themselves differentiable: a kernel's
// backward pass gives these where a graph of it is asked for (create_graph), which shows as grad
// mode being on. Undefined inputs and inputs that ask for no gradient get an undefined one.
variable_list differentiable_gradients(
    const std::function<variable_list(const variable_list&)>& composition,
    const variable_list& inputs, const variable_list& grad_outputs);

}  // namespace wavegpt::kernels
