#include "kernels/autograd.h"

namespace wavegpt::kernels {

variable_list differentiable_gradients(
    const std::function<variable_list(const variable_list&)>& composition,
    const variable_list& inputs, const variable_list& grad_outputs) {
  // The forward pass has settled what is computed in which type.
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  const at::AutoGradMode enabled(true);
  // Views, so that only the composition leads to them: an input may be made of another, or by the
  // operator itself, whose node is locked until its backward pass returns.
  variable_list views, differentiable;
  for (const auto& input : inputs) {
    const bool wanted = input.defined() && input.requires_grad();
    views.push_back(wanted ? input.alias() : input);
    if (wanted) differentiable.push_back(views.back());
  }
  const auto outputs = composition(views);
  variable_list wanted_outputs, wanted_grads;
  for (size_t i = 0; i < outputs.size(); i++) {
    if (!outputs[i].requires_grad() || !grad_outputs[i].defined()) continue;
    wanted_outputs.push_back(outputs[i]);
    wanted_grads.push_back(grad_outputs[i]);
  }
  variable_list found(differentiable.size());
  if (!differentiable.empty() && !wanted_outputs.empty()) {
    found =
        torch::autograd::grad(wanted_outputs, differentiable, wanted_grads, /*retain_graph=*/true,
                              /*create_graph=*/true, /*allow_unused=*/true);
  }
  variable_list gradients(inputs.size());
  for (size_t i = 0, next = 0; i < inputs.size(); i++) {
    if (inputs[i].defined() && inputs[i].requires_grad()) gradients[i] = found[next++];
  }
  return gradients;
}

}  // namespace wavegpt::kernels
