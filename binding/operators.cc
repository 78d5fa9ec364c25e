#include "operators.h"

#include <algorithm>

#include "scalar_arithmetic.h"

namespace wavegpt {

const char* BaseName(Base base) {
  switch (base) {
    case Base::kTensor:
      return "Tensor";
    case Base::kInt:
      return "int";
    case Base::kFloat:
      return "float";
    case Base::kBool:
      return "bool";
    case Base::kScalar:
      return "Scalar";
    case Base::kString:
      return "str";
    case Base::kDtype:
      return "ScalarType";
    case Base::kLayout:
      return "Layout";
    case Base::kMemoryFormat:
      return "MemoryFormat";
    case Base::kDevice:
      return "Device";
    case Base::kGenerator:
      return "Generator";
    case Base::kComplex:
      return "complex";
    case Base::kUnsupported:
      return "unsupported";
  }
  return "unsupported";
}

namespace {

Base ReadBase(const c10::Type& type) {
  switch (type.kind()) {
    case c10::TypeKind::TensorType:
      return Base::kTensor;
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType:
      return Base::kInt;
    case c10::TypeKind::FloatType:
    case c10::TypeKind::SymFloatType:
      return Base::kFloat;
    case c10::TypeKind::BoolType:
    case c10::TypeKind::SymBoolType:
      return Base::kBool;
    case c10::TypeKind::NumberType:
      return Base::kScalar;
    case c10::TypeKind::StringType:
      return Base::kString;
    case c10::TypeKind::ScalarTypeType:
      return Base::kDtype;
    case c10::TypeKind::LayoutType:
      return Base::kLayout;
    case c10::TypeKind::MemoryFormatType:
      return Base::kMemoryFormat;
    case c10::TypeKind::DeviceObjType:
      return Base::kDevice;
    case c10::TypeKind::GeneratorType:
      return Base::kGenerator;
    case c10::TypeKind::ComplexType:
      return Base::kComplex;
    default:
      return Base::kUnsupported;
  }
}

bool IsSymbolic(const c10::Type& type) {
  return type.kind() == c10::TypeKind::SymIntType || type.kind() == c10::TypeKind::SymFloatType ||
         type.kind() == c10::TypeKind::SymBoolType;
}

// Operators of other namespaces may have kernels for autograd that do more; so do these of aten.
bool HasOwnAutograd(const c10::OperatorName& name) {
  if (name.name.rfind("aten::", 0) != 0) return true;
  for (const char* own :
       {"detach", "detach_", "requires_grad_", "retain_grad", "set_data", "is_leaf", "output_nr",
        "_version", "_backward", "_fw_primal", "_make_dual", "_unpack_dual", "set_", "resize_",
        "resize_as_", "resize_as_sparse_", "_new_zeros_with_same_feature_meta"}) {
    if (name.name.compare(6, std::string::npos, own) == 0) return true;
  }
  return false;
}

AutogradKernels FindAutogradKernels(const c10::OperatorHandle& handle) {
  const c10::FunctionSchema& schema = handle.schema();
  if (HasOwnAutograd(schema.operator_name())) return AutogradKernels::kNeeded;
  // A composition may return a view that its schema does not tell of.
  if (handle.hasKernelForDispatchKey(c10::DispatchKey::CompositeImplicitAutograd)) {
    return AutogradKernels::kGradients;
  }
  auto aliases = [](const c10::Argument& argument) { return argument.alias_info() != nullptr; };
  bool fresh = std::none_of(schema.arguments().begin(), schema.arguments().end(), aliases) &&
               std::none_of(schema.returns().begin(), schema.returns().end(), aliases);
  return fresh ? AutogradKernels::kAll : AutogradKernels::kGradients;
}

bool IsWindow(const std::string& name) {
  for (const char* window : {"kernel_size", "stride", "padding", "output_padding", "dilation"}) {
    if (name == window) return true;
  }
  return false;
}

}  // namespace

ArgumentType ReadType(const c10::TypePtr& type) {
  ArgumentType result;
  c10::TypePtr inner = type;
  if (inner->kind() == c10::TypeKind::OptionalType) {
    result.optional = true;
    inner = inner->castRaw<c10::OptionalType>()->getElementType();
  }
  if (inner->kind() == c10::TypeKind::ListType) {
    result.list = true;
    inner = inner->castRaw<c10::ListType>()->getElementType();
    if (inner->kind() == c10::TypeKind::OptionalType) {
      result.element_optional = true;
      inner = inner->castRaw<c10::OptionalType>()->getElementType();
    }
  }
  result.base = ReadBase(*inner);
  result.symbolic = IsSymbolic(*inner);
  return result;
}

Operator::Operator(c10::OperatorHandle operator_handle) : handle(operator_handle) {
  const c10::FunctionSchema& schema = handle.schema();
  full_name = c10::toString(schema.operator_name());
  for (const c10::Argument& argument : schema.arguments()) {
    OperatorArgument& added = arguments.emplace_back();
    added.name = argument.name();
    added.type = ReadType(argument.real_type());
    added.size = argument.N().value_or(0);
    added.window = IsWindow(added.name);
    added.mutated = argument.alias_info() && argument.alias_info()->isWrite();
    if (argument.default_value()) {
      added.has_default = true;
      added.default_value = *argument.default_value();
    }
  }
  for (const c10::Argument& value : schema.returns()) {
    OperatorReturn& added = returns.emplace_back();
    added.type = ReadType(value.real_type());
    const c10::AliasInfo* alias = value.alias_info();
    if (!alias || !alias->isWrite() || added.type.base != Base::kTensor) continue;
    for (size_t at = 0; at < arguments.size(); ++at) {
      const c10::AliasInfo* source = schema.arguments()[at].alias_info();
      if (source && source->isWrite() && source->beforeSets() == alias->beforeSets()) {
        added.argument = static_cast<int>(at);
        break;
      }
    }
  }
  if (!handle.hasTag(at::Tag::pointwise)) {
    for (size_t at = 0; at < arguments.size(); ++at) {
      if (schema.arguments()[at].is_out()) exclusive_outs.push_back(at);
    }
  }
  refused = RefusalReason(schema.operator_name());
  check = FindCheck(schema.operator_name());
  needs_tensors = NeedsTensors(schema.operator_name());
  autograd = FindAutogradKernels(handle);
  typed = FindTypedCall(*this);
  if (typed) {
    if (auto faster = FindScalarArithmetic(schema.operator_name(), typed))
      typed = std::move(faster);
  }
}

Operator::~Operator() = default;

}  // namespace wavegpt
