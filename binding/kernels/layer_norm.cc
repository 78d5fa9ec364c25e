#include "kernels/layer_norm.h"

#include <torch/library.h>

#include "kernels/autograd.h"
#include "kernels/plain_cpu.h"
#include "kernels/plain_cuda.h"

namespace wavegpt::kernels {

constinit Kernel<void(const LayerNormForward&)> layer_norm_forward;
constinit Kernel<void(const LayerNormBackward&)> layer_norm_backward;

namespace {

constexpr auto kName = "wavegpt::layer_norm";

at::ScalarType sum_type(at::ScalarType type) {
  return type == at::kDouble ? at::kDouble : at::kFloat;
}

at::Tensor parameter(const at::Tensor& given, double absent, int64_t channels, at::ScalarType type,
                     at::Device device) {
  if (given.defined()) return given.to(type).contiguous();
  return at::full({channels}, absent, at::TensorOptions().dtype(type).device(device));
}

const void* data(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr() : nullptr;
}
void* mutable_data(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.mutable_data_ptr() : nullptr;
}

}  // namespace

void check_layer_norm(const char* name, const at::Tensor& like, const at::Tensor& weight,
                      const at::Tensor& bias) {
  TORCH_CHECK(at::isFloatingType(like.scalar_type()), name,
              ": expected a floating-point type, got ", like.scalar_type());
  TORCH_CHECK(like.dim() >= 1, name, ": expected shape (..., channels), got a scalar");
  const auto check = [&](const char* parameter, const at::Tensor& tensor) {
    if (!tensor.defined()) return;
    TORCH_CHECK(at::isFloatingType(tensor.scalar_type()), name, ": ", parameter,
                " must be of a floating-point type, got ", tensor.scalar_type());
    TORCH_CHECK(tensor.dim() == 1 && tensor.sym_size(0) == like.sym_size(-1), name, ": ", parameter,
                " must have shape [", like.sym_size(-1), "], got ", tensor.sym_sizes());
    TORCH_CHECK(tensor.device() == like.device(), name, ": ", parameter, " must be on ",
                like.device(), ", got ", tensor.device());
  };
  check("weight", weight);
  check("bias", bias);
}

bool takes_layer_norm_x(at::ScalarType residual, const at::Tensor& x) {
  const auto type = x.scalar_type();
  if (type == residual) return true;
  return residual == at::kFloat && (type == at::kBFloat16 || (x.is_cuda() && type == at::kHalf));
}

bool has_layer_norm_kernel(const at::Tensor& residual, const at::Tensor& x,
                           const at::Tensor& weight, const at::Tensor& bias,
                           at::ScalarType normed) {
  const auto type = residual.scalar_type();
  if (cuda_kernels_for({residual, x, weight, bias}) != nullptr) {
    return residual.numel() != 0 && is_cuda_type(type) &&
           (normed == type || (type == at::kFloat && is_cuda_type(normed)));
  }
  if (!are_plain_cpu({residual, x, weight, bias}) || residual.numel() == 0) return false;
  if (type != at::kFloat && type != at::kDouble && type != at::kBFloat16) return false;
  return normed == type || (type == at::kFloat && normed == at::kBFloat16);
}

LayerNormed layer_norm_by_kernel(const at::Tensor& residual, const at::Tensor& x,
                                 const at::Tensor& weight, const at::Tensor& bias, double eps,
                                 const Dropping& dropping, at::ScalarType normed) {
  const auto type = residual.scalar_type();
  const auto channels = residual.size(-1);
  const auto rows = residual.numel() / channels;
  const auto sums = sum_type(type);
  const at::Tensor residuals = residual.contiguous();
  const at::Tensor added = x.defined() ? x.contiguous() : at::Tensor();
  const CudaDevice device(residual);
  const at::Tensor weights = parameter(weight, 1, channels, sums, residual.device());
  const at::Tensor biases = parameter(bias, 0, channels, sums, residual.device());
  const auto options = at::TensorOptions().dtype(type).device(residual.device());
  LayerNormed result{
      .sum = x.defined() ? at::empty(residual.sizes(), options) : residuals,
      .normed = at::empty(residual.sizes(), options.dtype(normed)),
      .mean = at::empty({rows}, options.dtype(sums)),
      .rstd = at::empty({rows}, options.dtype(sums)),
  };
  const LayerNormForward task{
      .types = {type, x.defined() ? x.scalar_type() : type, normed},
      .rows = rows,
      .channels = channels,
      .residual = data(residuals),
      .x = data(added),
      .drop = x.defined() && dropping.drops(),
      .seed = dropping.seed.bits_for(residual),
      .seed_place = dropping.seed.place(),
      .p = dropping.p,
      .weight = data(weights),
      .bias = data(biases),
      .eps = eps,
      .sum = x.defined() ? mutable_data(result.sum) : nullptr,
      .normed = mutable_data(result.normed),
      .mean = mutable_data(result.mean),
      .rstd = mutable_data(result.rstd),
  };
  if (const auto* kernels = cuda_kernels_of(residuals)) {
    kernels->layer_norm_forward(task);
  } else {
    layer_norm_forward(task);
  }
  return result;
}

LayerNormGradients layer_norm_gradients(const LayerNormed& saved, const at::Tensor& weight,
                                        const at::Tensor& bias, const Dropping& dropping,
                                        at::ScalarType x, const at::Tensor& grad_sum,
                                        const at::Tensor& grad_normed, at::ScalarType normed,
                                        const LayerNormWanted& wanted) {
  const auto type = saved.sum.scalar_type();
  const auto channels = saved.sum.size(-1);
  const auto rows = saved.sum.numel() / channels;
  const auto sums = sum_type(type);
  const at::Tensor sum = saved.sum.contiguous();
  const CudaDevice device(sum);
  const at::Tensor weights = parameter(weight, 1, channels, sums, sum.device());
  const at::Tensor from_sum = grad_sum.defined() ? grad_sum.to(type).contiguous() : at::Tensor();
  const at::Tensor from_normed = grad_normed.to(normed).contiguous();
  const auto options = at::TensorOptions().dtype(type).device(sum.device());
  LayerNormGradients result;
  if (wanted.residual) result.residual = at::empty(sum.sizes(), options);
  if (wanted.x) result.x = at::empty(sum.sizes(), options.dtype(x));
  at::Tensor parameters, partial_sums;
  if (wanted.weight || wanted.bias) {
    parameters = at::empty({2, channels}, options.dtype(sums));
    partial_sums = at::empty({layer_norm_blocks(rows), 2, channels}, options.dtype(sums));
  }
  const LayerNormBackward task{
      .types = {type, x, normed},
      .rows = rows,
      .channels = channels,
      .sum = data(sum),
      .mean = data(saved.mean),
      .rstd = data(saved.rstd),
      .weight = data(weights),
      .drop = dropping.drops(),
      .seed = dropping.seed.bits_for(sum),
      .seed_place = dropping.seed.place(),
      .p = dropping.p,
      .grad_sum = data(from_sum),
      .grad_normed = data(from_normed),
      .grad_residual = mutable_data(result.residual),
      .grad_x = mutable_data(result.x),
      .grad_parameters = mutable_data(parameters),
      .partial_sums = mutable_data(partial_sums),
  };
  if (const auto* kernels = cuda_kernels_of(sum)) {
    kernels->layer_norm_backward(task);
  } else {
    layer_norm_backward(task);
  }
  if (wanted.weight) result.weight = parameters.select(0, 0).to(weight.scalar_type());
  if (wanted.bias) result.bias = parameters.select(0, 1).to(bias.scalar_type());
  return result;
}

at::Tensor layer_norm_composition(const at::Tensor& x, const at::Tensor& weight,
                                  const at::Tensor& bias, double eps, at::ScalarType normed) {
  const auto sums = sum_type(x.scalar_type());
  const auto parameter = [&](const at::Tensor& tensor) {
    return tensor.defined() ? std::optional(tensor.to(sums)) : std::nullopt;
  };
  return at::layer_norm_symint(x.to(sums), {x.sym_size(-1)}, parameter(weight), parameter(bias),
                               eps)
      .to(normed);
}

namespace {

class LayerNormFunction : public torch::autograd::Function<LayerNormFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x,
                            const std::optional<at::Tensor>& weight,
                            const std::optional<at::Tensor>& bias, double eps, int64_t normed) {
    ctx->set_materialize_grads(false);
    const auto weights = weight.value_or(at::Tensor()), biases = bias.value_or(at::Tensor());
    auto result = layer_norm_by_kernel(x, {}, weights, biases, eps, Dropping{0, false, {}},
                                       static_cast<at::ScalarType>(normed));
    ctx->save_for_backward({x, weights, biases, result.mean, result.rstd});
    ctx->saved_data["eps"] = eps;
    ctx->saved_data["normed"] = normed;
    return result.normed;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grad_outputs) {
    variable_list gradients(5);
    if (!grad_outputs[0].defined()) return gradients;
    const auto saved = ctx->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &bias = saved[2];
    const auto normed = static_cast<at::ScalarType>(ctx->saved_data["normed"].toInt());
    if (at::GradMode::is_enabled()) {
      const auto found = differentiable_gradients(
          [&](const variable_list& inputs) {
            const double eps = ctx->saved_data["eps"].toDouble();
            return variable_list{
                layer_norm_composition(inputs[0], inputs[1], inputs[2], eps, normed)};
          },
          {x, weight, bias}, grad_outputs);
      std::copy(found.begin(), found.end(), gradients.begin());
      return gradients;
    }
    const LayerNormWanted wanted{
        .residual = ctx->needs_input_grad(0),
        .x = false,
        .weight = weight.defined() && ctx->needs_input_grad(1),
        .bias = bias.defined() && ctx->needs_input_grad(weight.defined() ? 2 : 1),
    };
    const auto found = layer_norm_gradients(
        {.sum = x, .normed = {}, .mean = saved[3], .rstd = saved[4]}, weight, bias,
        Dropping{0, false, {}}, x.scalar_type(), {}, grad_outputs[0], normed, wanted);
    gradients[0] = found.residual;
    gradients[1] = found.weight;
    gradients[2] = found.bias;
    return gradients;
  }
};

at::Tensor layer_norm(const at::Tensor& x, const std::optional<at::Tensor>& weight,
                      const std::optional<at::Tensor>& bias, double eps) {
  const auto weights = weight.value_or(at::Tensor()), biases = bias.value_or(at::Tensor());
  check_layer_norm(kName, x, weights, biases);
  const auto normed = compute_type(x);
  if (!has_layer_norm_kernel(x, {}, weights, biases, normed)) {
    return layer_norm_composition(x, weights, biases, eps, normed);
  }
  return LayerNormFunction::apply(x, weight, bias, eps, static_cast<int64_t>(normed));
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(wavegpt, library) {
  library.def(
      "layer_norm(Tensor x, Tensor? weight=None, Tensor? bias=None, float eps=1e-05) -> Tensor");
}

TORCH_LIBRARY_IMPL(wavegpt, CompositeImplicitAutograd, library) {
  library.impl("layer_norm", layer_norm);
}

}  // namespace wavegpt::kernels
