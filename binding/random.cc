// Seeds and generators. libtorch's default generators are shared by the whole process.
#include <mutex>

#include "methods.h"

namespace wavegpt {
namespace {

napi_value manualSeed(Call& call) {
  at::manual_seed(call.Unsigned64(0, "seed"));
  return call.Undefined();
}

napi_value createGenerator(Call& call) {
  c10::Device device = call.Device(0, "device");
  at::Generator generator;
  if (device.is_cpu()) {
    generator = at::make_generator<at::CPUGeneratorImpl>();
  } else {
    // -1 stands for the current device.
    generator = at::globalContext()
                    .getAcceleratorHooksInterface(device.type())
                    .getNewGenerator(device.index());
  }
  return call.NewNumber(call.environment->PutGenerator(std::move(generator)));
}

napi_value defaultGenerator(Call& call) {
  at::Generator generator = at::globalContext().defaultGenerator(call.Device(0, "device"));
  return call.NewNumber(call.environment->PutGenerator(std::move(generator)));
}

napi_value releaseGenerator(Call& call) {
  call.environment->ReleaseGenerator(call.Number(0, "generator"));
  return call.Undefined();
}

napi_value generatorManualSeed(Call& call) {
  at::Generator generator = call.Generator(0, "generator");
  uint64_t seed = call.Unsigned64(1, "seed");
  std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_current_seed(seed);
  return call.Undefined();
}

napi_value generatorInitialSeed(Call& call) {
  at::Generator generator = call.Generator(0, "generator");
  std::lock_guard<std::mutex> lock(generator.mutex());
  return call.NewUnsignedBigInt(generator.current_seed());
}

napi_value generatorSeed(Call& call) {
  at::Generator generator = call.Generator(0, "generator");
  std::lock_guard<std::mutex> lock(generator.mutex());
  return call.NewUnsignedBigInt(generator.seed());
}

napi_value generatorDevice(Call& call) {
  return call.NewString(call.Generator(0, "generator").device().str());
}

napi_value generatorState(Call& call) {
  at::Generator generator = call.Generator(0, "generator");
  std::lock_guard<std::mutex> lock(generator.mutex());
  return call.NewTensor(generator.get_state());
}

napi_value setGeneratorState(Call& call) {
  at::Generator generator = call.Generator(0, "generator");
  at::Tensor state = call.Tensor(1, "state");
  std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_state(state);
  return call.Undefined();
}

}  // namespace

std::vector<MethodEntry> RandomMethods() {
  return {
      WAVEGPT_METHOD(manualSeed),          WAVEGPT_METHOD(createGenerator),
      WAVEGPT_METHOD(defaultGenerator),    WAVEGPT_METHOD(releaseGenerator),
      WAVEGPT_METHOD(generatorManualSeed), WAVEGPT_METHOD(generatorInitialSeed),
      WAVEGPT_METHOD(generatorSeed),       WAVEGPT_METHOD(generatorDevice),
      WAVEGPT_METHOD(generatorState),      WAVEGPT_METHOD(setGeneratorState),
  };
}

}  // namespace wavegpt
