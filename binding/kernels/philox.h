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

#if defined(__CUDACC__)
#define WAVEGPT_HOST_DEVICE __host__ __device__
#else
#define WAVEGPT_HOST_DEVICE
#endif

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

// A counter's eight numbers, the plain way; kernels/cpu/philox.h has the same in vectors.
struct PhiloxNumbers {
  uint32_t words[4];

  WAVEGPT_HOST_DEVICE PhiloxNumbers(uint64_t seed, uint64_t counter)
      : words{static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0, 0} {
    auto key0 = static_cast<uint32_t>(seed);
    auto key1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; round++) {
      const uint64_t product0 = uint64_t{0xD2511F53u} * words[0];
      const uint64_t product1 = uint64_t{0xCD9E8D57u} * words[2];
      words[0] = static_cast<uint32_t>(product1 >> 32) ^ words[1] ^ key0;
      words[1] = static_cast<uint32_t>(product1);
      words[2] = static_cast<uint32_t>(product0 >> 32) ^ words[3] ^ key1;
      words[3] = static_cast<uint32_t>(product0);
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
  }

  // index 0 ... 7: of the element that lies 16 * index behind the counter's first.
  WAVEGPT_HOST_DEVICE uint32_t operator[](int index) const {
    return words[index / 2] >> (index % 2 * 16) & 0xFFFFu;
  }

  WAVEGPT_HOST_DEVICE static int64_t first_element(int64_t counter) {
    return counter / 16 * 128 + counter % 16;
  }
};

}  // namespace wavegpt::kernels
