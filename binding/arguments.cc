#include "arguments.h"

#include <cmath>

namespace wavegpt {
namespace {

constexpr double kInt64Limit = 9223372036854775808.0;  // 2^63

// "int[2]?" in words.
std::string TypeName(const OperatorArgument& argument) {
  std::string name = BaseName(argument.type.base);
  if (argument.type.element_optional) name += "?";
  if (argument.type.list) {
    name += argument.size > 0 ? "[" + std::to_string(argument.size) + "]" : "[]";
  }
  if (argument.type.optional) name += "?";
  return name;
}

[[noreturn]] void ThrowType(napi_env env, const Operator& op, const OperatorArgument& argument,
                            napi_value value) {
  ThrowArgument(op.full_name, argument.name, TypeName(argument), Describe(env, value));
}

c10::complex<double> ReadComplex(napi_env env, const Operator& op, const OperatorArgument& argument,
                                 napi_value value) {
  double parts[2];
  const char* names[] = {"re", "im"};
  for (int part = 0; part < 2; ++part) {
    napi_value number;
    bool has = false;
    if (napi_has_named_property(env, value, names[part], &has) != napi_ok || !has ||
        napi_get_named_property(env, value, names[part], &number) != napi_ok ||
        napi_get_value_double(env, number, &parts[part]) != napi_ok) {
      ThrowArgument(op.full_name, argument.name, "a number or { re, im }", Describe(env, value));
    }
  }
  return {parts[0], parts[1]};
}

at::Scalar ReadScalar(napi_env env, const Operator& op, const OperatorArgument& argument,
                      napi_value value) {
  napi_valuetype type;
  if (napi_typeof(env, value, &type) != napi_ok) ThrowType(env, op, argument, value);
  switch (type) {
    case napi_number: {
      double number;
      Check(env, napi_get_value_double(env, value, &number));
      return ScalarOf(number);
    }
    case napi_boolean: {
      bool flag;
      Check(env, napi_get_value_bool(env, value, &flag));
      return flag;
    }
    case napi_bigint: {
      int64_t integer;
      bool lossless;
      Check(env, napi_get_value_bigint_int64(env, value, &integer, &lossless));
      if (lossless) return integer;
      uint64_t bits;
      Check(env, napi_get_value_bigint_uint64(env, value, &bits, &lossless));
      if (lossless) return bits;
      ThrowArgument(op.full_name, argument.name, "an integer of 64 bits", "a larger bigint");
    }
    case napi_object:
      return ReadComplex(env, op, argument, value);
    default:
      ThrowType(env, op, argument, value);
  }
}

template <typename Enumeration>
int64_t ReadCode(napi_env env, const Operator& op, const OperatorArgument& argument,
                 napi_value value, Enumeration end, const char* what) {
  int64_t code = ReadInteger(env, value, op.full_name, argument.name);
  if (code < 0 || code >= static_cast<int64_t>(end)) {
    ThrowArgument(op.full_name, argument.name, what, std::to_string(code));
  }
  return code;
}

int64_t ReadInt(napi_env env, napi_value value, const Operator& op,
                const OperatorArgument& argument) {
  int64_t integer = ReadInteger(env, value, op.full_name, argument.name);
  if (argument.window && (integer > INT32_MAX || integer < INT32_MIN)) {
    ThrowArgument(op.full_name, argument.name, "an integer of 32 bits", std::to_string(integer));
  }
  return integer;
}

c10::IValue ReadElement(napi_env env, Environment* environment, napi_value value,
                        const Operator& op, const OperatorArgument& argument) {
  const std::string& function = op.full_name;
  const std::string& name = argument.name;
  switch (argument.type.base) {
    case Base::kTensor:
      return ReadTensor(env, environment, value, function, name);
    case Base::kInt:
      return ReadInt(env, value, op, argument);
    case Base::kFloat:
      return ReadNumber(env, value, function, name);
    case Base::kBool:
      return ReadBoolean(env, value, function, name);
    case Base::kScalar:
      return ReadScalar(env, op, argument, value);
    case Base::kString:
      return ReadString(env, value, function, name);
    case Base::kDtype:
      return static_cast<int64_t>(ReadDtype(env, value, function, name));
    case Base::kLayout:
      return ReadCode(env, op, argument, value, c10::Layout::NumOptions, "a layout code");
    case Base::kMemoryFormat:
      return ReadCode(env, op, argument, value, c10::MemoryFormat::NumOptions,
                      "a memory format code");
    case Base::kDevice:
      return ReadDevice(env, value, function, name);
    case Base::kGenerator:
      return ReadGenerator(env, environment, value, function, name);
    case Base::kComplex: {
      double number;
      if (napi_get_value_double(env, value, &number) == napi_ok) {
        return c10::complex<double>(number);
      }
      return ReadComplex(env, op, argument, value);
    }
    case Base::kUnsupported:
      break;
  }
  throw BindingError("ERR_WAVEGPT_NOT_IMPLEMENTED",
                     function + ": argument '" + name +
                         "' has a type that JavaScript cannot pass; leave it at its default",
                     function, name);
}

bool IsNullish(napi_env env, napi_value value) {
  napi_valuetype type;
  return napi_typeof(env, value, &type) != napi_ok || type == napi_null || type == napi_undefined;
}

// One number stands for N of them in `int[N]`.
bool IsSingleFor(napi_env env, napi_value value, const OperatorArgument& argument) {
  if (argument.size <= 0) return false;
  napi_valuetype type;
  return napi_typeof(env, value, &type) == napi_ok &&
         (type == napi_number || type == napi_bigint || type == napi_boolean);
}

template <typename Element, typename Next, typename Read>
c10::IValue ReadTypedList(size_t length, Next next, Read read) {
  c10::List<Element> list;
  list.reserve(length);
  for (size_t at = 0; at < length; ++at) list.push_back(read(next(at)));
  return list;
}

// `next(at)` is the element at a place.
template <typename Next>
c10::IValue ReadElements(napi_env env, Environment* environment, size_t length, Next next,
                         const Operator& op, const OperatorArgument& argument) {
  const ArgumentType& type = argument.type;
  CheckListLength(op, argument, length);
  if (type.base == Base::kTensor && type.element_optional) {
    return ReadTypedList<std::optional<at::Tensor>>(
        length, next, [&](napi_value element) -> std::optional<at::Tensor> {
          if (IsNullish(env, element)) return std::nullopt;
          return ReadTensor(env, environment, element, op.full_name, argument.name);
        });
  }
  if (type.base == Base::kTensor) {
    return ReadTypedList<at::Tensor>(length, next, [&](napi_value element) {
      return ReadTensor(env, environment, element, op.full_name, argument.name);
    });
  }
  if (type.base == Base::kInt && !type.element_optional) {
    return ReadTypedList<int64_t>(
        length, next, [&](napi_value element) { return ReadInt(env, element, op, argument); });
  }
  c10::impl::GenericList list(ElementType(type));
  list.reserve(length);
  for (size_t at = 0; at < length; ++at) {
    napi_value element = next(at);
    if (type.element_optional && IsNullish(env, element)) {
      list.push_back(c10::IValue());
    } else {
      list.push_back(ReadElement(env, environment, element, op, argument));
    }
  }
  return list;
}

c10::IValue ReadList(napi_env env, Environment* environment, napi_value value, const Operator& op,
                     const OperatorArgument& argument) {
  if (IsSingleFor(env, value, argument)) {
    return ReadElements(
        env, environment, static_cast<size_t>(argument.size), [&](size_t) { return value; }, op,
        argument);
  }
  bool is_array = false;
  if (argument.type.base == Base::kUnsupported || napi_is_array(env, value, &is_array) != napi_ok ||
      !is_array) {
    ThrowType(env, op, argument, value);
  }
  uint32_t length;
  Check(env, napi_get_array_length(env, value, &length));
  auto next = [&](size_t at) {
    napi_value element;
    Check(env, napi_get_element(env, value, static_cast<uint32_t>(at), &element));
    return element;
  };
  return ReadElements(env, environment, length, next, op, argument);
}

}  // namespace

c10::IValue ReadArgument(napi_env env, Environment* environment, napi_value value,
                         const Operator& op, const OperatorArgument& argument) {
  if (argument.type.optional && IsNullish(env, value)) return c10::IValue();
  if (argument.type.list) return ReadList(env, environment, value, op, argument);
  return ReadElement(env, environment, value, op, argument);
}

at::Scalar ScalarOf(double number) {
  bool integral = std::trunc(number) == number && std::abs(number) < kInt64Limit &&
                  !(number == 0 && std::signbit(number));
  return integral ? at::Scalar(static_cast<int64_t>(number)) : at::Scalar(number);
}

c10::TypePtr ElementType(const ArgumentType& type) {
  c10::TypePtr element;
  switch (type.base) {
    case Base::kScalar:
      element = c10::NumberType::get();
      break;
    case Base::kString:
      element = c10::StringType::get();
      break;
    case Base::kBool:
      element = c10::BoolType::get();
      break;
    case Base::kFloat:
      element = c10::FloatType::get();
      break;
    case Base::kComplex:
      element = c10::ComplexType::get();
      break;
    case Base::kDevice:
      element = c10::DeviceObjType::get();
      break;
    default:
      element = c10::IntType::get();
  }
  return type.element_optional ? c10::OptionalType::create(element) : element;
}

void CheckListLength(const Operator& op, const OperatorArgument& argument, size_t length) {
  if (length == 0 && op.needs_tensors && argument.type.base == Base::kTensor) {
    ThrowArgument(op.full_name, argument.name, "at least one Tensor", "none");
  }
}

void ThrowTooManyArguments(const Operator& op, size_t given) {
  throw BindingError("ERR_WAVEGPT_ARGUMENT",
                     op.full_name + ": expected at most " + std::to_string(op.arguments.size()) +
                         " arguments, got " + std::to_string(given),
                     op.full_name);
}

void ThrowMissing(const Operator& op, size_t argument) {
  ThrowArgument(op.full_name, op.arguments[argument].name,
                "a value (" + op.handle.schema().arguments()[argument].real_type()->str() + ")",
                "nothing");
}

void ThrowNone(const Operator& op, const OperatorArgument& argument) {
  ThrowArgument(op.full_name, argument.name, TypeName(argument), "null");
}

napi_value WriteResult(napi_env env, Environment* environment, c10::IValue& value) {
  napi_value result;
  if (value.isTensor()) return WriteTensor(env, environment, std::move(value).toTensor());
  if (value.isInt()) return WriteInteger(env, value.toInt());
  if (value.isDouble()) {
    Check(env, napi_create_double(env, value.toDouble(), &result));
    return result;
  }
  if (value.isBool()) {
    Check(env, napi_get_boolean(env, value.toBool(), &result));
    return result;
  }
  if (value.isNone()) {
    Check(env, napi_get_null(env, &result));
    return result;
  }
  if (value.isString()) {
    const std::string& text = value.toStringRef();
    Check(env, napi_create_string_utf8(env, text.data(), text.size(), &result));
    return result;
  }
  if (value.isComplexDouble()) return WriteComplex(env, value.toComplexDouble());
  if (value.isList()) {
    auto list = value.toListRef();
    Check(env, napi_create_array_with_length(env, list.size(), &result));
    for (size_t at = 0; at < list.size(); ++at) {
      c10::IValue element = list[at];
      Check(env, napi_set_element(env, result, static_cast<uint32_t>(at),
                                  WriteResult(env, environment, element)));
    }
    return result;
  }
  if (value.isDevice()) {
    std::string text = value.toDevice().str();
    Check(env, napi_create_string_utf8(env, text.data(), text.size(), &result));
    return result;
  }
  throw BindingError("ERR_WAVEGPT_NOT_IMPLEMENTED",
                     "a result of type " + value.tagKind() + " cannot be passed to JavaScript");
}

}  // namespace wavegpt
