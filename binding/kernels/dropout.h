// Dropout by Philox, for kernels and for the compositions that they are compared with.
#pragma once

#include "kernels/dropout_seed.h"
#include "libtorch.h"

namespace wavegpt::kernels {

// Throws unless p is from 0 to 1.
void check_dropout(const char* name, double p);

// x * mask of this seed on the CPU; libtorch's own dropout, of the device's own generator, on other
// devices.
at::Tensor dropout(const at::Tensor& x, double p, bool train, const DropoutSeed& seed);

// Of the tensor's device; 0 or 1 / (1 - p), p rounded to 16 bits.
at::Tensor dropout_mask(at::SymIntArrayRef size, double p, int64_t seed,
                        std::optional<at::ScalarType> dtype, std::optional<at::Device> device);

}  // namespace wavegpt::kernels
