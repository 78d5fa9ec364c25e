// Tensors as kernels read and write them: by type, as plain data, and memory to work in.
#pragma once

#include <vector>

#include "kernels/gemm.h"
#include "libtorch.h"

namespace wavegpt::kernels {

// Memory for `count` numbers.
template <typename Number>
inline at::Tensor working_memory(int64_t count) {
  return at::empty({count}, at::TensorOptions().dtype(c10::CppTypeToScalarType<Number>::value));
}

// Several of those, as long as it lives.
class WorkingMemory {
 public:
  template <typename Number>
  void allocate(Number*& data, int64_t count) {
    tensors_.push_back(working_memory<Number>(count));
    data = tensors_.back().mutable_data_ptr<Number>();
  }

 private:
  std::vector<at::Tensor> tensors_;
};

// The data of a tensor that may be undefined, else null.
template <typename Number>
inline const Number* data_or_null(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<Number>() : nullptr;
}
template <typename Number>
inline Number* mutable_data_or_null(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.mutable_data_ptr<Number>() : nullptr;
}

inline void check_floating(const char* name, const char* argument, const at::Tensor& tensor) {
  TORCH_CHECK(at::isFloatingType(tensor.scalar_type()), name, ": ", argument,
              " must be of a floating-point type, got ", tensor.scalar_type());
}

// Contiguous and of the type that kernels of T want parameters in.
template <typename T>
inline at::Tensor as_parameter(const at::Tensor& tensor) {
  if (!tensor.defined()) return tensor;
  return tensor.to(c10::CppTypeToScalarType<Accumulate<T>>::value).contiguous();
}
template <typename T>
inline at::Tensor as_activation(const at::Tensor& tensor) {
  return tensor.to(c10::CppTypeToScalarType<T>::value).contiguous();
}

// Calls compute(T{}) for one of the three types that kernels compute in.
template <typename Compute>
inline auto with_type(at::ScalarType type, const Compute& compute) {
  switch (type) {
    case at::kDouble:
      return compute(double{});
    case at::kBFloat16:
      return compute(c10::BFloat16{});
    default:
      return compute(float{});
  }
}

}  // namespace wavegpt::kernels
