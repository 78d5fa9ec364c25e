// Exponentials as exact as their type needs. For files in kernels/cpu.
#pragma once

#include "kernels/cpu/vector.h"

namespace wavegpt::kernels {
namespace {

// e^x; of bfloat16 within 2e-6 of it, relatively, where that is a normal number. NaN stays NaN.
template <typename T>
inline Vector<T> exp(const Vector<T>& x) {
  if constexpr (!std::is_same_v<T, c10::BFloat16>) {
    return x.exp();
  } else {
#if defined(CPU_CAPABILITY_AVX512)
    // 2^n e^r with |r| <= ln(2) / 2 and the series to degree 5; scalef goes to 0 and infinity by
    // itself.
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)),
                                          _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693147181f), x);
    __m512 p = _mm512_fmadd_ps(r, _mm512_set1_ps(1.0f / 120), _mm512_set1_ps(1.0f / 24));
    p = _mm512_fmadd_ps(r, p, _mm512_set1_ps(1.0f / 6));
    p = _mm512_fmadd_ps(r, p, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(r, p, _mm512_set1_ps(1.0f));
    p = _mm512_fmadd_ps(r, p, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(p, n);
#else
    return x.exp_u20();
#endif
  }
}

// e^(x - most), for weights that are summed: of bfloat16 within 4e-6 of it, relatively, where that
// is a normal number, but not exactly 1 at 0. NaN stays NaN.
template <typename T>
inline Vector<T> exp_below(const Vector<T>& x, const Vector<T>& most) {
#if defined(CPU_CAPABILITY_AVX512)
  if constexpr (std::is_same_v<T, c10::BFloat16>) {
    // 2^y = 2^floor(y) 2^r; a polynomial by Remez' algorithm, 2.6e-6 off at most, in place of 2^r.
    // scalef takes the floor by itself.
    const __m512 log2_e = _mm512_set1_ps(1.44269504f);
    const __m512 y = _mm512_fmsub_ps(x, log2_e, _mm512_mul_ps(most, log2_e));
    const __m512 r = _mm512_reduce_ps(y, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    __m512 p = _mm512_fmadd_ps(r, _mm512_set1_ps(0.013534168f), _mm512_set1_ps(0.05201146f));
    p = _mm512_fmadd_ps(r, p, _mm512_set1_ps(0.24144275f));
    p = _mm512_fmadd_ps(r, p, _mm512_set1_ps(0.69300383f));
    p = _mm512_fmadd_ps(r, p, _mm512_set1_ps(1.0000026f));
    return _mm512_scalef_ps(p, y);
  }
#endif
  return exp<T>(x - most);
}

}  // namespace
}  // namespace wavegpt::kernels
