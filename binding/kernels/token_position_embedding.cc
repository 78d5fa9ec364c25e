#include "kernels/cpu/token_position_embedding.h"

#include <torch/library.h>

#include "kernels/autograd.h"
#include "kernels/operands.h"
#include "kernels/plain_cpu.h"

namespace wavegpt::kernels {

constinit Kernel<void(const EmbeddingForward<float>&)> embedding_forward_float;
constinit Kernel<void(const EmbeddingForward<double>&)> embedding_forward_double;
constinit Kernel<void(const EmbeddingForward<c10::BFloat16>&)> embedding_forward_bfloat16;
constinit Kernel<void(const EmbeddingBackward<float>&)> embedding_backward_float;
constinit Kernel<void(const EmbeddingBackward<double>&)> embedding_backward_double;
constinit Kernel<void(const EmbeddingBackward<c10::BFloat16>&)> embedding_backward_bfloat16;

namespace {

constexpr auto kName = "wavegpt::token_position_embedding";

void run(const EmbeddingForward<float>& task) { embedding_forward_float(task); }
void run(const EmbeddingForward<double>& task) { embedding_forward_double(task); }
void run(const EmbeddingForward<c10::BFloat16>& task) { embedding_forward_bfloat16(task); }
void run(const EmbeddingBackward<float>& task) { embedding_backward_float(task); }
void run(const EmbeddingBackward<double>& task) { embedding_backward_double(task); }
void run(const EmbeddingBackward<c10::BFloat16>& task) { embedding_backward_bfloat16(task); }

void check(const at::Tensor& tokens, const at::Tensor& token_weight,
           const at::Tensor& position_weight, int64_t first_position) {
  TORCH_CHECK(tokens.scalar_type() == at::kLong, kName, ": tokens must be int64, got ",
              tokens.scalar_type());
  TORCH_CHECK(tokens.dim() == 2, kName, ": tokens must have shape (batch, length), got ",
              tokens.sym_sizes());
  const auto check_weight = [&](const char* argument, const at::Tensor& weight) {
    check_floating(kName, argument, weight);
    TORCH_CHECK(weight.dim() == 2, kName, ": ", argument,
                " must have shape (entries, channels), got ", weight.sym_sizes());
    TORCH_CHECK(weight.device() == tokens.device(), kName, ": ", argument, " must be on ",
                tokens.device(), " as tokens is, got ", weight.device());
  };
  check_weight("token_weight", token_weight);
  check_weight("position_weight", position_weight);
  TORCH_CHECK(token_weight.sym_size(1) == position_weight.sym_size(1), kName,
              ": position_weight must have as many channels as token_weight, ",
              token_weight.sym_size(1), ", got ", position_weight.sym_size(1));
  const auto length = tokens.sym_size(1), positions = position_weight.sym_size(0);
  TORCH_CHECK_INDEX(first_position >= 0 && positions - length >= first_position, kName,
                    ": positions must be from 0 to ", positions - 1, ", got ", length, " from ",
                    first_position, " on");
}

void check_tokens(const at::Tensor& contiguous, int64_t vocabulary) {
  const auto* data = contiguous.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < contiguous.numel(); i++) {
    TORCH_CHECK_INDEX(data[i] >= 0 && data[i] < vocabulary, kName, ": tokens must be from 0 to ",
                      vocabulary - 1, ", got ", data[i]);
  }
}

class EmbeddingFunction : public torch::autograd::Function<EmbeddingFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& tokens,
                            const at::Tensor& token_weight, const at::Tensor& position_weight,
                            int64_t first_position) {
    ctx->set_materialize_grads(false);
    ctx->save_for_backward({tokens});
    ctx->saved_data["vocabulary"] = token_weight.size(0);
    ctx->saved_data["positions"] = position_weight.size(0);
    ctx->saved_data["first_position"] = first_position;
    const auto channels = token_weight.size(1);
    const at::Tensor token_weights = token_weight.contiguous();
    const at::Tensor position_weights = position_weight.contiguous();
    auto out = at::empty({tokens.size(0), tokens.size(1), channels}, token_weight.options());
    with_type(token_weight.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      run(EmbeddingForward<T>{
          .sizes = {tokens.size(0), tokens.size(1), channels, token_weight.size(0),
                    position_weight.size(0), first_position},
          .tokens = tokens.const_data_ptr<int64_t>(),
          .token_weight = token_weights.const_data_ptr<T>(),
          .position_weight = position_weights.const_data_ptr<T>(),
          .out = out.template mutable_data_ptr<T>(),
      });
    });
    return out;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grad_outputs) {
    variable_list gradients(4);
    if (!grad_outputs[0].defined()) return gradients;
    const at::Tensor tokens = ctx->get_saved_variables()[0];
    const auto vocabulary = ctx->saved_data["vocabulary"].toInt();
    const auto positions = ctx->saved_data["positions"].toInt();
    const auto first_position = ctx->saved_data["first_position"].toInt();
    const bool wants_tokens = ctx->needs_input_grad(1), wants_positions = ctx->needs_input_grad(2);
    if (at::GradMode::is_enabled()) {
      const auto& grad = grad_outputs[0];
      if (wants_tokens) {
        gradients[1] = at::embedding_dense_backward(grad, tokens, vocabulary, -1, false);
      }
      if (wants_positions) {
        const auto after = positions - first_position - tokens.size(1);
        gradients[2] = at::constant_pad_nd(grad.sum(0), {0, 0, first_position, after});
      }
      return gradients;
    }
    const at::Tensor grad = grad_outputs[0].contiguous();
    with_type(grad.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      using Sum = Accumulate<T>;
      const auto channels = grad.size(2);
      const auto options = grad.options().dtype(c10::CppTypeToScalarType<Sum>::value);
      if (wants_tokens) gradients[1] = at::empty({vocabulary, channels}, options);
      if (wants_positions) gradients[2] = at::empty({positions, channels}, options);
      run(EmbeddingBackward<T>{
          .sizes = {tokens.size(0), tokens.size(1), channels, vocabulary, positions,
                    first_position},
          .tokens = tokens.const_data_ptr<int64_t>(),
          .grad = grad.const_data_ptr<T>(),
          .grad_token_weight = mutable_data_or_null<Sum>(gradients[1]),
          .grad_position_weight = mutable_data_or_null<Sum>(gradients[2]),
      });
      for (auto& gradient : gradients) {
        if (gradient.defined()) gradient = gradient.to(grad.scalar_type());
      }
    });
    return gradients;
  }
};

bool has_kernel(const at::Tensor& tokens, const at::Tensor& token_weight,
                const at::Tensor& position_weight) {
  if (!are_plain_cpu({tokens, token_weight, position_weight})) return false;
  const auto type = token_weight.scalar_type();
  if (type != at::kFloat && type != at::kDouble && type != at::kBFloat16) return false;
  return position_weight.scalar_type() == type && tokens.numel() > 0 && token_weight.size(1) > 0;
}

at::Tensor token_position_embedding(const at::Tensor& tokens, const at::Tensor& token_weight,
                                    const at::Tensor& position_weight, int64_t first_position) {
  check(tokens, token_weight, position_weight, first_position);
  if (!has_kernel(tokens, token_weight, position_weight)) {
    return at::embedding(token_weight, tokens) +
           position_weight.narrow_symint(0, first_position, tokens.sym_size(1));
  }
  const at::Tensor contiguous = tokens.contiguous();
  check_tokens(contiguous, token_weight.size(0));
  return EmbeddingFunction::apply(contiguous, token_weight, position_weight, first_position);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(wavegpt, library) {
  library.def(
      "token_position_embedding(Tensor tokens, Tensor token_weight, Tensor position_weight, "
      "int first_position) -> Tensor");
}

TORCH_LIBRARY_IMPL(wavegpt, CompositeImplicitAutograd, library) {
  library.impl("token_position_embedding", token_position_embedding);
}

}  // namespace wavegpt::kernels
