#include "kernels/cpu/mix.h"

#include <torch/library.h>

#include "kernels/autograd.h"
#include "kernels/operands.h"
#include "kernels/plain_cpu.h"

namespace wavegpt::kernels {

constinit Kernel<void(const MixForward<float>&)> mix_forward_float;
constinit Kernel<void(const MixForward<double>&)> mix_forward_double;
constinit Kernel<void(const MixForward<c10::BFloat16>&)> mix_forward_bfloat16;
constinit Kernel<void(const MixBackward<float>&)> mix_backward_float;
constinit Kernel<void(const MixBackward<double>&)> mix_backward_double;
constinit Kernel<void(const MixBackward<c10::BFloat16>&)> mix_backward_bfloat16;

namespace {

constexpr auto kName = "wavegpt::mix";

void run(const MixForward<float>& task) { mix_forward_float(task); }
void run(const MixForward<double>& task) { mix_forward_double(task); }
void run(const MixForward<c10::BFloat16>& task) { mix_forward_bfloat16(task); }
void run(const MixBackward<float>& task) { mix_backward_float(task); }
void run(const MixBackward<double>& task) { mix_backward_double(task); }
void run(const MixBackward<c10::BFloat16>& task) { mix_backward_bfloat16(task); }

void check(const at::Tensor& g, const at::Tensor& h, const at::Tensor& beta) {
  check_floating(kName, "g", g);
  check_floating(kName, "h", h);
  check_floating(kName, "beta", beta);
  TORCH_CHECK(g.dim() == 3, kName, ": g must have shape (batch, length, channels), got ",
              g.sym_sizes());
  TORCH_CHECK(h.dim() == 3 && h.sym_size(0) == g.sym_size(0) && h.sym_size(1) == 1 &&
                  h.sym_size(2) == g.sym_size(2),
              kName, ": h must have shape [", g.sym_size(0), ", 1, ", g.sym_size(2), "], got ",
              h.sym_sizes());
  const bool one = beta.dim() <= 1 && beta.sym_numel() == 1;
  TORCH_CHECK(one || (beta.dim() == 3 && beta.sym_size(0) == g.sym_size(0) &&
                      beta.sym_size(1) == 1 && beta.sym_size(2) == 1),
              kName, ": beta must have shape [1] or [", g.sym_size(0), ", 1, 1], got ",
              beta.sym_sizes());
  for (const auto* other : {&h, &beta}) {
    TORCH_CHECK(other->device() == g.device(), kName, ": expected all tensors on the device of g, ",
                g.device(), ", got one on ", other->device());
  }
}

bool has_kernel(const at::Tensor& g, const at::Tensor& h, const at::Tensor& beta) {
  const auto type = g.scalar_type();
  if (type != at::kFloat && type != at::kDouble && type != at::kBFloat16) return false;
  return are_plain_cpu({g, h, beta}) && g.numel() > 0;
}

at::Tensor composition(const at::Tensor& g, const at::Tensor& h, const at::Tensor& beta) {
  const auto sums = g.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const auto share = beta.to(sums);
  return (g.to(sums) * at::rsub(share, 1) + h.to(sums) * share).to(g.scalar_type());
}

// What forward and backward read; h and beta as they compute with them.
struct Inputs {
  at::Tensor g, h, beta;
};

template <typename T>
Inputs as_read(const at::Tensor& g, const at::Tensor& h, const at::Tensor& beta) {
  return {g.contiguous(), as_parameter<T>(h), as_parameter<T>(beta)};
}

template <typename T>
MixForward<T> task_of(const Inputs& inputs) {
  using Sum = Accumulate<T>;
  return {
      .batch = inputs.g.size(0),
      .length = inputs.g.size(1),
      .channels = inputs.g.size(2),
      .g = inputs.g.const_data_ptr<T>(),
      .h = inputs.h.const_data_ptr<Sum>(),
      .beta = inputs.beta.const_data_ptr<Sum>(),
      .beta_of_batch = inputs.beta.dim() == 3,
      .out = nullptr,
  };
}

class MixFunction : public torch::autograd::Function<MixFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& g, const at::Tensor& h,
                            const at::Tensor& beta) {
    ctx->set_materialize_grads(false);
    ctx->save_for_backward({g, h, beta});
    auto out = at::empty(g.sizes(), g.options());
    with_type(g.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      const auto inputs = as_read<T>(g, h, beta);
      auto task = task_of<T>(inputs);
      task.out = out.template mutable_data_ptr<T>();
      run(task);
    });
    return out;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grad_outputs) {
    variable_list gradients(3);
    if (!grad_outputs[0].defined()) return gradients;
    const auto saved = ctx->get_saved_variables();
    if (at::GradMode::is_enabled()) {
      return differentiable_gradients(
          [](const variable_list& inputs) {
            return variable_list{composition(inputs[0], inputs[1], inputs[2])};
          },
          saved, grad_outputs);
    }
    with_type(saved[0].scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      using Sum = Accumulate<T>;
      const auto inputs = as_read<T>(saved[0], saved[1], saved[2]);
      const auto grad = as_activation<T>(grad_outputs[0]);
      for (size_t i = 0; i < 3; i++) {
        const auto& input = i == 0 ? inputs.g : i == 1 ? inputs.h : inputs.beta;
        if (ctx->needs_input_grad(i)) gradients[i] = at::empty(input.sizes(), input.options());
      }
      const auto task = task_of<T>(inputs);
      const auto partial_sums =
          working_memory<Sum>(task.batch * mix_blocks(task.length) * (task.channels + 1));
      run(MixBackward<T>{
          .forward = task,
          .grad = grad.template const_data_ptr<T>(),
          .grad_g = mutable_data_or_null<T>(gradients[0]),
          .grad_h = mutable_data_or_null<Sum>(gradients[1]),
          .grad_beta = mutable_data_or_null<Sum>(gradients[2]),
          .partial_sums = partial_sums.template mutable_data_ptr<Sum>(),
      });
      for (size_t i = 0; i < 3; i++) {
        if (gradients[i].defined()) gradients[i] = gradients[i].to(saved[i].scalar_type());
      }
    });
    return gradients;
  }
};

at::Tensor mix(const at::Tensor& g, const at::Tensor& h, const at::Tensor& beta) {
  check(g, h, beta);
  if (!has_kernel(g, h, beta)) return composition(g, h, beta);
  return MixFunction::apply(g, h, beta);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(wavegpt, library) {
  library.def("mix(Tensor g, Tensor h, Tensor beta) -> Tensor");
}

TORCH_LIBRARY_IMPL(wavegpt, CompositeImplicitAutograd, library) { library.impl("mix", mix); }

}  // namespace wavegpt::kernels
