// Calls of an operator with its arguments as C++ values: putting them in libtorch's boxes and
// taking them out again costs 50 to 140 ns, a third of a small operator.
#pragma once

#include <memory>

#include "frame.h"

namespace wavegpt {

class FrameCall {
 public:
  virtual ~FrameCall() = default;
  // Calls the operator with the frame's values, and writes its result there.
  virtual void Run(Environment& environment, const Operator& op, Frame& frame) const = 0;
};

// Null where the operator's schema is none of the common ones: it is then called boxed.
std::unique_ptr<const FrameCall> FindTypedCall(const Operator& op);

// Where no gradient is recorded, autograd's kernels only call the next one, which costs a tenth of
// a small operator: while this lives they are passed over.
class PassOverAutograd {
 public:
  PassOverAutograd(const Operator& op, const FrameReader& reader);

 private:
  c10::impl::ExcludeDispatchKeyGuard guard_;
};

}  // namespace wavegpt
