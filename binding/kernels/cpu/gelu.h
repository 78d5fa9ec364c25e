// GELU, x Phi(x) with the normal distribution's Phi (Hendrycks and Gimpel 2016), and its derivative
// Phi(x) + x phi(x). For files in kernels/cpu.
//
// Phi(-u) = e^(-u^2 / 2) R(u), where R is smooth enough to be a short polynomial in t = 1 / (1 + p
// u). Fitted to u from 0 to 9 for the least relative error: 2.9e-7 for float, and for bfloat16,
// which rounds by up to 3.9e-3, 1.7e-4 and 7.5e-5 in the exponential. Double is libtorch's erf.
#pragma once

#include "kernels/cpu/vector.h"

namespace wavegpt::kernels {
namespace {

template <typename T>
struct Gelu {
  Vector<T> value, slope;
};

// c[0] + c[1] x + ...
template <typename V, size_t Count>
inline V polynomial(const V& x, const float (&c)[Count]) {
  V sum(c[Count - 1]);
  for (size_t i = Count - 1; i > 0; i--) sum = at::vec::fmadd(sum, x, V(c[i - 1]));
  return sum;
}

// 1 / x of a normal x, to 2^-14 or better.
inline at::vec::Vectorized<float> reciprocal_estimate(const at::vec::Vectorized<float>& x) {
#if defined(CPU_CAPABILITY_AVX512)
  return _mm512_rcp14_ps(x);
#else
  return x.reciprocal();
#endif
}

// 2^x of x <= 0; 2^-125 below that.
template <bool exact>
inline at::vec::Vectorized<float> power_of_two(const at::vec::Vectorized<float>& x) {
  using V = at::vec::Vectorized<float>;
  using Bits = at::vec::Vectorized<int32_t>;
  // Adding 1.5 * 2^23 rounds to a whole number, which the last bits of the sum then hold.
  const V shift(12582912.0f);
  const V y = at::vec::maximum(x, V(-125.0f));
  const V shifted = y + shift;
  const V fraction = y - (shifted - shift);
  V power;
  if constexpr (exact) {
    power = polynomial(fraction, {1.0000000717f, 0.6931469670f, 0.2402211975f, 0.0555071344f,
                                  0.0096755407f, 0.0013276408f});
  } else {
    power = polynomial(fraction, {0.9999280810f, 0.6932610346f, 0.2426110300f, 0.0551712390f});
  }
  const Bits exponent = at::vec::cast<int32_t>(shifted) << Bits(23);
  return at::vec::cast<float>(at::vec::cast<int32_t>(power) + exponent);
}

// e^(-x^2 / 2) and, from it, Phi(-|x|).
template <typename T>
inline std::pair<Vector<T>, Vector<T>> normal_tail(const Vector<T>& x, const Vector<T>& u) {
  using V = Vector<T>;
  constexpr bool exact = !std::is_same_v<T, c10::BFloat16>;
  const V bell = power_of_two<exact>(x * x * V(-0.72134752f));
  V t, ratio;
  if constexpr (exact) {
    const V denominator = at::vec::fmadd(u, V(0.26f), V(1.0f));
    t = reciprocal_estimate(denominator);
#if defined(CPU_CAPABILITY_AVX512)
    t = t * (V(2.0f) - denominator * t);
#endif
    ratio = polynomial(t, {0.10341226f, 0.10837432f, 0.06786734f, 0.17910914f, -0.12241385f,
                           0.23931245f, -0.07566180f});
  } else {
    t = reciprocal_estimate(at::vec::fmadd(u, V(0.49f), V(1.0f)));
    ratio = polynomial(t, {0.19759296f, 0.16963718f, 0.25742620f, -0.12473945f});
  }
  return {bell, bell * (ratio * t)};
}

template <typename T>
inline Vector<T> gelu(const Vector<T>& x) {
  using V = Vector<T>;
  if constexpr (std::is_same_v<T, double>) {
    return x * V(0.5) * (V(1) + (x * V(M_SQRT1_2)).erf());
  } else {
    const V u = x.abs();
    const V tail = normal_tail<T>(x, u).second;
    return at::vec::maximum(x, V(0)) - u * tail;
  }
}

template <typename T>
inline Gelu<T> gelu_and_slope(const Vector<T>& x) {
  using V = Vector<T>;
  if constexpr (std::is_same_v<T, double>) {
    const V cdf = V(0.5) * (V(1) + (x * V(M_SQRT1_2)).erf());
    const V density = V(0.5 * M_2_SQRTPI * M_SQRT1_2) * (x * x * V(-0.5)).exp();
    return {x * cdf, cdf + x * density};
  } else {
    const V u = x.abs();
    const auto [bell, tail] = normal_tail<T>(x, u);
    const V cdf = V::blendv(tail, V(1) - tail, x > V(0));
    return {at::vec::maximum(x, V(0)) - u * tail, at::vec::fmadd(x * V(0.39894228f), bell, cdf)};
  }
}

}  // namespace
}  // namespace wavegpt::kernels
