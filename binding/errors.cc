#include "errors.h"

#include <new>
#include <sstream>
#include <stdexcept>

namespace wavegpt {
namespace {

constexpr const char* kLibtorchCode = "ERR_WAVEGPT_LIBTORCH";

// libtorch's dispatch errors go on for pages about backends and builds: keep what a caller can use.
std::string Shorten(std::string message) {
  for (const char* tail : {" This could be because", "\nException raised from", "\nDebug info:"}) {
    auto at = message.find(tail);
    if (at != std::string::npos) message.resize(at);
  }
  while (!message.empty() && (message.back() == '\n' || message.back() == ' ')) message.pop_back();
  return message;
}

BindingError WithContext(const char* code, std::string message, const std::string& context) {
  message = Shorten(std::move(message));
  return {code, context.empty() ? message : context + ": " + message, context};
}

void SetString(napi_env env, napi_value object, const char* key, const std::string& text) {
  napi_value value;
  if (!text.empty() && napi_create_string_utf8(env, text.data(), text.size(), &value) == napi_ok) {
    napi_set_named_property(env, object, key, value);
  }
}

void ThrowToJavaScript(napi_env env, const BindingError& error) {
  napi_value code, message, object;
  if (napi_create_string_utf8(env, error.code.data(), error.code.size(), &code) != napi_ok ||
      napi_create_string_utf8(env, error.message.data(), error.message.size(), &message) !=
          napi_ok ||
      napi_create_error(env, code, message, &object) != napi_ok) {
    return;  // an exception is pending already, or the environment is going away
  }
  SetString(env, object, "operator", error.operator_name);
  SetString(env, object, "argument", error.argument);
  napi_throw(env, object);
}

}  // namespace

void ThrowArgument(const std::string& function, const std::string& argument,
                   const std::string& expected, const std::string& received) {
  throw BindingError(
      "ERR_WAVEGPT_ARGUMENT",
      function + ": argument '" + argument + "' expected " + expected + ", got " + received,
      function, argument);
}

std::string Describe(napi_env env, napi_value value) {
  napi_valuetype type;
  if (value == nullptr || napi_typeof(env, value, &type) != napi_ok) return "nothing";
  switch (type) {
    case napi_undefined:
      return "undefined";
    case napi_null:
      return "null";
    case napi_boolean: {
      bool flag = false;
      napi_get_value_bool(env, value, &flag);
      return flag ? "boolean true" : "boolean false";
    }
    case napi_number: {
      double number = 0;
      napi_get_value_double(env, value, &number);
      std::ostringstream out;
      out.precision(17);
      out << "number " << number;
      return out.str();
    }
    case napi_string: {
      char text[48];
      size_t length = 0;
      napi_get_value_string_utf8(env, value, text, sizeof text, &length);
      return "string \"" + std::string(text, length) + (length == sizeof text - 1 ? "…\"" : "\"");
    }
    case napi_bigint:
      return "a bigint";
    case napi_symbol:
      return "a symbol";
    case napi_function:
      return "a function";
    case napi_external:
      return "an external value";
    case napi_object: {
      bool flag = false;
      if (napi_is_array(env, value, &flag) == napi_ok && flag) {
        uint32_t length = 0;
        napi_get_array_length(env, value, &length);
        return "Array(" + std::to_string(length) + ")";
      }
      if (napi_is_typedarray(env, value, &flag) == napi_ok && flag) return "a typed array";
      return "an object";
    }
  }
  return "an unknown value";
}

BindingError CurrentException(const std::string& context) {
  try {
    throw;
  } catch (const BindingError& error) {
    return error;
  } catch (const c10::OutOfMemoryError& error) {
    return WithContext("ERR_WAVEGPT_OUT_OF_MEMORY", error.what_without_backtrace(), context);
  } catch (const c10::NotImplementedError& error) {
    return WithContext("ERR_WAVEGPT_NOT_IMPLEMENTED", error.what_without_backtrace(), context);
  } catch (const c10::Error& error) {
    std::string message = error.what_without_backtrace();
    bool memory = message.find("DefaultCPUAllocator") != std::string::npos;
    return WithContext(memory ? "ERR_WAVEGPT_OUT_OF_MEMORY" : kLibtorchCode, std::move(message),
                       context);
  } catch (const std::bad_alloc&) {
    return WithContext("ERR_WAVEGPT_OUT_OF_MEMORY", "out of memory", context);
  } catch (const std::exception& error) {
    return WithContext(kLibtorchCode, error.what(), context);
  } catch (...) {
    return WithContext(kLibtorchCode, "an exception of unknown type", context);
  }
}

void ThrowCurrentException(napi_env env, const char* function) {
  try {
    throw;
  } catch (const Napi::Error& error) {
    error.ThrowAsJavaScriptException();
  } catch (...) {
    try {
      ThrowToJavaScript(env, CurrentException(function));
    } catch (...) {
      napi_throw_error(env, "ERR_WAVEGPT_OUT_OF_MEMORY", "out of memory while reporting an error");
    }
  }
}

void Check(napi_env env, napi_status status) {
  if (status == napi_ok) return;
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (pending) throw Napi::Error::New(env);
  const napi_extended_error_info* info = nullptr;
  napi_get_last_error_info(env, &info);
  throw BindingError("ERR_WAVEGPT_NODE",
                     info && info->error_message ? info->error_message : "Node-API call failed");
}

}  // namespace wavegpt
