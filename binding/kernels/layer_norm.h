// Layer norm over the last dimension, alone or behind residual + dropout(x).
#pragma once

#include "kernels/add_dropout.h"
#include "kernels/cpu/layer_norm.h"

namespace wavegpt::kernels {

struct LayerNormed {
  at::Tensor sum, normed, mean, rstd;
};

struct LayerNormGradients {
  at::Tensor residual, x, weight, bias;
};

struct LayerNormWanted {
  bool residual, x, weight, bias;
};

// Throws unless weight and bias, where there are any, have shape (channels of `like`) and lie on
// its device.
void check_layer_norm(const char* name, const at::Tensor& like, const at::Tensor& weight,
                      const at::Tensor& bias);

// Whether the kernel takes these; x, weight and bias may be undefined. x must have a type of
// has_layer_norm_x().
bool has_layer_norm_kernel(const at::Tensor& residual, const at::Tensor& x,
                           const at::Tensor& weight, const at::Tensor& bias, at::ScalarType normed);

// Whether the kernel adds an x of this type to a residual of that; others have to be converted to
// the residual's.
bool takes_layer_norm_x(at::ScalarType residual, const at::Tensor& x);

// By the kernel of the device. Without x the sum is the residual.
LayerNormed layer_norm_by_kernel(const at::Tensor& residual, const at::Tensor& x,
                                 const at::Tensor& weight, const at::Tensor& bias, double eps,
                                 const Dropping& dropping, at::ScalarType normed);

// grad_sum may be undefined. The types are those of forward: x's is `x`.
LayerNormGradients layer_norm_gradients(const LayerNormed& saved, const at::Tensor& weight,
                                        const at::Tensor& bias, const Dropping& dropping,
                                        at::ScalarType x, const at::Tensor& grad_sum,
                                        const at::Tensor& grad_normed, at::ScalarType normed,
                                        const LayerNormWanted& wanted);

// By libtorch's operators: statistics in float (double of double), the result of type `normed`.
at::Tensor layer_norm_composition(const at::Tensor& x, const at::Tensor& weight,
                                  const at::Tensor& bias, double eps, at::ScalarType normed);

}  // namespace wavegpt::kernels
