// One call from JavaScript: its arguments, read with checks, and the guard that turns exceptions
// into JavaScript errors.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "environment.h"

namespace wavegpt {

class Call {
 public:
  Call(napi_env env, napi_callback_info info, const char* name);

  size_t size() const { return argc_; }
  napi_value raw(size_t index) const { return index < argc_ ? argv_[index] : nullptr; }
  bool IsNullish(size_t index) const;

  at::Tensor Tensor(size_t index, const char* argument) const;
  at::Generator Generator(size_t index, const char* argument) const;
  double Number(size_t index, const char* argument) const;
  int64_t Integer(size_t index, const char* argument) const;
  bool Boolean(size_t index, const char* argument) const;
  std::string String(size_t index, const char* argument) const;
  uint64_t Unsigned64(size_t index, const char* argument) const;
  at::ScalarType Dtype(size_t index, const char* argument) const;
  c10::Device Device(size_t index, const char* argument) const;
  uint32_t ArrayLength(size_t index, const char* argument) const;
  std::vector<int64_t> Sizes(size_t index, const char* argument) const;
  // Null elements become undefined tensors.
  std::vector<at::Tensor> Tensors(size_t index, const char* argument, bool allow_null) const;

  napi_value NewTensor(
      at::Tensor tensor) const;  // owned by the innermost scope; null where undefined
  napi_value NewNumber(double value) const;
  napi_value NewBoolean(bool value) const;
  napi_value NewString(const std::string& value) const;
  napi_value NewBigInt(int64_t value) const;
  napi_value NewUnsignedBigInt(uint64_t value) const;
  napi_value NewNumbers(c10::IntArrayRef values) const;
  napi_value Null() const;
  napi_value Undefined() const { return nullptr; }

  napi_env env;
  const char* name;
  Environment* environment;

 private:
  static constexpr size_t kMaxArguments = 8;
  napi_value argv_[kMaxArguments];
  size_t argc_ = kMaxArguments;
};

// Shared readers, used for operators' arguments too. All throw BindingError.
at::Tensor ReadTensor(napi_env env, Environment* environment, napi_value value,
                      const std::string& function, const std::string& argument);
at::Generator ReadGenerator(napi_env env, Environment* environment, napi_value value,
                            const std::string& function, const std::string& argument);
int64_t ReadInteger(napi_env env, napi_value value, const std::string& function,
                    const std::string& argument);
double ReadNumber(napi_env env, napi_value value, const std::string& function,
                  const std::string& argument);
bool ReadBoolean(napi_env env, napi_value value, const std::string& function,
                 const std::string& argument);
std::string ReadString(napi_env env, napi_value value, const std::string& function,
                       const std::string& argument);
c10::Device ReadDevice(napi_env env, napi_value value, const std::string& function,
                       const std::string& argument);
at::ScalarType ReadDtype(napi_env env, napi_value value, const std::string& function,
                         const std::string& argument);

// The tensor whose handle stands first in the call frame; valid until the environment's next Put.
const at::Tensor& FrameTensor(const Call& call);

// Owned by the innermost scope; null where undefined.
napi_value WriteTensor(napi_env env, Environment* environment, at::Tensor tensor);
napi_value WriteInteger(napi_env env, int64_t integer);  // a bigint beyond 2^53
napi_value WriteComplex(napi_env env, c10::complex<double> number);
napi_value WriteScalar(napi_env env, const at::Scalar& scalar);

using Method = napi_value (*)(Call&);

struct MethodEntry {
  const char* name;
  napi_callback callback;
};

}  // namespace wavegpt

// Registers function `method` (a Method in scope) under its own name.
#define WAVEGPT_METHOD(method)                                        \
  {#method, [](napi_env env, napi_callback_info info) -> napi_value { \
     try {                                                            \
       ::wavegpt::Call call(env, info, #method);                      \
       return method(call);                                           \
     } catch (...) {                                                  \
       ::wavegpt::ThrowCurrentException(env, #method);                \
       return nullptr;                                                \
     }                                                                \
   }}
