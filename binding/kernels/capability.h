// Picks, at run time, the build of a kernel for the CPU at hand.
//
// Every file in kernels/cpu is compiled once for each capability (CMakeLists.txt) and registers its
// functions with WAVEGPT_REGISTER_KERNEL; a `Kernel` calls the best one that libtorch finds the CPU
// able to run. ATEN_CPU_CAPABILITY (default, avx2, avx512) lowers the choice, for ours as for
// libtorch's own kernels.
#pragma once

#include <utility>

namespace wavegpt::kernels {

enum class Capability { DEFAULT, AVX2, AVX512 };

Capability cpu_capability();

template <typename Function>
class Kernel;

template <typename Result, typename... Arguments>
class Kernel<Result(Arguments...)> {
 public:
  using Implementation = Result (*)(Arguments...);

  constexpr Kernel() = default;

  Result operator()(Arguments... arguments) const {
    static const Capability most = cpu_capability();
    auto choice = static_cast<int>(most);
    while (implementations_[choice] == nullptr) choice--;
    return implementations_[choice](std::forward<Arguments>(arguments)...);
  }

  bool add(Capability capability, Implementation implementation) {
    implementations_[static_cast<int>(capability)] = implementation;
    return true;
  }

 private:
  Implementation implementations_[3] = {};
};

}  // namespace wavegpt::kernels

// For files in kernels/cpu, inside wavegpt::kernels; the function belongs in an anonymous
// namespace.
#define WAVEGPT_REGISTER_KERNEL(kernel, function)          \
  [[maybe_unused]] static const bool kernel##_registered = \
      kernel.add(Capability::CPU_CAPABILITY, &function)
