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
