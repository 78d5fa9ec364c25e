// What the operators of dense layers share: which kernel they use, and their arguments as it reads
// them.
#pragma once

#include <initializer_list>
#include <optional>

#include "kernels/gemm.h"
#include "libtorch.h"

namespace wavegpt::kernels {

using TensorReferences = std::initializer_list<std::reference_wrapper<const at::Tensor>>;

// The type that a kernel computes x and these parameters (some may be undefined) in, or nothing
// where the composition has to: where libtorch would not take the types together, where bfloat16's
// products, which take pairs, do not fit, and where a few rows that are not differentiated are not
// worth bringing the weights into a kernel's order.
std::optional<at::ScalarType> dense_kernel_type(const at::Tensor& x, TensorReferences parameters,
                                                bool differentiated);

// Whether autograd is to record an operation on these.
bool is_differentiated(TensorReferences inputs);

// Throw unless the arguments fit each other; `name` begins the message.
void check_dense_input(const char* name, const at::Tensor& x);
void check_dense_weight(const char* name, const char* argument, const at::Tensor& weight,
                        const c10::SymInt& in, const at::Tensor& x);
void check_dense_vector(const char* name, const char* argument, const at::Tensor& vector,
                        const c10::SymInt& size, const at::Tensor& x);

// at::linear, of parameters in the type of x.
at::Tensor linear_of_type(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

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

// Calls compute(T{}) for the type that dense_kernel_type gave.
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
