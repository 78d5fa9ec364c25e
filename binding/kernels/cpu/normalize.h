// Layer norm of one row, and its gradient. For files in kernels/cpu.
#pragma once

#include <cmath>

#include "kernels/cpu/linear_tile.h"

namespace wavegpt::kernels {
namespace {

template <typename Sum>
struct RowStatistics {
  Sum mean, rstd;
};

// The sum of what term(column, count) gives for all blocks of a row.
template <typename T, typename Term>
inline Accumulate<T> sum_of_row(int64_t columns, const Term& term) {
  using V = Vector<T>;
  V first(0), second(0);
  for_blocks<T>(columns, [&](int64_t j, int64_t count) {
    const Pair<T> values = term(j, count);
    if (count == kBlock<T>) {
      first = first + values.first;
      second = second + values.second;
    } else {
      // What lies beyond the row is no number.
      const int64_t size = V::size();
      first = first + V::set(V(0), values.first, std::min(count, size));
      second = second + V::set(V(0), values.second, std::max<int64_t>(count - size, 0));
    }
  });
  return at::vec::vec_reduce_all<Accumulate<T>>([](V a, V b) { return a + b; }, first + second);
}

template <typename X>
inline RowStatistics<Accumulate<X>> statistics_of_row(const X* x, int64_t columns, double eps) {
  using Sum = Accumulate<X>;
  const auto count = static_cast<Sum>(columns);
  const Sum mean =
      sum_of_row<X>(columns, [=](int64_t j, int64_t n) { return load(x + j, n); }) / count;
  const Vector<X> center(mean);
  const Sum variance = sum_of_row<X>(columns,
                                     [=](int64_t j, int64_t n) {
                                       const auto values = load(x + j, n);
                                       const auto a = values.first - center;
                                       const auto b = values.second - center;
                                       return Pair<X>{a * a, b * b};
                                     }) /
                       count;
  return {mean, Sum(1) / std::sqrt(variance + static_cast<Sum>(eps))};
}

// (x - mean) rstd, of one block.
template <typename X>
inline Pair<X> standardized(const X* x, const RowStatistics<Accumulate<X>>& row, int64_t count) {
  const Vector<X> mean(row.mean), rstd(row.rstd);
  const auto values = load(x, count);
  return {(values.first - mean) * rstd, (values.second - mean) * rstd};
}

// normed = (x - mean) rstd weight + bias.
template <typename T, typename X>
inline void normalize_row(const X* x, int64_t columns, const RowStatistics<Accumulate<X>>& row,
                          const Accumulate<X>* weight, const Accumulate<X>* bias, T* normed) {
  for_blocks<T>(columns, [&](int64_t j, int64_t count) {
    const auto values = standardized(x + j, row, count);
    const auto scale = load_sums<T>(weight + j, count);
    const auto shift = load_sums<T>(bias + j, count);
    store_operand(normed + j,
                  Pair<T>{at::vec::fmadd(values.first, scale.first, shift.first),
                          at::vec::fmadd(values.second, scale.second, shift.second)},
                  count);
  });
}

// Adds to the gradients of weight and bias, and writes that of x, unless it is null, given that of
// normed.
template <typename X>
inline void normalize_row_backward(const X* x, int64_t columns,
                                   const RowStatistics<Accumulate<X>>& row,
                                   const Accumulate<X>* weight, const Accumulate<X>* d_normed,
                                   Accumulate<X>* d_weight, Accumulate<X>* d_bias, X* d_x) {
  using Sum = Accumulate<X>;
  using V = Vector<X>;
  for_blocks<X>(columns, [&](int64_t j, int64_t count) {
    const auto values = standardized(x + j, row, count);
    const auto gradient = load_sums<X>(d_normed + j, count);
    const auto of_weight = load_sums<X>(d_weight + j, count);
    const auto of_bias = load_sums<X>(d_bias + j, count);
    store_sums<X>(d_weight + j,
                  {at::vec::fmadd(gradient.first, values.first, of_weight.first),
                   at::vec::fmadd(gradient.second, values.second, of_weight.second)},
                  count);
    store_sums<X>(d_bias + j, {of_bias.first + gradient.first, of_bias.second + gradient.second},
                  count);
  });
  if (d_x == nullptr) return;
  const auto scaled = [=](int64_t j, int64_t count) {
    const auto gradient = load_sums<X>(d_normed + j, count);
    const auto scale = load_sums<X>(weight + j, count);
    return Pair<X>{gradient.first * scale.first, gradient.second * scale.second};
  };
  const auto count_of_row = static_cast<Sum>(columns);
  const V mean(sum_of_row<X>(columns, scaled) / count_of_row);
  const V along(sum_of_row<X>(columns,
                              [&](int64_t j, int64_t count) {
                                const auto gradient = scaled(j, count);
                                const auto values = standardized(x + j, row, count);
                                return Pair<X>{gradient.first * values.first,
                                               gradient.second * values.second};
                              }) /
                count_of_row);
  const V rstd(row.rstd);
  for_blocks<X>(columns, [&](int64_t j, int64_t count) {
    const auto gradient = scaled(j, count);
    const auto values = standardized(x + j, row, count);
    store(d_x + j,
          Pair<X>{rstd * (gradient.first - mean - values.first * along),
                  rstd * (gradient.second - mean - values.second * along)},
          count);
  });
}

}  // namespace
}  // namespace wavegpt::kernels
