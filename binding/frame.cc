#include "frame.h"

#include <cmath>

#include "arguments.h"
#include "environment.h"
#include "operators.h"

namespace wavegpt {
namespace {

constexpr double kLargestSafeInteger = 9007199254740991.0;  // 2^53 - 1

std::string NumberText(double number) {
  std::string text = std::to_string(number);
  if (std::isfinite(number) && std::trunc(number) == number) text.resize(text.find('.'));
  return "number " + text;
}

using torch::autograd::AutogradMeta;
using torch::autograd::DifferentiableViewMeta;

AutogradMeta* MetaOf(const at::TensorBase& tensor) {
  return static_cast<AutogradMeta*>(tensor.unsafeGetTensorImpl()->autograd_meta());
}

bool HasForwardGradient(const AutogradMeta& meta) {
  if (meta.fw_grad_) return true;
  if (!meta.is_view_) return false;
  const auto& view = static_cast<const DifferentiableViewMeta&>(meta);
  if (!view.has_fw_view()) return false;
  const AutogradMeta* base = MetaOf(view.get_forward_view().base_);
  return base && base->fw_grad_;
}

bool IsDifferentiable(const at::Tensor& tensor) {
  const AutogradMeta* meta = MetaOf(tensor);
  return meta && (meta->requires_grad() || HasForwardGradient(*meta));
}

}  // namespace

FrameReader::FrameReader(Environment& environment, const Operator& op, Frame& frame)
    : environment_(environment),
      op_(op),
      frame_(frame),
      given_(frame.given),
      skipped_(frame.absent | frame.none),
      none_(frame.none) {
  frame.absent = frame.none = 0;
  if (C10_UNLIKELY(given_ > op.arguments.size() || given_ > Frame::kMaxGiven)) {
    ThrowTooManyArguments(op, given_);
  }
}

void FrameReader::ThrowTooLong(const OperatorArgument& argument) const {
  ThrowArgument(op_.full_name, argument.name,
                "at most " + std::to_string(Frame::kNumbers) + " values in the call frame", "more");
}

void FrameReader::ThrowHandle(const OperatorArgument& argument, const char* kind) const {
  double handle = frame_.numbers[next_ - 1];
  if (Environment::IsHandle(handle)) {
    ThrowArgument(op_.full_name, argument.name, std::string("a live ") + kind,
                  "one that was disposed, or whose scope has ended");
  }
  ThrowArgument(op_.full_name, argument.name, std::string("a ") + kind, NumberText(handle));
}

void FrameReader::ThrowNotCarried(const OperatorArgument& argument, const char* what) const {
  throw BindingError("ERR_WAVEGPT_NOT_IMPLEMENTED",
                     op_.full_name + ": argument '" + argument.name +
                         "': the call frame carries no " + what + "; leave it at its default",
                     op_.full_name, argument.name);
}

const at::Tensor& FrameReader::Tensor(const OperatorArgument& argument) {
  const at::Tensor* tensor = environment_.Find(Next(argument));
  if (C10_UNLIKELY(!tensor)) ThrowHandle(argument, "Tensor");
  if (!differentiable_) differentiable_ = IsDifferentiable(*tensor);
  return *tensor;
}

const at::Tensor* FrameReader::OptionalTensor(const OperatorArgument& argument) {
  if (next_ < Frame::kNumbers && frame_.numbers[next_] == 0) {
    ++next_;
    return nullptr;
  }
  return &Tensor(argument);
}

const at::Generator& FrameReader::Generator(const OperatorArgument& argument) {
  const at::Generator* generator = environment_.FindGenerator(Next(argument));
  if (!generator) ThrowHandle(argument, "Generator");
  return *generator;
}

double FrameReader::Number(const OperatorArgument& argument) { return Next(argument); }

int64_t FrameReader::Integer(const OperatorArgument& argument) {
  double number = Next(argument);
  if (C10_UNLIKELY(!(std::abs(number) <= kLargestSafeInteger))) {
    ThrowArgument(op_.full_name, argument.name, "an integer", NumberText(number));
  }
  auto integer = static_cast<int64_t>(number);
  if (C10_UNLIKELY(static_cast<double>(integer) != number)) {
    ThrowArgument(op_.full_name, argument.name, "an integer", NumberText(number));
  }
  if (C10_UNLIKELY(argument.window && (integer > INT32_MAX || integer < INT32_MIN))) {
    ThrowArgument(op_.full_name, argument.name, "an integer of 32 bits", std::to_string(integer));
  }
  return integer;
}

bool FrameReader::Boolean(const OperatorArgument& argument) {
  double number = Next(argument);
  if (number != 0 && number != 1) {
    ThrowArgument(op_.full_name, argument.name, "a boolean", NumberText(number));
  }
  return number == 1;
}

at::Scalar FrameReader::Scalar(const OperatorArgument& argument) {
  return ScalarOf(Next(argument));
}

int64_t FrameReader::Code(const OperatorArgument& argument, int64_t end, const char* what) {
  double number = Next(argument);
  if (!(number >= 0 && number < static_cast<double>(end) && std::trunc(number) == number)) {
    ThrowArgument(op_.full_name, argument.name, what, NumberText(number));
  }
  return static_cast<int64_t>(number);
}

size_t FrameReader::Length(const OperatorArgument& argument) {
  double length = Next(argument);
  if (!(length >= 0 && length <= static_cast<double>(Frame::kNumbers - next_)) ||
      std::trunc(length) != length) {
    ThrowArgument(op_.full_name, argument.name, "a length of the values that follow",
                  NumberText(length));
  }
  CheckListLength(op_, argument, static_cast<size_t>(length));
  return static_cast<size_t>(length);
}

c10::IntArrayRef FrameReader::Integers(const OperatorArgument& argument) {
  size_t length = Length(argument);
  int64_t* integers = environment_.integers.data() + next_;
  for (size_t at = 0; at < length; ++at) integers[at] = Integer(argument);
  return {integers, length};
}

namespace {

c10::IValue ReadOne(FrameReader& reader, const OperatorArgument& argument) {
  switch (argument.type.base) {
    case Base::kTensor:
      return reader.Tensor(argument);
    case Base::kInt:
      return reader.Integer(argument);
    case Base::kFloat:
      return reader.Number(argument);
    case Base::kBool:
      return reader.Boolean(argument);
    case Base::kScalar:
      return reader.Scalar(argument);
    case Base::kDtype:
      return reader.Code(argument, static_cast<int64_t>(at::ScalarType::Undefined), "a dtype code");
    case Base::kLayout:
      return reader.Code(argument, static_cast<int64_t>(c10::Layout::NumOptions), "a layout code");
    case Base::kMemoryFormat:
      return reader.Code(argument, static_cast<int64_t>(c10::MemoryFormat::NumOptions),
                         "a memory format code");
    case Base::kGenerator:
      return reader.Generator(argument);
    case Base::kComplex:
      return c10::complex<double>(reader.Number(argument));
    case Base::kString:
      reader.ThrowNotCarried(argument, "text");
    case Base::kDevice:
      reader.ThrowNotCarried(argument, "device");
    case Base::kUnsupported:
      break;
  }
  reader.ThrowNotCarried(argument, "value of this type");
}

c10::IValue ReadList(FrameReader& reader, const OperatorArgument& argument) {
  if (argument.type.base == Base::kInt && !argument.type.element_optional) {
    return reader.Integers(argument);
  }
  size_t length = reader.Length(argument);
  if (argument.type.base == Base::kTensor && argument.type.element_optional) {
    c10::List<std::optional<at::Tensor>> list;
    list.reserve(length);
    for (size_t at = 0; at < length; ++at) {
      const at::Tensor* tensor = reader.OptionalTensor(argument);
      list.push_back(tensor ? std::optional<at::Tensor>(*tensor) : std::nullopt);
    }
    return list;
  }
  if (argument.type.base == Base::kTensor) {
    c10::List<at::Tensor> list;
    list.reserve(length);
    for (size_t at = 0; at < length; ++at) list.push_back(reader.Tensor(argument));
    return list;
  }
  c10::impl::GenericList list(ElementType(argument.type));
  list.reserve(length);
  for (size_t at = 0; at < length; ++at) list.push_back(ReadOne(reader, argument));
  return list;
}

}  // namespace

c10::IValue ReadFrameArgument(FrameReader& reader, const Operator& op, size_t index) {
  const OperatorArgument& argument = op.arguments[index];
  if (reader.IsGiven(index)) {
    return argument.type.list ? ReadList(reader, argument) : ReadOne(reader, argument);
  }
  if (reader.IsNone(index)) {
    if (!argument.type.optional) ThrowNone(op, argument);
    return c10::IValue();
  }
  if (!argument.has_default) ThrowMissing(op, index);
  return argument.default_value;
}

}  // namespace wavegpt
