#include "typed_call.h"

#include <tuple>
#include <utility>

#include "arguments.h"
#include "environment.h"
#include "operators.h"

namespace wavegpt {

namespace {

constexpr c10::DispatchKeySet kAllAutograd = c10::autograd_dispatch_keyset_with_ADInplaceOrView;

c10::DispatchKeySet KeysToPassOver(const Operator& op, const FrameReader& reader) {
  if (op.autograd == AutogradKernels::kNeeded ||
      (reader.differentiable() && at::GradMode::is_enabled())) {
    return {};
  }
  return op.autograd == AutogradKernels::kAll ? kAllAutograd : c10::autograd_dispatch_keyset;
}

}  // namespace

PassOverAutograd::PassOverAutograd(const Operator& op, const FrameReader& reader)
    : guard_(KeysToPassOver(op, reader)) {}

namespace {

// How a parameter of each C++ type is read. Takes: whether the schema's argument is of the type.
// Read, SetNone, SetDefault: what to pass. Get: passes it.
template <typename T>
struct Parameter;

bool IsPlain(const ArgumentType& type, Base base) {
  return type.base == base && !type.list && !type.optional && !type.symbolic;
}

template <>
struct Parameter<const at::Tensor&> {
  const at::Tensor* tensor = nullptr;
  static bool Takes(const OperatorArgument& argument) {
    return IsPlain(argument.type, Base::kTensor) && !argument.mutated;
  }
  void Read(FrameReader& reader, const OperatorArgument& argument) {
    tensor = &reader.Tensor(argument);
  }
  void SetNone() {}
  void SetDefault(const c10::IValue& value) { tensor = &value.toTensor(); }
  const at::Tensor& Get() { return *tensor; }
};

// Kernels write to the tensor behind the reference, and leave the reference as it is.
template <>
struct Parameter<at::Tensor&> {
  at::Tensor* tensor = nullptr;
  static bool Takes(const OperatorArgument& argument) {
    return IsPlain(argument.type, Base::kTensor) && argument.mutated && !argument.has_default;
  }
  void Read(FrameReader& reader, const OperatorArgument& argument) {
    tensor = const_cast<at::Tensor*>(&reader.Tensor(argument));
  }
  void SetNone() {}
  void SetDefault(const c10::IValue&) {}
  at::Tensor& Get() { return *tensor; }
};

template <>
struct Parameter<const std::optional<at::Tensor>&> {
  std::optional<at::Tensor> tensor;
  static bool Takes(const OperatorArgument& argument) {
    const ArgumentType& type = argument.type;
    return type.base == Base::kTensor && !type.list && type.optional;
  }
  void Read(FrameReader& reader, const OperatorArgument& argument) {
    tensor = reader.Tensor(argument);
  }
  void SetNone() {}
  void SetDefault(const c10::IValue& value) { tensor = value.toOptional<at::Tensor>(); }
  const std::optional<at::Tensor>& Get() { return tensor; }
};

// Plain values: what they are in a schema, and how one is read.
template <typename T>
struct Value;

template <>
struct Value<int64_t> {
  static bool Takes(const ArgumentType& type) { return type.base == Base::kInt && !type.symbolic; }
  static int64_t Read(FrameReader& reader, const OperatorArgument& argument) {
    return reader.Integer(argument);
  }
};

template <>
struct Value<c10::SymInt> {
  static bool Takes(const ArgumentType& type) { return type.base == Base::kInt && type.symbolic; }
  static c10::SymInt Read(FrameReader& reader, const OperatorArgument& argument) {
    return reader.Integer(argument);
  }
};

template <>
struct Value<double> {
  static bool Takes(const ArgumentType& type) {
    return type.base == Base::kFloat && !type.symbolic;
  }
  static double Read(FrameReader& reader, const OperatorArgument& argument) {
    return reader.Number(argument);
  }
};

template <>
struct Value<bool> {
  static bool Takes(const ArgumentType& type) { return type.base == Base::kBool && !type.symbolic; }
  static bool Read(FrameReader& reader, const OperatorArgument& argument) {
    return reader.Boolean(argument);
  }
};

template <>
struct Value<at::Scalar> {
  static bool Takes(const ArgumentType& type) { return type.base == Base::kScalar; }
  static at::Scalar Read(FrameReader& reader, const OperatorArgument& argument) {
    return reader.Scalar(argument);
  }
};

template <>
struct Value<at::ScalarType> {
  static bool Takes(const ArgumentType& type) { return type.base == Base::kDtype; }
  static at::ScalarType Read(FrameReader& reader, const OperatorArgument& argument) {
    return static_cast<at::ScalarType>(
        reader.Code(argument, static_cast<int64_t>(at::ScalarType::Undefined), "a dtype code"));
  }
};

template <>
struct Value<at::Layout> {
  static bool Takes(const ArgumentType& type) { return type.base == Base::kLayout; }
  static at::Layout Read(FrameReader& reader, const OperatorArgument& argument) {
    return static_cast<at::Layout>(
        reader.Code(argument, static_cast<int64_t>(at::Layout::NumOptions), "a layout code"));
  }
};

template <>
struct Value<at::MemoryFormat> {
  static bool Takes(const ArgumentType& type) { return type.base == Base::kMemoryFormat; }
  static at::MemoryFormat Read(FrameReader& reader, const OperatorArgument& argument) {
    return static_cast<at::MemoryFormat>(reader.Code(
        argument, static_cast<int64_t>(at::MemoryFormat::NumOptions), "a memory format code"));
  }
};

template <>
struct Value<at::Generator> {
  static bool Takes(const ArgumentType& type) { return type.base == Base::kGenerator; }
  static at::Generator Read(FrameReader& reader, const OperatorArgument& argument) {
    return reader.Generator(argument);
  }
};

// The frame carries no device, and no text: they have their defaults.
template <>
struct Value<at::Device> {
  static bool Takes(const ArgumentType& type) { return type.base == Base::kDevice; }
  static at::Device Read(FrameReader& reader, const OperatorArgument& argument) {
    reader.ThrowNotCarried(argument, "device");
  }
};

template <typename T>
struct PlainParameter {
  T value{};
  static bool Takes(const OperatorArgument& argument) {
    return Value<T>::Takes(argument.type) && !argument.type.list && !argument.type.optional;
  }
  void Read(FrameReader& reader, const OperatorArgument& argument) {
    value = Value<T>::Read(reader, argument);
  }
  void SetNone() {}
  void SetDefault(const c10::IValue& given) { value = given.to<T>(); }
  T Get() { return value; }
};

template <>
struct Parameter<int64_t> : PlainParameter<int64_t> {};
template <>
struct Parameter<c10::SymInt> : PlainParameter<c10::SymInt> {};
template <>
struct Parameter<double> : PlainParameter<double> {};
template <>
struct Parameter<bool> : PlainParameter<bool> {};
template <>
struct Parameter<at::ScalarType> : PlainParameter<at::ScalarType> {};

template <>
struct Parameter<at::MemoryFormat> : PlainParameter<at::MemoryFormat> {
  void SetDefault(const c10::IValue& given) { value = given.toMemoryFormat(); }
};

template <>
struct Parameter<const at::Scalar&> : PlainParameter<at::Scalar> {
  void SetDefault(const c10::IValue& given) { value = given.toScalar(); }
  const at::Scalar& Get() { return value; }
};

template <typename T>
struct OptionalParameter {
  std::optional<T> value;
  static bool Takes(const OperatorArgument& argument) {
    return Value<T>::Takes(argument.type) && !argument.type.list && argument.type.optional;
  }
  void Read(FrameReader& reader, const OperatorArgument& argument) {
    value = Value<T>::Read(reader, argument);
  }
  void SetNone() { value = std::nullopt; }
  void SetDefault(const c10::IValue& given) {
    if (given.isNone()) {
      value = std::nullopt;
    } else {
      value = given.to<T>();
    }
  }
  std::optional<T> Get() { return value; }
};

template <typename T>
struct Parameter<std::optional<T>> : OptionalParameter<T> {};

template <>
struct Parameter<const std::optional<at::Scalar>&> : OptionalParameter<at::Scalar> {
  const std::optional<at::Scalar>& Get() { return value; }
};

template <>
struct Parameter<c10::string_view> {
  c10::string_view text;
  static bool Takes(const OperatorArgument& argument) {
    return IsPlain(argument.type, Base::kString) && argument.has_default;
  }
  void Read(FrameReader& reader, const OperatorArgument& argument) {
    reader.ThrowNotCarried(argument, "text");
  }
  void SetNone() {}
  void SetDefault(const c10::IValue& value) { text = value.toStringView(); }
  c10::string_view Get() { return text; }
};

// Integers lie in the environment's own array, or, where they are a default, in this one.
template <bool Symbolic, bool Optional>
struct IntegersParameter {
  c10::IntArrayRef integers;
  c10::SmallVector<int64_t, 4> own;
  bool none = false;
  static bool Takes(const OperatorArgument& argument) {
    const ArgumentType& type = argument.type;
    return type.base == Base::kInt && type.list && !type.element_optional &&
           type.symbolic == Symbolic && type.optional == Optional;
  }
  void Read(FrameReader& reader, const OperatorArgument& argument) {
    integers = reader.Integers(argument);
  }
  void SetNone() { none = true; }
  void SetDefault(const c10::IValue& value) {
    if (value.isNone()) return SetNone();
    for (int64_t integer : value.toIntVector()) own.push_back(integer);
    integers = own;
  }
};

template <>
struct Parameter<c10::IntArrayRef> : IntegersParameter<false, false> {
  c10::IntArrayRef Get() { return integers; }
};
template <>
struct Parameter<c10::SymIntArrayRef> : IntegersParameter<true, false> {
  c10::SymIntArrayRef Get() { return c10::fromIntArrayRefSlow(integers); }
};
template <>
struct Parameter<at::OptionalIntArrayRef> : IntegersParameter<false, true> {
  at::OptionalIntArrayRef Get() {
    return none ? at::OptionalIntArrayRef() : at::OptionalIntArrayRef(integers);
  }
};
template <>
struct Parameter<at::OptionalSymIntArrayRef> : IntegersParameter<true, true> {
  at::OptionalSymIntArrayRef Get() {
    return none ? at::OptionalSymIntArrayRef()
                : at::OptionalSymIntArrayRef(c10::fromIntArrayRefSlow(integers));
  }
};

template <typename List>
struct TensorsParameter {
  c10::SmallVector<at::Tensor, 4> tensors;
  static bool Takes(const OperatorArgument& argument) {
    const ArgumentType& type = argument.type;
    return type.base == Base::kTensor && type.list && !type.optional && !type.element_optional &&
           !argument.mutated && !argument.has_default;
  }
  void Read(FrameReader& reader, const OperatorArgument& argument) {
    size_t length = reader.Length(argument);
    tensors.reserve(length);
    for (size_t at = 0; at < length; ++at) tensors.push_back(reader.Tensor(argument));
  }
  void SetNone() {}
  void SetDefault(const c10::IValue&) {}
  List Get() { return at::TensorList(tensors); }
};

template <>
struct Parameter<at::TensorList> : TensorsParameter<at::TensorList> {};
template <>
struct Parameter<const at::ITensorListRef&> : TensorsParameter<at::ITensorListRef> {};

template <>
struct Parameter<const c10::List<std::optional<at::Tensor>>&> {
  c10::List<std::optional<at::Tensor>> tensors;
  static bool Takes(const OperatorArgument& argument) {
    const ArgumentType& type = argument.type;
    return type.base == Base::kTensor && type.list && !type.optional && type.element_optional &&
           !argument.has_default;
  }
  void Read(FrameReader& reader, const OperatorArgument& argument) {
    size_t length = reader.Length(argument);
    tensors.reserve(length);
    for (size_t at = 0; at < length; ++at) {
      const at::Tensor* tensor = reader.OptionalTensor(argument);
      tensors.push_back(tensor ? std::optional<at::Tensor>(*tensor) : std::nullopt);
    }
  }
  void SetNone() {}
  void SetDefault(const c10::IValue&) {}
  const c10::List<std::optional<at::Tensor>>& Get() { return tensors; }
};

template <typename T>
C10_ALWAYS_INLINE void Load(Parameter<T>& parameter, FrameReader& reader, const Operator& op,
                            size_t at) {
  const OperatorArgument& argument = op.arguments[at];
  if (C10_LIKELY(reader.IsGiven(at))) {
    parameter.Read(reader, argument);
  } else if (reader.IsNone(at)) {
    if (!argument.type.optional) ThrowNone(op, argument);
    parameter.SetNone();
  } else {
    if (C10_UNLIKELY(!argument.has_default)) ThrowMissing(op, at);
    parameter.SetDefault(argument.default_value);
  }
}

template <typename Signature>
class TypedCall;

template <typename Return, typename... Arguments>
class TypedCall<Return(Arguments...)> final : public FrameCall {
 public:
  static bool Takes(const Operator& op) {
    return op.arguments.size() == sizeof...(Arguments) && op.returns.size() == 1 &&
           IsPlain(op.returns[0].type, Base::kTensor) &&
           (op.returns[0].argument >= 0) == std::is_reference_v<Return> &&
           TakesArguments(op, std::index_sequence_for<Arguments...>());
  }

  // Throws where a kernel was registered with another signature than its schema's usual one.
  explicit TypedCall(const c10::OperatorHandle& handle)
      : handle_(handle.typed<Return(Arguments...)>()) {}

  void Run(Environment& environment, const Operator& op, Frame& frame) const override {
    RunWith(environment, op, frame, std::index_sequence_for<Arguments...>());
  }

 private:
  template <size_t... At>
  static bool TakesArguments(const Operator& op, std::index_sequence<At...>) {
    return (Parameter<Arguments>::Takes(op.arguments[At]) && ...);
  }

  template <size_t... At>
  void RunWith(Environment& environment, const Operator& op, Frame& frame,
               std::index_sequence<At...>) const {
    FrameReader reader(environment, op, frame);
    std::tuple<Parameter<Arguments>...> parameters;
    (Load<Arguments>(std::get<At>(parameters), reader, op, At), ...);
    if constexpr (std::is_reference_v<Return>) {
      PassOverAutograd without(op, reader);
      handle_.call(std::get<At>(parameters).Get()...);
      frame.numbers[0] = 0;
    } else {
      at::Tensor result;
      {
        PassOverAutograd without(op, reader);
        result = handle_.call(std::get<At>(parameters).Get()...);
      }
      frame.numbers[0] = result.defined() ? environment.Put(std::move(result)) : -1;
    }
  }

  c10::TypedOperatorHandle<Return(Arguments...)> handle_;
};

template <typename Signature>
bool Find(const Operator& op, std::unique_ptr<const FrameCall>& found) {
  if (!TypedCall<Signature>::Takes(op)) return false;
  try {
    found = std::make_unique<TypedCall<Signature>>(op.handle);
  } catch (const c10::Error&) {
    return false;
  }
  return true;
}

template <typename... Signatures>
struct SignatureList {};

template <typename... Signatures>
std::unique_ptr<const FrameCall> FindAmong(const Operator& op, SignatureList<Signatures...>) {
  std::unique_ptr<const FrameCall> found;
  (Find<Signatures>(op, found) || ...);
  return found;
}

using T = const at::Tensor&;
using Out = at::Tensor&;
using OptT = const std::optional<at::Tensor>&;
using S = const at::Scalar&;
using OptS = const std::optional<at::Scalar>&;
using Int = int64_t;
using Sym = c10::SymInt;
using OptSym = std::optional<c10::SymInt>;
using OptInt = std::optional<int64_t>;
using OptDouble = std::optional<double>;
using Ints = c10::IntArrayRef;
using Syms = c10::SymIntArrayRef;
using OptInts = at::OptionalIntArrayRef;
using Dtype = at::ScalarType;
using OptDtype = std::optional<at::ScalarType>;
using OptLayout = std::optional<at::Layout>;
using OptDevice = std::optional<at::Device>;
using OptBool = std::optional<bool>;
using OptFormat = std::optional<at::MemoryFormat>;
using OptGenerator = std::optional<at::Generator>;
using Text = c10::string_view;
using New = at::Tensor;

// The schemas of most calls that programs make.
using Pointwise =
    SignatureList<New(T), Out(Out), Out(T, Out), New(T, T), Out(Out, T), Out(T, T, Out),
                  New(T, T, T), Out(Out, T, T), New(T, S), Out(Out, S), Out(T, S, Out),
                  New(T, S, S), Out(Out, S, S), New(T, T, S), Out(Out, T, S), Out(T, T, S, Out),
                  New(T, T, T, S), Out(Out, T, T, S), New(S, T), New(T, OptS, OptS),
                  Out(Out, OptS, OptS), New(T, OptDouble), New(T, Text), Out(Out, T, bool),
                  New(T, double, bool), Out(Out, double, double, OptGenerator)>;
using Views = SignatureList<New(T, Int), Out(Out, Int), New(T, Int, Int), Out(Out, Int, Int),
                            New(T, Int, Int, Int), New(T, Syms), New(T, Syms, bool), New(T, Ints),
                            Out(Out, Ints), New(T, Int, Sym), New(T, Int, OptSym, OptSym, Sym),
                            New(T, Int, Sym, Sym), New(T, Syms, Syms, OptSym), New(T, Sym)>;
using Reductions =
    SignatureList<New(T, OptDtype), New(T, OptInts, bool, OptDtype), New(T, Ints, bool),
                  New(T, Int, OptDtype), New(T, Int, bool), New(T, Int, bool, OptDtype),
                  New(T, OptInt, bool), New(T, bool), New(T, bool, bool), New(T, OptInts, bool)>;
using Products =
    SignatureList<New(T, T, T, S, S), Out(Out, T, T, S, S), New(T, T, OptT), New(T, T, Int),
                  New(T, Syms, OptT, OptT, double, bool), New(T, T, Sym, bool, bool),
                  New(T, T, T, OptT, double, bool, OptDouble, bool),
                  New(T, T, OptT, Int, Sym, double)>;
using Indexing =
    SignatureList<New(T, const c10::List<std::optional<at::Tensor>>&), New(T, Int, T),
                  New(T, Int, T, bool), New(T, Int, T, T), New(T, Int, T, S), New(at::TensorList),
                  New(at::TensorList, Int), New(const at::ITensorListRef&, Int)>;
using Creation =
    SignatureList<New(Syms, OptDtype, OptLayout, OptDevice, OptBool),
                  New(Syms, S, OptDtype, OptLayout, OptDevice, OptBool),
                  New(Syms, OptDtype, OptLayout, OptDevice, OptBool, OptFormat),
                  New(T, OptDtype, OptLayout, OptDevice, OptBool, OptFormat),
                  New(T, S, OptDtype, OptLayout, OptDevice, OptBool, OptFormat),
                  New(T, Syms, OptDtype, OptLayout, OptDevice, OptBool),
                  New(S, OptDtype, OptLayout, OptDevice, OptBool),
                  New(S, S, OptDtype, OptLayout, OptDevice, OptBool),
                  New(S, S, S, OptDtype, OptLayout, OptDevice, OptBool), New(T, OptFormat),
                  New(T, at::MemoryFormat), New(T, Dtype, bool, bool, OptFormat), New(T, Dtype)>;

}  // namespace

std::unique_ptr<const FrameCall> FindTypedCall(const Operator& op) {
  // What is checked before the call is checked on the stack.
  if (op.check || !op.exclusive_outs.empty()) return nullptr;
  if (auto found = FindAmong(op, Pointwise())) return found;
  if (auto found = FindAmong(op, Views())) return found;
  if (auto found = FindAmong(op, Reductions())) return found;
  if (auto found = FindAmong(op, Products())) return found;
  if (auto found = FindAmong(op, Indexing())) return found;
  return FindAmong(op, Creation());
}

}  // namespace wavegpt
