// Products of a tile of rows with a packed matrix, and sums over rows of packed tiles. For files in
// kernels/cpu.
#pragma once

#include <ATen/Parallel.h>

#include "kernels/cpu/dense.h"
#include "kernels/cpu/pack.h"

namespace wavegpt::kernels {
namespace {

// As many sums as a tile of kTileRows x kPanelColumns has.
template <typename T>
struct TileSums {
  alignas(64) Accumulate<T> values[kTileRows * kPanelColumns];
};

// Sums, as vectors of what they become.
template <typename T>
inline Pair<T> load_sums(const Accumulate<T>* from, int64_t count) {
  const auto sums = load(from, count);
  return {sums.first, sums.second};
}

// The same, plus a bias, if there is one, from `column` on.
template <typename T>
inline Pair<T> load_sums_and_bias(const Accumulate<T>* from, const Accumulate<T>* bias,
                                  int64_t column, int64_t count) {
  const auto sums = load_sums<T>(from, count);
  if (bias == nullptr) return sums;
  const auto added = load_sums<T>(bias + column, count);
  return {sums.first + added.first, sums.second + added.second};
}

template <typename T>
inline void store_sums(Accumulate<T>* to, const Pair<T>& values, int64_t count) {
  store(to, Pair<Accumulate<T>>{values.first, values.second}, count);
}

// Calls what(column, count) for all of `columns`, in blocks of up to kBlock<T>.
template <typename T, typename What>
inline void for_blocks(int64_t columns, const What& what) {
  int64_t j = 0;
  for (; j + kBlock<T> <= columns; j += kBlock<T>) what(j, kBlock<T>);
  if (j < columns) what(j, columns - j);
}

// A matrix B (rows x columns) packed in panels of kPanelColumns columns, each as gemm() wants it.
template <typename T>
inline int64_t panel_start(int64_t rows, int64_t column) {
  return round_up(rows, kInterleaved<T>) * column;
}

template <typename Pack>
inline void for_panels(int64_t columns, const Pack& pack_panel) {
  const int64_t panels = (columns + kPanelColumns - 1) / kPanelColumns;
  at::parallel_for(0, panels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; panel++) {
      const int64_t column = panel * kPanelColumns;
      pack_panel(column, std::min(kPanelColumns, columns - column));
    }
  });
}

// B = weight.
template <typename T>
inline void pack_panels(const Accumulate<T>* weight, T* panels, int64_t rows, int64_t columns) {
  for_panels(columns, [=](int64_t j, int64_t count) {
    pack(weight + j, columns, panels + panel_start<T>(rows, j), rows, count);
  });
}

// B = weight^T, weight being (columns x rows).
template <typename T>
inline void pack_panels_transposed(const Accumulate<T>* weight, T* panels, int64_t rows,
                                   int64_t columns) {
  for_panels(columns, [=](int64_t j, int64_t count) {
    pack_transposed(weight + j * rows, rows, panels + panel_start<T>(rows, j), rows, count);
  });
}

// A (m x k, m at most kTileRows) times B (k x n, in panels): calls finish(column, columns) with the
// sums of each panel in turn, which lie in rows of that many columns.
template <typename T, typename Finish>
inline void multiply(int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* panels,
                     TileSums<T>& sums, const Finish& finish) {
  for (int64_t j = 0; j < n; j += kPanelColumns) {
    const int64_t columns = std::min(kPanelColumns, n - j);
    const T* panel = panels + panel_start<T>(k, j);
    for (int64_t p = 0; p < k; p += kDepth) {
      gemm(m, columns, std::min(kDepth, k - p), a + p, lda, panel + p * columns, columns,
           sums.values, columns, p > 0);
    }
    finish(j, columns);
  }
}

// Puts rows of the left operand, from `row` on, into their place.
template <typename T>
inline void add_left(const SumOverRows<T>& sum, T* left, int64_t row, int64_t m, const T* from,
                     int64_t ld) {
  const int64_t depth = sum.depth();
  T* place = left + row / depth * depth * sum.left + row % depth;
  transpose(from, ld, place, depth, m, sum.left);
  // Products of bfloat16 take pairs of rows: a missing last one is zeros.
  if (m % kInterleaved<T> != 0) {
    for (int64_t j = 0; j < sum.left; j++) place[j * depth + m] = T(0);
  }
}

// Where rows from `row` on have a panel of the right operand, of `width` columns from `column` on.
template <typename T>
inline T* right_place(const SumOverRows<T>& sum, T* right, int64_t row, int64_t column,
                      int64_t width) {
  const int64_t depth = sum.depth();
  return right + row / depth * depth * sum.right + column * depth + row % depth * width;
}

// Puts m rows of a panel of the right operand into their place.
template <typename T>
inline void add_right_panel(const SumOverRows<T>& sum, T* right, int64_t row, int64_t m,
                            int64_t column, int64_t width, const T* from, int64_t ld) {
  pack(from, ld, right_place(sum, right, row, column, width), m, width);
}

// The same of all panels.
template <typename T>
inline void add_right(const SumOverRows<T>& sum, T* right, int64_t row, int64_t m, const T* from) {
  for (int64_t j = 0; j < sum.right; j += kPanelColumns) {
    add_right_panel(sum, right, row, m, j, std::min(kPanelColumns, sum.right - j), from + j,
                    sum.right);
  }
}

// to = left^T right (left x right), or its transpose, (right x left).
template <typename T>
inline void sum_over_rows(const SumOverRows<T>& sum, const T* left, const T* right,
                          Accumulate<T>* to, bool transposed) {
  const int64_t depth = sum.depth();
  const int64_t tiles = row_tiles(sum.left);
  const int64_t panels = (sum.right + kPanelColumns - 1) / kPanelColumns;
  at::parallel_for(0, tiles * panels, 1, [&](int64_t begin, int64_t end) {
    TileSums<T> sums;
    for (int64_t task = begin; task < end; task++) {
      const int64_t i = task % tiles * kTileRows;
      const int64_t j = task / tiles * kPanelColumns;
      const int64_t m = std::min(kTileRows, sum.left - i);
      const int64_t n = std::min(kPanelColumns, sum.right - j);
      for (int64_t row = 0; row < sum.rows; row += depth) {
        const int64_t k = round_up(std::min(depth, sum.rows - row), kInterleaved<T>);
        gemm(m, n, k, left + row * sum.left + i * depth, depth, right + row * sum.right + j * depth,
             n, sums.values, n, row > 0);
      }
      if (transposed) {
        transpose(sums.values, n, to + j * sum.left + i, sum.left, m, n);
      } else {
        for (int64_t r = 0; r < m; r++) {
          std::copy(sums.values + r * n, sums.values + (r + 1) * n, to + (i + r) * sum.right + j);
        }
      }
    }
    gemm_release();
  });
}

// sums += the sums of the columns of m rows of v(row, column, count), `columns` of them; in order.
template <typename T, typename Value>
inline void add_rows(int64_t m, int64_t columns, Accumulate<T>* sums, const Value& value) {
  for_blocks<T>(columns, [&](int64_t j, int64_t count) {
    auto total = load_sums<T>(sums + j, count);
    for (int64_t i = 0; i < m; i++) {
      const Pair<T> row = value(i, j, count);
      total = {total.first + row.first, total.second + row.second};
    }
    store_sums<T>(sums + j, total, count);
  });
}

// sums = the sums of the columns of m rows.
template <typename T>
inline void set_column_sums(int64_t m, int64_t columns, const T* rows, Accumulate<T>* sums) {
  std::fill_n(sums, columns, Accumulate<T>(0));
  add_rows<T>(m, columns, sums, [=](int64_t i, int64_t j, int64_t count) {
    return load(rows + i * columns + j, count);
  });
}

// Writes the sums of a panel as T, or as they are where `to` is null; from `start` on, with rows of
// `ld`.
template <typename T>
inline void write_gradient(int64_t m, int64_t columns, const TileSums<T>& sums, int64_t start,
                           int64_t ld, T* to, Accumulate<T>* to_sums) {
  for (int64_t i = 0; i < m; i++) {
    const auto* from = sums.values + i * columns;
    if (to != nullptr) {
      convert(from, to + start + i * ld, columns);
    } else {
      convert(from, to_sums + start + i * ld, columns);
    }
  }
}

// to = the sum over tiles of their sums, (tiles x columns).
template <typename T>
inline void sum_of_tiles(int64_t tiles, int64_t columns, const Accumulate<T>* tile_sums,
                         Accumulate<T>* to) {
  std::fill(to, to + columns, Accumulate<T>(0));
  add_rows<T>(tiles, columns, to, [=](int64_t i, int64_t j, int64_t count) {
    return load_sums<T>(tile_sums + i * columns + j, count);
  });
}

}  // namespace
}  // namespace wavegpt::kernels
