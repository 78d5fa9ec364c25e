// Build information, threads, devices and the CPU's memory.
#include <thread>

#include "cpu_allocator.h"
#include "kernels/plain_cuda.h"
#include "methods.h"

namespace wavegpt {
namespace {

napi_value buildInformation(Call& call) {
  napi_value result;
  Check(call.env, napi_create_object(call.env, &result));
  auto set = [&](const char* key, const std::string& value) {
    Check(call.env, napi_set_named_property(call.env, result, key, call.NewString(value)));
  };
  uint64_t abi = aoti_torch_abi_version();
  set("libtorch", std::to_string(abi >> 56) + "." + std::to_string(abi >> 48 & 255) + "." +
                      std::to_string(abi >> 40 & 255));
  set("compiledFor", TORCH_VERSION);
  set("cpuCapability", at::get_cpu_capability());
  set("parallel", at::get_parallel_info());
  set("config", at::show_config());
#if defined(__VERSION__)
  set("compiler", __VERSION__);
#else
  set("compiler", "unknown");
#endif
  return result;
}

napi_value getNumThreads(Call& call) { return call.NewNumber(at::get_num_threads()); }

// More threads than the system grants end the process, so the number is bounded.
int ReadThreads(const Call& call) {
  int64_t most =
      std::max<int64_t>(64, 4 * static_cast<int64_t>(std::thread::hardware_concurrency()));
  int64_t count = call.Integer(0, "count");
  if (count < 1 || count > most) {
    ThrowArgument(call.name, "count", "from 1 to " + std::to_string(most) + " threads",
                  std::to_string(count));
  }
  return static_cast<int>(count);
}

napi_value setNumThreads(Call& call) {
  at::set_num_threads(ReadThreads(call));
  return call.Undefined();
}

napi_value getNumInteropThreads(Call& call) {
  return call.NewNumber(at::get_num_interop_threads());
}

napi_value setNumInteropThreads(Call& call) {
  at::set_num_interop_threads(ReadThreads(call));
  return call.Undefined();
}

napi_value cudaKernels(Call& call) {
  const auto reason = kernels::why_no_cuda_kernels();
  return reason ? call.NewString(*reason) : call.Null();
}

napi_value cudaIsAvailable(Call& call) { return call.NewBoolean(at::hasCUDA()); }

napi_value cudaDeviceCount(Call& call) {
  return call.NewNumber(at::hasCUDA() ? at::detail::getCUDAHooks().getNumGPUs() : 0);
}

napi_value mpsIsAvailable(Call& call) { return call.NewBoolean(at::hasMPS()); }

napi_value synchronize(Call& call) {
  c10::Device device = call.Device(0, "device");
  if (device.is_cuda()) {
    auto index = device.has_index() ? device.index() : at::detail::getCUDAHooks().current_device();
    at::detail::getCUDAHooks().deviceSynchronize(index);
  } else if (device.is_mps()) {
    at::detail::getMPSHooks().deviceSynchronize();
  } else if (!device.is_cpu()) {
    ThrowArgument(call.name, "device", "cpu, cuda or mps", device.str());
  }
  return call.Undefined();
}

napi_value cpuMemory(Call& call) {
  const PageHeap::Statistics memory = CpuMemory();
  napi_value result;
  Check(call.env, napi_create_object(call.env, &result));
  auto set = [&](const char* key, size_t value) {
    Check(call.env, napi_set_named_property(call.env, result, key,
                                            call.NewNumber(static_cast<double>(value))));
  };
  set("allocated", memory.allocated);
  set("reserved", memory.reserved);
  set("peakAllocated", memory.peak_allocated);
  set("peakReserved", memory.peak_reserved);
  set("taken", memory.taken);
  return result;
}

napi_value resetPeakCpuMemory(Call& call) {
  ResetPeakCpuMemory();
  return call.Undefined();
}

napi_value emptyCpuCache(Call& call) {
  EmptyCpuCache();
  return call.Undefined();
}

}  // namespace

std::vector<MethodEntry> RuntimeMethods() {
  return {
      WAVEGPT_METHOD(buildInformation),     WAVEGPT_METHOD(getNumThreads),
      WAVEGPT_METHOD(setNumThreads),        WAVEGPT_METHOD(getNumInteropThreads),
      WAVEGPT_METHOD(setNumInteropThreads), WAVEGPT_METHOD(cudaIsAvailable),
      WAVEGPT_METHOD(cudaDeviceCount),      WAVEGPT_METHOD(mpsIsAvailable),
      WAVEGPT_METHOD(synchronize),          WAVEGPT_METHOD(cpuMemory),
      WAVEGPT_METHOD(resetPeakCpuMemory),   WAVEGPT_METHOD(emptyCpuCache),
      WAVEGPT_METHOD(cudaKernels),
  };
}

}  // namespace wavegpt
