#include "call.h"

#include <cmath>

namespace wavegpt {
namespace {

constexpr double kLargestSafeInteger = 9007199254740991.0;  // 2^53 - 1

bool Typed(napi_env env, napi_value value, napi_valuetype wanted) {
  napi_valuetype type;
  return value != nullptr && napi_typeof(env, value, &type) == napi_ok && type == wanted;
}

}  // namespace

Call::Call(napi_env env, napi_callback_info info, const char* name) : env(env), name(name) {
  Check(env, napi_get_cb_info(env, info, &argc_, argv_, nullptr, nullptr));
  if (argc_ > kMaxArguments) {
    throw BindingError("ERR_WAVEGPT_ARGUMENT",
                       std::string(name) + ": expected at most " + std::to_string(kMaxArguments) +
                           " arguments, got " + std::to_string(argc_),
                       name);
  }
  environment = Environment::From(env);
}

bool Call::IsNullish(size_t index) const {
  napi_value value = raw(index);
  return value == nullptr || Typed(env, value, napi_undefined) || Typed(env, value, napi_null);
}

at::Tensor Call::Tensor(size_t index, const char* argument) const {
  return ReadTensor(env, environment, raw(index), name, argument);
}

at::Generator Call::Generator(size_t index, const char* argument) const {
  return ReadGenerator(env, environment, raw(index), name, argument);
}

double Call::Number(size_t index, const char* argument) const {
  return ReadNumber(env, raw(index), name, argument);
}

int64_t Call::Integer(size_t index, const char* argument) const {
  return ReadInteger(env, raw(index), name, argument);
}

bool Call::Boolean(size_t index, const char* argument) const {
  return ReadBoolean(env, raw(index), name, argument);
}

std::string Call::String(size_t index, const char* argument) const {
  return ReadString(env, raw(index), name, argument);
}

uint64_t Call::Unsigned64(size_t index, const char* argument) const {
  napi_value value = raw(index);
  if (!Typed(env, value, napi_bigint)) {
    ThrowArgument(name, argument, "a bigint", Describe(env, value));
  }
  int64_t number;
  uint64_t bits;
  bool lossless, lossless_unsigned;
  Check(env, napi_get_value_bigint_int64(env, value, &number, &lossless));
  Check(env, napi_get_value_bigint_uint64(env, value, &bits, &lossless_unsigned));
  if (!lossless && !lossless_unsigned) {
    ThrowArgument(name, argument, "a bigint of 64 bits", "a larger one");
  }
  return lossless_unsigned ? bits : static_cast<uint64_t>(number);
}

at::ScalarType Call::Dtype(size_t index, const char* argument) const {
  return ReadDtype(env, raw(index), name, argument);
}

c10::Device Call::Device(size_t index, const char* argument) const {
  return ReadDevice(env, raw(index), name, argument);
}

uint32_t Call::ArrayLength(size_t index, const char* argument) const {
  napi_value array = raw(index);
  bool is_array = false;
  if (array == nullptr || napi_is_array(env, array, &is_array) != napi_ok || !is_array) {
    ThrowArgument(name, argument, "an array", Describe(env, array));
  }
  uint32_t length;
  Check(env, napi_get_array_length(env, array, &length));
  return length;
}

std::vector<int64_t> Call::Sizes(size_t index, const char* argument) const {
  uint32_t length = ArrayLength(index, argument);
  std::vector<int64_t> sizes;
  sizes.reserve(length);
  for (uint32_t at = 0; at < length; ++at) {
    napi_value element;
    Check(env, napi_get_element(env, raw(index), at, &element));
    sizes.push_back(ReadInteger(env, element, name, argument));
  }
  return sizes;
}

std::vector<at::Tensor> Call::Tensors(size_t index, const char* argument, bool allow_null) const {
  uint32_t length = ArrayLength(index, argument);
  std::vector<at::Tensor> tensors;
  tensors.reserve(length);
  for (uint32_t at = 0; at < length; ++at) {
    napi_value element;
    Check(env, napi_get_element(env, raw(index), at, &element));
    if (allow_null && (Typed(env, element, napi_null) || Typed(env, element, napi_undefined))) {
      tensors.emplace_back();
    } else {
      tensors.push_back(ReadTensor(env, environment, element, name, argument));
    }
  }
  return tensors;
}

napi_value Call::NewTensor(at::Tensor tensor) const {
  return WriteTensor(env, environment, std::move(tensor));
}

napi_value Call::NewNumber(double value) const {
  napi_value result;
  Check(env, napi_create_double(env, value, &result));
  return result;
}

napi_value Call::NewBoolean(bool value) const {
  napi_value result;
  Check(env, napi_get_boolean(env, value, &result));
  return result;
}

napi_value Call::NewString(const std::string& value) const {
  napi_value result;
  Check(env, napi_create_string_utf8(env, value.data(), value.size(), &result));
  return result;
}

napi_value Call::NewBigInt(int64_t value) const {
  napi_value result;
  Check(env, napi_create_bigint_int64(env, value, &result));
  return result;
}

napi_value Call::NewUnsignedBigInt(uint64_t value) const {
  napi_value result;
  Check(env, napi_create_bigint_uint64(env, value, &result));
  return result;
}

napi_value Call::NewNumbers(c10::IntArrayRef values) const {
  napi_value array;
  Check(env, napi_create_array_with_length(env, values.size(), &array));
  for (size_t at = 0; at < values.size(); ++at) {
    Check(env, napi_set_element(env, array, static_cast<uint32_t>(at),
                                NewNumber(static_cast<double>(values[at]))));
  }
  return array;
}

napi_value Call::Null() const {
  napi_value result;
  Check(env, napi_get_null(env, &result));
  return result;
}

at::Tensor ReadTensor(napi_env env, Environment* environment, napi_value value,
                      const std::string& function, const std::string& argument) {
  double handle;
  if (value == nullptr || napi_get_value_double(env, value, &handle) != napi_ok) {
    ThrowArgument(function, argument, "a Tensor", Describe(env, value));
  }
  const at::Tensor* tensor = environment->Find(handle);
  if (!tensor) {
    bool stale = Environment::IsHandle(handle);
    ThrowArgument(function, argument, "a live Tensor",
                  stale ? "one that was disposed, or whose scope has ended" : Describe(env, value));
  }
  return *tensor;
}

at::Generator ReadGenerator(napi_env env, Environment* environment, napi_value value,
                            const std::string& function, const std::string& argument) {
  double handle;
  if (value == nullptr || napi_get_value_double(env, value, &handle) != napi_ok) {
    ThrowArgument(function, argument, "a Generator", Describe(env, value));
  }
  const at::Generator* generator = environment->FindGenerator(handle);
  if (!generator) {
    bool stale = Environment::IsHandle(handle);
    ThrowArgument(function, argument, "a live Generator",
                  stale ? "one that was disposed" : Describe(env, value));
  }
  return *generator;
}

int64_t ReadInteger(napi_env env, napi_value value, const std::string& function,
                    const std::string& argument) {
  double number;
  if (value != nullptr && napi_get_value_double(env, value, &number) == napi_ok) {
    if (!(std::abs(number) <= kLargestSafeInteger) || std::trunc(number) != number) {
      ThrowArgument(function, argument, "an integer", Describe(env, value));
    }
    return static_cast<int64_t>(number);
  }
  int64_t integer;
  bool lossless;
  if (value == nullptr || napi_get_value_bigint_int64(env, value, &integer, &lossless) != napi_ok) {
    ThrowArgument(function, argument, "an integer", Describe(env, value));
  }
  if (!lossless) ThrowArgument(function, argument, "an integer of 64 bits", "a larger bigint");
  return integer;
}

double ReadNumber(napi_env env, napi_value value, const std::string& function,
                  const std::string& argument) {
  double number;
  if (value == nullptr || napi_get_value_double(env, value, &number) != napi_ok) {
    ThrowArgument(function, argument, "a number", Describe(env, value));
  }
  return number;
}

bool ReadBoolean(napi_env env, napi_value value, const std::string& function,
                 const std::string& argument) {
  bool flag;
  if (value == nullptr || napi_get_value_bool(env, value, &flag) != napi_ok) {
    ThrowArgument(function, argument, "a boolean", Describe(env, value));
  }
  return flag;
}

std::string ReadString(napi_env env, napi_value value, const std::string& function,
                       const std::string& argument) {
  size_t length;
  if (value == nullptr || napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) {
    ThrowArgument(function, argument, "a string", Describe(env, value));
  }
  std::string text(length, '\0');
  Check(env, napi_get_value_string_utf8(env, value, text.data(), length + 1, &length));
  return text;
}

c10::Device ReadDevice(napi_env env, napi_value value, const std::string& function,
                       const std::string& argument) {
  std::string text = ReadString(env, value, function, argument);
  try {
    return c10::Device(text);
  } catch (const c10::Error&) {
    ThrowArgument(function, argument, "a device such as \"cpu\", \"cuda:0\" or \"mps\"",
                  "string \"" + text + "\"");
  }
}

at::ScalarType ReadDtype(napi_env env, napi_value value, const std::string& function,
                         const std::string& argument) {
  int64_t code = ReadInteger(env, value, function, argument);
  if (code < 0 || code >= static_cast<int64_t>(at::ScalarType::Undefined)) {
    ThrowArgument(function, argument,
                  "a dtype code from 0 to " +
                      std::to_string(static_cast<int64_t>(at::ScalarType::Undefined) - 1),
                  std::to_string(code));
  }
  return static_cast<at::ScalarType>(code);
}

const at::Tensor& FrameTensor(const Call& call) {
  ++call.environment->frame->calls;
  double handle = call.environment->frame->numbers[0];
  const at::Tensor* tensor = call.environment->Find(handle);
  if (C10_UNLIKELY(!tensor)) {
    bool stale = Environment::IsHandle(handle);
    ThrowArgument(call.name, "tensor", stale ? "a live Tensor" : "a Tensor",
                  stale ? "one that was disposed, or whose scope has ended"
                        : "number " + std::to_string(handle));
  }
  return *tensor;
}

napi_value WriteTensor(napi_env env, Environment* environment, at::Tensor tensor) {
  napi_value result;
  if (!tensor.defined()) {
    Check(env, napi_get_null(env, &result));
  } else {
    Check(env, napi_create_double(env, environment->Put(std::move(tensor)), &result));
  }
  return result;
}

napi_value WriteInteger(napi_env env, int64_t integer) {
  napi_value result;
  if (std::abs(static_cast<double>(integer)) <= kLargestSafeInteger) {
    Check(env, napi_create_int64(env, integer, &result));
  } else {
    Check(env, napi_create_bigint_int64(env, integer, &result));
  }
  return result;
}

napi_value WriteComplex(napi_env env, c10::complex<double> number) {
  napi_value result, real, imaginary;
  Check(env, napi_create_object(env, &result));
  Check(env, napi_create_double(env, number.real(), &real));
  Check(env, napi_create_double(env, number.imag(), &imaginary));
  Check(env, napi_set_named_property(env, result, "re", real));
  Check(env, napi_set_named_property(env, result, "im", imaginary));
  return result;
}

napi_value WriteScalar(napi_env env, const at::Scalar& scalar) {
  napi_value result;
  if (scalar.isBoolean()) {
    Check(env, napi_get_boolean(env, scalar.toBool(), &result));
  } else if (scalar.isIntegral(false)) {
    if (scalar.type() == at::kUInt64) {
      uint64_t integer = scalar.toUInt64();
      if (static_cast<double>(integer) > kLargestSafeInteger) {
        Check(env, napi_create_bigint_uint64(env, integer, &result));
        return result;
      }
    }
    return WriteInteger(env, scalar.toLong());
  } else if (scalar.isFloatingPoint()) {
    Check(env, napi_create_double(env, scalar.toDouble(), &result));
  } else {
    return WriteComplex(env, scalar.toComplexDouble());
  }
  return result;
}

}  // namespace wavegpt
