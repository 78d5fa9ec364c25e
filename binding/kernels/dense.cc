#include "kernels/dense.h"

#include "kernels/plain_cpu.h"

namespace wavegpt::kernels {

namespace {

// Rows below which libtorch's own product is quicker than one of packed weights.
constexpr int64_t kFewRows = 16;

void check_parameter(const char* name, const char* argument, const at::Tensor& parameter,
                     const at::Tensor& x) {
  TORCH_CHECK(at::isFloatingType(parameter.scalar_type()), name, ": ", argument,
              " must be of a floating-point type, got ", parameter.scalar_type());
  TORCH_CHECK(parameter.device() == x.device(), name, ": ", argument,
              " must be on the device of x, ", x.device(), ", got one on ", parameter.device());
}

}  // namespace

std::optional<at::ScalarType> dense_kernel_type(const at::Tensor& x, TensorReferences parameters,
                                                bool differentiated) {
  if (!is_plain_cpu(x) || !are_plain_cpu(parameters) || x.numel() == 0) return std::nullopt;
  if (!differentiated && x.numel() < kFewRows * x.size(-1)) return std::nullopt;
  const auto type = compute_type(x);
  const bool lowered = type == at::kBFloat16 && at::autocast::is_autocast_enabled(at::kCPU);
  const auto takes = [&](at::ScalarType given) {
    return lowered ? given == at::kFloat || given == at::kBFloat16 : given == type;
  };
  if (!takes(x.scalar_type()) || !gemm_supports(type)) return std::nullopt;
  for (const at::Tensor& parameter : parameters) {
    if (!parameter.defined()) continue;
    if (!takes(parameter.scalar_type())) return std::nullopt;
    for (const int64_t size : parameter.sizes()) {
      if (size == 0 || (type == at::kBFloat16 && size % 2 != 0)) return std::nullopt;
    }
  }
  return type;
}

bool is_differentiated(TensorReferences inputs) {
  if (!at::GradMode::is_enabled()) return false;
  return std::any_of(inputs.begin(), inputs.end(), [](const at::Tensor& input) {
    return input.defined() && input.requires_grad();
  });
}

void check_dense_input(const char* name, const at::Tensor& x) {
  TORCH_CHECK(at::isFloatingType(x.scalar_type()), name,
              ": x must be of a floating-point type, got ", x.scalar_type());
  TORCH_CHECK(x.dim() >= 1, name,
              ": x must have at least one dimension, its features, got a scalar");
}

void check_dense_weight(const char* name, const char* argument, const at::Tensor& weight,
                        const c10::SymInt& in, const at::Tensor& x) {
  check_parameter(name, argument, weight, x);
  TORCH_CHECK(weight.dim() == 2 && weight.sym_size(1) == in, name, ": ", argument,
              " must have shape (out, ", in, ") to fit the features that it is given, got ",
              weight.sym_sizes());
}

void check_dense_vector(const char* name, const char* argument, const at::Tensor& vector,
                        const c10::SymInt& size, const at::Tensor& x) {
  if (!vector.defined()) return;
  check_parameter(name, argument, vector, x);
  TORCH_CHECK(vector.dim() == 1 && vector.sym_size(0) == size, name, ": ", argument,
              " must have shape (", size, "), got ", vector.sym_sizes());
}

at::Tensor linear_of_type(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const auto type = x.scalar_type();
  return at::linear(x, weight.to(type),
                    bias.defined() ? std::optional(bias.to(type)) : std::nullopt);
}

}  // namespace wavegpt::kernels
