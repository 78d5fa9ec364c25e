#pragma once

#include "libtorch.h"

namespace wavegpt::kernels {

// The mean cross-entropy, in nats, of the logits x * weight^T + bias: x (..., C), weight (V, C),
// bias (V), target (...) int64 in 0 ... V - 1 or `ignore_index`. The same as at::cross_entropy_loss
// of at::linear, without the logits.
at::Tensor linear_cross_entropy(const at::Tensor& x, const at::Tensor& weight,
                                const std::optional<at::Tensor>& bias, const at::Tensor& target,
                                int64_t ignore_index);

// Which gradients a call asks for.
struct CrossEntropyWanted {
  bool x, weight, bias;
  bool any() const { return x || weight || bias; }
};

// Gradients are those of the loss itself, undefined where not wanted.
struct CrossEntropyResult {
  at::Tensor loss, d_x, d_weight, d_bias;
};

// By the second library's kernel and libtorch's products, a chunk of rows after the other. `type`
// is what logits are computed in; the gradients are in float.
CrossEntropyResult linear_cross_entropy_on_cuda(at::ScalarType type, const at::Tensor& x,
                                                const at::Tensor& weight, const at::Tensor& bias,
                                                const at::Tensor& target, int64_t ignore_index,
                                                CrossEntropyWanted wanted);

}  // namespace wavegpt::kernels
