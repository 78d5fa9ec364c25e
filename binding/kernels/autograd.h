// What the fused operators share in their backward passes.
#pragma once

#include <torch/csrc/autograd/custom_function.h>

#include <array>
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

// Which of `inputs`, forward's tensors in order, ask for a gradient: the context counts only those
// that are there.
template <size_t count>
inline std::array<bool, count> wanted_gradients(const AutogradContext* ctx,
                                                const variable_list& inputs) {
  std::array<bool, count> wanted{};
  for (size_t i = 0, present = 0; i < count; i++) {
    if (inputs[i].defined()) wanted[i] = ctx->needs_input_grad(present++);
  }
  return wanted;
}

}  // namespace wavegpt::kernels
