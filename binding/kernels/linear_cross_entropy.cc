#include "kernels/linear_cross_entropy.h"

#include <torch/library.h>

#include "kernels/autograd.h"
#include "kernels/cpu/dense.h"
#include "kernels/cpu/linear_cross_entropy.h"
#include "kernels/dense.h"
#include "kernels/plain_cpu.h"
#include "kernels/plain_cuda.h"

namespace wavegpt::kernels {

constinit Kernel<void(const LinearCrossEntropy<float>&)> linear_cross_entropy_float;
constinit Kernel<void(const LinearCrossEntropy<double>&)> linear_cross_entropy_double;
constinit Kernel<void(const LinearCrossEntropy<c10::BFloat16>&)> linear_cross_entropy_bfloat16;

namespace {

constexpr auto kName = "wavegpt::linear_cross_entropy";
// Memory that the exponentials of one chunk of rows may take.
constexpr int64_t kMostKept = int64_t{128} << 20;

int64_t divide_up(int64_t value, int64_t by) { return (value + by - 1) / by; }

// Rows in chunks of about the same size, none much above `most`.
int64_t even_chunk(int64_t rows, int64_t most) {
  constexpr int64_t step = 128;
  const int64_t chunks = divide_up(rows, std::max(step, most));
  return round_up(divide_up(rows, chunks), step);
}

void run(const LinearCrossEntropy<float>& task) { linear_cross_entropy_float(task); }
void run(const LinearCrossEntropy<double>& task) { linear_cross_entropy_double(task); }
void run(const LinearCrossEntropy<c10::BFloat16>& task) { linear_cross_entropy_bfloat16(task); }

}  // namespace

template <typename T>
LinearCrossEntropySizes<T>::LinearCrossEntropySizes(int64_t rows, int64_t channels,
                                                    int64_t vocabulary)
    : width(std::min<int64_t>(channels > 256 ? 128 : 256, round_up(vocabulary, 32))),
      blocks(divide_up(vocabulary, width)),
      chunk_rows(even_chunk(rows, kMostKept / static_cast<int64_t>(sizeof(T)) / (blocks * width))),
      packed_weight(round_up(channels, 2) * width),
      exponentials(blocks * chunk_rows * width),
      scaled_x((channels + 1) * chunk_rows),
      thread_sums(std::max(row_tile, 2 * channels + 1) * width),
      thread_values(row_tile * std::max(width, channels)) {}

template struct LinearCrossEntropySizes<float>;
template struct LinearCrossEntropySizes<double>;
template struct LinearCrossEntropySizes<c10::BFloat16>;

namespace {

using Wanted = CrossEntropyWanted;
using Result = CrossEntropyResult;

// Gradients are those of the loss itself, in the type that sums are made in.
template <typename T>
Result compute(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
               const at::Tensor& target, int64_t ignore_index, Wanted wanted) {
  using Sum = Accumulate<T>;
  const auto vocabulary = weight.size(0);
  const auto channels = weight.size(1);
  const auto rows = target.numel();
  const at::Tensor x_rows = as_activation<T>(x);
  const at::Tensor weights = as_parameter<T>(weight);
  const at::Tensor biases = as_parameter<T>(bias);
  const at::Tensor targets = target.contiguous();
  const LinearCrossEntropySizes<T> sizes(rows, channels, vocabulary);
  const auto sums = at::TensorOptions().dtype(c10::CppTypeToScalarType<Sum>::value);
  Result result;
  result.loss = at::empty({}, sums);
  if (wanted.x) result.d_x = at::empty({rows, channels}, sums);
  if (wanted.weight) result.d_weight = at::empty({vocabulary, channels}, sums);
  if (wanted.bias) result.d_bias = at::empty({vocabulary}, sums);
  LinearCrossEntropy<T> task{
      .rows = rows,
      .channels = channels,
      .vocabulary = vocabulary,
      .x = x_rows.const_data_ptr<T>(),
      .weight = weights.const_data_ptr<Sum>(),
      .bias = data_or_null<Sum>(biases),
      .target = targets.const_data_ptr<int64_t>(),
      .ignore_index = ignore_index,
      .loss = result.loss.mutable_data_ptr<Sum>(),
      .d_x = mutable_data_or_null<Sum>(result.d_x),
      .d_weight = mutable_data_or_null<Sum>(result.d_weight),
      .d_bias = mutable_data_or_null<Sum>(result.d_bias),
  };
  WorkingMemory memory;
  const auto threads = at::get_num_threads();
  memory.allocate(task.forward_weight, sizes.blocks * sizes.packed_weight);
  if (wanted.x) memory.allocate(task.backward_weight, sizes.blocks * sizes.packed_weight);
  if (wanted.weight || wanted.bias) {
    memory.allocate(task.exponentials, sizes.exponentials);
    memory.allocate(task.scaled_x, sizes.scaled_x);
  }
  memory.allocate(task.row_sums, 3 * rows);
  memory.allocate(task.thread_sums, threads * sizes.thread_sums);
  memory.allocate(task.thread_values, threads * sizes.thread_values);
  run(task);
  if (wanted.x) result.d_x = result.d_x.reshape(x.sizes()).to(x.scalar_type());
  if (wanted.weight) result.d_weight = result.d_weight.to(weight.scalar_type());
  if (wanted.bias) result.d_bias = result.d_bias.to(bias.scalar_type());
  return result;
}

Result compute(at::ScalarType type, const at::Tensor& x, const at::Tensor& weight,
               const at::Tensor& bias, const at::Tensor& target, int64_t ignore_index,
               Wanted wanted) {
  if (x.is_cuda()) {
    return linear_cross_entropy_on_cuda(type, x, weight, bias, target, ignore_index, wanted);
  }
  return with_type(type, [&]<typename T>(T) {
    return compute<T>(x, weight, bias, target, ignore_index, wanted);
  });
}

// Computes logits in `type` and the loss of them in float, as autocast has it.
at::Tensor composition(at::ScalarType type, const at::Tensor& x, const at::Tensor& weight,
                       const at::Tensor& bias, const at::Tensor& target, int64_t ignore_index) {
  const auto logits =
      linear_of_type(x.to(type), weight, bias).reshape_symint({-1, weight.sym_size(0)});
  return at::cross_entropy_loss(logits.to(type == at::kDouble ? at::kDouble : at::kFloat),
                                target.reshape({-1}), {}, at::Reduction::Mean, ignore_index);
}

class LinearCrossEntropyFunction : public torch::autograd::Function<LinearCrossEntropyFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& optional_bias,
                            const at::Tensor& target, int64_t ignore_index, int64_t type,
                            bool differentiated) {
    const auto bias = optional_bias.value_or(at::Tensor());
    const auto wants = [&](const at::Tensor& input) {
      return differentiated && input.defined() && input.requires_grad();
    };
    const Wanted wanted{wants(x), wants(weight), wants(bias)};
    auto result =
        compute(static_cast<at::ScalarType>(type), x, weight, bias, target, ignore_index, wanted);
    if (wanted.any()) {
      ctx->save_for_backward({x, weight, bias, target});
      ctx->saved_data["ignore_index"] = ignore_index;
      ctx->saved_data["type"] = type;
      ctx->saved_data["gradients"] =
          c10::List<std::optional<at::Tensor>>({result.d_x, result.d_weight, result.d_bias});
    }
    return result.loss;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grad_outputs) {
    const auto saved = ctx->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &bias = saved[2], &target = saved[3];
    const auto ignore_index = ctx->saved_data["ignore_index"].toInt();
    const auto type = static_cast<at::ScalarType>(ctx->saved_data["type"].toInt());
    variable_list gradients(7);
    const auto& scale = grad_outputs[0];
    if (!scale.defined()) return gradients;
    if (at::GradMode::is_enabled()) {
      auto found = differentiable_gradients(
          [&](const variable_list& inputs) {
            return variable_list{
                composition(type, inputs[0], inputs[1], inputs[2], target, ignore_index)};
          },
          {x, weight, bias}, grad_outputs);
      std::move(found.begin(), found.end(), gradients.begin());
      return gradients;
    }
    const auto [wants_x, wants_weight, wants_bias] = wanted_gradients<3>(ctx, saved);
    const Wanted wanted{wants_x, wants_weight, wants_bias};
    // Those made in the forward pass are handed out once: whoever gets them may write to them. A
    // graph that was kept makes them anew.
    auto& made = ctx->saved_data["gradients"];
    if (made.isNone()) {
      auto again = compute(type, x, weight, bias, target, ignore_index, wanted);
      gradients[0] = std::move(again.d_x);
      gradients[1] = std::move(again.d_weight);
      gradients[2] = std::move(again.d_bias);
    } else {
      const auto list = made.toOptionalTensorVector();
      for (size_t i = 0; i < 3; i++) gradients[i] = list[i].value_or(at::Tensor());
      made = c10::IValue();
    }
    if (x.is_cuda()) {
      // Nothing waits for the device, and float16 is rounded to when the loss's scale is in.
      const std::initializer_list<at::Tensor> inputs{x, weight, bias};
      for (size_t i = 0; i < 3; i++) {
        if (!gradients[i].defined()) continue;
        gradients[i] = gradients[i].mul_(scale).to(inputs.begin()[i].scalar_type());
      }
      return gradients;
    }
    // A loss that is differentiated itself has a gradient of one, and large gradients need no pass
    // to be left as they are.
    const bool is_one = scale.item<double>() == 1;
    for (auto& gradient : gradients) {
      if (gradient.defined() && !is_one) gradient.mul_(scale);
    }
    return gradients;
  }
};

void check(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
           const at::Tensor& target) {
  TORCH_CHECK(at::isFloatingType(x.scalar_type()), kName,
              ": x must be of a floating-point type, got ", x.scalar_type());
  TORCH_CHECK(at::isFloatingType(weight.scalar_type()), kName,
              ": weight must be of a floating-point type, got ", weight.scalar_type());
  TORCH_CHECK(weight.dim() == 2 && weight.sym_size(0) > 0, kName,
              ": weight must have shape (vocabulary, channels), got ", weight.sym_sizes());
  TORCH_CHECK(x.dim() >= 1 && x.sym_size(-1) == weight.sym_size(1), kName,
              ": x must have shape (..., ", weight.sym_size(1), ") as weight has shape ",
              weight.sym_sizes(), ", got ", x.sym_sizes());
  TORCH_CHECK(!bias.defined() || (bias.dim() == 1 && bias.sym_size(0) == weight.sym_size(0)), kName,
              ": bias must have shape (", weight.sym_size(0), "), got ",
              bias.defined() ? bias.sym_sizes() : c10::SymIntArrayRef{});
  TORCH_CHECK(target.scalar_type() == at::kLong, kName, ": target must be int64, got ",
              target.scalar_type());
  TORCH_CHECK(target.sym_sizes() == x.sym_sizes().slice(0, x.dim() - 1), kName,
              ": target must have the shape of x but for the channels, ",
              x.sym_sizes().slice(0, x.dim() - 1), ", got ", target.sym_sizes());
  for (const auto* other : {&weight, &bias, &target}) {
    TORCH_CHECK(!other->defined() || other->device() == x.device(), kName,
                ": expected all tensors on the device of x, ", x.device(), ", got one on ",
                other->device());
  }
}

void check_targets(const at::Tensor& target, int64_t vocabulary, int64_t ignore_index) {
  const auto contiguous = target.contiguous();
  const auto* data = contiguous.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < contiguous.numel(); i++) {
    TORCH_CHECK_INDEX(data[i] == ignore_index || (data[i] >= 0 && data[i] < vocabulary), kName,
                      ": targets must be from 0 to ", vocabulary - 1, " or ", ignore_index,
                      ", got ", data[i]);
  }
}

// Integers would be chosen by a type that gemm has no product for.
bool has_kernel(at::ScalarType type, const at::Tensor& x, const at::Tensor& weight,
                const at::Tensor& bias, const at::Tensor& target) {
  if (cuda_kernels_for({x, weight, bias, target}) != nullptr) {
    for (const auto* tensor : {&x, &weight, &bias}) {
      if (tensor->defined() && !is_cuda_type(tensor->scalar_type())) return false;
    }
    return is_cuda_type(type) && target.numel() != 0 && weight.size(1) != 0;
  }
  if (!are_plain_cpu({x, weight, bias, target}) || !gemm_supports(type)) return false;
  if (target.numel() == 0 || weight.size(1) == 0) return false;
  if (type == at::kBFloat16 && weight.size(1) % 2 != 0) return false;
  const auto sums = type == at::kDouble ? at::kDouble : at::kFloat;
  for (const auto* tensor : {&weight, &bias}) {
    if (tensor->defined() && tensor->scalar_type() != sums && tensor->scalar_type() != type)
      return false;
  }
  return true;
}

}  // namespace

at::Tensor linear_cross_entropy(const at::Tensor& x, const at::Tensor& weight,
                                const std::optional<at::Tensor>& bias, const at::Tensor& target,
                                int64_t ignore_index) {
  const auto biases = bias.value_or(at::Tensor());
  check(x, weight, biases, target);
  const auto type = compute_type(x);
  if (!has_kernel(type, x, weight, biases, target))
    return composition(type, x, weight, biases, target, ignore_index);
  // On CUDA the kernel looks, as libtorch's own does: the host would have to wait for it.
  if (!target.is_cuda()) check_targets(target, weight.size(0), ignore_index);
  return LinearCrossEntropyFunction::apply(x, weight, bias, target, ignore_index,
                                           static_cast<int64_t>(type), at::GradMode::is_enabled());
}

TORCH_LIBRARY_FRAGMENT(wavegpt, library) {
  library.def(
      "linear_cross_entropy(Tensor x, Tensor weight, Tensor? bias, Tensor target, int "
      "ignore_index=-100) -> Tensor");
}

TORCH_LIBRARY_IMPL(wavegpt, CompositeImplicitAutograd, library) {
  library.impl("linear_cross_entropy", linear_cross_entropy);
}

}  // namespace wavegpt::kernels
