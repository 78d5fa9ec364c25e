// Typed arrays into tensors and tensors into typed arrays.
#include <cstring>

#include "methods.h"

namespace wavegpt {
namespace {

struct TypedArray {
  napi_typedarray_type type;
  size_t length;  // in elements
  size_t element_size;
  void* data;
  napi_value buffer;

  size_t bytes() const { return length * element_size; }
};

size_t ElementSize(napi_typedarray_type type) {
  switch (type) {
    case napi_int8_array:
    case napi_uint8_array:
    case napi_uint8_clamped_array:
      return 1;
    case napi_int16_array:
    case napi_uint16_array:
      return 2;
    case napi_int32_array:
    case napi_uint32_array:
    case napi_float32_array:
      return 4;
    default:
      return 8;
  }
}

TypedArray ReadTypedArray(const Call& call, size_t index, const char* argument) {
  napi_value value = call.raw(index);
  bool is_typed_array = false;
  if (!value || napi_is_typedarray(call.env, value, &is_typed_array) != napi_ok ||
      !is_typed_array) {
    ThrowArgument(call.name, argument, "a typed array", Describe(call.env, value));
  }
  TypedArray array;
  size_t offset;
  Check(call.env, napi_get_typedarray_info(call.env, value, &array.type, &array.length, &array.data,
                                           &array.buffer, &offset));
  array.element_size = ElementSize(array.type);
  return array;
}

// The typed array's element is the tensor's bit for bit.
bool Holds(napi_typedarray_type type, at::ScalarType dtype) {
  switch (dtype) {
    case at::kByte:
    case at::kBool:
      return type == napi_uint8_array || type == napi_uint8_clamped_array;
    case at::kChar:
      return type == napi_int8_array;
    case at::kShort:
      return type == napi_int16_array;
    case at::kUInt16:
    case at::kHalf:
    case at::kBFloat16:
      return type == napi_uint16_array;
    case at::kInt:
      return type == napi_int32_array;
    case at::kUInt32:
      return type == napi_uint32_array;
    case at::kFloat:
    case at::kComplexFloat:
      return type == napi_float32_array;
    case at::kDouble:
    case at::kComplexDouble:
      return type == napi_float64_array;
    case at::kLong:
      return type == napi_bigint64_array;
    case at::kUInt64:
      return type == napi_biguint64_array;
    default:
      return type == napi_uint8_array && c10::elementSize(dtype) == 1;
  }
}

napi_typedarray_type ArrayTypeFor(const Call& call, at::ScalarType dtype) {
  for (napi_typedarray_type type :
       {napi_uint8_array, napi_int8_array, napi_int16_array, napi_uint16_array, napi_int32_array,
        napi_uint32_array, napi_float32_array, napi_float64_array, napi_bigint64_array,
        napi_biguint64_array}) {
    if (Holds(type, dtype)) return type;
  }
  ThrowArgument(call.name, "tensor", "a dtype that a typed array can hold", c10::toString(dtype));
}

bool IsPlainDtype(at::ScalarType dtype) {
  return !c10::isQIntType(dtype) && !c10::isBitsType(dtype) && c10::elementSize(dtype) > 0;
}

// The sizes' product, checked against overflow; throws where a size is negative.
int64_t Elements(const Call& call, const std::vector<int64_t>& sizes) {
  int64_t count = 1;
  for (int64_t size : sizes) {
    if (size < 0) {
      ThrowArgument(call.name, "shape", "sizes of at least 0", std::to_string(size));
    }
    if (__builtin_mul_overflow(count, size, &count)) {
      ThrowArgument(call.name, "shape", "a product below 2^63", "a larger one");
    }
  }
  return count;
}

struct SourceLayout {
  TypedArray array;
  std::vector<int64_t> sizes;
  at::ScalarType dtype;
};

SourceLayout ReadSource(const Call& call) {
  SourceLayout source{ReadTypedArray(call, 0, "data"), call.Sizes(1, "shape"),
                      call.Dtype(2, "dtype")};
  if (!IsPlainDtype(source.dtype) || !Holds(source.array.type, source.dtype)) {
    ThrowArgument(call.name, "data",
                  std::string("a typed array of ") + c10::toString(source.dtype) + " elements",
                  "one of another element type");
  }
  int64_t elements = Elements(call, source.sizes);
  int64_t width = c10::isComplexType(source.dtype) ? 2 : 1;
  int64_t given = static_cast<int64_t>(source.array.length);
  if (given % width != 0 || elements != given / width) {
    ThrowArgument(call.name, "data",
                  std::to_string(elements) + " elements for the shape " +
                      c10::str(c10::IntArrayRef(source.sizes)),
                  std::to_string(given / width));
  }
  return source;
}

napi_value fromTypedArray(Call& call) {
  SourceLayout source = ReadSource(call);
  at::Tensor tensor = at::empty(source.sizes, at::TensorOptions(source.dtype));
  if (source.array.bytes() > 0) {
    std::memcpy(tensor.data_ptr(), source.array.data, source.array.bytes());
  }
  return call.NewTensor(std::move(tensor));
}

napi_value fromSharedTypedArray(Call& call) {
  SourceLayout source = ReadSource(call);
  if (reinterpret_cast<uintptr_t>(source.array.data) % c10::elementSize(source.dtype) != 0) {
    ThrowArgument(call.name, "data", "memory aligned to its element", "an unaligned view");
  }
  napi_ref reference;
  Check(call.env, napi_create_reference(call.env, source.array.buffer, 1, &reference));
  auto shared = call.environment->shared_memory;
  at::Tensor tensor;
  try {
    tensor = at::from_blob(
        source.array.data, source.sizes,
        [shared, reference](void*) { shared->QueueRelease(reference); },
        at::TensorOptions(source.dtype));
  } catch (...) {
    napi_delete_reference(call.env, reference);
    throw;
  }
  return call.NewTensor(std::move(tensor));
}

// Strided, on the CPU, contiguous, with conjugation and negation carried out.
at::Tensor Materialise(const Call& call, const at::Tensor& tensor) {
  if (tensor.layout() != at::kStrided) {
    ThrowArgument(call.name, "tensor", "a dense (strided) tensor",
                  c10::str("a tensor of layout ", tensor.layout()));
  }
  if (!IsPlainDtype(tensor.scalar_type())) {
    ThrowArgument(call.name, "tensor", "a dtype that a typed array can hold",
                  c10::toString(tensor.scalar_type()));
  }
  at::NoGradGuard no_grad;
  at::Tensor detached = tensor.detach();
  if (detached._is_zerotensor()) detached = at::zeros(detached.sizes(), detached.options());
  return detached.cpu().resolve_conj().resolve_neg().contiguous();
}

size_t ArrayLength(const at::Tensor& tensor) {
  return static_cast<size_t>(tensor.numel()) * (tensor.is_complex() ? 2 : 1);
}

napi_value toTypedArray(Call& call) {
  at::Tensor tensor = call.Tensor(0, "tensor");
  napi_typedarray_type type = ArrayTypeFor(call, tensor.scalar_type());
  at::Tensor contiguous = Materialise(call, tensor);
  size_t bytes = contiguous.nbytes();
  void* data = nullptr;
  napi_value buffer, result;
  Check(call.env, napi_create_arraybuffer(call.env, bytes, &data, &buffer));
  if (bytes > 0) std::memcpy(data, contiguous.const_data_ptr(), bytes);
  Check(call.env,
        napi_create_typedarray(call.env, type, ArrayLength(contiguous), buffer, 0, &result));
  return result;
}

napi_value shareTypedArray(Call& call) {
  at::Tensor tensor = call.Tensor(0, "tensor");
  napi_typedarray_type type = ArrayTypeFor(call, tensor.scalar_type());
  if (tensor.layout() != at::kStrided || !tensor.is_cpu() || !tensor.is_contiguous() ||
      tensor.is_conj() || tensor.is_neg() || tensor._is_zerotensor()) {
    ThrowArgument(call.name, "tensor", "a contiguous tensor on the CPU",
                  "one that must be copied to be read");
  }
  // Alive as long as the array: the storage, not the tensor, whose shape may change.
  auto* storage = new c10::Storage(tensor.storage());
  napi_value buffer, result;
  size_t bytes = tensor.nbytes();
  napi_status status = napi_ok;
  if (bytes == 0) {
    delete storage;
    void* unused;
    status = napi_create_arraybuffer(call.env, 0, &unused, &buffer);
  } else {
    status = napi_create_external_arraybuffer(
        call.env, tensor.mutable_data_ptr(), bytes,
        [](napi_env, void*, void* hint) { delete static_cast<c10::Storage*>(hint); }, storage,
        &buffer);
    if (status != napi_ok) delete storage;
  }
  Check(call.env, status);
  Check(call.env, napi_create_typedarray(call.env, type, ArrayLength(tensor), buffer, 0, &result));
  return result;
}

napi_value copyFromTypedArray(Call& call) {
  at::Tensor tensor = call.Tensor(0, "tensor");
  TypedArray array = ReadTypedArray(call, 1, "data");
  at::ScalarType dtype = tensor.scalar_type();
  if (!IsPlainDtype(dtype) || !Holds(array.type, dtype) || array.length != ArrayLength(tensor)) {
    ThrowArgument(
        call.name, "data",
        std::to_string(ArrayLength(tensor)) + " elements of " + c10::toString(dtype),
        std::to_string(array.length) + " of " + std::to_string(array.element_size) + " bytes each");
  }
  at::NoGradGuard no_grad;
  at::Tensor source = at::from_blob(array.data, tensor.sizes(), at::TensorOptions(dtype));
  tensor.copy_(source);
  return call.Undefined();
}

napi_value ItemOf(Call& call, const at::Tensor& tensor) {
  if (tensor.numel() != 1) {
    ThrowArgument(call.name, "tensor", "a tensor of one element",
                  "one of " + std::to_string(tensor.numel()));
  }
  at::NoGradGuard no_grad;
  return WriteScalar(call.env, tensor.item());
}

napi_value item(Call& call) { return ItemOf(call, call.Tensor(0, "tensor")); }

template <typename T>
double FirstElement(const at::Tensor& tensor) {
  return static_cast<double>(*static_cast<const T*>(tensor.const_data_ptr()));
}

// The one element of the tensor whose handle stands in the call frame: into the frame where it is a
// number that lies on the CPU as it is, else as `item` returns it.
napi_value itemInFrame(Call& call) {
  const at::Tensor& tensor = FrameTensor(call);
  double& number = call.environment->frame->numbers[0];
  bool plain = tensor.numel() == 1 && tensor.layout() == at::kStrided && tensor.is_cpu() &&
               !tensor.is_neg() && !tensor._is_zerotensor();
  if (plain && tensor.scalar_type() == at::kFloat) {
    number = FirstElement<float>(tensor);
  } else if (plain && tensor.scalar_type() == at::kDouble) {
    number = FirstElement<double>(tensor);
  } else if (plain && tensor.scalar_type() == at::kInt) {
    number = FirstElement<int32_t>(tensor);
  } else {
    return ItemOf(call, tensor);
  }
  return call.Undefined();
}

}  // namespace

std::vector<MethodEntry> DataMethods() {
  return {
      WAVEGPT_METHOD(fromTypedArray), WAVEGPT_METHOD(fromSharedTypedArray),
      WAVEGPT_METHOD(toTypedArray),   WAVEGPT_METHOD(shareTypedArray),
      WAVEGPT_METHOD(item),           WAVEGPT_METHOD(copyFromTypedArray),
      WAVEGPT_METHOD(itemInFrame),
  };
}

}  // namespace wavegpt
