// CUDA graphs, and the seeds of dropout in them. A graph is a JavaScript object until that is
// collected, or until its thread ends.
#include <c10/core/CachingDeviceAllocator.h>

#include "kernels/dropout_seed.h"
#include "kernels/plain_cuda.h"
#include "methods.h"

namespace wavegpt {
namespace {

using kernels::CudaGraph;

constexpr napi_type_tag kGraphTag = {0x1d5be0a4c3f94a70, 0xb06fe2d78a5c4913};

CudaGraph& ReadGraph(const Call& call, size_t index) {
  napi_value value = call.raw(index);
  napi_valuetype type = napi_undefined;
  bool is_graph = false;
  void* graph = nullptr;
  if (value != nullptr) Check(call.env, napi_typeof(call.env, value, &type));
  if (type == napi_object) {
    Check(call.env, napi_check_object_type_tag(call.env, value, &kGraphTag, &is_graph));
  }
  if (!is_graph || napi_unwrap(call.env, value, &graph) != napi_ok) {
    ThrowArgument(call.name, "graph", "what createCudaGraph returned", Describe(call.env, value));
  }
  return *static_cast<CudaGraph*>(graph);
}

c10::DeviceIndex ReadCudaDevice(const Call& call, size_t index) {
  c10::Device device = call.Device(index, "device");
  if (!device.is_cuda() || !at::hasCUDA()) {
    ThrowArgument(call.name, "device", "a CUDA device that is here", device.str());
  }
  at::globalContext().lazyInitDevice(at::kCUDA);
  return device.has_index() ? device.index() : at::detail::getCUDAHooks().current_device();
}

napi_value createCudaGraph(Call& call) {
  auto graph = kernels::make_cuda_graph(ReadCudaDevice(call, 0));
  napi_value object;
  Check(call.env, napi_create_object(call.env, &object));
  Check(call.env, napi_type_tag_object(call.env, object, &kGraphTag));
  Check(call.env, napi_wrap(
                      call.env, object, graph.get(),
                      [](napi_env, void* data, void*) { delete static_cast<CudaGraph*>(data); },
                      nullptr, nullptr));
  graph.release();
  return object;
}

napi_value enterCudaGraph(Call& call) {
  ReadGraph(call, 0).enter();
  return call.Undefined();
}

napi_value leaveCudaGraph(Call& call) {
  ReadGraph(call, 0).leave();
  return call.Undefined();
}

napi_value beginCudaGraph(Call& call) {
  ReadGraph(call, 0).begin();
  return call.Undefined();
}

napi_value endCudaGraph(Call& call) {
  ReadGraph(call, 0).end();
  return call.Undefined();
}

napi_value abandonCudaGraph(Call& call) {
  ReadGraph(call, 0).abandon();
  return call.Undefined();
}

napi_value launchCudaGraph(Call& call) {
  ReadGraph(call, 0).launch();
  return call.Undefined();
}

napi_value resetCudaGraph(Call& call) {
  ReadGraph(call, 0).reset();
  return call.Undefined();
}

napi_value beginSeedCapture(Call& call) {
  kernels::begin_seed_capture(call.Tensor(0, "places"));
  return call.Undefined();
}

napi_value endSeedCapture(Call& call) {
  return call.NewNumber(static_cast<double>(kernels::end_seed_capture()));
}

napi_value drawCapturedSeeds(Call& call) {
  kernels::draw_captured_seeds(call.Tensor(0, "places"), call.Integer(1, "count"));
  return call.Undefined();
}

napi_value cudaMemory(Call& call) {
  const auto device = ReadCudaDevice(call, 0);
  const auto memory = c10::getDeviceAllocator(at::kCUDA)->getDeviceStats(device);
  constexpr auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return call.NewNumbers({memory.allocated_bytes[all].current, memory.reserved_bytes[all].current});
}

}  // namespace

std::vector<MethodEntry> CudaGraphMethods() {
  return {
      WAVEGPT_METHOD(createCudaGraph),   WAVEGPT_METHOD(enterCudaGraph),
      WAVEGPT_METHOD(leaveCudaGraph),    WAVEGPT_METHOD(beginCudaGraph),
      WAVEGPT_METHOD(endCudaGraph),      WAVEGPT_METHOD(abandonCudaGraph),
      WAVEGPT_METHOD(launchCudaGraph),   WAVEGPT_METHOD(resetCudaGraph),
      WAVEGPT_METHOD(beginSeedCapture),  WAVEGPT_METHOD(endSeedCapture),
      WAVEGPT_METHOD(drawCapturedSeeds), WAVEGPT_METHOD(cudaMemory),
  };
}

}  // namespace wavegpt
