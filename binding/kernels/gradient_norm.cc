#include "kernels/gradient_norm.h"

#include <torch/library.h>

#include <algorithm>
#include <cmath>

#include "kernels/adam_members.h"
#include "kernels/cpu/adamw.h"
#include "kernels/plain_cpu.h"

namespace wavegpt::kernels {

constinit Kernel<SumOfSquares<float>> sum_of_squares_float;
constinit Kernel<SumOfSquares<double>> sum_of_squares_double;

namespace {

bool has_kernel(const at::Tensor& gradient) {
  const auto type = gradient.scalar_type();
  return (type == at::kFloat || type == at::kDouble) && is_plain_cpu(gradient) &&
         gradient.is_non_overlapping_and_dense();
}

template <typename T>
std::vector<AdamTensor<T>> kernel_gradients(at::TensorList gradients) {
  std::vector<AdamTensor<T>> tensors;
  tensors.reserve(gradients.size());
  for (const at::Tensor& gradient : gradients) {
    AdamTensor<T>& tensor = tensors.emplace_back();
    tensor.gradient = gradient.const_data_ptr<T>();
    tensor.count = gradient.numel();
  }
  return tensors;
}

at::Tensor norm_of(double sum_of_squares, at::ScalarType type) {
  return at::scalar_tensor(std::sqrt(sum_of_squares), type);
}

at::Tensor norm_of_norms(const std::vector<at::Tensor>& norms, at::Device device) {
  if (norms.empty()) return at::zeros({}, at::TensorOptions().dtype(at::kFloat).device(device));
  if (norms.size() == 1) return norms.front().to(device);
  std::vector<at::Tensor> moved;
  moved.reserve(norms.size());
  for (const at::Tensor& norm : norms) moved.push_back(norm.to(device));
  return at::linalg_vector_norm(at::stack(moved), 2);
}

}  // namespace

at::Tensor norm_of_gradients(const std::vector<at::Tensor>& gradients) {
  std::vector<at::Tensor> floats, doubles;
  std::vector<std::vector<at::Tensor>> others;
  for (const at::Tensor& gradient : gradients) {
    if (has_kernel(gradient)) {
      (gradient.scalar_type() == at::kFloat ? floats : doubles).push_back(gradient);
      continue;
    }
    auto same =
        std::find_if(others.begin(), others.end(), [&](const std::vector<at::Tensor>& group) {
          return group.front().device() == gradient.device() &&
                 group.front().scalar_type() == gradient.scalar_type();
        });
    if (same == others.end()) same = others.insert(same, std::vector<at::Tensor>());
    same->push_back(gradient);
  }
  std::vector<at::Tensor> norms;
  if (!floats.empty()) {
    const auto tensors = kernel_gradients<float>(floats);
    norms.push_back(norm_of(sum_of_squares_float(tensors.data(), tensors.size()), at::kFloat));
  }
  if (!doubles.empty()) {
    const auto tensors = kernel_gradients<double>(doubles);
    norms.push_back(norm_of(sum_of_squares_double(tensors.data(), tensors.size()), at::kDouble));
  }
  for (const auto& group : others) {
    for (at::Tensor& norm : at::_foreach_norm(group, 2)) norms.push_back(std::move(norm));
  }
  return norm_of_norms(norms,
                       gradients.empty() ? at::Device(at::kCPU) : gradients.front().device());
}

namespace {

at::Tensor gradient_norm(at::TensorList gradients) {
  const at::NoGradGuard no_grad;
  for (size_t at = 0; at < gradients.size(); at++) {
    const at::Tensor& gradient = gradients[at];
    TORCH_CHECK(is_strided(gradient) && at::isFloatingType(gradient.scalar_type()), "gradients[",
                at, "] must be a strided floating-point tensor, got ", described(gradient));
  }
  return norm_of_gradients(gradients.vec());
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(wavegpt, library) {
  library.def("gradient_norm(Tensor[] gradients) -> Tensor");
}

TORCH_LIBRARY_IMPL(wavegpt, CompositeImplicitAutograd, library) {
  library.impl("gradient_norm", gradient_norm);
}

}  // namespace wavegpt::kernels
