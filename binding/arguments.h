// JavaScript values to and from an operator's boxed values.
#pragma once

#include "call.h"
#include "operators.h"

namespace wavegpt {

c10::IValue ReadArgument(napi_env env, Environment* environment, napi_value value,
                         const Operator& op, const OperatorArgument& argument);

// A list's elements, standing one by one.
c10::IValue ReadFlatList(napi_env env, Environment* environment, const napi_value* values,
                         size_t length, const Operator& op, const OperatorArgument& argument);

// Tensors become handles of the innermost scope.
napi_value WriteResult(napi_env env, Environment* environment, c10::IValue& value);

}  // namespace wavegpt
