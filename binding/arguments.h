// JavaScript values to and from an operator's boxed values.
#pragma once

#include "call.h"
#include "operators.h"

namespace wavegpt {

c10::IValue ReadArgument(napi_env env, Environment* environment, napi_value value,
                         const Operator& op, const OperatorArgument& argument);

// A number without a fraction is an int, as Python's literal would be.
at::Scalar ScalarOf(double number);

// What a list of the type holds.
c10::TypePtr ElementType(const ArgumentType& type);

// Throws where the operator takes no list of this length.
void CheckListLength(const Operator& op, const OperatorArgument& argument, size_t length);

[[noreturn]] void ThrowTooManyArguments(const Operator& op, size_t given);
[[noreturn]] void ThrowMissing(const Operator& op, size_t argument);
[[noreturn]] void ThrowNone(const Operator& op, const OperatorArgument& argument);

// Tensors become handles of the innermost scope.
napi_value WriteResult(napi_env env, Environment* environment, c10::IValue& value);

}  // namespace wavegpt
