#include "kernels/cpu/mlp.h"

#include <torch/library.h>

#include "kernels/autograd.h"
#include "kernels/dense.h"

namespace wavegpt::kernels {

constinit Kernel<void(const MlpForward<float>&)> mlp_forward_float;
constinit Kernel<void(const MlpForward<double>&)> mlp_forward_double;
constinit Kernel<void(const MlpForward<c10::BFloat16>&)> mlp_forward_bfloat16;
constinit Kernel<void(const MlpBackward<float>&)> mlp_backward_float;
constinit Kernel<void(const MlpBackward<double>&)> mlp_backward_double;
constinit Kernel<void(const MlpBackward<c10::BFloat16>&)> mlp_backward_bfloat16;

namespace {

constexpr auto kName = "wavegpt::mlp";

void run(const MlpForward<float>& task) { mlp_forward_float(task); }
void run(const MlpForward<double>& task) { mlp_forward_double(task); }
void run(const MlpForward<c10::BFloat16>& task) { mlp_forward_bfloat16(task); }
void run(const MlpBackward<float>& task) { mlp_backward_float(task); }
void run(const MlpBackward<double>& task) { mlp_backward_double(task); }
void run(const MlpBackward<c10::BFloat16>& task) { mlp_backward_bfloat16(task); }

struct Parameters {
  at::Tensor w1, b1, w2, b2;
};

struct Output {
  at::Tensor y;
  // What GELU was given, where backward wants it.
  at::Tensor before;
};

Output compute(at::ScalarType type, const at::Tensor& x, const Parameters& parameters, bool keeps) {
  return with_type(type, [&]<typename T>(T) {
    using Sum = Accumulate<T>;
    const auto in = parameters.w1.size(1);
    const auto hidden = parameters.w1.size(0);
    const auto out = parameters.w2.size(0);
    const auto inputs = as_activation<T>(x);
    const auto w1 = as_parameter<T>(parameters.w1);
    const auto b1 = as_parameter<T>(parameters.b1);
    const auto w2 = as_parameter<T>(parameters.w2);
    const auto b2 = as_parameter<T>(parameters.b2);
    const auto packed_w1 = working_memory<T>(packed_panels_size<T>(in, hidden));
    const auto packed_w2 = working_memory<T>(packed_panels_size<T>(hidden, out));
    const auto values = working_memory<T>(at::get_num_threads() * kTileRows * hidden);
    auto shape = x.sizes().vec();
    Output output;
    shape.back() = hidden;
    if (keeps) output.before = at::empty(shape, inputs.options());
    shape.back() = out;
    output.y = at::empty(shape, inputs.options());
    run(MlpForward<T>{
        .rows = x.numel() / in,
        .in = in,
        .hidden = hidden,
        .out = out,
        .x = inputs.template const_data_ptr<T>(),
        .w1 = w1.template const_data_ptr<Sum>(),
        .b1 = data_or_null<Sum>(b1),
        .w2 = w2.template const_data_ptr<Sum>(),
        .b2 = data_or_null<Sum>(b2),
        .y = output.y.template mutable_data_ptr<T>(),
        .before = mutable_data_or_null<T>(output.before),
        .packed_w1 = packed_w1.template mutable_data_ptr<T>(),
        .packed_w2 = packed_w2.template mutable_data_ptr<T>(),
        .thread_values = values.template mutable_data_ptr<T>(),
    });
    return output;
  });
}

// Fills those of `gradients` (x, w1, b1, w2, b2) that are wanted.
void derive(at::ScalarType type, const at::Tensor& x, const Parameters& parameters,
            const at::Tensor& before, const at::Tensor& d_y, const std::array<bool, 5>& wanted,
            variable_list& gradients) {
  with_type(type, [&]<typename T>(T) {
    using Sum = Accumulate<T>;
    const auto in = parameters.w1.size(1);
    const auto hidden = parameters.w1.size(0);
    const auto out = parameters.w2.size(0);
    const auto rows = x.numel() / in;
    const auto inputs = as_activation<T>(x);
    const auto w1 = as_parameter<T>(parameters.w1);
    const auto w2 = as_parameter<T>(parameters.w2);
    const auto d_outputs = as_activation<T>(d_y);
    const auto sums = inputs.options().dtype(c10::CppTypeToScalarType<Sum>::value);
    const at::Tensor* const forms[] = {&x, &parameters.w1, &parameters.b1, &parameters.w2,
                                       &parameters.b2};
    for (size_t i = 0; i < wanted.size(); i++) {
      const auto options = i == 0 ? inputs.options().dtype(x.scalar_type()) : sums;
      if (wanted[i]) gradients[i] = at::empty(forms[i]->sizes(), options);
    }
    const bool x_as_sums = x.scalar_type() != type;
    MlpBackward<T> task{
        .rows = rows,
        .in = in,
        .hidden = hidden,
        .out = out,
        .d_y = d_outputs.template const_data_ptr<T>(),
        .x = inputs.template const_data_ptr<T>(),
        .w1 = w1.template const_data_ptr<Sum>(),
        .w2 = w2.template const_data_ptr<Sum>(),
        .before = before.const_data_ptr<T>(),
        .d_x = x_as_sums ? nullptr : mutable_data_or_null<T>(gradients[0]),
        .d_x_sums = x_as_sums ? mutable_data_or_null<Sum>(gradients[0]) : nullptr,
        .d_w1 = mutable_data_or_null<Sum>(gradients[1]),
        .d_b1 = mutable_data_or_null<Sum>(gradients[2]),
        .d_w2 = mutable_data_or_null<Sum>(gradients[3]),
        .d_b2 = mutable_data_or_null<Sum>(gradients[4]),
    };
    WorkingMemory memory;
    const bool wants_before = wanted[0] || wanted[1] || wanted[2];
    if (wanted[0]) memory.allocate(task.packed_w1, packed_panels_size<T>(hidden, in));
    if (wants_before) memory.allocate(task.packed_w2, packed_panels_size<T>(out, hidden));
    if (wanted[1]) {
      memory.allocate(task.transposed_x, task.w1_gradient().left_size());
      memory.allocate(task.packed_before, task.w1_gradient().right_size());
    }
    if (wanted[3]) {
      memory.allocate(task.transposed_y, task.w2_gradient().left_size());
      memory.allocate(task.packed_hidden, task.w2_gradient().right_size());
    }
    if (wanted[2]) memory.allocate(task.b1_sums, row_tiles(rows) * hidden);
    if (wanted[4]) memory.allocate(task.b2_sums, row_tiles(rows) * out);
    memory.allocate(task.thread_values,
                    at::get_num_threads() * kTileRows * (hidden + kPanelColumns));
    run(task);
    for (size_t i = 1; i < wanted.size(); i++) {
      if (wanted[i]) gradients[i] = gradients[i].to(forms[i]->scalar_type());
    }
  });
}

class MlpFunction : public torch::autograd::Function<MlpFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& w1,
                            const std::optional<at::Tensor>& optional_b1, const at::Tensor& w2,
                            const std::optional<at::Tensor>& optional_b2, int64_t type) {
    const Parameters parameters{w1, optional_b1.value_or(at::Tensor()), w2,
                                optional_b2.value_or(at::Tensor())};
    auto output = compute(static_cast<at::ScalarType>(type), x, parameters, true);
    ctx->save_for_backward({x, w1, parameters.b1, w2, parameters.b2, output.before});
    ctx->saved_data["type"] = type;
    return output.y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grad_outputs) {
    const auto saved = ctx->get_saved_variables();
    const auto type = static_cast<at::ScalarType>(ctx->saved_data["type"].toInt());
    variable_list gradients(6);
    if (!grad_outputs[0].defined()) return gradients;
    if (at::GradMode::is_enabled()) {
      auto found = differentiable_gradients(
          [&](const variable_list& inputs) {
            const auto hidden = linear_of_type(inputs[0].to(type), inputs[1], inputs[2]);
            return variable_list{linear_of_type(at::gelu(hidden), inputs[3], inputs[4])};
          },
          {saved.begin(), saved.begin() + 5}, grad_outputs);
      std::move(found.begin(), found.end(), gradients.begin());
      return gradients;
    }
    derive(type, saved[0], {saved[1], saved[2], saved[3], saved[4]}, saved[5], grad_outputs[0],
           wanted_gradients<5>(ctx, saved), gradients);
    return gradients;
  }
};

}  // namespace

// gelu(x w1^T + b1) w2^T + b2: x (..., in), w1 (hidden, in), b1 (hidden), w2 (out, hidden), b2
// (out); GELU is that of erf.
at::Tensor mlp(const at::Tensor& x, const at::Tensor& w1,
               const std::optional<at::Tensor>& optional_b1, const at::Tensor& w2,
               const std::optional<at::Tensor>& optional_b2) {
  const Parameters parameters{w1, optional_b1.value_or(at::Tensor()), w2,
                              optional_b2.value_or(at::Tensor())};
  const auto& [_, b1, __, b2] = parameters;
  check_dense_input(kName, x);
  check_dense_weight(kName, "w1", w1, x.sym_size(-1), x);
  check_dense_vector(kName, "b1", b1, w1.sym_size(0), x);
  check_dense_weight(kName, "w2", w2, w1.sym_size(0), x);
  check_dense_vector(kName, "b2", b2, w2.sym_size(0), x);
  const bool differentiated = is_differentiated({x, w1, b1, w2, b2});
  const auto type = dense_kernel_type(x, {w1, b1, w2, b2}, differentiated);
  const auto present = [](const at::Tensor& tensor) {
    return tensor.defined() ? std::optional(tensor) : std::nullopt;
  };
  if (!type) return at::linear(at::gelu(at::linear(x, w1, present(b1))), w2, present(b2));
  if (!differentiated) return compute(*type, x, parameters, false).y;
  return MlpFunction::apply(x, w1, present(b1), w2, present(b2), static_cast<int64_t>(*type));
}

TORCH_LIBRARY_FRAGMENT(wavegpt, library) {
  library.def("mlp(Tensor x, Tensor w1, Tensor? b1, Tensor w2, Tensor? b2) -> Tensor");
}

TORCH_LIBRARY_IMPL(wavegpt, CompositeImplicitAutograd, library) { library.impl("mlp", mlp); }

}  // namespace wavegpt::kernels
