// Adam and AdamW over all parameters in one call, with the gradients' norm and clipping to it.
//
// float32 and float64 on the CPU are updated by our own kernel, which reads the gradients once for
// the norm and once for the update; everything else by libtorch's `_foreach_norm` and
// `_fused_adam(w)_`. The gradients stay as they are: clipping is a factor that the update
// multiplies them with.
#include "kernels/cpu/adamw.h"

#include <torch/library.h>

#include <algorithm>
#include <cmath>

#include "kernels/adam_members.h"
#include "kernels/gradient_norm.h"
#include "kernels/plain_cpu.h"

namespace wavegpt::kernels {

constinit Kernel<AdamUpdate<float>> adam_update_float;
constinit Kernel<AdamUpdate<double>> adam_update_double;

namespace {

struct Hyperparameters {
  double lr, beta1, beta2, weight_decay, eps;
  bool amsgrad, maximize, decoupled;
  // Where defined, instead of lr: a float32 that a captured step reads anew at each replay.
  at::Tensor lr_tensor;

  double host_lr() const { return lr_tensor.defined() ? lr_tensor.item<double>() : lr; }
};

bool has_kernel(const Member& member) {
  const auto type = member.parameter.scalar_type();
  return (type == at::kFloat || type == at::kDouble) && is_plain_cpu(member.parameter) &&
         is_plain_cpu(member.gradient) && is_plain_cpu(member.exp_avg) &&
         is_plain_cpu(member.exp_avg_sq) && is_plain_cpu(member.max_exp_avg_sq) &&
         is_plain_cpu(member.step);
}

using Group = std::vector<const Member*>;

// What is updated by one call: ours of float, ours of double, and libtorch's of one device and
// dtype each.
struct Groups {
  Group floats, doubles;
  std::vector<Group> others;
};

Groups grouped(const std::vector<Member>& members) {
  Groups groups;
  for (const Member& member : members) {
    const at::Tensor& parameter = member.parameter;
    if (has_kernel(member)) {
      (parameter.scalar_type() == at::kFloat ? groups.floats : groups.doubles).push_back(&member);
      continue;
    }
    auto same = std::find_if(groups.others.begin(), groups.others.end(), [&](const Group& group) {
      const at::Tensor& first = group.front()->parameter;
      return first.device() == parameter.device() && first.scalar_type() == parameter.scalar_type();
    });
    if (same == groups.others.end()) same = groups.others.insert(same, Group());
    same->push_back(&member);
  }
  return groups;
}

std::vector<at::Tensor> pick(const Group& group, at::Tensor Member::* which) {
  std::vector<at::Tensor> tensors;
  tensors.reserve(group.size());
  for (const Member* member : group) {
    if ((member->*which).defined()) tensors.push_back(member->*which);
  }
  return tensors;
}

template <typename T>
std::vector<AdamTensor<T>> kernel_tensors(const Group& group, const Hyperparameters& values) {
  std::vector<AdamTensor<T>> tensors;
  tensors.reserve(group.size());
  float known_step = 0;
  double step_size = 0, correction = 0;
  for (const Member* member : group) {
    float* counter = member->step.mutable_data_ptr<float>();
    const float step = *counter += 1;
    // Nearly all parameters have made the same number of steps.
    if (tensors.empty() || step != known_step) {
      known_step = step;
      step_size = values.lr / (1 - std::pow(values.beta1, static_cast<double>(step)));
      correction = std::sqrt(1 - std::pow(values.beta2, static_cast<double>(step)));
    }
    tensors.push_back({member->parameter.mutable_data_ptr<T>(),
                       member->gradient.const_data_ptr<T>(), member->exp_avg.mutable_data_ptr<T>(),
                       member->exp_avg_sq.mutable_data_ptr<T>(),
                       values.amsgrad ? member->max_exp_avg_sq.mutable_data_ptr<T>() : nullptr,
                       member->parameter.numel(), step_size, correction});
  }
  return tensors;
}

// As clip_grad_norm_ computes it, in the norm's own type: NaN where the norm is.
at::Tensor clip_coefficient(const at::Tensor& norm, double max_norm) {
  return norm.add(1e-6).reciprocal().mul(max_norm).clamp_max(1);
}

void bump_versions(const Group& group) {
  for (const Member* member : group) {
    for (const at::Tensor* tensor : {&member->parameter, &member->exp_avg, &member->exp_avg_sq,
                                     &member->max_exp_avg_sq, &member->step}) {
      if (tensor->defined()) torch::autograd::impl::bump_version(*tensor);
    }
  }
}

template <typename T>
void update_by_kernel(const Kernel<AdamUpdate<T>>& update, const Group& group,
                      Hyperparameters values, double coefficient) {
  if (group.empty()) return;
  values.lr = values.host_lr();
  const auto tensors = kernel_tensors<T>(group, values);
  const AdamSettings settings{values.lr,      values.beta1,
                              values.beta2,   values.weight_decay,
                              values.eps,     values.maximize ? -coefficient : coefficient,
                              values.amsgrad, values.decoupled};
  update(tensors.data(), tensors.size(), settings);
  bump_versions(group);
}

void update_by_libtorch(const Group& group, const Hyperparameters& values,
                        const at::Tensor& coefficient) {
  const auto parameters = pick(group, &Member::parameter);
  auto gradients = pick(group, &Member::gradient);
  if (coefficient.defined())
    gradients = at::_foreach_mul(gradients, coefficient.to(parameters.front().device()));
  const auto steps = pick(group, &Member::step);
  at::_foreach_add_(steps, 1);
  const auto update = [&](const auto& lr) {
    const auto step = [&](auto operation) {
      operation(parameters, gradients, pick(group, &Member::exp_avg),
                pick(group, &Member::exp_avg_sq), pick(group, &Member::max_exp_avg_sq), steps, lr,
                values.beta1, values.beta2, values.weight_decay, values.eps, values.amsgrad,
                values.maximize, std::nullopt, std::nullopt);
    };
    if (values.decoupled) {
      step([](auto&&... arguments) { at::_fused_adamw_(arguments...); });
    } else {
      step([](auto&&... arguments) { at::_fused_adam_(arguments...); });
    }
  };
  if (values.lr_tensor.defined()) {
    update(values.lr_tensor.to(parameters.front().device()));
  } else {
    update(values.lr);
  }
  bump_versions(group);
}

at::Tensor norm_to_clip_by(const std::vector<Member>& members,
                           const std::optional<at::Tensor>& total_norm) {
  if (total_norm) return total_norm->detach().reshape({}).clone();
  std::vector<at::Tensor> gradients;
  gradients.reserve(members.size());
  for (const Member& member : members) gradients.push_back(member.gradient);
  return norm_of_gradients(gradients);
}

// Returns the norm of the gradients, or no tensor where there is no max_norm.
at::Tensor adam_step(std::vector<Member> members, const Hyperparameters& values,
                     std::optional<double> max_norm, const std::optional<at::Tensor>& total_norm) {
  const at::NoGradGuard no_grad;
  TORCH_CHECK(!max_norm || *max_norm >= 0, "max_norm must be at least 0, got ", *max_norm);
  if (total_norm) {
    TORCH_CHECK(is_strided(*total_norm) && total_norm->numel() == 1 &&
                    at::isFloatingType(total_norm->scalar_type()),
                "total_norm must be one floating-point number, got ", described(*total_norm));
  }
  std::vector<std::pair<Member, Member>> copies;  // of a member whose tensors lie in other orders
  for (Member& member : members) {
    if (is_flat(member)) continue;
    copies.emplace_back(member, packed(member));
    member = copies.back().second;
  }
  const Groups groups = grouped(members);
  at::Tensor norm, coefficient;
  if (max_norm) norm = norm_to_clip_by(members, total_norm);
  if (max_norm.value_or(0) > 0) coefficient = clip_coefficient(norm, *max_norm);
  const bool has_ours = !groups.floats.empty() || !groups.doubles.empty();
  const double factor = coefficient.defined() && has_ours ? coefficient.item<double>() : 1;
  // libtorch first: where it has no kernel for a dtype, ours have changed nothing yet.
  for (const Group& group : groups.others) update_by_libtorch(group, values, coefficient);
  update_by_kernel(adam_update_float, groups.floats, values, factor);
  update_by_kernel(adam_update_double, groups.doubles, values, factor);
  for (const auto& [member, copy] : copies) copy_back(member, copy);
  return norm;
}

template <bool kDecoupled>
at::Tensor step_(at::TensorList parameters, at::TensorList gradients, at::TensorList exp_avgs,
                 at::TensorList exp_avg_sqs, at::TensorList max_exp_avg_sqs, at::TensorList steps,
                 double lr, double beta1, double beta2, double weight_decay, double eps,
                 bool amsgrad, bool maximize, std::optional<double> max_norm,
                 const std::optional<at::Tensor>& total_norm) {
  return adam_step(checked_members(parameters, gradients, exp_avgs, exp_avg_sqs, max_exp_avg_sqs,
                                   steps, amsgrad),
                   {lr, beta1, beta2, weight_decay, eps, amsgrad, maximize, kDecoupled, {}},
                   max_norm, total_norm);
}

template <bool kDecoupled>
at::Tensor step_of_tensor_lr_(at::TensorList parameters, at::TensorList gradients,
                              at::TensorList exp_avgs, at::TensorList exp_avg_sqs,
                              at::TensorList max_exp_avg_sqs, at::TensorList steps,
                              const at::Tensor& lr, double beta1, double beta2, double weight_decay,
                              double eps, bool amsgrad, bool maximize,
                              std::optional<double> max_norm,
                              const std::optional<at::Tensor>& total_norm) {
  TORCH_CHECK(is_strided(lr) && lr.numel() == 1 && lr.scalar_type() == at::kFloat,
              "lr must be one float32, got ", described(lr));
  return adam_step(checked_members(parameters, gradients, exp_avgs, exp_avg_sqs, max_exp_avg_sqs,
                                   steps, amsgrad),
                   {0, beta1, beta2, weight_decay, eps, amsgrad, maximize, kDecoupled, lr},
                   max_norm, total_norm);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(wavegpt, library) {
  const std::string tensors =
      "(Tensor(a!)[] parameters, Tensor[] gradients, Tensor(b!)[] exp_avgs, "
      "Tensor(c!)[] exp_avg_sqs, Tensor(d!)[] max_exp_avg_sqs, Tensor(e!)[] steps, *, ";
  const std::string numbers =
      "float beta1, float beta2, float weight_decay, float eps, bool amsgrad=False, "
      "bool maximize=False, float? max_norm=None, Tensor? total_norm=None) -> Tensor";
  for (const std::string name : {"adamw_", "adam_"}) {
    library.def((name + tensors + "float lr, " + numbers).c_str());
    library.def((name + ".tensor_lr" + tensors + "Tensor lr, " + numbers).c_str());
  }
}

TORCH_LIBRARY_IMPL(wavegpt, CompositeImplicitAutograd, library) {
  library.impl("adamw_", step_<true>);
  library.impl("adam_", step_<false>);
  library.impl("adamw_.tensor_lr", step_of_tensor_lr_<true>);
  library.impl("adam_.tensor_lr", step_of_tensor_lr_<false>);
}

}  // namespace wavegpt::kernels
