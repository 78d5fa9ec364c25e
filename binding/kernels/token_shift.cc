#include "kernels/cpu/token_shift.h"

#include <torch/library.h>

#include "kernels/autograd.h"
#include "kernels/operands.h"
#include "kernels/plain_cpu.h"

namespace wavegpt::kernels {

constinit Kernel<void(const TokenShiftForward<float>&)> token_shift_forward_float;
constinit Kernel<void(const TokenShiftForward<double>&)> token_shift_forward_double;
constinit Kernel<void(const TokenShiftForward<c10::BFloat16>&)> token_shift_forward_bfloat16;
constinit Kernel<void(const TokenShiftBackward<float>&)> token_shift_backward_float;
constinit Kernel<void(const TokenShiftBackward<double>&)> token_shift_backward_double;
constinit Kernel<void(const TokenShiftBackward<c10::BFloat16>&)> token_shift_backward_bfloat16;

namespace {

constexpr auto kName = "wavegpt::token_shift";

void run(const TokenShiftForward<float>& task) { token_shift_forward_float(task); }
void run(const TokenShiftForward<double>& task) { token_shift_forward_double(task); }
void run(const TokenShiftForward<c10::BFloat16>& task) { token_shift_forward_bfloat16(task); }
void run(const TokenShiftBackward<float>& task) { token_shift_backward_float(task); }
void run(const TokenShiftBackward<double>& task) { token_shift_backward_double(task); }
void run(const TokenShiftBackward<c10::BFloat16>& task) { token_shift_backward_bfloat16(task); }

at::Tensor composition(const at::Tensor& x, const at::Tensor& past, const at::Tensor& share) {
  const auto sums = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const auto own = x.to(sums);
  const auto before = at::cat({past.to(sums), own.narrow(1, 0, x.size(1) - 1)}, 1);
  return (own + share.to(sums) * (before - own)).to(x.scalar_type());
}

// What forward and backward read, as they compute with it.
struct Inputs {
  at::Tensor x, past, share;
};

template <typename T>
Inputs as_read(const at::Tensor& x, const at::Tensor& past, const at::Tensor& share) {
  return {x.contiguous(), as_activation<T>(past), as_parameter<T>(share)};
}

template <typename T>
TokenShift<T> shift_of(const Inputs& inputs) {
  return {
      .batch = inputs.x.size(0),
      .time = inputs.x.size(1),
      .channels = inputs.x.size(2),
      .x = inputs.x.const_data_ptr<T>(),
      .past = inputs.past.const_data_ptr<T>(),
      .share = inputs.share.const_data_ptr<Accumulate<T>>(),
  };
}

// Of a past that asks for no gradient.
class TokenShiftFunction : public torch::autograd::Function<TokenShiftFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& share,
                            const at::Tensor& past) {
    ctx->set_materialize_grads(false);
    ctx->save_for_backward({x, share, past});
    auto y = at::empty(x.sizes(), x.options());
    with_type(x.scalar_type(), [&]<typename T>(T) {
      const auto inputs = as_read<T>(x, past, share);
      run(TokenShiftForward<T>{
          .shift = shift_of<T>(inputs),
          .y = y.template mutable_data_ptr<T>(),
      });
    });
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grad_outputs) {
    variable_list gradients(3);
    if (!grad_outputs[0].defined()) return gradients;
    const auto saved = ctx->get_saved_variables();
    const auto &x = saved[0], &share = saved[1], &past = saved[2];
    if (at::GradMode::is_enabled()) {
      auto found = differentiable_gradients(
          [&](const variable_list& inputs) {
            return variable_list{composition(inputs[0], past, inputs[1])};
          },
          {x, share}, grad_outputs);
      std::move(found.begin(), found.end(), gradients.begin());
      return gradients;
    }
    with_type(x.scalar_type(), [&]<typename T>(T) {
      using Sum = Accumulate<T>;
      const auto inputs = as_read<T>(x, past, share);
      const auto d_y = as_activation<T>(grad_outputs[0]);
      if (ctx->needs_input_grad(0)) gradients[0] = at::empty(x.sizes(), inputs.x.options());
      if (ctx->needs_input_grad(1)) {
        gradients[1] = at::empty(share.sizes(), inputs.share.options());
      }
      const auto shift = shift_of<T>(inputs);
      const auto sums =
          working_memory<Sum>(shift.batch * shift_blocks(shift.time) * shift.channels);
      run(TokenShiftBackward<T>{
          .shift = shift,
          .d_y = d_y.template const_data_ptr<T>(),
          .d_x = mutable_data_or_null<T>(gradients[0]),
          .d_share = mutable_data_or_null<Sum>(gradients[1]),
          .partial_sums = sums.template mutable_data_ptr<Sum>(),
      });
      if (gradients[1].defined()) gradients[1] = gradients[1].to(share.scalar_type());
    });
    return gradients;
  }
};

void check(const at::Tensor& x, const at::Tensor& past, const at::Tensor& share) {
  check_floating(kName, "x", x);
  check_floating(kName, "past", past);
  check_floating(kName, "share", share);
  TORCH_CHECK(x.dim() == 3 && x.size(1) > 0, kName,
              ": x must have shape (batch, time, channels) with at least one position, got ",
              x.sizes());
  const std::vector<int64_t> before{x.size(0), 1, x.size(2)};
  TORCH_CHECK(past.sizes() == before, kName, ": past must have shape ", at::IntArrayRef(before),
              ", got ", past.sizes());
  TORCH_CHECK(share.dim() == 1 && share.size(0) == x.size(2), kName, ": share must have shape [",
              x.size(2), "], got ", share.sizes());
  for (const auto* other : {&past, &share}) {
    TORCH_CHECK(other->device() == x.device(), kName, ": expected all tensors on the device of x, ",
                x.device(), ", got one on ", other->device());
  }
}

bool has_kernel(const at::Tensor& x, const at::Tensor& past, const at::Tensor& share) {
  const auto type = x.scalar_type();
  if (type != at::kFloat && type != at::kDouble && type != at::kBFloat16) return false;
  if (at::GradMode::is_enabled() && past.requires_grad()) return false;
  return are_plain_cpu({x, past, share}) && x.numel() > 0;
}

// x (batch, time, channels), past (batch, 1, channels), share (channels); gives what x is.
at::Tensor token_shift(const at::Tensor& x, const at::Tensor& past, const at::Tensor& share) {
  check(x, past, share);
  if (!has_kernel(x, past, share)) return composition(x, past, share);
  return TokenShiftFunction::apply(x, share, past);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(wavegpt, library) {
  library.def("token_shift(Tensor x, Tensor past, Tensor share) -> Tensor");
}

TORCH_LIBRARY_IMPL(wavegpt, CompositeImplicitAutograd, library) {
  library.impl("token_shift", token_shift);
}

}  // namespace wavegpt::kernels
