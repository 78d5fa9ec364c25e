#include "kernels/cpu/attention.h"

#include <torch/library.h>

#include "kernels/autograd.h"
#include "kernels/dropout.h"
#include "kernels/operands.h"
#include "kernels/plain_cpu.h"

namespace wavegpt::kernels {

constinit Kernel<void(const AttentionForward<float>&)> attention_forward_float;
constinit Kernel<void(const AttentionForward<double>&)> attention_forward_double;
constinit Kernel<void(const AttentionForward<c10::BFloat16>&)> attention_forward_bfloat16;
constinit Kernel<void(const AttentionBackward<float>&)> attention_backward_float;
constinit Kernel<void(const AttentionBackward<double>&)> attention_backward_double;
constinit Kernel<void(const AttentionBackward<c10::BFloat16>&)> attention_backward_bfloat16;

namespace {

constexpr auto kName = "wavegpt::attention";

void run(const AttentionForward<float>& task) { attention_forward_float(task); }
void run(const AttentionForward<double>& task) { attention_forward_double(task); }
void run(const AttentionForward<c10::BFloat16>& task) { attention_forward_bfloat16(task); }
void run(const AttentionBackward<float>& task) { attention_backward_float(task); }
void run(const AttentionBackward<double>& task) { attention_backward_double(task); }
void run(const AttentionBackward<c10::BFloat16>& task) { attention_backward_bfloat16(task); }

struct Attended {
  at::Tensor out, lse;
};

// qkv is contiguous; rate is 0 where nothing is dropped.
Attended attend(const at::Tensor& qkv, int64_t heads, double rate, int64_t seed) {
  const auto batch = qkv.size(0), time = qkv.size(1), channels = qkv.size(2) / 3;
  return with_type(qkv.scalar_type(), [&]<typename T>(T) {
    using Sum = Accumulate<T>;
    Attended result{
        at::empty({batch, time, channels}, qkv.options()),
        at::empty({batch, heads, time}, qkv.options().dtype(c10::CppTypeToScalarType<Sum>::value))};
    run(AttentionForward<T>{
        .batch = batch,
        .time = time,
        .heads = heads,
        .width = channels / heads,
        .qkv = qkv.const_data_ptr<T>(),
        .rate = rate,
        .seed = static_cast<uint64_t>(seed),
        .out = result.out.template mutable_data_ptr<T>(),
        .lse = result.lse.template mutable_data_ptr<Sum>(),
    });
    return result;
  });
}

at::Tensor gradient(const at::Tensor& qkv, const Attended& attended, const at::Tensor& d_out,
                    int64_t heads, double rate, int64_t seed) {
  return with_type(qkv.scalar_type(), [&]<typename T>(T) {
    using Sum = Accumulate<T>;
    const auto d_out_contiguous = d_out.to(qkv.scalar_type()).contiguous();
    auto d_qkv = at::empty_like(qkv);
    run(AttentionBackward<T>{
        .batch = qkv.size(0),
        .time = qkv.size(1),
        .heads = heads,
        .width = qkv.size(2) / 3 / heads,
        .qkv = qkv.const_data_ptr<T>(),
        .rate = rate,
        .seed = static_cast<uint64_t>(seed),
        .out = attended.out.const_data_ptr<T>(),
        .lse = attended.lse.const_data_ptr<Sum>(),
        .d_out = d_out_contiguous.const_data_ptr<T>(),
        .d_qkv = d_qkv.mutable_data_ptr<T>(),
    });
    return d_qkv;
  });
}

at::Tensor composition(const at::Tensor& qkv, int64_t heads, double rate, const DropoutSeed& seed) {
  const auto batch = qkv.sym_size(0), time = qkv.sym_size(1);
  const auto channels = qkv.sym_size(2) / 3;
  // (3, batch, heads, time, width)
  const auto parts =
      qkv.reshape_symint({batch, time, 3, heads, channels / heads}).permute({2, 0, 3, 1, 4});
  const auto q = parts.select(0, 0), k = parts.select(0, 1), v = parts.select(0, 2);
  at::Tensor out;
  if (qkv.device().is_cpu() || qkv.device().is_meta()) {
    const auto scale =
        1 / std::sqrt(static_cast<double>((channels / heads).guard_int(__FILE__, __LINE__)));
    const auto later = at::ones_symint({time, time}, qkv.options().dtype(at::kBool)).triu(1);
    const auto scores = (q * scale).matmul(k.transpose(-2, -1));
    const auto probabilities =
        scores.masked_fill(later, -std::numeric_limits<double>::infinity()).softmax(-1);
    out = dropout(probabilities, rate, rate > 0, seed).matmul(v);
  } else {
    out = at::scaled_dot_product_attention(q, k, v, {}, rate, /*is_causal=*/true);
  }
  return out.transpose(1, 2).reshape_symint({batch, time, channels});
}

class AttentionFunction : public torch::autograd::Function<AttentionFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& qkv, int64_t heads, double rate,
                            int64_t seed) {
    const auto attended = attend(qkv.contiguous(), heads, rate, seed);
    ctx->save_for_backward({qkv, attended.out});
    ctx->saved_data["lse"] = attended.lse;
    ctx->saved_data["heads"] = heads;
    ctx->saved_data["rate"] = rate;
    ctx->saved_data["seed"] = seed;
    return attended.out;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grad_outputs) {
    const auto saved = ctx->get_saved_variables();
    const auto& qkv = saved[0];
    const auto heads = ctx->saved_data["heads"].toInt();
    const auto rate = ctx->saved_data["rate"].toDouble();
    const auto seed = ctx->saved_data["seed"].toInt();
    variable_list gradients(4);
    if (!grad_outputs[0].defined() || !ctx->needs_input_grad(0)) return gradients;
    if (at::GradMode::is_enabled()) {
      gradients[0] = differentiable_gradients(
          [&](const variable_list& inputs) {
            return variable_list{composition(inputs[0], heads, rate, DropoutSeed(seed))};
          },
          {qkv}, grad_outputs)[0];
    } else {
      gradients[0] = gradient(qkv.contiguous(), {saved[1], ctx->saved_data["lse"].toTensor()},
                              grad_outputs[0], heads, rate, seed);
    }
    return gradients;
  }
};

void check(const at::Tensor& qkv, int64_t heads, double p) {
  check_floating(kName, "qkv", qkv);
  TORCH_CHECK(qkv.layout() == at::kStrided, kName, ": qkv must be dense, got layout ",
              qkv.layout());
  TORCH_CHECK(qkv.dim() == 3, kName, ": qkv must have shape (batch, time, 3 * channels), got ",
              qkv.sym_sizes());
  TORCH_CHECK(heads > 0, kName, ": heads must be positive, got ", heads);
  TORCH_CHECK(qkv.sym_size(2) > 0 && qkv.sym_size(2) % 3 == 0 && qkv.sym_size(2) / 3 % heads == 0,
              kName, ": the last side of qkv must be 3 * channels with channels a multiple of the ",
              heads, " heads, got ", qkv.sym_sizes());
  check_dropout(kName, p);
}

bool has_kernel(const at::Tensor& qkv, int64_t heads) {
  if (!is_plain_cpu(qkv) || !gemm_supports(qkv.scalar_type())) return false;
  if (qkv.numel() == 0) return false;
  return qkv.scalar_type() != at::kBFloat16 || qkv.size(2) / 3 / heads % 2 == 0;
}

}  // namespace

at::Tensor attention(const at::Tensor& qkv, int64_t heads, double p, bool train) {
  check(qkv, heads, p);
  const auto seed = draw_dropout_seed(p, train);
  const double rate = train ? p : 0;
  const auto input = qkv.to(compute_type(qkv));
  if (!has_kernel(input, heads)) return composition(input, heads, rate, seed);
  return AttentionFunction::apply(input, heads, rate, seed.number());
}

TORCH_LIBRARY_FRAGMENT(wavegpt, library) {
  library.def("attention(Tensor qkv, int heads, float p, bool train) -> Tensor");
}

TORCH_LIBRARY_IMPL(wavegpt, CompositeImplicitAutograd, library) {
  library.impl("attention", attention);
}

}  // namespace wavegpt::kernels
