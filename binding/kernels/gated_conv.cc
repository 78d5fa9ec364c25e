#include "kernels/cpu/gated_conv.h"

#include <torch/library.h>

#include "kernels/autograd.h"
#include "kernels/dense.h"
#include "kernels/plain_cpu.h"

namespace wavegpt::kernels {

constinit Kernel<void(const GatedConvForward<float>&)> gated_conv_forward_float;
constinit Kernel<void(const GatedConvForward<double>&)> gated_conv_forward_double;
constinit Kernel<void(const GatedConvForward<c10::BFloat16>&)> gated_conv_forward_bfloat16;
constinit Kernel<void(const GatedConvBackward<float>&)> gated_conv_backward_float;
constinit Kernel<void(const GatedConvBackward<double>&)> gated_conv_backward_double;
constinit Kernel<void(const GatedConvBackward<c10::BFloat16>&)> gated_conv_backward_bfloat16;

namespace {

constexpr auto kName = "wavegpt::gated_conv";

void run(const GatedConvForward<float>& task) { gated_conv_forward_float(task); }
void run(const GatedConvForward<double>& task) { gated_conv_forward_double(task); }
void run(const GatedConvForward<c10::BFloat16>& task) { gated_conv_forward_bfloat16(task); }
void run(const GatedConvBackward<float>& task) { gated_conv_backward_float(task); }
void run(const GatedConvBackward<double>& task) { gated_conv_backward_double(task); }
void run(const GatedConvBackward<c10::BFloat16>& task) { gated_conv_backward_bfloat16(task); }

struct Parameters {
  at::Tensor w1, b1, w2, b2;
};

// The inputs `dilation` before each, and each, beside each other.
at::Tensor taps_of(const at::Tensor& x, const at::Tensor& past) {
  const auto time = x.size(1), dilation = past.size(1);
  const auto earlier = past.to(x.scalar_type());
  const auto before = dilation < time ? at::cat({earlier, x.narrow(1, 0, time - dilation)}, 1)
                                      : earlier.narrow(1, 0, time);
  return at::cat({before, x}, -1);
}

at::Tensor gated(const at::Tensor& z) {
  const auto halves = z.chunk(2, -1);
  return at::tanh(halves[0]) * at::sigmoid(halves[1]);
}

struct Output {
  at::Tensor y;
  // What tanh and sigmoid were given, where backward wants it.
  at::Tensor before;
};

Output compute(at::ScalarType type, const at::Tensor& x, const at::Tensor& past,
               const Parameters& parameters, bool keeps) {
  return with_type(type, [&]<typename T>(T) {
    using Sum = Accumulate<T>;
    const auto in = x.size(2), hidden = parameters.w2.size(1), out = parameters.w2.size(0);
    const auto inputs = as_activation<T>(x), earlier = as_activation<T>(past);
    const auto w1 = as_parameter<T>(parameters.w1), b1 = as_parameter<T>(parameters.b1);
    const auto w2 = as_parameter<T>(parameters.w2), b2 = as_parameter<T>(parameters.b2);
    const auto packed_w1 = working_memory<T>(packed_panels_size<T>(2 * in, 2 * hidden));
    const auto packed_w2 = working_memory<T>(packed_panels_size<T>(hidden, out));
    const auto values =
        working_memory<T>(at::get_num_threads() * kTileRows * (2 * in + 3 * hidden));
    Output output;
    output.y = at::empty({x.size(0), x.size(1), out}, inputs.options());
    if (keeps) output.before = at::empty({x.size(0), x.size(1), 2 * hidden}, inputs.options());
    run(GatedConvForward<T>{
        .batch = x.size(0),
        .time = x.size(1),
        .dilation = past.size(1),
        .in = in,
        .hidden = hidden,
        .out = out,
        .x = inputs.template const_data_ptr<T>(),
        .past = earlier.template const_data_ptr<T>(),
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

// Gradients of x, w1, b1, w2, b2, as far as they are wanted.
using Wanted = std::array<bool, 5>;

std::array<at::Tensor, 5> derive(at::ScalarType type, const at::Tensor& x, const at::Tensor& past,
                                 const Parameters& parameters, const at::Tensor& before,
                                 const at::Tensor& d_y, const Wanted& wanted) {
  return with_type(type, [&]<typename T>(T) {
    using Sum = Accumulate<T>;
    const auto in = x.size(2), hidden = parameters.w2.size(1), out = parameters.w2.size(0);
    const auto inputs = as_activation<T>(x), earlier = as_activation<T>(past);
    const auto w1 = as_parameter<T>(parameters.w1), w2 = as_parameter<T>(parameters.w2);
    const auto d_outputs = as_activation<T>(d_y);
    const auto sums = inputs.options().dtype(c10::CppTypeToScalarType<Sum>::value);
    const at::Tensor* const forms[] = {&x, &parameters.w1, &parameters.b1, &parameters.w2,
                                       &parameters.b2};
    std::array<at::Tensor, 5> gradients;
    for (size_t i = 0; i < wanted.size(); i++) {
      const auto options = i == 0 ? inputs.options().dtype(x.scalar_type()) : sums;
      if (wanted[i]) gradients[i] = at::empty(forms[i]->sizes(), options);
    }
    const bool x_as_sums = x.scalar_type() != type;
    GatedConvBackward<T> task{
        .batch = x.size(0),
        .time = x.size(1),
        .dilation = past.size(1),
        .in = in,
        .hidden = hidden,
        .out = out,
        .d_y = d_outputs.template const_data_ptr<T>(),
        .x = inputs.template const_data_ptr<T>(),
        .past = earlier.template const_data_ptr<T>(),
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
    if (wanted[0]) memory.allocate(task.packed_w1, packed_panels_size<T>(4 * hidden, in));
    if (wanted[0] || wanted[1] || wanted[2]) {
      memory.allocate(task.packed_w2, packed_panels_size<T>(out, hidden));
      memory.allocate(task.d_before, task.rows() * 2 * hidden);
    }
    if (wanted[1]) {
      memory.allocate(task.transposed_before, task.w1_gradient().left_size());
      memory.allocate(task.packed_taps, task.w1_gradient().right_size());
    }
    if (wanted[3]) {
      memory.allocate(task.transposed_y, task.w2_gradient().left_size());
      memory.allocate(task.packed_hidden, task.w2_gradient().right_size());
    }
    if (wanted[2]) memory.allocate(task.b1_sums, row_tiles(task.rows()) * 2 * hidden);
    if (wanted[4]) memory.allocate(task.b2_sums, row_tiles(task.rows()) * out);
    memory.allocate(task.thread_values,
                    at::get_num_threads() * kTileRows * (2 * in + kPanelColumns));
    run(task);
    for (size_t i = 1; i < wanted.size(); i++) {
      if (wanted[i]) gradients[i] = gradients[i].to(forms[i]->scalar_type());
    }
    return gradients;
  });
}

// Of a past that asks for no gradient.
class GatedConvFunction : public torch::autograd::Function<GatedConvFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& w1,
                            const std::optional<at::Tensor>& optional_b1, const at::Tensor& w2,
                            const std::optional<at::Tensor>& optional_b2, const at::Tensor& past,
                            int64_t type) {
    const Parameters parameters{w1, optional_b1.value_or(at::Tensor()), w2,
                                optional_b2.value_or(at::Tensor())};
    auto output = compute(static_cast<at::ScalarType>(type), x, past, parameters, true);
    ctx->save_for_backward({x, w1, parameters.b1, w2, parameters.b2, past, output.before});
    ctx->saved_data["type"] = type;
    return output.y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grad_outputs) {
    const auto saved = ctx->get_saved_variables();
    const auto type = static_cast<at::ScalarType>(ctx->saved_data["type"].toInt());
    const auto& past = saved[5];
    variable_list gradients(7);
    if (!grad_outputs[0].defined()) return gradients;
    if (at::GradMode::is_enabled()) {
      auto found = differentiable_gradients(
          [&](const variable_list& inputs) {
            const auto z = linear_of_type(taps_of(inputs[0].to(type), past), inputs[1], inputs[2]);
            return variable_list{linear_of_type(gated(z), inputs[3], inputs[4])};
          },
          {saved.begin(), saved.begin() + 5}, grad_outputs);
      std::move(found.begin(), found.end(), gradients.begin());
      return gradients;
    }
    auto found = derive(type, saved[0], past, {saved[1], saved[2], saved[3], saved[4]}, saved[6],
                        grad_outputs[0], wanted_gradients<5>(ctx, saved));
    std::move(found.begin(), found.end(), gradients.begin());
    return gradients;
  }
};

void check(const at::Tensor& x, const at::Tensor& past, const Parameters& parameters) {
  const auto& [w1, b1, w2, b2] = parameters;
  check_dense_input(kName, x);
  TORCH_CHECK(x.dim() == 3, kName, ": x must have shape (batch, time, channels), got ", x.sizes());
  check_floating(kName, "past", past);
  TORCH_CHECK(past.device() == x.device(), kName, ": past must be on the device of x, ", x.device(),
              ", got one on ", past.device());
  TORCH_CHECK(
      past.dim() == 3 && past.size(0) == x.size(0) && past.size(1) > 0 && past.size(2) == x.size(2),
      kName, ": past must have shape (", x.size(0), ", dilation, ", x.size(2),
      ") with at least one position, got ", past.sizes());
  check_dense_weight(kName, "w1", w1, 2 * x.size(2), x);
  TORCH_CHECK(w1.size(0) % 2 == 0, kName,
              ": w1 must have an even number of rows, half of them of the gates, got ", w1.sizes());
  check_dense_vector(kName, "b1", b1, w1.size(0), x);
  check_dense_weight(kName, "w2", w2, w1.size(0) / 2, x);
  check_dense_vector(kName, "b2", b2, w2.size(0), x);
}

}  // namespace

// x (batch, time, channels), past (batch, dilation, channels), w1 (2 hidden, 2 channels), b1 (2
// hidden), w2 (out, hidden), b2 (out); gives (batch, time, out).
at::Tensor gated_conv(const at::Tensor& x, const at::Tensor& past, const at::Tensor& w1,
                      const std::optional<at::Tensor>& optional_b1, const at::Tensor& w2,
                      const std::optional<at::Tensor>& optional_b2) {
  const Parameters parameters{w1, optional_b1.value_or(at::Tensor()), w2,
                              optional_b2.value_or(at::Tensor())};
  const auto &b1 = parameters.b1, &b2 = parameters.b2;
  check(x, past, parameters);
  const auto present = [](const at::Tensor& tensor) {
    return tensor.defined() ? std::optional(tensor) : std::nullopt;
  };
  const bool differentiated = is_differentiated({x, w1, b1, w2, b2});
  const auto type = dense_kernel_type(x, {w1, b1, w2, b2}, differentiated);
  if (!type || !is_plain_cpu(past) || is_differentiated({past})) {
    return at::linear(gated(at::linear(taps_of(x, past), w1, present(b1))), w2, present(b2));
  }
  if (!differentiated) return compute(*type, x, past, parameters, false).y;
  return GatedConvFunction::apply(x, w1, present(b1), w2, present(b2), past,
                                  static_cast<int64_t>(*type));
}

TORCH_LIBRARY_FRAGMENT(wavegpt, library) {
  library.def(
      "gated_conv(Tensor x, Tensor past, Tensor w1, Tensor? b1, Tensor w2, Tensor? b2) -> Tensor");
}

TORCH_LIBRARY_IMPL(wavegpt, CompositeImplicitAutograd, library) {
  library.impl("gated_conv", gated_conv);
}

}  // namespace wavegpt::kernels
