// Operators of libtorch as JavaScript sees them: looked up once by schema, then called by number.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "libtorch.h"

namespace wavegpt {

enum class Base : uint8_t {
  kTensor,
  kInt,
  kFloat,
  kBool,
  kScalar,
  kString,
  kDtype,
  kLayout,
  kMemoryFormat,
  kDevice,
  kGenerator,
  kComplex,
  kUnsupported,
};

const char* BaseName(Base base);

// A schema type taken apart: `Tensor?[]` is a list of optional tensors.
struct ArgumentType {
  Base base = Base::kUnsupported;
  bool list = false;
  bool optional = false;
  bool element_optional = false;
  bool symbolic = false;  // SymInt, SymFloat, SymBool
};

ArgumentType ReadType(const c10::TypePtr& type);

struct OperatorArgument {
  std::string name;
  ArgumentType type;
  int32_t size = 0;  // of `int[N]`; 0 where there is none
  bool has_default = false;
  bool mutated = false;  // written to: `Tensor(a!)`
  // A size, stride or padding of a window: libtorch computes with it unchecked, so it must fit 32
  // bits.
  bool window = false;
  c10::IValue default_value;
};

struct OperatorReturn {
  ArgumentType type;
  int argument = -1;  // the argument that is returned itself (in-place, out), or -1
};

class FrameCall;

// What of an operator's kernels for autograd may be passed over where no gradient is recorded: they
// do nothing then but call the next kernel.
enum class AutogradKernels : uint8_t {
  kNeeded,     // none: they may do more
  kGradients,  // those that record gradients; not those that track views and versions
  kAll,        // these too: the operator neither returns nor writes to an argument's memory
};

struct Operator {
  explicit Operator(c10::OperatorHandle handle);
  ~Operator();

  c10::OperatorHandle handle;
  std::string full_name;  // "aten::add.Tensor"
  std::vector<OperatorArgument> arguments;
  std::vector<OperatorReturn> returns;
  const char* refused = nullptr;
  // Out tensors that must share no memory with another argument: only pointwise kernels may write
  // where they read.
  std::vector<size_t> exclusive_outs;
  // Of a quantized out tensor libtorch asks the first of no tensors for its scale.
  bool needs_tensors = false;
  AutogradKernels autograd = AutogradKernels::kNeeded;
  // For the call with C++ values, or null.
  std::unique_ptr<const FrameCall> typed;
  // Checks what libtorch does not, before the call; throws. Null for nearly all.
  void (*check)(const Operator& op, const torch::jit::Stack& arguments) = nullptr;
};

// Throws where an out tensor shares memory that it must not share.
void CheckExclusiveOuts(const Operator& op, const torch::jit::Stack& arguments);

// The check for an operator, or null.
decltype(Operator::check) FindCheck(const c10::OperatorName& name);

// Whether a list of tensors must not be empty.
bool NeedsTensors(const c10::OperatorName& name);

// Why libtorch may not be given this operator's arguments from JavaScript (bad ones end the
// process), or null.
const char* RefusalReason(const c10::OperatorName& name);

}  // namespace wavegpt
