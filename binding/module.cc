// The binding's entry: makes this thread's environment and exports the functions.
#include "cpu_allocator.h"
#include "methods.h"
#include "operators.h"

namespace wavegpt {
namespace {

void DeleteEnvironment(napi_env, void* data, void*) {
  delete static_cast<Environment*>(data);
  EmptyCpuCache();
}

void Export(napi_env env, napi_value exports, const std::vector<MethodEntry>& methods) {
  for (const MethodEntry& method : methods) {
    napi_value function;
    Check(env, napi_create_function(env, method.name, NAPI_AUTO_LENGTH, method.callback, nullptr,
                                    &function));
    Check(env, napi_set_named_property(env, exports, method.name, function));
  }
}

}  // namespace
}  // namespace wavegpt

// Called by the loader, once in each environment.
extern "C"
#ifdef _WIN32
    __declspec(dllexport)
#else
    __attribute__((visibility("default")))
#endif
    napi_value wavegpt_torch_init(napi_env env, napi_value exports) {
  using namespace wavegpt;
  try {
    InstallCpuAllocator();
    auto environment = std::make_unique<Environment>(env);
    Check(env, napi_set_instance_data(env, environment.get(), DeleteEnvironment, nullptr));
    environment.release();
    for (auto* methods : {DispatchMethods, OwnershipMethods, DataMethods, PropertyMethods,
                          AutogradMethods, ModeMethods, RandomMethods, RuntimeMethods,
                          ProfilerMethods, CudaGraphMethods, BatchMethods}) {
      Export(env, exports, methods());
    }
    return exports;
  } catch (...) {
    ThrowCurrentException(env, "wavegpt_torch_init");
    return nullptr;
  }
}
