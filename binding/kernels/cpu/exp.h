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

}  // namespace
}  // namespace wavegpt::kernels
