// How C++ exceptions become JavaScript errors. No exception may leave the binding.
#pragma once

#include <exception>
#include <string>

#include "libtorch.h"

namespace wavegpt {

// An error of the design's form: it names the operator (or function), the argument, what was
// expected and what came.
class BindingError : public std::exception {
 public:
  BindingError(std::string code, std::string message, std::string operator_name = "",
               std::string argument = "")
      : code(std::move(code)),
        message(std::move(message)),
        operator_name(std::move(operator_name)),
        argument(std::move(argument)) {}
  const char* what() const noexcept override { return message.c_str(); }

  std::string code;
  std::string message;
  std::string operator_name;
  std::string argument;
};

// "name: argument 'x' expected ..., got ...".
[[noreturn]] void ThrowArgument(const std::string& function, const std::string& argument,
                                const std::string& expected, const std::string& received);

// What a JavaScript value is, for messages: "number 3.5", "string \"abc\"", "Array(3)", "null".
std::string Describe(napi_env env, napi_value value);

// The message and code of the exception being handled; `context` (an operator's name) stands before
// the message.
BindingError CurrentException(const std::string& context);

// Throws the exception being handled as a JavaScript error.
void ThrowCurrentException(napi_env env, const char* function);

// Throws when a Node-API call failed.
void Check(napi_env env, napi_status status);

}  // namespace wavegpt
