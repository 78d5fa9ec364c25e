// Scopes, ownership and the counters of what is alive.
#include "methods.h"

namespace wavegpt {
namespace {

napi_value openScope(Call& call) { return call.NewNumber(call.environment->OpenScope()); }

// 0, which is no scope's depth, for a number out of range.
uint32_t ReadDepth(Call& call, size_t index) {
  int64_t depth = call.Integer(index, "depth");
  return depth < 0 || depth > UINT32_MAX ? 0 : static_cast<uint32_t>(depth);
}

napi_value closeScope(Call& call) {
  return call.NewNumber(call.environment->CloseScope(ReadDepth(call, 0)));
}

napi_value scopeDepth(Call& call) { return call.NewNumber(call.environment->ScopeDepth()); }

napi_value keep(Call& call) {
  call.Tensor(0, "tensor");
  call.environment->Keep(call.Number(0, "tensor"));
  return call.Undefined();
}

napi_value moveToOuterScope(Call& call) {
  call.Tensor(0, "tensor");
  return call.NewBoolean(
      call.environment->MoveToOuterScope(call.Number(0, "tensor"), ReadDepth(call, 1)));
}

napi_value isScoped(Call& call) {
  return call.NewBoolean(call.environment->IsScoped(call.Number(0, "tensor")));
}

napi_value release(Call& call) {
  call.environment->Release(call.Number(0, "tensor"));
  return call.Undefined();
}

napi_value isAlive(Call& call) {
  return call.NewBoolean(call.environment->Find(call.Number(0, "tensor")) != nullptr);
}

napi_value memory(Call& call) {
  const Environment& environment = *call.environment;
  napi_value result;
  Check(call.env, napi_create_object(call.env, &result));
  auto set = [&](const char* key, double value) {
    Check(call.env, napi_set_named_property(call.env, result, key, call.NewNumber(value)));
  };
  set("handles", static_cast<double>(environment.LiveHandles()));
  set("bytes", static_cast<double>(environment.LiveBytes()));
  set("scopes", environment.ScopeDepth());
  set("generators", static_cast<double>(environment.LiveGenerators()));
  set("externalBytes", static_cast<double>(environment.ExternalBytes()));
  return result;
}

}  // namespace

std::vector<MethodEntry> OwnershipMethods() {
  return {
      WAVEGPT_METHOD(openScope),        WAVEGPT_METHOD(closeScope),
      WAVEGPT_METHOD(scopeDepth),       WAVEGPT_METHOD(keep),
      WAVEGPT_METHOD(isScoped),         WAVEGPT_METHOD(release),
      WAVEGPT_METHOD(moveToOuterScope), WAVEGPT_METHOD(isAlive),
      WAVEGPT_METHOD(memory),
  };
}

}  // namespace wavegpt
