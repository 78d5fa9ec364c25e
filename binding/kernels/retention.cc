#include "kernels/cpu/retention.h"

#include <torch/library.h>

#include "kernels/autograd.h"
#include "kernels/operands.h"
#include "kernels/plain_cpu.h"

namespace wavegpt::kernels {

constinit Kernel<void(const RetentionForward<float>&)> retention_forward_float;
constinit Kernel<void(const RetentionForward<double>&)> retention_forward_double;
constinit Kernel<void(const RetentionForward<c10::BFloat16>&)> retention_forward_bfloat16;
constinit Kernel<void(const RetentionBackward<float>&)> retention_backward_float;
constinit Kernel<void(const RetentionBackward<double>&)> retention_backward_double;
constinit Kernel<void(const RetentionBackward<c10::BFloat16>&)> retention_backward_bfloat16;

namespace {

constexpr auto kName = "wavegpt::retention";

// Positions of the kernel: the quickest head's decay to this power must be far from underflow.
constexpr int64_t kMostTime = 256;

void run(const RetentionForward<float>& task) { retention_forward_float(task); }
void run(const RetentionForward<double>& task) { retention_forward_double(task); }
void run(const RetentionForward<c10::BFloat16>& task) { retention_forward_bfloat16(task); }
void run(const RetentionBackward<float>& task) { retention_backward_float(task); }
void run(const RetentionBackward<double>& task) { retention_backward_double(task); }
void run(const RetentionBackward<c10::BFloat16>& task) { retention_backward_bfloat16(task); }

using Decays = std::vector<double>;

struct Retained {
  at::Tensor out, state;
};

// In the state's type, and by a matrix of decays, which takes any decay and any number of
// positions.
Retained composition(const at::Tensor& qkvg, const at::Tensor& state, const Decays& decays,
                     double eps) {
  // Autocast would round what the state is made of.
  const c10::impl::ExcludeDispatchKeyGuard exact(c10::autocast_dispatch_keyset);
  const auto batch = qkvg.size(0), time = qkvg.size(1), channels = qkvg.size(2) / 4;
  const auto heads = static_cast<int64_t>(decays.size()), width = channels / heads;
  const auto options = state.options().requires_grad(false);
  // (heads, 1, 1) to the powers of (time, 1) and (time, time)
  const auto decay =
      at::tensor(decays, options.device(at::kCPU)).to(state.device()).view({heads, 1, 1});
  const auto positions = at::arange(time, options);
  const auto passed = (positions + 1).unsqueeze(1);
  const auto distances = positions.unsqueeze(1) - positions;
  // (4, batch, heads, time, width)
  const auto parts =
      qkvg.to(state.scalar_type()).reshape({batch, time, 4, heads, width}).permute({2, 0, 3, 1, 4});
  const auto q = parts.select(0, 0), v = parts.select(0, 2), gates = parts.select(0, 3);
  const auto k = parts.select(0, 1) / std::sqrt(static_cast<double>(width));
  const auto weights = q.matmul(k.transpose(-2, -1)) * decay.pow(distances.clamp_min(0)).tril();
  const auto o = weights.matmul(v) + (q * decay.pow(passed)).matmul(state);
  const auto left = decay.pow(static_cast<double>(time) - passed);
  const auto next = state * decay.pow(time) + (k * left).transpose(-2, -1).matmul(v);
  const auto out = at::layer_norm(o, {width}, {}, {}, eps) * at::silu(gates);
  return {out.transpose(1, 2).reshape({batch, time, channels}).to(qkvg.scalar_type()), next};
}

// What backward wants (kernels/cpu/retention.h).
struct Kept {
  at::Tensor normed, rates;
};

// Fills `kept`, unless it is null.
Retained compute(const at::Tensor& qkvg, const at::Tensor& state, const Decays& decays, double eps,
                 Kept* kept) {
  const auto batch = qkvg.size(0), time = qkvg.size(1), channels = qkvg.size(2) / 4;
  const auto heads = static_cast<int64_t>(decays.size());
  return with_type(qkvg.scalar_type(), [&]<typename T>(T) {
    using Sum = Accumulate<T>;
    const auto inputs = qkvg.contiguous(), before = state.contiguous();
    Retained result{at::empty({batch, time, channels}, inputs.options()), at::empty_like(before)};
    if (kept != nullptr) {
      *kept = {at::empty_like(result.out), at::empty({batch, heads, time}, before.options())};
    }
    run(RetentionForward<T>{
        .batch = batch,
        .time = time,
        .heads = heads,
        .width = channels / heads,
        .qkvg = inputs.const_data_ptr<T>(),
        .state = before.const_data_ptr<Sum>(),
        .decays = decays.data(),
        .eps = eps,
        .out = result.out.template mutable_data_ptr<T>(),
        .next = result.state.template mutable_data_ptr<Sum>(),
        .normed = kept == nullptr ? nullptr : kept->normed.template mutable_data_ptr<T>(),
        .rates = kept == nullptr ? nullptr : kept->rates.template mutable_data_ptr<Sum>(),
    });
    return result;
  });
}

at::Tensor gradient(const at::Tensor& qkvg, const at::Tensor& state, const Decays& decays,
                    const Kept& kept, const at::Tensor& d_out) {
  const auto heads = static_cast<int64_t>(decays.size());
  return with_type(qkvg.scalar_type(), [&]<typename T>(T) {
    using Sum = Accumulate<T>;
    const auto inputs = qkvg.contiguous(), before = state.contiguous();
    const auto d_outputs = as_activation<T>(d_out);
    auto d_qkvg = at::empty_like(inputs);
    run(RetentionBackward<T>{
        .batch = inputs.size(0),
        .time = inputs.size(1),
        .heads = heads,
        .width = inputs.size(2) / 4 / heads,
        .qkvg = inputs.const_data_ptr<T>(),
        .state = before.const_data_ptr<Sum>(),
        .decays = decays.data(),
        .normed = kept.normed.template const_data_ptr<T>(),
        .rates = kept.rates.template const_data_ptr<Sum>(),
        .d_out = d_outputs.template const_data_ptr<T>(),
        .d_qkvg = d_qkvg.template mutable_data_ptr<T>(),
    });
    return d_qkvg;
  });
}

// Of a state that asks for no gradient, and gives none to the next.
class RetentionFunction : public torch::autograd::Function<RetentionFunction> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& qkvg,
                               const at::Tensor& state, const Decays& decays, double eps) {
    Kept kept;
    auto result = compute(qkvg, state, decays, eps, &kept);
    ctx->save_for_backward({qkvg, state});
    ctx->saved_data["normed"] = kept.normed;
    ctx->saved_data["rates"] = kept.rates;
    ctx->saved_data["decays"] = decays;
    ctx->saved_data["eps"] = eps;
    ctx->mark_non_differentiable({result.state});
    return {result.out, result.state};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grad_outputs) {
    variable_list gradients(4);
    if (!grad_outputs[0].defined()) return gradients;
    const auto saved = ctx->get_saved_variables();
    const auto decays = ctx->saved_data["decays"].toDoubleVector();
    if (at::GradMode::is_enabled()) {
      const auto eps = ctx->saved_data["eps"].toDouble();
      gradients[0] = differentiable_gradients(
          [&](const variable_list& inputs) {
            return variable_list{composition(inputs[0], saved[1], decays, eps).out};
          },
          {saved[0]}, {grad_outputs[0]})[0];
    } else {
      const Kept kept{ctx->saved_data["normed"].toTensor(), ctx->saved_data["rates"].toTensor()};
      gradients[0] = gradient(saved[0], saved[1], decays, kept, grad_outputs[0]);
    }
    return gradients;
  }
};

void check(const at::Tensor& qkvg, const at::Tensor& state, const Decays& decays) {
  check_floating(kName, "qkvg", qkvg);
  check_floating(kName, "state", state);
  const auto heads = static_cast<int64_t>(decays.size());
  TORCH_CHECK(heads > 0, kName, ": decays must hold one number for each head, got none");
  for (const double decay : decays) {
    TORCH_CHECK(decay > 0 && decay < 1, kName, ": decays must lie between 0 and 1, got ", decay);
  }
  TORCH_CHECK(qkvg.dim() == 3 && qkvg.size(2) > 0 && qkvg.size(2) % (4 * heads) == 0, kName,
              ": qkvg must have shape (batch, time, 4 * channels) with channels a multiple of the ",
              heads, " heads, got ", qkvg.sizes());
  const auto width = qkvg.size(2) / 4 / heads;
  const std::vector<int64_t> expected{qkvg.size(0), heads, width, width};
  TORCH_CHECK(state.sizes() == expected, kName, ": state must have shape ",
              at::IntArrayRef(expected), ", got ", state.sizes());
}

bool has_kernel(const at::Tensor& qkvg, const at::Tensor& state, const Decays& decays) {
  if (!are_plain_cpu({qkvg, state}) || qkvg.numel() == 0 || qkvg.size(1) > kMostTime) return false;
  const auto type = qkvg.scalar_type();
  if (type != at::kFloat && type != at::kDouble && type != at::kBFloat16) return false;
  const auto sums = type == at::kDouble ? at::kDouble : at::kFloat;
  if (state.scalar_type() != sums || !gemm_supports(type)) return false;
  // Products of bfloat16 take pairs.
  const auto width = state.size(-1);
  if (type == at::kBFloat16 && width % 2 != 0) return false;
  if (at::GradMode::is_enabled() && state.requires_grad()) return false;
  // What keys are multiplied by must not come near the end of float's numbers.
  const auto fastest = *std::min_element(decays.begin(), decays.end());
  return std::pow(fastest, static_cast<double>(qkvg.size(1))) > 1e-9;
}

// qkvg (batch, time, 4 * channels): queries, keys, values and gates; state (batch, heads, width,
// width). Gives out (batch, time, channels) in the type of qkvg, and the next state.
std::tuple<at::Tensor, at::Tensor> retention(const at::Tensor& qkvg, const at::Tensor& state,
                                             at::ArrayRef<double> of_heads, double eps) {
  const auto decays = of_heads.vec();
  check(qkvg, state, decays);
  if (!has_kernel(qkvg, state, decays)) {
    auto result = composition(qkvg, state, decays, eps);
    return {result.out, result.state};
  }
  if (!at::GradMode::is_enabled() || !qkvg.requires_grad()) {
    auto result = compute(qkvg, state, decays, eps, nullptr);
    return {result.out, result.state};
  }
  auto results = RetentionFunction::apply(qkvg, state, decays, eps);
  return {results[0], results[1]};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(wavegpt, library) {
  library.def(
      "retention(Tensor qkvg, Tensor state, float[] decays, float eps) -> (Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(wavegpt, CompositeImplicitAutograd, library) {
  library.impl("retention", retention);
}

}  // namespace wavegpt::kernels
