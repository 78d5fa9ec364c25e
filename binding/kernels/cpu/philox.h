// Dropout's multipliers, a vectorised generator: see kernels/philox.h. For files in kernels/cpu.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#if defined(CPU_CAPABILITY_AVX512) || defined(CPU_CAPABILITY_AVX2)
#include <immintrin.h>
#endif

#include "kernels/philox.h"

namespace wavegpt::kernels {
namespace {

inline constexpr int64_t kPhiloxGroup = 128;

// A word of `size` counters lies in two vectors, `even` ones and odd ones, each in the lower half
// of a 64-bit lane: products read that half only, so that no round moves halves about, and one move
// at the end brings them in order. Compilers do not find this by themselves.
#if defined(CPU_CAPABILITY_AVX512)
struct PhiloxLanes {
  using Vector = __m512i;
  static constexpr int size = 16;
  static Vector splat(uint64_t value) { return _mm512_set1_epi64(static_cast<int64_t>(value)); }
  static Vector even(uint64_t first) {
    return _mm512_add_epi64(splat(first), _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14));
  }
  static Vector multiply(Vector x, Vector y) { return _mm512_mul_epu32(x, y); }
  static Vector high_xor(Vector product, Vector x, Vector y) {
    return _mm512_ternarylogic_epi64(_mm512_srli_epi64(product, 32), x, y, 0x96);
  }
  static Vector add(Vector x, Vector y) { return _mm512_add_epi64(x, y); }
  static Vector in_order(Vector even, Vector odd) {
    return _mm512_castps_si512(
        _mm512_mask_moveldup_ps(_mm512_castsi512_ps(even), 0xAAAA, _mm512_castsi512_ps(odd)));
  }
  static Vector lower(Vector words) { return _mm512_and_si512(words, _mm512_set1_epi32(0xFFFF)); }
  static Vector upper(Vector words) { return _mm512_srli_epi32(words, 16); }
  // One bit of each number that is kept.
  static uint32_t kept(Vector numbers, uint32_t threshold) {
    return _mm512_cmpge_epu32_mask(numbers, _mm512_set1_epi32(static_cast<int>(threshold)));
  }
  static void multipliers(Vector numbers, uint32_t threshold, float scale, float* to) {
    const auto mask =
        _mm512_cmpge_epu32_mask(numbers, _mm512_set1_epi32(static_cast<int>(threshold)));
    _mm512_storeu_ps(to, _mm512_maskz_mov_ps(mask, _mm512_set1_ps(scale)));
  }
};
#elif defined(CPU_CAPABILITY_AVX2)
struct PhiloxLanes {
  using Vector = __m256i;
  static constexpr int size = 8;
  static Vector splat(uint64_t value) { return _mm256_set1_epi64x(static_cast<int64_t>(value)); }
  static Vector even(uint64_t first) {
    return _mm256_add_epi64(splat(first), _mm256_setr_epi64x(0, 2, 4, 6));
  }
  static Vector multiply(Vector x, Vector y) { return _mm256_mul_epu32(x, y); }
  static Vector high_xor(Vector product, Vector x, Vector y) {
    return _mm256_xor_si256(_mm256_srli_epi64(product, 32), _mm256_xor_si256(x, y));
  }
  static Vector add(Vector x, Vector y) { return _mm256_add_epi64(x, y); }
  static Vector in_order(Vector even, Vector odd) {
    return _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
  }
  static Vector lower(Vector words) { return _mm256_and_si256(words, _mm256_set1_epi32(0xFFFF)); }
  static Vector upper(Vector words) { return _mm256_srli_epi32(words, 16); }
  static __m256i dropped(Vector numbers, uint32_t threshold) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(threshold)), numbers);
  }
  static uint32_t kept(Vector numbers, uint32_t threshold) {
    return 0xFFu & ~static_cast<uint32_t>(
                       _mm256_movemask_ps(_mm256_castsi256_ps(dropped(numbers, threshold))));
  }
  static void multipliers(Vector numbers, uint32_t threshold, float scale, float* to) {
    _mm256_storeu_ps(to, _mm256_andnot_ps(_mm256_castsi256_ps(dropped(numbers, threshold)),
                                          _mm256_set1_ps(scale)));
  }
};
#else
struct PhiloxLanes {
  using Vector = uint64_t;
  static constexpr int size = 2;
  static Vector splat(uint64_t value) { return value; }
  static Vector even(uint64_t first) { return first; }
  static Vector multiply(Vector x, Vector y) { return (x & 0xFFFFFFFFu) * y; }
  static Vector high_xor(Vector product, Vector x, Vector y) { return (product >> 32) ^ x ^ y; }
  static Vector add(Vector x, Vector y) { return x + y; }
  static Vector in_order(Vector even, Vector odd) { return (even & 0xFFFFFFFFu) | (odd << 32); }
  static Vector lower(Vector words) { return words & 0x0000FFFF0000FFFFu; }
  static Vector upper(Vector words) { return (words >> 16) & 0x0000FFFF0000FFFFu; }
  static uint32_t kept(Vector numbers, uint32_t threshold) {
    return static_cast<uint32_t>((numbers & 0xFFFFFFFFu) >= threshold) |
           static_cast<uint32_t>((numbers >> 32) >= threshold) << 1;
  }
  static void store(Vector numbers, uint32_t* to) {
    to[0] = static_cast<uint32_t>(numbers);
    to[1] = static_cast<uint32_t>(numbers >> 32);
  }
};
#endif

// A seed's keys of the ten rounds.
struct PhiloxKeys {
  uint64_t first[10], second[10];

  explicit PhiloxKeys(uint64_t seed) {
    auto key0 = static_cast<uint32_t>(seed);
    auto key1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; round++) {
      first[round] = key0;
      second[round] = key1;
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
  }
};

// Gives the 128 numbers of a group to take(numbers, element): PhiloxLanes::size of them, from that
// element on.
template <typename Take>
inline void philox_group(const PhiloxKeys& keys, uint64_t group, const Take& take) {
  using Lanes = PhiloxLanes;
  using Vector = Lanes::Vector;
  const uint64_t first = (group * 16) & 0xFFFFFFFFu;
  for (int counter = 0; counter < 16; counter += Lanes::size) {
    Vector c0[2], c1[2], c2[2], c3[2];
    c0[0] = Lanes::even(first + static_cast<uint64_t>(counter));
    c0[1] = Lanes::add(c0[0], Lanes::splat(1));
    for (int odd = 0; odd < 2; odd++) {
      c1[odd] = Lanes::splat(group >> 28);
      c2[odd] = Lanes::splat(0);
      c3[odd] = Lanes::splat(0);
    }
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC unroll 10
#endif
    for (int round = 0; round < 10; round++) {
      for (int odd = 0; odd < 2; odd++) {
        const auto product0 = Lanes::multiply(c0[odd], Lanes::splat(0xD2511F53u));
        const auto product1 = Lanes::multiply(c2[odd], Lanes::splat(0xCD9E8D57u));
        c0[odd] = Lanes::high_xor(product1, c1[odd], Lanes::splat(keys.first[round]));
        c1[odd] = product1;
        c2[odd] = Lanes::high_xor(product0, c3[odd], Lanes::splat(keys.second[round]));
        c3[odd] = product0;
      }
    }
    const Vector words[4] = {Lanes::in_order(c0[0], c0[1]), Lanes::in_order(c1[0], c1[1]),
                             Lanes::in_order(c2[0], c2[1]), Lanes::in_order(c3[0], c3[1])};
    for (int word = 0; word < 4; word++) {
      take(Lanes::lower(words[word]), 32 * word + counter);
      take(Lanes::upper(words[word]), 32 * word + 16 + counter);
    }
  }
}

// What the 128 elements of a group are multiplied by: 0 or the rate's scale.
inline void dropout_group(const PhiloxKeys& keys, uint64_t group, const DropRate& rate,
                          float* multipliers) {
#if defined(CPU_CAPABILITY_AVX512) || defined(CPU_CAPABILITY_AVX2)
  philox_group(keys, group, [&](PhiloxLanes::Vector numbers, int element) {
    PhiloxLanes::multipliers(numbers, rate.threshold, rate.scale, multipliers + element);
  });
#else
  uint32_t stored[kPhiloxGroup];
  philox_group(keys, group, [&](PhiloxLanes::Vector numbers, int element) {
    PhiloxLanes::store(numbers, stored + element);
  });
  for (int64_t i = 0; i < kPhiloxGroup; i++)
    multipliers[i] = stored[i] < rate.threshold ? 0.0f : rate.scale;
#endif
}

inline void dropout_group(const PhiloxKeys& keys, uint64_t group, const DropRate& rate,
                          double* multipliers) {
  float narrow[kPhiloxGroup];
  dropout_group(keys, group, rate, narrow);
  std::copy(narrow, narrow + kPhiloxGroup, multipliers);
}

// Which of the 128 elements of a group are kept, a bit each, the first element's the lowest.
inline void dropout_bits(const PhiloxKeys& keys, uint64_t group, const DropRate& rate,
                         uint8_t* bits) {
  if constexpr (PhiloxLanes::size == 16) {
    philox_group(keys, group, [&](PhiloxLanes::Vector numbers, int element) {
      const auto kept = static_cast<uint16_t>(PhiloxLanes::kept(numbers, rate.threshold));
      std::memcpy(bits + element / 8, &kept, 2);
    });
  } else if constexpr (PhiloxLanes::size == 8) {
    philox_group(keys, group, [&](PhiloxLanes::Vector numbers, int element) {
      bits[element / 8] = static_cast<uint8_t>(PhiloxLanes::kept(numbers, rate.threshold));
    });
  } else {
    std::fill(bits, bits + kPhiloxGroup / 8, uint8_t{0});
    philox_group(keys, group, [&](PhiloxLanes::Vector numbers, int element) {
      bits[element / 8] |=
          static_cast<uint8_t>(PhiloxLanes::kept(numbers, rate.threshold) << element % 8);
    });
  }
}

// What elements first ... first + count - 1 are multiplied by. Quickest where `first` and `count`
// are multiples of 128.
template <typename Accumulator>
inline void dropout_multipliers(const PhiloxKeys& keys, const DropRate& rate, int64_t first,
                                int64_t count, Accumulator* multipliers) {
  while (count > 0) {
    const int64_t group = first / kPhiloxGroup;
    const int64_t offset = first % kPhiloxGroup;
    const int64_t taken = std::min(count, kPhiloxGroup - offset);
    if (taken == kPhiloxGroup) {
      dropout_group(keys, static_cast<uint64_t>(group), rate, multipliers);
    } else {
      Accumulator whole[kPhiloxGroup];
      dropout_group(keys, static_cast<uint64_t>(group), rate, whole);
      std::copy(whole + offset, whole + offset + taken, multipliers);
    }
    first += taken;
    count -= taken;
    multipliers += taken;
  }
}

template <typename Accumulator>
inline void dropout_multipliers(uint64_t seed, const DropRate& rate, int64_t first, int64_t count,
                                Accumulator* multipliers) {
  dropout_multipliers(PhiloxKeys(seed), rate, first, count, multipliers);
}

}  // namespace
}  // namespace wavegpt::kernels
