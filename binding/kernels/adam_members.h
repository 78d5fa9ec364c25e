// The tensors of an optimizer's step: one member for each parameter, checked before any of them is
// changed.
#pragma once

#include <string>
#include <vector>

#include "libtorch.h"

namespace wavegpt::kernels {

// A parameter and its state; max_exp_avg_sq is undefined without amsgrad.
struct Member {
  at::Tensor parameter, gradient, exp_avg, exp_avg_sq, max_exp_avg_sq, step;
};

// Throws unless the lists are of one length, tensors fit their parameter, and nothing that is
// written shares memory with another tensor.
std::vector<Member> checked_members(at::TensorList parameters, at::TensorList gradients,
                                    at::TensorList exp_avgs, at::TensorList exp_avg_sqs,
                                    at::TensorList max_exp_avg_sqs, at::TensorList steps,
                                    bool amsgrad);

// Whether all tensors have their elements in the same order, without gaps.
bool is_flat(const Member& member);

// Contiguous copies of all tensors, and the way back for those that a step changes.
Member packed(const Member& member);
void copy_back(const Member& member, const Member& copy);

bool is_strided(const at::Tensor& tensor);

// "Float [2, 3] on cpu", for messages.
std::string described(const at::Tensor& tensor);

}  // namespace wavegpt::kernels
