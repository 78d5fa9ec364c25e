#include "kernels/adam_members.h"

#include <algorithm>

namespace wavegpt::kernels {
namespace {

void check_like(const char* list, size_t at, const at::Tensor& tensor,
                const at::Tensor& parameter) {
  TORCH_CHECK(is_strided(tensor) && tensor.sizes() == parameter.sizes() &&
                  tensor.scalar_type() == parameter.scalar_type() &&
                  tensor.device() == parameter.device(),
              list, "[", at, "] must be like its parameter, ", described(parameter), ", got ",
              described(tensor));
}

void check_writable(const char* list, size_t at, const at::Tensor& tensor) {
  TORCH_CHECK(!tensor.is_inference() || c10::InferenceMode::is_enabled(), list, "[", at,
              "] is an inference tensor, which can only be changed in inference mode");
  TORCH_CHECK(!tensor._is_zerotensor(), list, "[", at, "] is a tensor of zeros without memory");
  TORCH_CHECK(at::has_internal_overlap(tensor) != at::MemOverlap::Yes, list, "[", at,
              "] has elements that share memory; clone() it");
}

void check_members(const std::vector<Member>& members, bool amsgrad) {
  for (size_t at = 0; at < members.size(); at++) {
    const Member& member = members[at];
    const at::Tensor& parameter = member.parameter;
    TORCH_CHECK(is_strided(parameter) && at::isFloatingType(parameter.scalar_type()), "parameters[",
                at, "] must be a strided floating-point tensor, got ", described(parameter));
    check_like("gradients", at, member.gradient, parameter);
    check_like("exp_avgs", at, member.exp_avg, parameter);
    check_like("exp_avg_sqs", at, member.exp_avg_sq, parameter);
    if (amsgrad) check_like("max_exp_avg_sqs", at, member.max_exp_avg_sq, parameter);
    const at::Tensor& step = member.step;
    TORCH_CHECK(is_strided(step) && step.numel() == 1 && step.scalar_type() == at::kFloat &&
                    step.device() == parameter.device(),
                "steps[", at, "] must be one float32 on ", parameter.device(), ", got ",
                described(step));
    check_writable("parameters", at, parameter);
    check_writable("exp_avgs", at, member.exp_avg);
    check_writable("exp_avg_sqs", at, member.exp_avg_sq);
    if (amsgrad) check_writable("max_exp_avg_sqs", at, member.max_exp_avg_sq);
    check_writable("steps", at, step);
  }
}

// Memory that a tensor's elements fill without gaps, or nothing where they do not.
struct Extent {
  const char* begin;
  const char* end;
  bool written;
};

void add_extent(std::vector<Extent>& extents, const at::Tensor& tensor, bool written) {
  if (!tensor.defined() || tensor.numel() == 0 || !tensor.has_storage() ||
      tensor.device().is_meta())
    return;
  if (!tensor.is_non_overlapping_and_dense()) return;
  // The writable pointer, as asking for it may give a lazy copy memory of its own.
  const void* data = written ? tensor.mutable_data_ptr() : tensor.const_data_ptr();
  const char* begin = static_cast<const char*>(data);
  extents.push_back({begin, begin + tensor.nbytes(), written});
}

// Elements are read and written in blocks by several threads, so nothing that is written may lie in
// another tensor. Tensors with gaps are worked on as copies and need no check.
void check_overlaps(const std::vector<Member>& members) {
  std::vector<Extent> extents;
  extents.reserve(members.size() * 6);
  for (const Member& member : members) {
    for (const at::Tensor* tensor : {&member.parameter, &member.exp_avg, &member.exp_avg_sq,
                                     &member.max_exp_avg_sq, &member.step}) {
      add_extent(extents, *tensor, true);
    }
  }
  for (const Member& member : members) add_extent(extents, member.gradient, false);
  std::sort(extents.begin(), extents.end(),
            [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
  const char* read = nullptr;     // the furthest end so far of what is read only
  const char* written = nullptr;  // and of what is written
  for (const Extent& extent : extents) {
    const bool apart = extent.begin >= written && (!extent.written || extent.begin >= read);
    TORCH_CHECK(apart, "parameters, their state and their gradients must not share memory");
    const char*& furthest = extent.written ? written : read;
    furthest = std::max(furthest, extent.end);
  }
}

}  // namespace

std::string described(const at::Tensor& tensor) {
  if (!tensor.defined()) return "no tensor";
  if (tensor.is_nested()) return "a nested tensor";
  return c10::str(tensor.scalar_type(), " ", tensor.sizes(), " on ", tensor.device(),
                  tensor.layout() == at::kStrided ? "" : c10::str(" of layout ", tensor.layout()));
}

bool is_strided(const at::Tensor& tensor) {
  return tensor.defined() && !tensor.is_nested() && tensor.layout() == at::kStrided;
}

std::vector<Member> checked_members(at::TensorList parameters, at::TensorList gradients,
                                    at::TensorList exp_avgs, at::TensorList exp_avg_sqs,
                                    at::TensorList max_exp_avg_sqs, at::TensorList steps,
                                    bool amsgrad) {
  auto check_length = [&](const char* list, size_t length, size_t expected) {
    TORCH_CHECK(length == expected, list, " must be ", expected, " tensors",
                expected ? ", one for each" : "", expected ? " parameter" : " without amsgrad",
                ", got ", length);
  };
  check_length("gradients", gradients.size(), parameters.size());
  check_length("exp_avgs", exp_avgs.size(), parameters.size());
  check_length("exp_avg_sqs", exp_avg_sqs.size(), parameters.size());
  check_length("max_exp_avg_sqs", max_exp_avg_sqs.size(), amsgrad ? parameters.size() : 0);
  check_length("steps", steps.size(), parameters.size());
  std::vector<Member> members;
  members.reserve(parameters.size());
  for (size_t at = 0; at < parameters.size(); at++) {
    members.push_back({parameters[at], gradients[at], exp_avgs[at], exp_avg_sqs[at],
                       amsgrad ? max_exp_avg_sqs[at] : at::Tensor(), steps[at]});
  }
  check_members(members, amsgrad);
  check_overlaps(members);
  return members;
}

bool is_flat(const Member& member) {
  const at::Tensor& parameter = member.parameter;
  if (!parameter.is_non_overlapping_and_dense()) return false;
  for (const at::Tensor* tensor : {&parameter, &member.gradient, &member.exp_avg,
                                   &member.exp_avg_sq, &member.max_exp_avg_sq, &member.step}) {
    if (!tensor->defined()) continue;
    if (tensor->is_neg() || tensor->_is_zerotensor()) return false;
    if (tensor == &member.step || tensor->strides() == parameter.strides()) continue;
    // Strides of dimensions of size 1 say nothing.
    if (!tensor->is_contiguous() || !parameter.is_contiguous()) return false;
  }
  return true;
}

Member packed(const Member& member) {
  auto copy = [](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.clone(at::MemoryFormat::Contiguous) : tensor;
  };
  return {copy(member.parameter),  copy(member.gradient),       copy(member.exp_avg),
          copy(member.exp_avg_sq), copy(member.max_exp_avg_sq), copy(member.step)};
}

void copy_back(const Member& member, const Member& copy) {
  member.parameter.copy_(copy.parameter);
  member.exp_avg.copy_(copy.exp_avg);
  member.exp_avg_sq.copy_(copy.exp_avg_sq);
  if (member.max_exp_avg_sq.defined()) member.max_exp_avg_sq.copy_(copy.max_exp_avg_sq);
  member.step.copy_(copy.step);
}

}  // namespace wavegpt::kernels
