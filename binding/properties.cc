// What a tensor is: shape, strides, dtype, device.
#include "methods.h"

namespace wavegpt {
namespace {

napi_value shape(Call& call) { return call.NewNumbers(call.Tensor(0, "tensor").sizes()); }

// The sizes of the tensor whose handle stands in the call frame: into the frame too, or an array
// where they do not fit.
napi_value shapeInFrame(Call& call) {
  Frame& frame = *call.environment->frame;
  c10::IntArrayRef sizes = FrameTensor(call).sizes();
  bool fits = sizes.size() <= Frame::kSizes;
  for (size_t at = 0; fits && at < sizes.size(); ++at) {
    fits = sizes[at] <= INT32_MAX;
    frame.sizes[at] = static_cast<int32_t>(sizes[at]);
  }
  if (!fits) return call.NewNumbers(sizes);
  frame.dimensions = static_cast<uint32_t>(sizes.size());
  return call.Undefined();
}

napi_value strides(Call& call) { return call.NewNumbers(call.Tensor(0, "tensor").strides()); }

napi_value storageOffset(Call& call) {
  return call.NewNumber(static_cast<double>(call.Tensor(0, "tensor").storage_offset()));
}

napi_value dim(Call& call) {
  return call.NewNumber(static_cast<double>(call.Tensor(0, "tensor").dim()));
}

napi_value numel(Call& call) {
  return call.NewNumber(static_cast<double>(call.Tensor(0, "tensor").numel()));
}

napi_value elementSize(Call& call) {
  return call.NewNumber(static_cast<double>(call.Tensor(0, "tensor").element_size()));
}

napi_value dtype(Call& call) {
  return call.NewNumber(static_cast<double>(call.Tensor(0, "tensor").scalar_type()));
}

napi_value device(Call& call) { return call.NewString(call.Tensor(0, "tensor").device().str()); }

napi_value layout(Call& call) {
  return call.NewNumber(static_cast<double>(call.Tensor(0, "tensor").layout()));
}

napi_value isContiguous(Call& call) {
  return call.NewBoolean(call.Tensor(0, "tensor").is_contiguous());
}

napi_value dataPointer(Call& call) {
  at::Tensor tensor = call.Tensor(0, "tensor");
  return call.NewUnsignedBigInt(reinterpret_cast<uintptr_t>(tensor.const_data_ptr()));
}

napi_value version(Call& call) {
  return call.NewNumber(static_cast<double>(call.Tensor(0, "tensor")._version()));
}

napi_value isSame(Call& call) {
  return call.NewBoolean(call.Tensor(0, "a").is_same(call.Tensor(1, "b")));
}

}  // namespace

std::vector<MethodEntry> PropertyMethods() {
  return {
      WAVEGPT_METHOD(shape),       WAVEGPT_METHOD(strides),      WAVEGPT_METHOD(storageOffset),
      WAVEGPT_METHOD(dim),         WAVEGPT_METHOD(numel),        WAVEGPT_METHOD(elementSize),
      WAVEGPT_METHOD(dtype),       WAVEGPT_METHOD(device),       WAVEGPT_METHOD(layout),
      WAVEGPT_METHOD(isSame),      WAVEGPT_METHOD(version),      WAVEGPT_METHOD(isContiguous),
      WAVEGPT_METHOD(dataPointer), WAVEGPT_METHOD(shapeInFrame),
  };
}

}  // namespace wavegpt
