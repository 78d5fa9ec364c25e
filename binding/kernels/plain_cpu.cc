#include "kernels/plain_cpu.h"

namespace wavegpt::kernels {

bool is_plain_cpu(const at::Tensor& tensor) {
  using c10::DispatchKey;
  // An absent optional tensor is read by nobody.
  if (!tensor.defined()) return true;
  static const auto ordinary =
      c10::DispatchKeySet({DispatchKey::CPU, DispatchKey::AutogradCPU, DispatchKey::ADInplaceOrView,
                           DispatchKey::AutocastCPU});
  if (!ordinary.isSupersetOf(tensor.key_set())) return false;
  if (!tensor.device().is_cpu() || tensor.layout() != at::kStrided || !tensor.has_storage())
    return false;
  return !tensor._fw_grad(0).defined();
}

bool are_plain_cpu(std::initializer_list<std::reference_wrapper<const at::Tensor>> tensors) {
  for (const at::Tensor& tensor : tensors) {
    if (!is_plain_cpu(tensor)) return false;
  }
  return true;
}

at::ScalarType compute_type(const at::Tensor& tensor) {
  const auto device = tensor.device().type();
  const bool lowered =
      at::isFloatingType(tensor.scalar_type()) && tensor.scalar_type() != at::kDouble &&
      at::autocast::is_autocast_available(device) && at::autocast::is_autocast_enabled(device);
  return lowered ? at::autocast::get_autocast_dtype(device) : tensor.scalar_type();
}

}  // namespace wavegpt::kernels
