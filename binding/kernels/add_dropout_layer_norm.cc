#include <torch/library.h>

#include "kernels/add_dropout.h"
#include "kernels/autograd.h"
#include "kernels/layer_norm.h"
#include "kernels/plain_cpu.h"

namespace wavegpt::kernels {
namespace {

constexpr auto kName = "wavegpt::add_dropout_layer_norm";

class AddDropoutLayerNormFunction : public torch::autograd::Function<AddDropoutLayerNormFunction> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& residual,
                               const at::Tensor& x, const std::optional<at::Tensor>& weight,
                               const std::optional<at::Tensor>& bias, double eps, double p,
                               bool train, const DropoutSeed& seed, int64_t normed) {
    ctx->set_materialize_grads(false);
    const auto weights = weight.value_or(at::Tensor()), biases = bias.value_or(at::Tensor());
    auto result = layer_norm_by_kernel(residual, x, weights, biases, eps, Dropping{p, train, seed},
                                       static_cast<at::ScalarType>(normed));
    ctx->save_for_backward({result.sum, weights, biases, result.mean, result.rstd});
    ctx->saved_data["eps"] = eps;
    ctx->saved_data["p"] = p;
    ctx->saved_data["train"] = train;
    seed.save(ctx);
    ctx->saved_data["x"] = static_cast<int64_t>(x.scalar_type());
    ctx->saved_data["normed"] = normed;
    return {result.sum, result.normed};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grad_outputs) {
    const auto &grad_sum = grad_outputs[0], &grad_normed = grad_outputs[1];
    variable_list gradients(9);
    if (!grad_sum.defined() && !grad_normed.defined()) return gradients;
    const auto saved = ctx->get_saved_variables();
    const auto &sum = saved[0], &weight = saved[1], &bias = saved[2];
    auto& numbers = ctx->saved_data;
    const Dropping dropping{numbers["p"].toDouble(), numbers["train"].toBool(),
                            DropoutSeed::saved(ctx)};
    const auto x = static_cast<at::ScalarType>(numbers["x"].toInt());
    const auto normed = static_cast<at::ScalarType>(numbers["normed"].toInt());
    if (at::GradMode::is_enabled() || !grad_normed.defined()) {
      // The sum is linear in residual and x: its gradient is all that is needed of the norm.
      auto total = grad_sum;
      if (grad_normed.defined()) {
        const auto found = differentiable_gradients(
            [&](const variable_list& inputs) {
              return variable_list{layer_norm_composition(inputs[0], inputs[1], inputs[2],
                                                          numbers["eps"].toDouble(), normed)};
            },
            {sum, weight, bias}, {grad_normed});
        if (found[0].defined()) total = total.defined() ? total + found[0] : found[0];
        gradients[2] = found[1];
        gradients[3] = found[2];
      }
      if (!total.defined()) return gradients;
      if (ctx->needs_input_grad(0)) gradients[0] = total.to(sum.scalar_type());
      if (ctx->needs_input_grad(1)) gradients[1] = drop_of_seed(total, dropping, x);
      return gradients;
    }
    const LayerNormWanted wanted{
        .residual = ctx->needs_input_grad(0),
        .x = ctx->needs_input_grad(1),
        .weight = weight.defined() && ctx->needs_input_grad(2),
        .bias = bias.defined() && ctx->needs_input_grad(weight.defined() ? 3 : 2),
    };
    const auto found =
        layer_norm_gradients({.sum = sum, .normed = {}, .mean = saved[3], .rstd = saved[4]}, weight,
                             bias, dropping, x, grad_sum, grad_normed, normed, wanted);
    gradients[0] = found.residual;
    gradients[1] = found.x;
    gradients[2] = found.weight;
    gradients[3] = found.bias;
    return gradients;
  }
};

std::tuple<at::Tensor, at::Tensor> add_dropout_layer_norm(const at::Tensor& residual,
                                                          const at::Tensor& x,
                                                          const std::optional<at::Tensor>& weight,
                                                          const std::optional<at::Tensor>& bias,
                                                          double eps, double p, bool train) {
  const auto weights = weight.value_or(at::Tensor()), biases = bias.value_or(at::Tensor());
  check_add_dropout(kName, residual, x, p);
  check_layer_norm(kName, residual, weights, biases);
  const auto normed = compute_type(residual);
  const Dropping dropping{p, train, draw_dropout_seed(p, train)};
  if (!has_layer_norm_kernel(residual, x, weights, biases, normed)) {
    const auto sum = add_dropout_composition(residual, x, dropping);
    return {sum, layer_norm_composition(sum, weights, biases, eps, normed)};
  }
  const auto type = residual.scalar_type();
  const auto outputs = AddDropoutLayerNormFunction::apply(
      residual, takes_layer_norm_x(type, x) ? x : x.to(type), weight, bias, eps, p, train,
      dropping.seed, static_cast<int64_t>(normed));
  return {outputs[0], outputs[1]};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(wavegpt, library) {
  library.def(
      "add_dropout_layer_norm(Tensor residual, Tensor x, Tensor? weight, Tensor? bias, float eps, "
      "float p, bool train) "
      "-> (Tensor sum, Tensor normed)");
}

TORCH_LIBRARY_IMPL(wavegpt, CompositeImplicitAutograd, library) {
  library.impl("add_dropout_layer_norm", add_dropout_layer_norm);
}

}  // namespace wavegpt::kernels
