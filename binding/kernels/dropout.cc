#include "kernels/dropout.h"

#include <torch/library.h>

#include "kernels/cpu/dropout.h"

namespace wavegpt::kernels {

constinit Kernel<void(uint64_t, double, int64_t, float*)> dropout_mask_float;
constinit Kernel<void(uint64_t, double, int64_t, double*)> dropout_mask_double;

void check_dropout(const char* name, double p) {
  TORCH_CHECK(p >= 0 && p <= 1, name, ": p must be from 0 to 1, got ", p);
}

at::Tensor dropout(const at::Tensor& x, double p, bool train, const DropoutSeed& seed) {
  if (!train || p == 0) return x;
  if (!x.device().is_cpu()) return at::dropout(x, p, true);
  return x * dropout_mask(x.sym_sizes(), p, seed.number(), x.scalar_type(), x.device());
}

at::Tensor dropout_mask(at::SymIntArrayRef size, double p, int64_t seed,
                        std::optional<at::ScalarType> dtype, std::optional<at::Device> device) {
  check_dropout("wavegpt::dropout_mask", p);
  const auto type = dtype.value_or(at::kFloat);
  TORCH_CHECK(at::isFloatingType(type),
              "wavegpt::dropout_mask: dtype must be a floating-point type, got ", type);
  const auto sizes = C10_AS_INTARRAYREF_SLOW(size);
  for (const int64_t side : sizes) {
    TORCH_CHECK(side >= 0, "wavegpt::dropout_mask: sizes must not be negative, got ", sizes);
  }
  const auto options = at::TensorOptions().device(at::kCPU);
  const bool is_double = type == at::kDouble;
  auto mask = at::empty(sizes, options.dtype(is_double ? at::kDouble : at::kFloat));
  const auto bits = static_cast<uint64_t>(seed);
  if (is_double) {
    dropout_mask_double(bits, p, mask.numel(), mask.mutable_data_ptr<double>());
  } else {
    dropout_mask_float(bits, p, mask.numel(), mask.mutable_data_ptr<float>());
  }
  return mask.to(device.value_or(at::kCPU), type);
}

TORCH_LIBRARY_FRAGMENT(wavegpt, library) {
  library.def(
      "dropout_mask(SymInt[] size, float p, int seed, *, ScalarType? dtype=None, Device? "
      "device=None) -> Tensor");
}

TORCH_LIBRARY_IMPL(wavegpt, CompositeImplicitAutograd, library) {
  library.impl("dropout_mask", dropout_mask);
}

}  // namespace wavegpt::kernels
