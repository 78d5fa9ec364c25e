// Dropout's multipliers, a vectorised generator: see kernels/philox.h. For files in kernels/cpu.
#pragma once

#include <algorithm>
#include <cstdint>

#if defined(CPU_CAPABILITY_AVX512) || defined(CPU_CAPABILITY_AVX2)
#include <immintrin.h>
#endif

#include "kernels/philox.h"

namespace wavegpt::kernels {
namespace {

inline constexpr int64_t kPhiloxGroup = 128;

// One word of 16 counters, each in a 64-bit lane of which products read the lower half only: so no
// round has to move halves about. Compilers do not find this by themselves.
#if defined(CPU_CAPABILITY_AVX512)
struct PhiloxLanes {
  using Vector = __m512i;
  static constexpr int size = 8;
  static Vector splat(uint64_t value) { return _mm512_set1_epi64(static_cast<int64_t>(value)); }
  static Vector load(const uint64_t* from) { return _mm512_loadu_si512(from); }
  static Vector multiply(Vector x, Vector y) { return _mm512_mul_epu32(x, y); }
  static Vector high_xor(Vector product, Vector x, Vector y) {
    return _mm512_ternarylogic_epi64(_mm512_srli_epi64(product, 32), x, y, 0x96);
  }
  static void store(uint32_t* to, Vector x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi64_epi32(x));
  }
};
#elif defined(CPU_CAPABILITY_AVX2)
struct PhiloxLanes {
  using Vector = __m256i;
  static constexpr int size = 4;
  static Vector splat(uint64_t value) { return _mm256_set1_epi64x(static_cast<int64_t>(value)); }
  static Vector load(const uint64_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  static Vector multiply(Vector x, Vector y) { return _mm256_mul_epu32(x, y); }
  static Vector high_xor(Vector product, Vector x, Vector y) {
    return _mm256_xor_si256(_mm256_srli_epi64(product, 32), _mm256_xor_si256(x, y));
  }
  static void store(uint32_t* to, Vector x) {
    const auto lower = _mm256_permutevar8x32_epi32(x, _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(lower));
  }
};
#else
struct PhiloxLanes {
  using Vector = uint64_t;
  static constexpr int size = 1;
  static Vector splat(uint64_t value) { return value; }
  static Vector load(const uint64_t* from) { return *from; }
  static Vector multiply(Vector x, Vector y) { return (x & 0xFFFFFFFFu) * y; }
  static Vector high_xor(Vector product, Vector x, Vector y) { return (product >> 32) ^ x ^ y; }
  static void store(uint32_t* to, Vector x) { *to = static_cast<uint32_t>(x); }
};
#endif

// The four words of counters 16 * group ... 16 * group + 15.
inline void philox_group(uint64_t seed, uint64_t group, uint32_t (&words)[4][16]) {
  using Lanes = PhiloxLanes;
  using Vector = Lanes::Vector;
  static constexpr uint64_t lane_numbers[16] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                8, 9, 10, 11, 12, 13, 14, 15};
  constexpr int vectors = 16 / Lanes::size;
  // The rounds of two vectors are interleaved, to hide how long a product takes.
  constexpr int together = vectors < 2 ? vectors : 2;
  const uint64_t first = (group * 16) & 0xFFFFFFFFu;
  for (int v = 0; v < vectors; v += together) {
    Vector c0[together], c1[together], c2[together], c3[together];
    for (int t = 0; t < together; t++) {
      uint64_t numbers[Lanes::size];
      for (int lane = 0; lane < Lanes::size; lane++)
        numbers[lane] = first + lane_numbers[(v + t) * Lanes::size + lane];
      c0[t] = Lanes::load(numbers);
      c1[t] = Lanes::splat(group >> 28);
      c2[t] = Lanes::splat(0);
      c3[t] = Lanes::splat(0);
    }
    auto key0 = static_cast<uint32_t>(seed);
    auto key1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; round++) {
      const auto k0 = Lanes::splat(key0);
      const auto k1 = Lanes::splat(key1);
      for (int t = 0; t < together; t++) {
        const auto product0 = Lanes::multiply(c0[t], Lanes::splat(0xD2511F53u));
        const auto product1 = Lanes::multiply(c2[t], Lanes::splat(0xCD9E8D57u));
        c0[t] = Lanes::high_xor(product1, c1[t], k0);
        c1[t] = product1;
        c2[t] = Lanes::high_xor(product0, c3[t], k1);
        c3[t] = product0;
      }
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    for (int t = 0; t < together; t++) {
      const int lane = (v + t) * Lanes::size;
      Lanes::store(words[0] + lane, c0[t]);
      Lanes::store(words[1] + lane, c1[t]);
      Lanes::store(words[2] + lane, c2[t]);
      Lanes::store(words[3] + lane, c3[t]);
    }
  }
}

// What the 128 elements of a group are multiplied by: 0 or the rate's scale.
template <typename Accumulator>
inline void dropout_group(uint64_t seed, uint64_t group, const DropRate& rate,
                          Accumulator* multipliers) {
  uint32_t words[4][16];
  philox_group(seed, group, words);
  const auto scale = static_cast<Accumulator>(rate.scale);
  for (int word = 0; word < 4; word++) {
    for (int lane = 0; lane < 16; lane++) {
      const uint32_t bits = words[word][lane];
      multipliers[32 * word + lane] = (bits & 0xFFFFu) < rate.threshold ? Accumulator{0} : scale;
      multipliers[32 * word + 16 + lane] = (bits >> 16) < rate.threshold ? Accumulator{0} : scale;
    }
  }
}

// What elements first ... first + count - 1 are multiplied by. Quickest where `first` and `count`
// are multiples of 128.
template <typename Accumulator>
inline void dropout_multipliers(uint64_t seed, const DropRate& rate, int64_t first, int64_t count,
                                Accumulator* multipliers) {
  while (count > 0) {
    const int64_t group = first / kPhiloxGroup;
    const int64_t offset = first % kPhiloxGroup;
    const int64_t taken = std::min(count, kPhiloxGroup - offset);
    if (taken == kPhiloxGroup) {
      dropout_group(seed, static_cast<uint64_t>(group), rate, multipliers);
    } else {
      Accumulator whole[kPhiloxGroup];
      dropout_group(seed, static_cast<uint64_t>(group), rate, whole);
      std::copy(whole + offset, whole + offset + taken, multipliers);
    }
    first += taken;
    count -= taken;
    multipliers += taken;
  }
}

}  // namespace
}  // namespace wavegpt::kernels
