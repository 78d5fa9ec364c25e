#include "kernels/add_dropout.h"

#include <torch/library.h>

#include "kernels/autograd.h"
#include "kernels/cpu/add_dropout.h"
#include "kernels/plain_cpu.h"
#include "kernels/plain_cuda.h"

namespace wavegpt::kernels {

constinit Kernel<void(const AddDropout&)> add_dropout_forward;

namespace {

constexpr auto kName = "wavegpt::add_dropout";
constexpr auto kDropoutName = "wavegpt::dropout";

// The residual may be undefined; `out` is the type of the result.
bool has_kernel(const at::Tensor& residual, const at::Tensor& values, at::ScalarType out) {
  const auto x = values.scalar_type();
  if (cuda_kernels_for({values, residual}) != nullptr) return is_cuda_type(x) && is_cuda_type(out);
  if (!are_plain_cpu({residual, values})) return false;
  const auto is_single = [](at::ScalarType type) {
    return type == at::kFloat || type == at::kBFloat16;
  };
  return (is_single(x) && is_single(out)) || (x == at::kDouble && out == at::kDouble);
}

// The residual may be undefined.
at::Tensor run(const at::Tensor& residual, const at::Tensor& x, const Dropping& dropping,
               at::ScalarType to) {
  const at::Tensor values = x.contiguous();
  const at::Tensor residuals = residual.defined() ? residual.contiguous() : at::Tensor();
  const CudaDevice device(x);
  auto out = at::empty(x.sizes(), at::TensorOptions().dtype(to).device(x.device()));
  const AddDropout task{
      .x_type = x.scalar_type(),
      .out_type = to,
      .seed = dropping.seed.bits_for(x),
      .seed_place = dropping.seed.place(),
      .p = dropping.p,
      .count = x.numel(),
      .residual = residual.defined() ? residuals.const_data_ptr() : nullptr,
      .x = values.const_data_ptr(),
      .out = out.mutable_data_ptr(),
  };
  if (const auto* kernels = cuda_kernels_of(x)) {
    kernels->add_dropout(task);
  } else {
    add_dropout_forward(task);
  }
  return out;
}

void save(AutogradContext* ctx, const at::Tensor& x, double p, const DropoutSeed& seed) {
  ctx->set_materialize_grads(false);
  ctx->saved_data["x"] = static_cast<int64_t>(x.scalar_type());
  ctx->saved_data["p"] = p;
  seed.save(ctx);
}

// Again dropout of the same seed: differentiable as often as one likes.
at::Tensor grad_of_x(AutogradContext* ctx, const at::Tensor& grad) {
  const Dropping dropping{ctx->saved_data["p"].toDouble(), true, DropoutSeed::saved(ctx)};
  return drop_of_seed(grad, dropping, static_cast<at::ScalarType>(ctx->saved_data["x"].toInt()));
}

class DropoutFunction : public torch::autograd::Function<DropoutFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, double p,
                            const DropoutSeed& seed, int64_t to) {
    save(ctx, x, p, seed);
    return run({}, x, Dropping{p, true, seed}, static_cast<at::ScalarType>(to));
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grad_outputs) {
    variable_list gradients(4);
    if (grad_outputs[0].defined()) gradients[0] = grad_of_x(ctx, grad_outputs[0]);
    return gradients;
  }
};

class AddDropoutFunction : public torch::autograd::Function<AddDropoutFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& residual, const at::Tensor& x,
                            double p, const DropoutSeed& seed) {
    save(ctx, x, p, seed);
    return run(residual, x, Dropping{p, true, seed}, residual.scalar_type());
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grad_outputs) {
    variable_list gradients(4);
    const auto& grad = grad_outputs[0];
    if (!grad.defined()) return gradients;
    gradients[0] = grad;
    if (ctx->needs_input_grad(1)) gradients[1] = grad_of_x(ctx, grad);
    return gradients;
  }
};

at::Tensor add_dropout(const at::Tensor& residual, const at::Tensor& x, double p, bool train) {
  check_add_dropout(kName, residual, x, p);
  const Dropping dropping{p, train, draw_dropout_seed(p, train)};
  if (!dropping.drops() || !has_kernel(residual, x, residual.scalar_type())) {
    return add_dropout_composition(residual, x, dropping);
  }
  return AddDropoutFunction::apply(residual, x, p, dropping.seed);
}

at::Tensor dropout_operator(const at::Tensor& x, double p, bool train) {
  TORCH_CHECK(at::isFloatingType(x.scalar_type()), kDropoutName,
              ": x must be of a floating-point type, got ", x.scalar_type());
  check_dropout(kDropoutName, p);
  const Dropping dropping{p, train, draw_dropout_seed(p, train)};
  const auto type = x.scalar_type();
  return has_kernel({}, x, type) ? drop_of_seed(x, dropping, type)
                                 : dropout(x, p, train, dropping.seed);
}

}  // namespace

void check_add_dropout(const char* name, const at::Tensor& residual, const at::Tensor& x,
                       double p) {
  check_dropout(name, p);
  TORCH_CHECK(at::isFloatingType(residual.scalar_type()), name,
              ": residual must be of a floating-point type, got ", residual.scalar_type());
  TORCH_CHECK(at::isFloatingType(x.scalar_type()), name,
              ": x must be of a floating-point type, got ", x.scalar_type());
  TORCH_CHECK(residual.sym_sizes() == x.sym_sizes(), name, ": x must have the shape of residual, ",
              residual.sym_sizes(), ", got ", x.sym_sizes());
  TORCH_CHECK(residual.device() == x.device(), name, ": x must be on the device of residual, ",
              residual.device(), ", got ", x.device());
}

at::Tensor add_dropout_composition(const at::Tensor& residual, const at::Tensor& x,
                                   const Dropping& dropping) {
  const auto type = at::promote_types(residual.scalar_type(), x.scalar_type());
  return (residual + dropout(x.to(type), dropping.p, dropping.train, dropping.seed))
      .to(residual.scalar_type());
}

at::Tensor drop_of_seed(const at::Tensor& x, const Dropping& dropping, at::ScalarType to) {
  if (!dropping.drops()) return x.to(to);
  if (!has_kernel({}, x, to)) {
    const auto mask = dropout_mask(x.sym_sizes(), dropping.p, dropping.seed.number(),
                                   x.scalar_type(), x.device());
    return (x * mask).to(to);
  }
  return DropoutFunction::apply(x, dropping.p, dropping.seed, static_cast<int64_t>(to));
}

TORCH_LIBRARY_FRAGMENT(wavegpt, library) {
  library.def("dropout(Tensor x, float p, bool train) -> Tensor");
  library.def("add_dropout(Tensor residual, Tensor x, float p, bool train) -> Tensor");
}

TORCH_LIBRARY_IMPL(wavegpt, CompositeImplicitAutograd, library) {
  library.impl("dropout", dropout_operator);
  library.impl("add_dropout", add_dropout);
}

}  // namespace wavegpt::kernels
