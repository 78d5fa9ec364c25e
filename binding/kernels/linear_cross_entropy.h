#pragma once

#include "libtorch.h"

namespace wavegpt::kernels {

// The mean cross-entropy, in nats, of the logits x * weight^T + bias: x (..., C), weight (V, C),
// bias (V), target (...) int64 in 0 ... V - 1 or `ignore_index`. The same as at::cross_entropy_loss
// of at::linear, without the logits.
at::Tensor linear_cross_entropy(const at::Tensor& x, const at::Tensor& weight,
                                const std::optional<at::Tensor>& bias, const at::Tensor& target,
                                int64_t ignore_index);

}  // namespace wavegpt::kernels
