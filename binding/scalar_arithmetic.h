// x + 2 and its like: libtorch makes a tensor of the number and casts it to x's type, which takes
// several times as long as adding.
#pragma once

#include "typed_call.h"

namespace wavegpt {

// For sums, differences, products and quotients with a number, or null. `general` is called where
// the tensor is differentiable, or not a plain one on the CPU of type float32 or float64.
std::unique_ptr<const FrameCall> FindScalarArithmetic(const c10::OperatorName& name,
                                                      std::unique_ptr<const FrameCall>& general);

}  // namespace wavegpt
