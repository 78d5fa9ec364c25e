#include "kernels/plain_cuda.h"

#include <atomic>
#include <mutex>
#include <string>

namespace wavegpt::kernels {
namespace {

// Threads of JavaScript load the binding each, and the library with it.
std::atomic<const CudaKernels*> cuda_kernels{nullptr};
std::mutex reason_mutex;
std::string reason_for_none;

bool is_plain_cuda(const at::Tensor& tensor) {
  using c10::DispatchKey;
  static const auto ordinary =
      c10::DispatchKeySet({DispatchKey::CUDA, DispatchKey::AutogradCUDA,
                           DispatchKey::ADInplaceOrView, DispatchKey::AutocastCUDA});
  if (!ordinary.isSupersetOf(tensor.key_set())) return false;
  if (!tensor.is_cuda() || tensor.layout() != at::kStrided || !tensor.has_storage()) return false;
  return !tensor._fw_grad(0).defined();
}

}  // namespace

const CudaKernels* cuda_kernels_for(
    std::initializer_list<std::reference_wrapper<const at::Tensor>> tensors) {
  const auto* kernels = cuda_kernels.load(std::memory_order_acquire);
  if (kernels == nullptr) return nullptr;
  const at::Tensor& first = *tensors.begin();
  for (const at::Tensor& tensor : tensors) {
    if (!tensor.defined()) continue;
    if (!is_plain_cuda(tensor) || tensor.device() != first.device()) return nullptr;
  }
  return kernels;
}

const CudaKernels* cuda_kernels_of(const at::Tensor& tensor) {
  if (!tensor.is_cuda()) return nullptr;
  const auto* kernels = cuda_kernels.load(std::memory_order_acquire);
  TORCH_INTERNAL_ASSERT(kernels != nullptr, "wavegpt_cuda is not open");
  return kernels;
}

std::unique_ptr<CudaGraph> make_cuda_graph(c10::DeviceIndex device) {
  const auto* kernels = cuda_kernels.load(std::memory_order_acquire);
  TORCH_CHECK(kernels != nullptr, why_no_cuda_kernels().value_or(""));
  return kernels->make_graph(device);
}

std::optional<std::string> why_no_cuda_kernels() {
  if (cuda_kernels.load(std::memory_order_acquire) != nullptr) return std::nullopt;
  const std::lock_guard<std::mutex> lock(reason_mutex);
  return reason_for_none;
}

}  // namespace wavegpt::kernels

// Called by the loader with what the second library gives, or null and why there is none.
extern "C"
#ifdef _WIN32
    __declspec(dllexport)
#else
    __attribute__((visibility("default")))
#endif
    void wavegpt_use_cuda_kernels(const void* table, const char* reason) {
  using namespace wavegpt::kernels;
  const auto* kernels = static_cast<const CudaKernels*>(table);
  const std::lock_guard<std::mutex> lock(reason_mutex);
  if (kernels == nullptr) {
    reason_for_none = reason;
  } else if (kernels->build != CudaKernels::kBuild) {
    reason_for_none =
        "the wavegpt_cuda library was built for another libtorch, or of another source, than the "
        "addon";
  } else {
    cuda_kernels.store(kernels, std::memory_order_release);
  }
}
