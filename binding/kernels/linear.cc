#include "kernels/cpu/linear.h"

#include <torch/library.h>

#include "kernels/autograd.h"
#include "kernels/dense.h"

namespace wavegpt::kernels {

constinit Kernel<void(const LinearForward<float>&)> linear_forward_float;
constinit Kernel<void(const LinearForward<double>&)> linear_forward_double;
constinit Kernel<void(const LinearForward<c10::BFloat16>&)> linear_forward_bfloat16;
constinit Kernel<void(const LinearBackward<float>&)> linear_backward_float;
constinit Kernel<void(const LinearBackward<double>&)> linear_backward_double;
constinit Kernel<void(const LinearBackward<c10::BFloat16>&)> linear_backward_bfloat16;

namespace {

constexpr auto kName = "wavegpt::linear";

void run(const LinearForward<float>& task) { linear_forward_float(task); }
void run(const LinearForward<double>& task) { linear_forward_double(task); }
void run(const LinearForward<c10::BFloat16>& task) { linear_forward_bfloat16(task); }
void run(const LinearBackward<float>& task) { linear_backward_float(task); }
void run(const LinearBackward<double>& task) { linear_backward_double(task); }
void run(const LinearBackward<c10::BFloat16>& task) { linear_backward_bfloat16(task); }

Activation activation_of(std::string_view name) {
  if (name == "none") return Activation::none;
  if (name == "gelu") return Activation::gelu;
  if (name == "relu") return Activation::relu;
  TORCH_CHECK(false, kName, ": activation must be none, gelu or relu, got ", name);
}

at::Tensor activate(Activation activation, const at::Tensor& x) {
  switch (activation) {
    case Activation::gelu:
      return at::gelu(x);
    case Activation::relu:
      return at::relu(x);
    default:
      return x;
  }
}

struct Output {
  at::Tensor y;
  // What backward needs beside x and the weight: what GELU was given, what ReLU gave; else
  // undefined.
  at::Tensor kept;
};

Output compute(at::ScalarType type, const at::Tensor& x, const at::Tensor& weight,
               const at::Tensor& bias, Activation activation, bool keeps) {
  return with_type(type, [&]<typename T>(T) {
    const auto out = weight.size(0);
    const auto in = weight.size(1);
    const auto inputs = as_activation<T>(x);
    const auto weights = as_parameter<T>(weight);
    const auto biases = as_parameter<T>(bias);
    const auto packed_weight = working_memory<T>(packed_panels_size<T>(in, out));
    auto shape = x.sizes().vec();
    shape.back() = out;
    Output output;
    output.y = at::empty(shape, inputs.options());
    if (keeps && activation == Activation::gelu) output.kept = at::empty(shape, inputs.options());
    run(LinearForward<T>{
        .rows = x.numel() / in,
        .in = in,
        .out = out,
        .activation = activation,
        .x = inputs.template const_data_ptr<T>(),
        .weight = weights.template const_data_ptr<Accumulate<T>>(),
        .bias = data_or_null<Accumulate<T>>(biases),
        .y = output.y.template mutable_data_ptr<T>(),
        .before = mutable_data_or_null<T>(output.kept),
        .packed_weight = packed_weight.template mutable_data_ptr<T>(),
    });
    if (keeps && activation == Activation::relu) output.kept = output.y;
    return output;
  });
}

struct Gradients {
  at::Tensor x, weight, bias;
};

Gradients gradients_of(at::ScalarType type, const at::Tensor& x, const at::Tensor& weight,
                       const at::Tensor& bias, Activation activation, const at::Tensor& kept,
                       const at::Tensor& d_y, bool wants_x, bool wants_weight, bool wants_bias) {
  return with_type(type, [&]<typename T>(T) {
    using Sum = Accumulate<T>;
    const auto out = weight.size(0);
    const auto in = weight.size(1);
    const auto rows = x.numel() / in;
    const auto inputs = as_activation<T>(x);
    const auto weights = as_parameter<T>(weight);
    const auto d_outputs = as_activation<T>(d_y);
    const auto sums = inputs.options().dtype(c10::CppTypeToScalarType<Sum>::value);
    Gradients gradients;
    if (wants_x) gradients.x = at::empty(x.sizes(), inputs.options().dtype(x.scalar_type()));
    if (wants_weight) gradients.weight = at::empty({out, in}, sums);
    if (wants_bias) gradients.bias = at::empty({out}, sums);
    const bool x_as_sums = x.scalar_type() != type;
    LinearBackward<T> task{
        .rows = rows,
        .in = in,
        .out = out,
        .activation = activation,
        .d_y = d_outputs.template const_data_ptr<T>(),
        .x = inputs.template const_data_ptr<T>(),
        .weight = weights.template const_data_ptr<Sum>(),
        .kept = data_or_null<T>(kept),
        .d_x = x_as_sums ? nullptr : mutable_data_or_null<T>(gradients.x),
        .d_x_sums = x_as_sums ? mutable_data_or_null<Sum>(gradients.x) : nullptr,
        .d_weight = mutable_data_or_null<Sum>(gradients.weight),
        .d_bias = mutable_data_or_null<Sum>(gradients.bias),
    };
    WorkingMemory memory;
    if (wants_x) memory.allocate(task.packed_weight, packed_panels_size<T>(out, in));
    if (wants_weight) {
      memory.allocate(task.transposed, task.weight_gradient().left_size());
      memory.allocate(task.packed, task.weight_gradient().right_size());
    }
    if (wants_bias) memory.allocate(task.bias_sums, row_tiles(rows) * out);
    if (activation != Activation::none)
      memory.allocate(task.thread_values, at::get_num_threads() * kTileRows * out);
    run(task);
    if (wants_weight) gradients.weight = gradients.weight.to(weight.scalar_type());
    if (wants_bias) gradients.bias = gradients.bias.to(bias.scalar_type());
    return gradients;
  });
}

class LinearFunction : public torch::autograd::Function<LinearFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& optional_bias, int64_t activation,
                            int64_t type) {
    const auto bias = optional_bias.value_or(at::Tensor());
    auto output = compute(static_cast<at::ScalarType>(type), x, weight, bias,
                          static_cast<Activation>(activation), true);
    ctx->save_for_backward({x, weight, bias, output.kept});
    ctx->saved_data["activation"] = activation;
    ctx->saved_data["type"] = type;
    return output.y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grad_outputs) {
    const auto saved = ctx->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &bias = saved[2], &kept = saved[3];
    const auto activation = static_cast<Activation>(ctx->saved_data["activation"].toInt());
    const auto type = static_cast<at::ScalarType>(ctx->saved_data["type"].toInt());
    variable_list gradients(5);
    if (!grad_outputs[0].defined()) return gradients;
    if (at::GradMode::is_enabled()) {
      auto found = differentiable_gradients(
          [&](const variable_list& inputs) {
            return variable_list{
                activate(activation, linear_of_type(inputs[0].to(type), inputs[1], inputs[2]))};
          },
          {x, weight, bias}, grad_outputs);
      std::move(found.begin(), found.end(), gradients.begin());
      return gradients;
    }
    const auto [wants_x, wants_weight, wants_bias] = wanted_gradients<3>(ctx, saved);
    auto made = gradients_of(type, x, weight, bias, activation, kept, grad_outputs[0], wants_x,
                             wants_weight, wants_bias);
    gradients[0] = std::move(made.x);
    gradients[1] = std::move(made.weight);
    gradients[2] = std::move(made.bias);
    return gradients;
  }
};

}  // namespace

// activation(x weight^T + bias): x (..., in), weight (out, in), bias (out); GELU is that of erf.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight,
                  const std::optional<at::Tensor>& optional_bias,
                  c10::string_view activation_name) {
  const auto bias = optional_bias.value_or(at::Tensor());
  const auto activation = activation_of(activation_name);
  check_dense_input(kName, x);
  check_dense_weight(kName, "weight", weight, x.sym_size(-1), x);
  check_dense_vector(kName, "bias", bias, weight.sym_size(0), x);
  const bool differentiated = is_differentiated({x, weight, bias});
  const auto type = dense_kernel_type(x, {weight, bias}, differentiated);
  if (!type) return activate(activation, at::linear(x, weight, optional_bias));
  if (!differentiated) return compute(*type, x, weight, bias, activation, false).y;
  return LinearFunction::apply(x, weight, bias.defined() ? std::optional(bias) : std::nullopt,
                               static_cast<int64_t>(activation), static_cast<int64_t>(*type));
}

TORCH_LIBRARY_FRAGMENT(wavegpt, library) {
  library.def(
      "linear(Tensor x, Tensor weight, Tensor? bias=None, str activation=\"none\") -> Tensor");
}

TORCH_LIBRARY_IMPL(wavegpt, CompositeImplicitAutograd, library) { library.impl("linear", linear); }

}  // namespace wavegpt::kernels
