// Gradients: requires_grad, grad, backward.
#include "methods.h"

namespace wavegpt {
namespace {

napi_value requiresGrad(Call& call) {
  return call.NewBoolean(call.Tensor(0, "tensor").requires_grad());
}

napi_value setRequiresGrad(Call& call) {
  bool value = call.Boolean(1, "value");
  call.Tensor(0, "tensor").requires_grad_(value);
  return call.Undefined();
}

napi_value isLeaf(Call& call) { return call.NewBoolean(call.Tensor(0, "tensor").is_leaf()); }

napi_value isInference(Call& call) {
  return call.NewBoolean(call.Tensor(0, "tensor").is_inference());
}

napi_value gradientFunction(Call& call) {
  at::Tensor tensor = call.Tensor(0, "tensor");
  const auto& function = tensor.grad_fn();
  return function ? call.NewString(function->name()) : call.Null();
}

napi_value retainGrad(Call& call) {
  call.Tensor(0, "tensor").retain_grad();
  return call.Undefined();
}

napi_value grad(Call& call) {
  at::Tensor gradient = call.Tensor(0, "tensor").grad();
  if (!gradient.defined()) return call.Null();
  if (!call.IsNullish(1)) {
    const at::Tensor* cached = call.environment->Find(call.Number(1, "cached"));
    if (cached && cached->is_same(gradient)) return call.raw(1);
  }
  return call.NewNumber(call.environment->PutUnscoped(std::move(gradient)));
}

// Those of many tensors at once: an optimizer reads them all in each step.
napi_value gradients(Call& call) {
  std::vector<at::Tensor> tensors = call.Tensors(0, "tensors", false);
  napi_value array;
  Check(call.env, napi_create_array_with_length(call.env, tensors.size(), &array));
  for (size_t at = 0; at < tensors.size(); ++at) {
    Check(call.env, napi_set_element(call.env, array, static_cast<uint32_t>(at),
                                     call.NewTensor(tensors[at].grad())));
  }
  return array;
}

napi_value dropGradients(Call& call) {
  for (const at::Tensor& tensor : call.Tensors(0, "tensors", false)) {
    tensor.mutable_grad().reset();
  }
  return call.Undefined();
}

// The checks of Python's `Tensor.grad` setter.
void CheckGradient(const Call& call, const at::Tensor& tensor, const at::Tensor& gradient) {
  auto wrong = [&](const std::string& expected, const std::string& received) {
    ThrowArgument(call.name, "gradient", expected, received);
  };
  if (tensor.is_same(gradient)) wrong("another tensor than the variable itself", "itself");
  if (gradient.sizes() != tensor.sizes()) {
    wrong(c10::str("shape ", tensor.sizes()), c10::str("shape ", gradient.sizes()));
  }
  if (gradient.scalar_type() != tensor.scalar_type()) {
    wrong(c10::str("dtype ", tensor.scalar_type()), c10::str("dtype ", gradient.scalar_type()));
  }
  if (gradient.device() != tensor.device()) {
    wrong(c10::str("device ", tensor.device()), c10::str("device ", gradient.device()));
  }
}

napi_value setGrad(Call& call) {
  at::Tensor tensor = call.Tensor(0, "tensor");
  if (call.IsNullish(1)) {
    tensor.mutable_grad().reset();
    return call.Undefined();
  }
  at::Tensor gradient = call.Tensor(1, "gradient");
  CheckGradient(call, tensor, gradient);
  tensor.mutable_grad() = std::move(gradient);
  return call.Undefined();
}

napi_value setData(Call& call) {
  call.Tensor(0, "tensor").set_data(call.Tensor(1, "data"));
  return call.Undefined();
}

std::vector<at::Tensor> GradientsFor(const Call& call, size_t index, size_t outputs) {
  if (call.IsNullish(index)) return {};
  std::vector<at::Tensor> gradients = call.Tensors(index, "gradients", true);
  if (gradients.size() != outputs) {
    ThrowArgument(call.name, "gradients", std::to_string(outputs) + ", one for each output",
                  std::to_string(gradients.size()));
  }
  return gradients;
}

napi_value backward(Call& call) {
  std::vector<at::Tensor> outputs = call.Tensors(0, "outputs", false);
  std::vector<at::Tensor> gradients = GradientsFor(call, 1, outputs.size());
  bool retain_graph = call.Boolean(2, "retainGraph");
  bool create_graph = call.Boolean(3, "createGraph");
  std::vector<at::Tensor> inputs;
  if (!call.IsNullish(4)) {
    inputs = call.Tensors(4, "inputs", false);
    if (inputs.empty()) ThrowArgument(call.name, "inputs", "at least one Tensor", "none");
  }
  torch::autograd::backward(outputs, gradients, retain_graph, create_graph, inputs);
  return call.Undefined();
}

napi_value autogradGrad(Call& call) {
  std::vector<at::Tensor> outputs = call.Tensors(0, "outputs", false);
  std::vector<at::Tensor> inputs = call.Tensors(1, "inputs", false);
  std::vector<at::Tensor> gradients = GradientsFor(call, 2, outputs.size());
  bool retain_graph = call.Boolean(3, "retainGraph");
  bool create_graph = call.Boolean(4, "createGraph");
  bool allow_unused = call.Boolean(5, "allowUnused");
  std::vector<at::Tensor> results =
      torch::autograd::grad(outputs, inputs, gradients, retain_graph, create_graph, allow_unused);
  napi_value array;
  Check(call.env, napi_create_array_with_length(call.env, results.size(), &array));
  for (size_t at = 0; at < results.size(); ++at) {
    Check(call.env, napi_set_element(call.env, array, static_cast<uint32_t>(at),
                                     call.NewTensor(std::move(results[at]))));
  }
  return array;
}

}  // namespace

std::vector<MethodEntry> AutogradMethods() {
  return {
      WAVEGPT_METHOD(requiresGrad), WAVEGPT_METHOD(setRequiresGrad),
      WAVEGPT_METHOD(isLeaf),       WAVEGPT_METHOD(isInference),
      WAVEGPT_METHOD(retainGrad),   WAVEGPT_METHOD(gradientFunction),
      WAVEGPT_METHOD(grad),         WAVEGPT_METHOD(setGrad),
      WAVEGPT_METHOD(gradients),    WAVEGPT_METHOD(dropGradients),
      WAVEGPT_METHOD(setData),      WAVEGPT_METHOD(backward),
      WAVEGPT_METHOD(autogradGrad),
  };
}

}  // namespace wavegpt
