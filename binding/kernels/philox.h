// The numbers behind dropout: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1,
// 2, 3", SC 2011), a generator without state. A number depends on the seed and on the element's
// index alone, so that any number of threads drops the same elements, and backward finds them again
// without a stored mask.
//
// Elements come in groups of 128 = 16 counters x 8 numbers of 16 bits. Element i of group g takes
// counter 16 g + i % 16, and of its four 32-bit words half number i / 16, the lower half first: 16
// neighbours then fill a vector as they are.
#pragma once

#include <cmath>
#include <cstdint>

namespace wavegpt::kernels {

// What a probability becomes at 16 bits: an element is dropped if its number lies below
// `threshold`, and kept ones are multiplied by `scale`, the inverse of the share that is really
// kept.
struct DropRate {
  uint32_t threshold;
  float scale;

  // p from 0 to 1.
  explicit DropRate(double p)
      : threshold(static_cast<uint32_t>(std::lround(p * 65536))),
        scale(threshold == 65536 ? 0.0f : static_cast<float>(65536.0 / (65536.0 - threshold))) {}
};

}  // namespace wavegpt::kernels
