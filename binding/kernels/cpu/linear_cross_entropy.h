#pragma once

#include <c10/util/BFloat16.h>

#include <cstdint>

#include "kernels/capability.h"
#include "kernels/gemm.h"

namespace wavegpt::kernels {

// Cross-entropy of x * weight^T + bias, and its gradients, without the logits ever existing whole.
//
// The vocabulary is cut into blocks. A tile of rows meets all blocks in turn: of each it computes
// the logits, turns them into exponentials against a reference of the row, sums these, and
// multiplies them with the block's weights, which is the gradient for x but for a factor of each
// row, known at the end (as in FlashAttention, Dao et al., 2022). The exponentials stay, in T, for
// the gradient of the weights, in which a row's factor goes into x. What is left of both gradients
// is that of the targets' own logits: one row of the weights, and one of x, for each row.
template <typename T>
struct LinearCrossEntropy {
  using Sum = Accumulate<T>;

  int64_t rows, channels, vocabulary;
  const T* x;             // rows x channels
  const Sum* weight;      // vocabulary x channels
  const Sum* bias;        // vocabulary, or null
  const int64_t* target;  // rows; in 0 ... vocabulary - 1 or ignore_index
  int64_t ignore_index;

  Sum* loss;      // mean over the rows that are not ignored
  Sum* d_x;       // rows x channels, or null where no gradient is wanted
  Sum* d_weight;  // vocabulary x channels, or null
  Sum* d_bias;    // vocabulary, or null

  // Working memory, of the sizes that LinearCrossEntropySizes gives; null where no gradient wants
  // it.
  T* forward_weight = nullptr;
  T* backward_weight = nullptr;
  T* exponentials = nullptr;
  T* scaled_x = nullptr;
  Sum* row_sums = nullptr;
  Sum* thread_sums = nullptr;
  T* thread_values = nullptr;
};

// How the work is cut, the same for any number of threads.
template <typename T>
struct LinearCrossEntropySizes {
  // The most rows that a thread works on at once.
  static constexpr int64_t row_tile = 256;

  LinearCrossEntropySizes(int64_t rows, int64_t channels, int64_t vocabulary);

  int64_t width;  // columns of a block of the vocabulary
  int64_t blocks;
  int64_t chunk_rows;  // rows whose exponentials are kept at once, even

  // In elements of T or of its sums.
  int64_t packed_weight, exponentials, scaled_x, thread_sums, thread_values;
};

extern Kernel<void(const LinearCrossEntropy<float>&)> linear_cross_entropy_float;
extern Kernel<void(const LinearCrossEntropy<double>&)> linear_cross_entropy_double;
extern Kernel<void(const LinearCrossEntropy<c10::BFloat16>&)> linear_cross_entropy_bfloat16;

}  // namespace wavegpt::kernels
