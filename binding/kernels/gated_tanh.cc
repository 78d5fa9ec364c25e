#include "kernels/cpu/gated_tanh.h"

#include <torch/library.h>

#include "kernels/autograd.h"
#include "kernels/operands.h"
#include "kernels/plain_cpu.h"

namespace wavegpt::kernels {

constinit Kernel<void(const GatedTanhForward<float>&)> gated_tanh_forward_float;
constinit Kernel<void(const GatedTanhForward<double>&)> gated_tanh_forward_double;
constinit Kernel<void(const GatedTanhForward<c10::BFloat16>&)> gated_tanh_forward_bfloat16;
constinit Kernel<void(const GatedTanhBackward<float>&)> gated_tanh_backward_float;
constinit Kernel<void(const GatedTanhBackward<double>&)> gated_tanh_backward_double;
constinit Kernel<void(const GatedTanhBackward<c10::BFloat16>&)> gated_tanh_backward_bfloat16;

namespace {

constexpr auto kName = "wavegpt::gated_tanh";

void run(const GatedTanhForward<float>& task) { gated_tanh_forward_float(task); }
void run(const GatedTanhForward<double>& task) { gated_tanh_forward_double(task); }
void run(const GatedTanhForward<c10::BFloat16>& task) { gated_tanh_forward_bfloat16(task); }
void run(const GatedTanhBackward<float>& task) { gated_tanh_backward_float(task); }
void run(const GatedTanhBackward<double>& task) { gated_tanh_backward_double(task); }
void run(const GatedTanhBackward<c10::BFloat16>& task) { gated_tanh_backward_bfloat16(task); }

bool has_kernel(const at::Tensor& x) {
  const auto type = x.scalar_type();
  if (type != at::kFloat && type != at::kDouble && type != at::kBFloat16) return false;
  return are_plain_cpu({x}) && x.numel() > 0;
}

at::Tensor composition(const at::Tensor& x) {
  const auto halves = x.chunk(2, -1);
  return at::tanh(halves[0]) * at::sigmoid(halves[1]);
}

at::Tensor compute(const at::Tensor& x) {
  const auto inputs = x.contiguous();
  const auto channels = x.size(-1) / 2;
  auto sizes = x.sizes().vec();
  sizes.back() = channels;
  auto out = at::empty(sizes, inputs.options());
  with_type(x.scalar_type(), [&](auto zero) {
    using T = decltype(zero);
    run(GatedTanhForward<T>{
        .rows = out.numel() / channels,
        .channels = channels,
        .x = inputs.const_data_ptr<T>(),
        .out = out.template mutable_data_ptr<T>(),
    });
  });
  return out;
}

class GatedTanhFunction : public torch::autograd::Function<GatedTanhFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x) {
    ctx->set_materialize_grads(false);
    ctx->save_for_backward({x});
    return compute(x);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grad_outputs) {
    if (!grad_outputs[0].defined()) return {at::Tensor()};
    const auto saved = ctx->get_saved_variables();
    if (at::GradMode::is_enabled()) {
      return differentiable_gradients(
          [](const variable_list& inputs) { return variable_list{composition(inputs[0])}; }, saved,
          grad_outputs);
    }
    const auto inputs = saved[0].contiguous();
    auto gradient = at::empty(inputs.sizes(), inputs.options());
    with_type(inputs.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      const auto d_out = as_activation<T>(grad_outputs[0]);
      const auto channels = inputs.size(-1) / 2;
      run(GatedTanhBackward<T>{
          .rows = d_out.numel() / channels,
          .channels = channels,
          .x = inputs.const_data_ptr<T>(),
          .d_out = d_out.template const_data_ptr<T>(),
          .d_x = gradient.template mutable_data_ptr<T>(),
      });
    });
    return {gradient};
  }
};

// tanh of the first half of the channels, times the sigmoid of the second: (..., 2 C) to (..., C).
at::Tensor gated_tanh(const at::Tensor& x) {
  TORCH_CHECK(at::isFloatingType(x.scalar_type()), kName,
              ": x must be of a floating-point type, got ", x.scalar_type());
  TORCH_CHECK(x.dim() > 0 && x.sym_size(-1) % 2 == 0, kName,
              ": x must have an even number of channels, got ", x.sym_sizes());
  if (!has_kernel(x)) return composition(x);
  return GatedTanhFunction::apply(x);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(wavegpt, library) { library.def("gated_tanh(Tensor x) -> Tensor"); }

TORCH_LIBRARY_IMPL(wavegpt, CompositeImplicitAutograd, library) {
  library.impl("gated_tanh", gated_tanh);
}

}  // namespace wavegpt::kernels
