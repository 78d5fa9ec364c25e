// Operators: their names, their schemas, and the two calls that reach them all: with JavaScript's
// values, and with numbers in the call frame.
#include "arguments.h"
#include "frame.h"
#include "methods.h"
#include "typed_call.h"

namespace wavegpt {
namespace {

constexpr size_t kMaxOperatorArguments = 63;

napi_value operatorNames(Call& call) {
  std::vector<c10::OperatorName> names = c10::Dispatcher::singleton().getAllOpNames();
  napi_value array;
  Check(call.env, napi_create_array(call.env, &array));
  uint32_t count = 0;
  for (const c10::OperatorName& name : names) {
    // Names without a schema cannot be called.
    if (!c10::Dispatcher::singleton().findSchema(name)) continue;
    Check(call.env,
          napi_set_element(call.env, array, count++, call.NewString(c10::toString(name))));
  }
  return array;
}

void Set(Call& call, napi_value object, const char* key, napi_value value) {
  Check(call.env, napi_set_named_property(call.env, object, key, value));
}

napi_value NewObject(Call& call) {
  napi_value object;
  Check(call.env, napi_create_object(call.env, &object));
  return object;
}

void SetType(Call& call, napi_value object, const c10::Argument& argument,
             const ArgumentType& type) {
  Set(call, object, "name", call.NewString(argument.name()));
  Set(call, object, "type", call.NewString(argument.real_type()->str()));
  Set(call, object, "base", call.NewString(BaseName(type.base)));
  Set(call, object, "list", call.NewBoolean(type.list));
}

napi_value DescribeOperator(Call& call, const Operator& op, size_t id) {
  const c10::FunctionSchema& schema = op.handle.schema();
  napi_value result = NewObject(call);
  Set(call, result, "id", call.NewNumber(static_cast<double>(id)));
  Set(call, result, "name", call.NewString(schema.name()));
  Set(call, result, "overload", call.NewString(schema.overload_name()));
  Set(call, result, "schema", call.NewString(c10::toString(schema)));
  Set(call, result, "refused", op.refused ? call.NewString(op.refused) : call.Null());

  napi_value arguments, returns;
  Check(call.env, napi_create_array_with_length(call.env, op.arguments.size(), &arguments));
  for (size_t at = 0; at < op.arguments.size(); ++at) {
    const OperatorArgument& argument = op.arguments[at];
    const c10::Argument& source = schema.arguments()[at];
    napi_value object = NewObject(call);
    SetType(call, object, source, argument.type);
    Set(call, object, "optional", call.NewBoolean(argument.type.optional));
    Set(call, object, "elementOptional", call.NewBoolean(argument.type.element_optional));
    Set(call, object, "size", call.NewNumber(argument.size));
    Set(call, object, "hasDefault", call.NewBoolean(argument.has_default));
    Set(call, object, "kwargOnly", call.NewBoolean(source.kwarg_only()));
    const c10::AliasInfo* alias = source.alias_info();
    Set(call, object, "mutated", call.NewBoolean(alias && alias->isWrite()));
    Check(call.env, napi_set_element(call.env, arguments, static_cast<uint32_t>(at), object));
  }
  Check(call.env, napi_create_array_with_length(call.env, op.returns.size(), &returns));
  for (size_t at = 0; at < op.returns.size(); ++at) {
    napi_value object = NewObject(call);
    SetType(call, object, schema.returns()[at], op.returns[at].type);
    Set(call, object, "argument", call.NewNumber(op.returns[at].argument));
    Check(call.env, napi_set_element(call.env, returns, static_cast<uint32_t>(at), object));
  }
  Set(call, result, "arguments", arguments);
  Set(call, result, "returns", returns);
  return result;
}

napi_value findOperator(Call& call) {
  std::string name = call.String(0, "name");
  std::string overload = call.IsNullish(1) ? "" : call.String(1, "overload");
  auto& operators = call.environment->operators;
  auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
  if (!handle) return call.Null();
  std::string full_name = c10::toString(handle->operator_name());
  auto known = call.environment->operator_ids.find(full_name);
  if (known != call.environment->operator_ids.end()) {
    return DescribeOperator(call, *operators[known->second], known->second);
  }
  auto op = std::make_unique<Operator>(*handle);
  if (op->arguments.size() > kMaxOperatorArguments) {
    throw BindingError("ERR_WAVEGPT_NOT_IMPLEMENTED", full_name + ": too many arguments");
  }
  size_t id = operators.size();
  operators.push_back(std::move(op));
  call.environment->operator_ids.emplace(std::move(full_name), id);
  return DescribeOperator(call, *operators[id], id);
}

bool IsUndefined(napi_env env, napi_value value) {
  napi_valuetype type;
  return napi_typeof(env, value, &type) != napi_ok || type == napi_undefined;
}

void PushArguments(napi_env env, Environment* environment, const Operator& op, size_t given,
                   const napi_value* values, torch::jit::Stack& stack) {
  if (given > op.arguments.size()) ThrowTooManyArguments(op, given);
  for (size_t at = 0; at < op.arguments.size(); ++at) {
    const OperatorArgument& argument = op.arguments[at];
    if (at < given && !IsUndefined(env, values[at])) {
      stack.push_back(ReadArgument(env, environment, values[at], op, argument));
    } else {
      if (!argument.has_default) ThrowMissing(op, at);
      stack.push_back(argument.default_value);
    }
  }
}

napi_value WriteResults(napi_env env, Environment* environment, const Operator& op,
                        torch::jit::Stack& stack) {
  if (stack.empty()) return nullptr;
  auto write = [&](size_t at) -> napi_value {
    if (op.returns[at].argument < 0) return WriteResult(env, environment, stack[at]);
    napi_value undefined;
    Check(env, napi_get_undefined(env, &undefined));
    return undefined;
  };
  if (stack.size() == 1) return write(0);
  napi_value array;
  Check(env, napi_create_array_with_length(env, stack.size(), &array));
  for (size_t at = 0; at < stack.size(); ++at) {
    Check(env, napi_set_element(env, array, static_cast<uint32_t>(at), write(at)));
  }
  return array;
}

[[noreturn]] void ThrowUnknown(const std::string& received) {
  ThrowArgument("call", "id", "an operator's id from findOperator", received);
}

void CheckAllowed(const Operator& op) {
  if (C10_LIKELY(!op.refused)) return;
  throw BindingError("ERR_WAVEGPT_REFUSED",
                     op.full_name + " cannot be called from JavaScript: " + op.refused,
                     op.full_name);
}

void CallBoxed(const Operator& op, torch::jit::Stack& stack) {
  if (!op.exclusive_outs.empty()) CheckExclusiveOuts(op, stack);
  if (op.check) op.check(op, stack);
  op.handle.callBoxed(stack);
}

// Not a Call, which takes fewer arguments.
napi_value CallOperator(napi_env env, napi_callback_info info) {
  const Operator* op = nullptr;
  try {
    napi_value values[kMaxOperatorArguments + 2];
    size_t given = kMaxOperatorArguments + 2;
    Check(env, napi_get_cb_info(env, info, &given, values, nullptr, nullptr));
    given = std::min(given, kMaxOperatorArguments + 2);
    Environment* environment = Environment::From(env);
    uint32_t id = UINT32_MAX;
    if (given == 0 || napi_get_value_uint32(env, values[0], &id) != napi_ok ||
        id >= environment->operators.size()) {
      ThrowUnknown(given == 0 ? "nothing" : Describe(env, values[0]));
    }
    op = environment->operators[id].get();
    CheckAllowed(*op);
    // Its own: reading an array's elements may run a getter that calls another operator.
    torch::jit::Stack stack;
    PushArguments(env, environment, *op, given - 1, values + 1, stack);
    CallBoxed(*op, stack);
    return WriteResults(env, environment, *op, stack);
  } catch (...) {
    ThrowCurrentException(env, op ? op->full_name.c_str() : "call");
    return nullptr;
  }
}

// The frame's values boxed, for an operator without a typed call.
napi_value CallFrameBoxed(napi_env env, Environment* environment, const Operator& op) {
  torch::jit::Stack stack = std::move(environment->stack);
  stack.clear();
  Frame& frame = *environment->frame;
  FrameReader reader(*environment, op, frame);
  for (size_t at = 0; at < op.arguments.size(); ++at) {
    stack.push_back(ReadFrameArgument(reader, op, at));
  }
  {
    PassOverAutograd without(op, reader);
    CallBoxed(op, stack);
  }
  napi_value result = nullptr;
  if (stack.size() == 1 && op.returns[0].argument >= 0) {
    frame.numbers[0] = 0;
  } else if (stack.size() == 1 && stack[0].isTensor()) {
    at::Tensor tensor = std::move(stack[0]).toTensor();
    frame.numbers[0] = tensor.defined() ? environment->Put(std::move(tensor)) : -1;
  } else {
    frame.numbers[0] = 0;
    result = WriteResults(env, environment, op, stack);
  }
  stack.clear();
  environment->stack = std::move(stack);
  return result;
}

// The hot path: nothing goes through Node-API where the result is a tensor.
napi_value CallFrame(napi_env env, napi_callback_info) {
  const Operator* op = nullptr;
  Environment* environment = nullptr;
  try {
    environment = Environment::From(env);
    Frame& frame = *environment->frame;
    ++frame.calls;
    uint32_t id = frame.operator_id;
    if (C10_UNLIKELY(id >= environment->operators.size())) {
      ThrowUnknown("number " + std::to_string(id));
    }
    op = environment->operators[id].get();
    CheckAllowed(*op);
    environment->DestroyOne();
    if (!op->typed) return CallFrameBoxed(env, environment, *op);
    op->typed->Run(*environment, *op, frame);
    return nullptr;
  } catch (...) {
    if (environment) environment->frame->absent = environment->frame->none = 0;
    ThrowCurrentException(env, op ? op->full_name.c_str() : "callFrame");
    return nullptr;
  }
}

napi_value frame(Call& call) {
  Environment& environment = *call.environment;
  napi_value buffer;
  if (environment.frame_buffer) {
    Check(call.env, napi_get_reference_value(call.env, environment.frame_buffer, &buffer));
    return buffer;
  }
  auto* owner = new std::shared_ptr<Frame>(environment.frame);
  napi_status status = napi_create_external_arraybuffer(
      call.env, owner->get(), sizeof(Frame),
      [](napi_env, void*, void* hint) { delete static_cast<std::shared_ptr<Frame>*>(hint); }, owner,
      &buffer);
  if (status != napi_ok) delete owner;
  Check(call.env, status);
  Check(call.env, napi_create_reference(call.env, buffer, 1, &environment.frame_buffer));
  return buffer;
}

}  // namespace

std::vector<MethodEntry> DispatchMethods() {
  return {
      WAVEGPT_METHOD(operatorNames), WAVEGPT_METHOD(findOperator), WAVEGPT_METHOD(frame),
      {"call", CallOperator},        {"callFrame", CallFrame},
  };
}

}  // namespace wavegpt
