// Modes of this thread: no-grad, inference, autocast; and libtorch's process-wide defaults.
#include "methods.h"

namespace wavegpt {
namespace {

napi_value isGradEnabled(Call& call) { return call.NewBoolean(c10::GradMode::is_enabled()); }

napi_value setGradEnabled(Call& call) {
  c10::GradMode::set_enabled(call.Boolean(0, "enabled"));
  return call.Undefined();
}

napi_value isInferenceMode(Call& call) { return call.NewBoolean(c10::InferenceMode::is_enabled()); }

napi_value enterInferenceMode(Call& call) {
  bool enabled = call.Boolean(0, "enabled");
  call.environment->inference_modes.push_back(std::make_unique<c10::InferenceMode>(enabled));
  return call.Undefined();
}

napi_value exitInferenceMode(Call& call) {
  if (call.environment->inference_modes.empty()) {
    throw BindingError("ERR_WAVEGPT_SCOPE", "exitInferenceMode: no inference mode was entered");
  }
  call.environment->inference_modes.pop_back();
  return call.Undefined();
}

c10::DeviceType AutocastDevice(Call& call) {
  c10::DeviceType type = call.Device(0, "deviceType").type();
  if (!at::autocast::is_autocast_available(type)) {
    ThrowArgument(call.name, "deviceType", "a device type with autocast",
                  c10::DeviceTypeName(type, true));
  }
  return type;
}

napi_value autocast(Call& call) {
  c10::DeviceType type = AutocastDevice(call);
  napi_value result;
  Check(call.env, napi_create_object(call.env, &result));
  auto set = [&](const char* key, napi_value value) {
    Check(call.env, napi_set_named_property(call.env, result, key, value));
  };
  set("enabled", call.NewBoolean(at::autocast::is_autocast_enabled(type)));
  set("dtype", call.NewNumber(static_cast<double>(at::autocast::get_autocast_dtype(type))));
  set("cacheEnabled", call.NewBoolean(at::autocast::is_autocast_cache_enabled()));
  return result;
}

napi_value enterAutocast(Call& call) {
  c10::DeviceType type = AutocastDevice(call);
  at::ScalarType dtype = call.Dtype(1, "dtype");
  bool enabled = call.Boolean(2, "enabled");
  bool cache_enabled = call.Boolean(3, "cacheEnabled");
  if (enabled && dtype != at::kBFloat16 && dtype != at::kHalf) {
    ThrowArgument(call.name, "dtype", "bfloat16 or float16", c10::toString(dtype));
  }
  call.environment->autocast_entries.push_back({type, at::autocast::get_autocast_dtype(type),
                                                at::autocast::is_autocast_enabled(type),
                                                at::autocast::is_autocast_cache_enabled()});
  at::autocast::set_autocast_enabled(type, enabled);
  if (enabled) at::autocast::set_autocast_dtype(type, dtype);
  at::autocast::set_autocast_cache_enabled(cache_enabled);
  at::autocast::increment_nesting();
  return call.Undefined();
}

napi_value exitAutocast(Call& call) {
  if (call.environment->autocast_entries.empty()) {
    throw BindingError("ERR_WAVEGPT_SCOPE", "exitAutocast: no autocast was entered");
  }
  call.environment->ExitAutocast();
  return call.Undefined();
}

napi_value defaultDtype(Call& call) {
  return call.NewNumber(static_cast<double>(c10::get_default_dtype_as_scalartype()));
}

napi_value setDefaultDtype(Call& call) {
  at::ScalarType dtype = call.Dtype(0, "dtype");
  if (!c10::isFloatingType(dtype)) {
    ThrowArgument(call.name, "dtype", "a floating-point dtype", c10::toString(dtype));
  }
  c10::set_default_dtype(c10::scalarTypeToTypeMeta(dtype));
  return call.Undefined();
}

napi_value setDeterministicAlgorithms(Call& call) {
  at::globalContext().setDeterministicAlgorithms(call.Boolean(0, "enabled"),
                                                 call.Boolean(1, "warnOnly"));
  return call.Undefined();
}

napi_value deterministicAlgorithms(Call& call) {
  return call.NewBoolean(at::globalContext().deterministicAlgorithms());
}

}  // namespace

std::vector<MethodEntry> ModeMethods() {
  return {
      WAVEGPT_METHOD(isGradEnabled),
      WAVEGPT_METHOD(setGradEnabled),
      WAVEGPT_METHOD(isInferenceMode),
      WAVEGPT_METHOD(enterInferenceMode),
      WAVEGPT_METHOD(exitInferenceMode),
      WAVEGPT_METHOD(autocast),
      WAVEGPT_METHOD(enterAutocast),
      WAVEGPT_METHOD(exitAutocast),
      WAVEGPT_METHOD(defaultDtype),
      WAVEGPT_METHOD(setDefaultDtype),
      WAVEGPT_METHOD(setDeterministicAlgorithms),
      WAVEGPT_METHOD(deterministicAlgorithms),
  };
}

}  // namespace wavegpt
