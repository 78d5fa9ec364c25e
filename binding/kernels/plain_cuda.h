// Where CUDA's kernels may be used.
#pragma once

#include "kernels/cuda/table.h"
#include "kernels/plain_cpu.h"

namespace wavegpt::kernels {

// The kernels of the second library if it is open and all tensors are ordinary dense ones in the
// memory of one CUDA device, in the sense of is_plain_cpu; else null. Undefined tensors do not
// count, but for the first.
const CudaKernels* cuda_kernels_for(
    std::initializer_list<std::reference_wrapper<const at::Tensor>> tensors);

// The same for a tensor that kernels have been found to take: null only if it is not on CUDA.
const CudaKernels* cuda_kernels_of(const at::Tensor& tensor);

// A graph for a CUDA device; throws without the second library.
std::unique_ptr<CudaGraph> make_cuda_graph(c10::DeviceIndex device);

// Why there are no kernels, or nothing where there are.
std::optional<std::string> why_no_cuda_kernels();

// Makes a tensor's device the current one, if it is a CUDA device.
class CudaDevice {
 public:
  explicit CudaDevice(const at::Tensor& tensor)
      : guard_(tensor.is_cuda() ? std::optional(tensor.device()) : std::nullopt) {}

 private:
  c10::OptionalDeviceGuard guard_;
};

// The types that CUDA's kernels compute with, in sums of float.
inline bool is_cuda_type(at::ScalarType type) {
  return type == at::kFloat || type == at::kBFloat16 || type == at::kHalf;
}

}  // namespace wavegpt::kernels
