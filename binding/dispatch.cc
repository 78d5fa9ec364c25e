// Operators: their names, their schemas, and the one boxed call that reaches them all.
#include "arguments.h"
#include "methods.h"

namespace wavegpt {
namespace {

constexpr size_t kMaxOperatorArguments = 63;
constexpr size_t kFewArguments = 8;

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

[[noreturn]] void ThrowTooMany(const Operator& op, size_t given) {
  throw BindingError("ERR_WAVEGPT_ARGUMENT",
                     op.full_name + ": expected at most " + std::to_string(op.arguments.size()) +
                         " arguments, got " + std::to_string(given),
                     op.full_name);
}

bool IsUndefined(napi_env env, napi_value value) {
  napi_valuetype type;
  return napi_typeof(env, value, &type) != napi_ok || type == napi_undefined;
}

void PushDefault(const Operator& op, size_t at, torch::jit::Stack& stack) {
  const OperatorArgument& argument = op.arguments[at];
  if (!argument.has_default) {
    ThrowArgument(op.full_name, argument.name,
                  "a value (" + op.handle.schema().arguments()[at].real_type()->str() + ")",
                  "nothing");
  }
  stack.push_back(argument.default_value);
}

// What is most common, without the checks that others need: a live tensor.
bool PushTensor(napi_env env, Environment* environment, const OperatorArgument& argument,
                napi_value value, torch::jit::Stack& stack) {
  double handle;
  if (argument.type.base != Base::kTensor || argument.type.list ||
      napi_get_value_double(env, value, &handle) != napi_ok) {
    return false;
  }
  const at::Tensor* tensor = environment->Find(handle);
  if (tensor) stack.emplace_back(*tensor);
  return tensor != nullptr;
}

void PushArguments(napi_env env, Environment* environment, const Operator& op, size_t given,
                   const napi_value* values, torch::jit::Stack& stack) {
  if (given > op.arguments.size()) ThrowTooMany(op, given);
  for (size_t at = 0; at < op.arguments.size(); ++at) {
    const OperatorArgument& argument = op.arguments[at];
    if (at < given && PushTensor(env, environment, argument, values[at], stack)) continue;
    if (at >= given || IsUndefined(env, values[at])) {
      PushDefault(op, at, stack);
    } else {
      stack.push_back(ReadArgument(env, environment, values[at], op, argument));
    }
  }
}

// As above, but where a list is expected a number says how many of the values behind it are its
// elements: reading an array's elements costs more than many an operator.
void PushFlatArguments(napi_env env, Environment* environment, const Operator& op, size_t given,
                       const napi_value* values, torch::jit::Stack& stack) {
  size_t next = 0;
  for (size_t at = 0; at < op.arguments.size(); ++at) {
    const OperatorArgument& argument = op.arguments[at];
    double length;
    if (next < given && PushTensor(env, environment, argument, values[next], stack)) {
      ++next;
    } else if (next >= given || IsUndefined(env, values[next])) {
      ++next;
      PushDefault(op, at, stack);
    } else if (argument.type.list && napi_get_value_double(env, values[next], &length) == napi_ok) {
      ++next;
      if (!(length >= 0 && length <= static_cast<double>(given - next))) {
        ThrowArgument(op.full_name, argument.name, "a length of the values that follow",
                      std::to_string(length));
      }
      size_t count = static_cast<size_t>(length);
      stack.push_back(ReadFlatList(env, environment, values + next, count, op, argument));
      next += count;
    } else {
      stack.push_back(ReadArgument(env, environment, values[next++], op, argument));
    }
  }
  if (next < given) ThrowTooMany(op, op.arguments.size() + given - next);
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

// Not a Call: this is the hot path, and takes more arguments.
template <auto Push>
napi_value CallOperator(napi_env env, napi_callback_info info) {
  const Operator* op = nullptr;
  try {
    // Node fills what is not given, so few are asked for first.
    napi_value few[kFewArguments], many[kMaxOperatorArguments + 2];
    napi_value* values = few;
    size_t given = kFewArguments;
    Check(env, napi_get_cb_info(env, info, &given, values, nullptr, nullptr));
    if (given > kFewArguments) {
      values = many;
      given = kMaxOperatorArguments + 2;
      Check(env, napi_get_cb_info(env, info, &given, values, nullptr, nullptr));
      given = std::min(given, kMaxOperatorArguments + 2);
    }
    Environment* environment = Environment::From(env);
    uint32_t id = UINT32_MAX;
    if (given == 0 || napi_get_value_uint32(env, values[0], &id) != napi_ok ||
        id >= environment->operators.size()) {
      ThrowArgument("call", "id", "an operator's id from findOperator",
                    given == 0 ? "nothing" : Describe(env, values[0]));
    }
    op = environment->operators[id].get();
    if (op->refused) {
      throw BindingError("ERR_WAVEGPT_REFUSED",
                         op->full_name + " cannot be called from JavaScript: " + op->refused,
                         op->full_name);
    }
    // Taken while in use: reading an array's elements may run a getter that calls another operator.
    torch::jit::Stack stack = std::move(environment->stack);
    stack.clear();
    Push(env, environment, *op, given - 1, values + 1, stack);
    if (!op->exclusive_outs.empty()) CheckExclusiveOuts(*op, stack);
    if (op->check) op->check(*op, stack);
    op->handle.callBoxed(stack);
    napi_value result = WriteResults(env, environment, *op, stack);
    stack.clear();
    environment->stack = std::move(stack);
    return result;
  } catch (...) {
    ThrowCurrentException(env, op ? op->full_name.c_str() : "call");
    return nullptr;
  }
}

}  // namespace

std::vector<MethodEntry> DispatchMethods() {
  return {
      WAVEGPT_METHOD(operatorNames),
      WAVEGPT_METHOD(findOperator),
      {"call", CallOperator<PushArguments>},
      {"callFlat", CallOperator<PushFlatArguments>},
  };
}

}  // namespace wavegpt
