// Checks of arguments that libtorch itself does not make.
#include <algorithm>

#include "errors.h"
#include "operators.h"

namespace wavegpt {
namespace {

const c10::IValue* FindArgument(const Operator& op, const torch::jit::Stack& arguments,
                                const char* name) {
  for (size_t at = 0; at < op.arguments.size(); ++at) {
    if (op.arguments[at].name == name) return &arguments[at];
  }
  return nullptr;
}

// Whether the list is read only where a setting says so, and the setting does not.
bool IsUnused(const Operator& op, const torch::jit::Stack& arguments, const std::string& list) {
  if (list == "max_exp_avg_sqs") return !FindArgument(op, arguments, "amsgrad")->toBool();
  if (list == "momentum_buffer_list")
    return FindArgument(op, arguments, "momentum")->toDouble() == 0;
  return false;
}

void CollectStorages(const c10::IValue& value, std::vector<const void*>& storages) {
  auto add = [&](const at::Tensor& tensor) {
    if (tensor.defined() && tensor.has_storage()) {
      storages.push_back(tensor.storage().unsafeGetStorageImpl());
    }
  };
  if (value.isTensor()) add(value.toTensor());
  if (value.isTensorList()) {
    for (const at::Tensor& tensor : value.toTensorVector()) add(tensor);
  }
}

void CheckStep(const Operator& op, const std::string& what, const at::Tensor& step) {
  if (step.layout() != at::kStrided || step.numel() != 1 || step.scalar_type() != at::kFloat) {
    ThrowArgument(op.full_name, what, "a float32 tensor of one element",
                  c10::str(step.scalar_type(), " ", step.sizes()));
  }
}

void CheckAlike(const Operator& op, const std::string& what, const at::Tensor& tensor,
                const at::Tensor& parameter) {
  for (const at::Tensor* dense : {&parameter, &tensor}) {
    if (dense->layout() != at::kStrided || !dense->is_non_overlapping_and_dense()) {
      ThrowArgument(
          op.full_name, what, "dense tensors without gaps or overlaps",
          dense->layout() == at::kStrided ? "one with them" : c10::str("layout ", dense->layout()));
    }
  }
  if (tensor.sizes() == parameter.sizes() && tensor.strides() == parameter.strides() &&
      tensor.scalar_type() == parameter.scalar_type() && tensor.device() == parameter.device()) {
    return;
  }
  auto describe = [](const at::Tensor& described) {
    return c10::str(described.scalar_type(), " ", described.sizes(), " with strides ",
                    described.strides(), " on ", described.device());
  };
  ThrowArgument(op.full_name, what, "a tensor like its parameter: " + describe(parameter),
                describe(tensor));
}

// Python's optimizers check this; the fused steps walk several lists of tensors as if they were
// alike.
// `_fused_adam_`, `_fused_adamw_`, `_fused_sgd_`, `_fused_adagrad_`: the parameters stand first.
void CheckFusedStep(const Operator& op, const torch::jit::Stack& arguments) {
  const std::vector<at::Tensor> parameters = arguments[0].toTensorVector();
  for (size_t at = 0; at < op.arguments.size(); ++at) {
    const OperatorArgument& argument = op.arguments[at];
    if (argument.type.base != Base::kTensor) continue;
    if (!argument.type.list) {
      if (!arguments[at].isTensor()) continue;
      const at::Tensor& number = arguments[at].toTensor();
      if (number.defined()) CheckStep(op, argument.name, number);
      continue;
    }
    const std::vector<at::Tensor> tensors = arguments[at].toTensorVector();
    if (tensors.empty() && IsUnused(op, arguments, argument.name)) continue;
    if (tensors.size() != parameters.size()) {
      ThrowArgument(op.full_name, argument.name,
                    std::to_string(parameters.size()) + " tensors, one for each parameter",
                    std::to_string(tensors.size()));
    }
    for (size_t index = 0; index < tensors.size(); ++index) {
      std::string what = argument.name + "[" + std::to_string(index) + "]";
      if (argument.name == "state_steps") {
        CheckStep(op, what, tensors[index]);
      } else {
        CheckAlike(op, what, tensors[index], parameters[index]);
      }
    }
  }
}

}  // namespace

void CheckExclusiveOuts(const Operator& op, const torch::jit::Stack& arguments) {
  std::vector<const void*> outs, others;
  for (size_t out : op.exclusive_outs) {
    outs.clear();
    others.clear();
    CollectStorages(arguments[out], outs);
    for (size_t at = 0; at < arguments.size(); ++at) {
      if (at != out) CollectStorages(arguments[at], others);
    }
    for (const void* storage : outs) {
      if (std::find(others.begin(), others.end(), storage) != others.end()) {
        ThrowArgument(op.full_name, op.arguments[out].name,
                      "a tensor that shares no memory with another argument", "one that does");
      }
    }
  }
}

decltype(Operator::check) FindCheck(const c10::OperatorName& name) {
  for (const char* fused : {"aten::_fused_ad", "aten::_fused_sgd"}) {
    if (name.name.rfind(fused, 0) == 0) return CheckFusedStep;
  }
  return nullptr;
}

bool NeedsTensors(const c10::OperatorName& name) {
  for (const char* joining : {"aten::cat", "aten::concat", "aten::concatenate"}) {
    if (name.name == joining) return true;
  }
  return false;
}

}  // namespace wavegpt
