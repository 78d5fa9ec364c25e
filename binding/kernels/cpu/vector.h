// Vectors of activations: bfloat16 and float are computed on in float, double in double. For files
// in kernels/cpu.
#pragma once

#include <ATen/cpu/vec/functional.h>
#include <ATen/cpu/vec/vec.h>

#include "kernels/gemm.h"

namespace wavegpt::kernels {
namespace {

template <typename T>
using Vector = at::vec::Vectorized<Accumulate<T>>;

// Elements that load() and store() handle at once: two vectors, which is one of bfloat16.
template <typename T>
inline constexpr int64_t kBlock = 2 * Vector<T>::size();

template <typename T>
struct Pair {
  Vector<T> first, second;
};

// Of `count` elements, up to kBlock; those after them are not read, and come as anything.
template <typename T>
inline Pair<T> load(const T* from, int64_t count = kBlock<T>) {
  if constexpr (std::is_same_v<T, c10::BFloat16>) {
    using Raw = at::vec::Vectorized<c10::BFloat16>;
    const auto [first, second] = at::vec::convert_bfloat16_float(
        count == kBlock<T> ? Raw::loadu(from) : Raw::loadu(from, count));
    return {first, second};
  } else {
    constexpr int64_t size = Vector<T>::size();
    if (count == kBlock<T>) return {Vector<T>::loadu(from), Vector<T>::loadu(from + size)};
    return {Vector<T>::loadu(from, std::min(count, size)),
            count > size ? Vector<T>::loadu(from + size, count - size) : Vector<T>(0)};
  }
}

// The first `count` lanes of x; zeros after them.
template <typename V>
inline V first_lanes(const V& x, int64_t count) {
#if defined(CPU_CAPABILITY_AVX512)
  // at::vec chooses among as many blends as there are counts, by a jump.
  if constexpr (std::is_same_v<V, at::vec::Vectorized<float>>) {
    return _mm512_maskz_mov_ps(
        static_cast<__mmask16>(0xFFFFu >> (16 - std::min<int64_t>(count, 16))), x);
  }
#endif
  return count >= V::size() ? x : V::set(V(0), x, count);
}

// The lanes of x from the first to before the last, which may lie outside of it; zeros elsewhere.
template <typename V>
inline V lanes_between(const V& x, int64_t first, int64_t last) {
  const auto begin = std::max<int64_t>(first, 0), end = std::max<int64_t>(last, 0);
#if defined(CPU_CAPABILITY_AVX512)
  if constexpr (std::is_same_v<V, at::vec::Vectorized<float>>) {
    const uint32_t before_last = 0xFFFFu >> (16 - std::min<int64_t>(end, 16));
    const uint32_t before_first = 0xFFFFu >> (16 - std::min<int64_t>(begin, 16));
    return _mm512_maskz_mov_ps(static_cast<__mmask16>(before_last & ~before_first), x);
  }
#endif
  const V kept = first_lanes(x, end);
  if (begin == 0) return kept;
  return begin >= V::size() ? V(0) : V::set(kept, V(0), begin);
}

// bfloat16 is rounded to nearest even.
template <typename T>
inline void store(T* to, const Pair<T>& values, int64_t count = kBlock<T>) {
  if constexpr (std::is_same_v<T, c10::BFloat16>) {
    const auto rounded = at::vec::convert_float_bfloat16(values.first, values.second);
    if (count == kBlock<T>) {
      rounded.store(to);
    } else {
      rounded.store(to, static_cast<int>(count));
    }
  } else {
    constexpr int64_t size = Vector<T>::size();
    if (count == kBlock<T>) {
      values.first.store(to);
      values.second.store(to + size);
    } else {
      values.first.store(to, static_cast<int>(std::min(count, size)));
      if (count > size) values.second.store(to + size, static_cast<int>(count - size));
    }
  }
}

// store() for what only products read: ties are rounded up, in a quarter of the instructions that
// at::vec takes to round them to even and to keep NaNs of all bits.
template <typename T>
inline void store_operand(T* to, const Pair<T>& values, int64_t count = kBlock<T>) {
#if defined(CPU_CAPABILITY_AVX512)
  if constexpr (std::is_same_v<T, c10::BFloat16>) {
    if (count == kBlock<T>) {
      const auto half = _mm512_set1_epi32(0x8000);
      const auto upper =
          _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29,
                           27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
      const auto first = _mm512_add_epi32(_mm512_castps_si512(values.first), half);
      const auto second = _mm512_add_epi32(_mm512_castps_si512(values.second), half);
      _mm512_storeu_si512(to, _mm512_permutex2var_epi16(first, upper, second));
      return;
    }
  }
#endif
  store(to, values, count);
}

// `to` = `from` in another type: rounds float to bfloat16, widens bfloat16 to float, or copies.
template <typename To, typename From>
inline void convert(const From* from, To* to, int64_t count) {
  if constexpr (std::is_same_v<To, From>) {
    std::copy(from, from + count, to);
  } else {
    static_assert(std::is_same_v<Accumulate<To>, Accumulate<From>>,
                  "double is not mixed with others");
    int64_t i = 0;
    for (; i + kBlock<To> <= count; i += kBlock<To>) {
      const auto values = load(from + i);
      store(to + i, Pair<To>{values.first, values.second});
    }
    if (i < count) {
      const auto values = load(from + i, count - i);
      store(to + i, Pair<To>{values.first, values.second}, count - i);
    }
  }
}

}  // namespace
}  // namespace wavegpt::kernels
