#include "scalar_arithmetic.h"

#include "environment.h"
#include "operators.h"

namespace wavegpt {
namespace {

using Arithmetic = at::Tensor (*)(const at::Tensor& self, const at::Tensor& number);

// The binary operators that libtorch composes the operators with numbers of, and in place.
struct Entry {
  const char* name;
  const char* overload;
  Arithmetic compute;
  bool in_place;
};

constexpr Entry kEntries[] = {
    {"aten::add", "Scalar", [](const at::Tensor& a, const at::Tensor& b) { return at::add(a, b); },
     false},
    {"aten::sub", "Scalar", [](const at::Tensor& a, const at::Tensor& b) { return at::sub(a, b); },
     false},
    {"aten::mul", "Scalar", [](const at::Tensor& a, const at::Tensor& b) { return at::mul(a, b); },
     false},
    {"aten::div", "Scalar", [](const at::Tensor& a, const at::Tensor& b) { return at::div(a, b); },
     false},
    {"aten::add_", "Scalar", [](const at::Tensor& a, const at::Tensor& b) { return a.add_(b); },
     true},
    {"aten::sub_", "Scalar", [](const at::Tensor& a, const at::Tensor& b) { return a.sub_(b); },
     true},
    {"aten::mul_", "Scalar", [](const at::Tensor& a, const at::Tensor& b) { return a.mul_(b); },
     true},
    {"aten::div_", "Scalar", [](const at::Tensor& a, const at::Tensor& b) { return a.div_(b); },
     true},
};

constexpr c10::DispatchKeySet kPlain =
    c10::DispatchKeySet(
        {c10::DispatchKey::CPU, c10::DispatchKey::AutogradCPU, c10::DispatchKey::ADInplaceOrView}) |
    c10::autocast_dispatch_keyset;

bool IsPlain(const at::Tensor& tensor) {
  at::ScalarType type = tensor.scalar_type();
  return (type == at::kFloat || type == at::kDouble) && (tensor.key_set() | kPlain) == kPlain;
}

class ScalarArithmetic final : public FrameCall {
 public:
  ScalarArithmetic(const Entry& entry, std::unique_ptr<const FrameCall> general)
      : entry_(entry), general_(std::move(general)) {}

  void Run(Environment& environment, const Operator& op, Frame& frame) const override {
    const at::Tensor* self = frame.given == 2 && !(frame.absent | frame.none)
                                 ? environment.Find(frame.numbers[0])
                                 : nullptr;
    if (!self || !IsPlain(*self)) return general_->Run(environment, op, frame);
    FrameReader reader(environment, op, frame);
    reader.Tensor(op.arguments[0]);
    if (reader.differentiable()) return general_->Run(environment, op, frame);
    // Rounded once to the tensor's type, as libtorch's cast does.
    const at::Tensor& number =
        environment.NumberTensor(self->scalar_type(), reader.Number(op.arguments[1]));
    at::Tensor result;
    {
      PassOverAutograd without(op, reader);
      result = entry_.compute(*self, number);
    }
    frame.numbers[0] = entry_.in_place ? 0 : environment.Put(std::move(result));
  }

 private:
  const Entry& entry_;
  std::unique_ptr<const FrameCall> general_;
};

}  // namespace

std::unique_ptr<const FrameCall> FindScalarArithmetic(const c10::OperatorName& name,
                                                      std::unique_ptr<const FrameCall>& general) {
  for (const Entry& entry : kEntries) {
    if (name.name == entry.name && name.overload_name == entry.overload) {
      return std::make_unique<ScalarArithmetic>(entry, std::move(general));
    }
  }
  return nullptr;
}

}  // namespace wavegpt
