// What the operators of dense layers share: which kernel they use, and their arguments as it reads
// them.
#pragma once

#include <initializer_list>
#include <optional>

#include "kernels/operands.h"

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

}  // namespace wavegpt::kernels
