#include "kernels/cpu/wave_layer.h"

#include <torch/library.h>

#include "kernels/autograd.h"
#include "kernels/dense.h"

namespace wavegpt::kernels {

using c10::BFloat16;

constinit Kernel<void(const WaveLayerForward<float, float>&)> wave_layer_forward_float;
constinit Kernel<void(const WaveLayerForward<double, double>&)> wave_layer_forward_double;
constinit Kernel<void(const WaveLayerForward<BFloat16, BFloat16>&)> wave_layer_forward_bfloat16;
constinit Kernel<void(const WaveLayerForward<BFloat16, float>&)>
    wave_layer_forward_bfloat16_of_float;
constinit Kernel<void(const WaveLayerBackward<float, float>&)> wave_layer_backward_float;
constinit Kernel<void(const WaveLayerBackward<double, double>&)> wave_layer_backward_double;
constinit Kernel<void(const WaveLayerBackward<BFloat16, BFloat16>&)> wave_layer_backward_bfloat16;
constinit Kernel<void(const WaveLayerBackward<BFloat16, float>&)>
    wave_layer_backward_bfloat16_of_float;

namespace {

constexpr auto kName = "wavegpt::wave_layer";

void run(const WaveLayerForward<float, float>& task) { wave_layer_forward_float(task); }
void run(const WaveLayerForward<double, double>& task) { wave_layer_forward_double(task); }
void run(const WaveLayerForward<BFloat16, BFloat16>& task) { wave_layer_forward_bfloat16(task); }
void run(const WaveLayerForward<BFloat16, float>& task) {
  wave_layer_forward_bfloat16_of_float(task);
}
void run(const WaveLayerBackward<float, float>& task) { wave_layer_backward_float(task); }
void run(const WaveLayerBackward<double, double>& task) { wave_layer_backward_double(task); }
void run(const WaveLayerBackward<BFloat16, BFloat16>& task) { wave_layer_backward_bfloat16(task); }
void run(const WaveLayerBackward<BFloat16, float>& task) {
  wave_layer_backward_bfloat16_of_float(task);
}

struct Parameters {
  at::Tensor norm_weight, norm_bias, weight, bias;
};

struct Output {
  // mean and rstd are of the rows of `y`.
  at::Tensor y, mean, rstd;
};

// Calls compute(T{}, X{}) for the type to compute in and that of x.
template <typename Compute>
auto with_types(at::ScalarType type, const at::Tensor& x, const Compute& compute) {
  return with_type(type, [&]<typename T>(T) {
    if constexpr (std::is_same_v<T, BFloat16>) {
      if (x.scalar_type() == at::kFloat) return compute(T{}, float{});
    }
    return compute(T{}, T{});
  });
}

Output compute(at::ScalarType type, const at::Tensor& x, int64_t factor,
               const Parameters& parameters, double eps) {
  return with_types(type, x, [&]<typename T, typename X>(T, X) {
    using Sum = Accumulate<T>;
    const auto out = parameters.weight.size(0);
    const auto in = parameters.weight.size(1);
    const auto rows = x.numel() / in;
    const auto inputs = x.contiguous();
    const auto norm_weight = as_parameter<T>(parameters.norm_weight);
    const auto norm_bias = as_parameter<T>(parameters.norm_bias);
    const auto weight = as_parameter<T>(parameters.weight);
    const auto bias = as_parameter<T>(parameters.bias);
    const auto packed_weight = working_memory<T>(packed_panels_size<T>(in, out));
    const auto values = working_memory<T>(at::get_num_threads() * kTileRows * in);
    Output output{
        .y = at::empty({x.size(0), x.size(1) / factor, out}, inputs.options().dtype(type)),
        .mean = working_memory<Sum>(rows),
        .rstd = working_memory<Sum>(rows),
    };
    run(WaveLayerForward<T, X>{
        .rows = rows,
        .in = in,
        .out = out,
        .eps = eps,
        .x = inputs.template const_data_ptr<X>(),
        .norm_weight = norm_weight.template const_data_ptr<Sum>(),
        .norm_bias = norm_bias.template const_data_ptr<Sum>(),
        .weight = weight.template const_data_ptr<Sum>(),
        .bias = data_or_null<Sum>(bias),
        .y = output.y.template mutable_data_ptr<T>(),
        .mean = output.mean.template mutable_data_ptr<Sum>(),
        .rstd = output.rstd.template mutable_data_ptr<Sum>(),
        .packed_weight = packed_weight.template mutable_data_ptr<T>(),
        .thread_values = values.template mutable_data_ptr<T>(),
    });
    return output;
  });
}

// Of x, norm_weight, norm_bias, weight and bias.
using Gradients = std::array<at::Tensor, 5>;

Gradients derive(at::ScalarType type, const at::Tensor& x, const Parameters& parameters,
                 const Output& output, const at::Tensor& d_y, const std::array<bool, 5>& wanted) {
  return with_types(type, x, [&]<typename T, typename X>(T, X) {
    using Sum = Accumulate<T>;
    const auto out = parameters.weight.size(0);
    const auto in = parameters.weight.size(1);
    const auto rows = x.numel() / in;
    const auto inputs = x.contiguous();
    const auto norm_weight = as_parameter<T>(parameters.norm_weight);
    const auto norm_bias = as_parameter<T>(parameters.norm_bias);
    const auto weight = as_parameter<T>(parameters.weight);
    const auto d_outputs = as_activation<T>(d_y);
    const at::Tensor* const forms[] = {&x, &parameters.norm_weight, &parameters.norm_bias,
                                       &parameters.weight, &parameters.bias};
    Gradients gradients;
    for (size_t i = 0; i < wanted.size(); i++) {
      const auto gradient_type = i == 0 ? x.scalar_type() : norm_weight.scalar_type();
      if (wanted[i])
        gradients[i] = at::empty(forms[i]->sizes(), inputs.options().dtype(gradient_type));
    }
    WaveLayerBackward<T, X> task{
        .rows = rows,
        .in = in,
        .out = out,
        .d_y = d_outputs.template const_data_ptr<T>(),
        .y = output.y.template const_data_ptr<T>(),
        .x = inputs.template const_data_ptr<X>(),
        .mean = output.mean.template const_data_ptr<Sum>(),
        .rstd = output.rstd.template const_data_ptr<Sum>(),
        .norm_weight = norm_weight.template const_data_ptr<Sum>(),
        .norm_bias = norm_bias.template const_data_ptr<Sum>(),
        .weight = weight.template const_data_ptr<Sum>(),
        .d_x = mutable_data_or_null<X>(gradients[0]),
        .d_norm_weight = mutable_data_or_null<Sum>(gradients[1]),
        .d_norm_bias = mutable_data_or_null<Sum>(gradients[2]),
        .d_weight = mutable_data_or_null<Sum>(gradients[3]),
        .d_bias = mutable_data_or_null<Sum>(gradients[4]),
    };
    WorkingMemory memory;
    if (task.wants_norm()) {
      memory.allocate(task.packed_weight, packed_panels_size<T>(out, in));
      memory.allocate(task.norm_weight_sums, row_tiles(rows) * in);
      memory.allocate(task.norm_bias_sums, row_tiles(rows) * in);
      memory.allocate(task.thread_sums, at::get_num_threads() * kTileRows * in);
    }
    if (wanted[3]) {
      memory.allocate(task.transposed, task.weight_gradient().left_size());
      memory.allocate(task.packed, task.weight_gradient().right_size());
    }
    if (wanted[4]) memory.allocate(task.bias_sums, row_tiles(rows) * out);
    memory.allocate(task.thread_values, at::get_num_threads() * kTileRows * (in + out));
    run(task);
    for (size_t i = 1; i < wanted.size(); i++) {
      if (wanted[i]) gradients[i] = gradients[i].to(forms[i]->scalar_type());
    }
    return gradients;
  });
}

at::Tensor join(const at::Tensor& x, int64_t factor) {
  return x.reshape_symint({x.sym_size(0), x.sym_size(1) / factor, x.sym_size(2) * factor});
}

class WaveLayerFunction : public torch::autograd::Function<WaveLayerFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, int64_t factor,
                            const at::Tensor& norm_weight, const at::Tensor& norm_bias,
                            const at::Tensor& weight,
                            const std::optional<at::Tensor>& optional_bias, double eps,
                            int64_t type) {
    const auto bias = optional_bias.value_or(at::Tensor());
    auto output = compute(static_cast<at::ScalarType>(type), x, factor,
                          {norm_weight, norm_bias, weight, bias}, eps);
    ctx->save_for_backward(
        {x, norm_weight, norm_bias, weight, bias, output.y, output.mean, output.rstd});
    ctx->saved_data["factor"] = factor;
    ctx->saved_data["eps"] = eps;
    ctx->saved_data["type"] = type;
    return output.y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grad_outputs) {
    const auto saved = ctx->get_saved_variables();
    const auto type = static_cast<at::ScalarType>(ctx->saved_data["type"].toInt());
    // Of forward's arguments: x, factor, norm_weight, norm_bias, weight, bias, eps, type.
    variable_list gradients(8);
    if (!grad_outputs[0].defined()) return gradients;
    variable_list found(5);
    if (at::GradMode::is_enabled()) {
      const auto factor = ctx->saved_data["factor"].toInt();
      const auto eps = ctx->saved_data["eps"].toDouble();
      found = differentiable_gradients(
          [&](const variable_list& inputs) {
            const auto sums = type == at::kDouble ? at::kDouble : at::kFloat;
            const auto normed =
                at::layer_norm_symint(join(inputs[0], factor).to(sums), {inputs[1].sym_size(0)},
                                      inputs[1].to(sums), inputs[2].to(sums), eps);
            return variable_list{at::relu(linear_of_type(normed.to(type), inputs[3], inputs[4]))};
          },
          {saved.begin(), saved.begin() + 5}, grad_outputs);
    } else {
      auto made =
          derive(type, saved[0], {saved[1], saved[2], saved[3], saved[4]},
                 {saved[5], saved[6], saved[7]}, grad_outputs[0], wanted_gradients<5>(ctx, saved));
      std::move(made.begin(), made.end(), found.begin());
    }
    gradients[0] = std::move(found[0]);
    std::move(found.begin() + 1, found.end(), gradients.begin() + 2);
    return gradients;
  }
};

}  // namespace

// relu(linear(layer norm)) of `factor` neighbouring positions, whose channels are joined: x (B, L,
// C), norm_weight and norm_bias (factor C), weight (out, factor C), bias (out); gives (B, L /
// factor, out).
at::Tensor wave_layer(const at::Tensor& x, int64_t factor, const at::Tensor& norm_weight,
                      const at::Tensor& norm_bias, const at::Tensor& weight,
                      const std::optional<at::Tensor>& optional_bias, double eps) {
  const auto bias = optional_bias.value_or(at::Tensor());
  check_dense_input(kName, x);
  TORCH_CHECK(factor > 0, kName, ": factor must be positive, got ", factor);
  TORCH_CHECK(x.dim() == 3 && x.sym_size(1) % factor == 0, kName,
              ": x must have shape (B, L, C) with L a multiple of the factor ", factor, ", got ",
              x.sym_sizes());
  TORCH_CHECK(norm_weight.defined() && norm_bias.defined() && weight.defined(), kName,
              ": norm_weight, norm_bias and weight must be given");
  const auto in = x.sym_size(2) * factor;
  check_dense_vector(kName, "norm_weight", norm_weight, in, x);
  check_dense_vector(kName, "norm_bias", norm_bias, in, x);
  check_dense_weight(kName, "weight", weight, in, x);
  check_dense_vector(kName, "bias", bias, weight.sym_size(0), x);
  const bool differentiated = is_differentiated({x, norm_weight, norm_bias, weight, bias});
  const auto type = dense_kernel_type(x, {norm_weight, norm_bias, weight, bias}, differentiated);
  const auto present = bias.defined() ? std::optional(bias) : std::nullopt;
  if (!type) {
    const auto normed = at::layer_norm_symint(join(x, factor), {in}, norm_weight, norm_bias, eps);
    return at::relu(at::linear(normed, weight, present));
  }
  if (!differentiated)
    return compute(*type, x, factor, {norm_weight, norm_bias, weight, bias}, eps).y;
  return WaveLayerFunction::apply(x, factor, norm_weight, norm_bias, weight, present, eps,
                                  static_cast<int64_t>(*type));
}

TORCH_LIBRARY_FRAGMENT(wavegpt, library) {
  library.def(
      "wave_layer(Tensor x, int factor, Tensor norm_weight, Tensor norm_bias, Tensor weight, "
      "Tensor? bias, float eps) -> Tensor");
}

TORCH_LIBRARY_IMPL(wavegpt, CompositeImplicitAutograd, library) {
  library.impl("wave_layer", wave_layer);
}

}  // namespace wavegpt::kernels
