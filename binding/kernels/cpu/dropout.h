#pragma once

#include <cstdint>

#include "kernels/capability.h"

namespace wavegpt::kernels {

// Writes the multipliers of elements 0 ... count - 1: see kernels/philox.h.
extern Kernel<void(uint64_t seed, double p, int64_t count, float* multipliers)> dropout_mask_float;
extern Kernel<void(uint64_t seed, double p, int64_t count, double* multipliers)>
    dropout_mask_double;

}  // namespace wavegpt::kernels
