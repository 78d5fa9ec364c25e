// The call frame: memory that a thread's JavaScript shares with the binding. A number costs about a
// nanosecond to pass there, and five to ten through Node-API.
#pragma once

#include <cstddef>
#include <cstdint>

#include "libtorch.h"

namespace wavegpt {

class Environment;
struct Operator;
struct OperatorArgument;

// lib/frame.ts reads and writes the same places.
struct Frame {
  static constexpr size_t kNumbers = 64;
  static constexpr size_t kSizes = 26;
  // Masks have a bit for each argument.
  static constexpr uint32_t kMaxGiven = 31;

  uint32_t operator_id;
  uint32_t given;   // arguments that JavaScript gave; those behind have their defaults
  uint32_t absent;  // bit i: argument i has its default all the same
  uint32_t none;    // bit i: argument i is None
  uint32_t calls;   // counted up by each use: whether another came between writing and calling
  // A shape asked for.
  uint32_t dimensions;
  int32_t sizes[kSizes];
  // The values of the arguments that are given and not None, in schema order: a tensor's or a
  // generator's handle, a number, a boolean as 0 or 1, a code; a list as its length and its
  // elements, where handle 0 is None. Behind a call: the first is the result's handle, 0 where an
  // argument itself was returned, -1 for an undefined tensor.
  double numbers[kNumbers];
};

static_assert(offsetof(Frame, sizes) == 24 && offsetof(Frame, numbers) == 128);

// Reads a frame's values one after the other, with every check that a value of the type needs.
// Throws BindingError.
class FrameReader {
 public:
  // Takes the masks: the next call finds none.
  FrameReader(Environment& environment, const Operator& op, Frame& frame);

  bool IsGiven(size_t argument) const { return argument < given_ && !(skipped_ >> argument & 1); }
  bool IsNone(size_t argument) const { return argument < given_ && none_ >> argument & 1; }

  // Valid until the environment's next Put.
  const at::Tensor& Tensor(const OperatorArgument& argument);
  // Null for None.
  const at::Tensor* OptionalTensor(const OperatorArgument& argument);
  const at::Generator& Generator(const OperatorArgument& argument);
  double Number(const OperatorArgument& argument);
  int64_t Integer(const OperatorArgument& argument);
  bool Boolean(const OperatorArgument& argument);
  at::Scalar Scalar(const OperatorArgument& argument);
  // A code below `end`, which `what` names.
  int64_t Code(const OperatorArgument& argument, int64_t end, const char* what);
  // A list's length; its elements are read next.
  size_t Length(const OperatorArgument& argument);
  // Valid until the environment's next call.
  c10::IntArrayRef Integers(const OperatorArgument& argument);

  [[noreturn]] void ThrowNotCarried(const OperatorArgument& argument, const char* what) const;

  // Whether autograd has to see the call: a tensor that was read requires a gradient.
  bool differentiable() const { return differentiable_; }

 private:
  [[noreturn]] void ThrowTooLong(const OperatorArgument& argument) const;
  [[noreturn]] void ThrowHandle(const OperatorArgument& argument, const char* kind) const;
  double Next(const OperatorArgument& argument) {
    if (C10_UNLIKELY(next_ == Frame::kNumbers)) ThrowTooLong(argument);
    return frame_.numbers[next_++];
  }

  Environment& environment_;
  const Operator& op_;
  const Frame& frame_;
  uint32_t given_;
  uint32_t skipped_;
  uint32_t none_;
  size_t next_ = 0;
  bool differentiable_ = false;
};

// One argument as an IValue: what stands in the frame, None, or the default.
c10::IValue ReadFrameArgument(FrameReader& reader, const Operator& op, size_t argument);

}  // namespace wavegpt
