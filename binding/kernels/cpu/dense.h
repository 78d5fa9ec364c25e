// How the dense layers cut their matrices: sizes of tiles and of working memory.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/gemm.h"

namespace wavegpt::kernels {

// Rows of activations that one task takes.
inline constexpr int64_t kTileRows = 64;
// Columns of a product that are computed at once: their sums, with kTileRows, lie in the first
// cache.
inline constexpr int64_t kPanelColumns = 128;
// Terms that are summed at once: the operands lie in the second cache.
inline constexpr int64_t kDepth = 512;

constexpr int64_t round_up(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

constexpr int64_t row_tiles(int64_t rows) { return (rows + kTileRows - 1) / kTileRows; }

// A matrix (rows x columns) packed in panels of kPanelColumns columns, each as gemm() wants its
// second operand.
template <typename T>
constexpr int64_t packed_panels_size(int64_t rows, int64_t columns) {
  return round_up(rows, kInterleaved<T>) * columns;
}

// left^T right, summed over rows, of left (rows x left) and right (rows x right), as the gradient
// of a weight is: both are brought into the order of gemm() tile by tile, in blocks of `depth`
// rows.
template <typename T>
struct SumOverRows {
  int64_t rows, left, right;

  int64_t depth() const { return std::min(kDepth, round_up(rows, kTileRows)); }
  int64_t blocks() const { return (rows + depth() - 1) / depth(); }
  int64_t left_size() const { return blocks() * depth() * left; }
  int64_t right_size() const { return blocks() * depth() * right; }
};

}  // namespace wavegpt::kernels
