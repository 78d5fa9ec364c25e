#include "kernels/capability.h"

#include <ATen/Version.h>

namespace wavegpt::kernels {

Capability cpu_capability() {
  const auto name = at::get_cpu_capability();
  if (name == "AVX512") return Capability::AVX512;
  if (name == "AVX2") return Capability::AVX2;
  return Capability::DEFAULT;
}

}  // namespace wavegpt::kernels
