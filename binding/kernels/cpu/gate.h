// tanh times a sigmoid that gates it, and what both are made of. For files in kernels/cpu.
#pragma once

#include "kernels/cpu/exp.h"

namespace wavegpt::kernels {
namespace {

// e^-2x, of which tanh is (1 - e) / (1 + e). Beyond 20, where it could become infinite, tanh is 1
// in double too.
template <typename T>
inline Vector<T> tanh_exponential(const Vector<T>& x) {
  using V = Vector<T>;
  return exp<T>(at::vec::maximum(at::vec::minimum(x, V(20)), V(-20)) * V(-2));
}

// e^-x, of which the sigmoid is 1 / (1 + e).
template <typename T>
inline Vector<T> sigmoid_exponential(const Vector<T>& x) {
  return exp<T>(Vector<T>(0) - x);
}

template <typename T>
inline Vector<T> gated(const Vector<T>& x, const Vector<T>& gate) {
  const Vector<T> one(1), e = tanh_exponential<T>(x);
  return (one - e) / ((one + e) * (one + sigmoid_exponential<T>(gate)));
}

// The result, and its derivatives by both.
template <typename T>
struct Gated {
  Vector<T> value, by_x, by_gate;

  Gated(const Vector<T>& x, const Vector<T>& gate) {
    using V = Vector<T>;
    const V e = tanh_exponential<T>(x), tanh = (V(1) - e) / (V(1) + e);
    const V sigmoid = V(1) / (V(1) + sigmoid_exponential<T>(gate));
    value = tanh * sigmoid;
    by_x = sigmoid * (V(1) - tanh * tanh);
    by_gate = value * (V(1) - sigmoid);
  }
};

}  // namespace
}  // namespace wavegpt::kernels
