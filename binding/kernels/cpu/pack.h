// Brings matrices into the order that gemm() wants its second operand in. For files in kernels/cpu.
//
// For bfloat16, rows 2 i and 2 i + 1 of the operand lie interleaved (kernels/gemm.h): a missing
// last row is zeros.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/cpu/vector.h"

namespace wavegpt::kernels {
namespace {

// Elements that a packed operand of `rows` x `columns` takes.
template <typename T>
constexpr int64_t packed_size(int64_t rows, int64_t columns) {
  return (rows + kInterleaved<T> - 1) / kInterleaved<T> * kInterleaved<T> * columns;
}

// gemm() takes pairs of rows of bfloat16.
template <typename T>
constexpr int64_t even(int64_t count) {
  return (count + kInterleaved<T> - 1) / kInterleaved<T> * kInterleaved<T>;
}

// to (columns x rows) = from (rows x columns), transposed.
template <typename T>
inline void transpose(const T* from, int64_t ld_from, T* to, int64_t ld_to, int64_t rows,
                      int64_t columns) {
  constexpr int64_t side = sizeof(T) == 2 ? 32 : 16;
  for (int64_t i = 0; i < rows; i += side) {
    const auto m = std::min(side, rows - i);
    for (int64_t j = 0; j < columns; j += side) {
      const auto n = std::min(side, columns - j);
      const T* source = from + i * ld_from + j;
      T* target = to + j * ld_to + i;
#if defined(CPU_CAPABILITY_AVX512) || defined(CPU_CAPABILITY_AVX2)
      if constexpr (std::is_same_v<T, float>) {
        at::vec::transpose_mxn<float>(source, ld_from, target, ld_to, static_cast<int>(m),
                                      static_cast<int>(n));
        continue;
      }
#endif
#if defined(CPU_CAPABILITY_AVX512)
      if constexpr (std::is_same_v<T, c10::BFloat16>) {
        at::vec::transpose_mxn<c10::BFloat16>(source, ld_from, target, ld_to, static_cast<int>(m),
                                              static_cast<int>(n));
        continue;
      }
#endif
      for (int64_t r = 0; r < m; r++) {
        for (int64_t c = 0; c < n; c++) target[c * ld_to + r] = source[r * ld_from + c];
      }
    }
  }
}

// to = even[0], odd[0], even[1], ... (at::vec has no vector form of this for bfloat16.) With
// `past_cache` the numbers go to memory directly where the CPU can do that: `to` is aligned to 64
// bytes then, and other threads see them after a finish_past_cache().
template <bool past_cache = false>
inline void interleave(at::vec::Vectorized<c10::BFloat16> even,
                       at::vec::Vectorized<c10::BFloat16> odd, c10::BFloat16* to) {
#if defined(CPU_CAPABILITY_AVX512)
  const __m512i order =
      _mm512_set_epi32(0x002f000f, 0x002e000e, 0x002d000d, 0x002c000c, 0x002b000b, 0x002a000a,
                       0x00290009, 0x00280008, 0x00270007, 0x00260006, 0x00250005, 0x00240004,
                       0x00230003, 0x00220002, 0x00210001, 0x00200000);
  const __m512i upper = _mm512_add_epi16(order, _mm512_set1_epi16(16));
  const __m512i first = _mm512_permutex2var_epi16(even, order, odd);
  const __m512i second = _mm512_permutex2var_epi16(even, upper, odd);
  if constexpr (past_cache) {
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to), first);
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to + 32), second);
  } else {
    _mm512_storeu_si512(to, first);
    _mm512_storeu_si512(to + 32, second);
  }
#elif defined(CPU_CAPABILITY_AVX2)
  const __m256i low = _mm256_unpacklo_epi16(even, odd);
  const __m256i high = _mm256_unpackhi_epi16(even, odd);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permute2x128_si256(low, high, 0x20));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 16),
                      _mm256_permute2x128_si256(low, high, 0x31));
#else
  constexpr int64_t size = at::vec::Vectorized<c10::BFloat16>::size();
  c10::BFloat16 evens[size], odds[size];
  even.store(evens);
  odd.store(odds);
  for (int64_t i = 0; i < size; i++) {
    to[2 * i] = evens[i];
    to[2 * i + 1] = odds[i];
  }
#endif
}

inline void finish_past_cache() {
#if defined(CPU_CAPABILITY_AVX512)
  _mm_sfence();
#endif
}

// Packs B = from (rows x columns) as it stands; the rows may be of another type. packed_size(rows,
// columns) elements.
template <typename T, bool past_cache = false, typename From = T>
inline void pack(const From* from, int64_t ld, T* to, int64_t rows, int64_t columns) {
  if constexpr (kInterleaved<T> == 1) {
    for (int64_t i = 0; i < rows; i++) convert(from + i * ld, to + i * columns, columns);
  } else {
    using Raw = at::vec::Vectorized<T>;
    constexpr int64_t size = Raw::size();
    for (int64_t i = 0; i < rows; i += 2) {
      const From* even = from + i * ld;
      const From* odd = i + 1 < rows ? even + ld : nullptr;
      T* target = to + i * columns;
      int64_t j = 0;
      for (; j + size <= columns; j += size) {
        Raw low, high;
        if constexpr (std::is_same_v<From, T>) {
          low = Raw::loadu(even + j);
          high = odd ? Raw::loadu(odd + j) : Raw(T(0));
        } else {
          const auto a = load(even + j);
          low = at::vec::convert_float_bfloat16(a.first, a.second);
          if (odd) {
            const auto b = load(odd + j);
            high = at::vec::convert_float_bfloat16(b.first, b.second);
          } else {
            high = Raw(T(0));
          }
        }
        interleave<past_cache>(low, high, target + 2 * j);
      }
      for (; j < columns; j++) {
        target[2 * j] = T(static_cast<Accumulate<T>>(even[j]));
        target[2 * j + 1] = odd ? T(static_cast<Accumulate<T>>(odd[j])) : T(0);
      }
    }
  }
}

// Packs B = from^T, from being (columns x rows), as a weight (out x in) is for x * weight^T.
template <typename T, typename From>
inline void pack_transposed(const From* from, int64_t ld, T* to, int64_t rows, int64_t columns) {
  if constexpr (kInterleaved<T> == 1) {
    static_assert(std::is_same_v<T, From>, "only bfloat16 is packed from another type");
    transpose(from, ld, to, columns, columns, rows);
  } else {
    // Two neighbours of one row of `from` become one 32-bit number, and those are transposed as
    // floats are.
    constexpr int64_t strip = 16;
    const int64_t pairs = (rows + 1) / 2;
    std::vector<T> rounded(strip * pairs * 2, T(0));
    for (int64_t j = 0; j < columns; j += strip) {
      const auto n = std::min(strip, columns - j);
      for (int64_t c = 0; c < n; c++)
        convert(from + (j + c) * ld, rounded.data() + c * pairs * 2, rows);
      transpose(reinterpret_cast<const float*>(rounded.data()), pairs,
                reinterpret_cast<float*>(to) + j, columns, n, pairs);
    }
  }
}

// B = (rows x width)^T, for products that sum over the channels of a head.
template <typename T>
inline void pack_channels(const T* from, int64_t stride, T* to, int64_t rows, int64_t width) {
  if constexpr (kInterleaved<T> == 2) {
    // The width is even: pairs of channels are transposed as one float.
    transpose(reinterpret_cast<const float*>(from), stride / 2, reinterpret_cast<float*>(to), rows,
              rows, width / 2);
  } else {
    transpose(from, stride, to, rows, rows, width);
  }
}

}  // namespace
}  // namespace wavegpt::kernels
