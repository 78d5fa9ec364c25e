#include "kernels/cpu/linear_cross_entropy.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <limits>

#include "kernels/cpu/exp.h"
#include "kernels/cpu/pack.h"

namespace wavegpt::kernels {
namespace {

// A row's sum of exponentials beyond which its reference is moved: far from overflow.
constexpr double kTooLarge = 1e30;
// About as much as the caches of a core hold.
constexpr int64_t kCached = int64_t{4} << 20;
// Rows that are summed at once in the gradient of the weights: both operands of a block stay in a
// core's cache.
constexpr int64_t kSummedRows = 512;

template <typename T>
class Computation {
  using Sum = Accumulate<T>;
  using Vec = Vector<T>;
  using Sizes = LinearCrossEntropySizes<T>;

 public:
  explicit Computation(const LinearCrossEntropy<T>& task)
      : task_(task),
        sizes_(task.rows, task.channels, task.vocabulary),
        row_max_(task.row_sums),
        row_sum_(task.row_sums + task.rows),
        row_target_(task.row_sums + 2 * task.rows) {
    int64_t counted = 0;
    for (int64_t row = 0; row < task.rows; row++) counted += task.target[row] != task.ignore_index;
    scale_ = Sum(1) / static_cast<Sum>(counted);
    counted_ = counted;
  }

  void run() {
    pack_weights();
    for (int64_t first = 0; first < task_.rows; first += sizes_.chunk_rows) {
      const int64_t rows = std::min(sizes_.chunk_rows, task_.rows - first);
      const int64_t tile_rows = rows_for_tile(rows);
      const int64_t tiles = (rows + tile_rows - 1) / tile_rows;
      at::parallel_for(0, tiles, 1, [&](int64_t begin, int64_t end) {
        for (int64_t tile = begin; tile < end; tile++) {
          const int64_t offset = tile * tile_rows;
          rows_of_tile(first, offset, std::min(tile_rows, rows - offset), rows);
        }
        gemm_release();
      });
      if (task_.d_weight != nullptr || task_.d_bias != nullptr) {
        at::parallel_for(0, sizes_.blocks, 1, [&](int64_t begin, int64_t end) {
          for (int64_t block = begin; block < end; block++)
            weights_of_block(block, rows, first > 0);
          gemm_release();
        });
      }
    }
    if (task_.d_weight != nullptr || task_.d_bias != nullptr) targets_of_weights();
    sum_losses();
  }

 private:
  // Tiles that give every thread the same work: what is computed of a row does not depend on them.
  static int64_t rows_for_tile(int64_t rows) {
    const int64_t threads = at::get_num_threads();
    const int64_t rounds = (rows + threads * Sizes::row_tile - 1) / (threads * Sizes::row_tile);
    const int64_t share = (rows + threads * rounds - 1) / (threads * rounds);
    return std::min(Sizes::row_tile, (share + 15) / 16 * 16);
  }

  // Both orders in which the weights are multiplied, block by block, zeros beyond the vocabulary.
  void pack_weights() {
    const auto [channels, width] = std::pair(task_.channels, sizes_.width);
    const bool backward = task_.d_x != nullptr;
    at::parallel_for(0, sizes_.blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; block++) {
        const int64_t first = block * width;
        const int64_t present = std::min(width, task_.vocabulary - first);
        const Sum* weight = task_.weight + first * channels;
        std::vector<Sum> padded;
        if (present < width) {
          padded.assign(width * channels, Sum(0));
          std::copy(weight, weight + present * channels, padded.begin());
          weight = padded.data();
        }
        const int64_t at = block * sizes_.packed_weight;
        pack_transposed(weight, channels, task_.forward_weight + at, channels, width);
        if (backward) pack(weight, channels, task_.backward_weight + at, width, channels);
      }
    });
  }

  // The rows first + offset ... of a chunk that has `rows` of them.
  void rows_of_tile(int64_t first, int64_t offset, int64_t count, int64_t rows) {
    const auto [channels, width] = std::pair(task_.channels, sizes_.width);
    const int64_t row = first + offset;
    const auto thread = at::get_thread_num();
    Sum* logits = task_.thread_sums + thread * sizes_.thread_sums;
    T* values = task_.thread_values + thread * sizes_.thread_values;
    for (int64_t block = 0; block < sizes_.blocks; block++) {
      const int64_t at = block * sizes_.packed_weight;
      gemm(count, width, channels, task_.x + row * channels, channels, task_.forward_weight + at,
           width, logits, width, false);
      const int64_t present = std::min(width, task_.vocabulary - block * width);
      for (int64_t i = 0; i < count; i++) {
        exponentials_of_row(row + i, block, present, logits + i * width, values + i * width);
        // Rows that are kept together are kept while the first cache has them.
        const int64_t together = i % kInterleaved<T>;
        if (keeps_exponentials() && (together == kInterleaved<T> - 1 || i == count - 1)) {
          keep(block, offset + i - together, together + 1, values + (i - together) * width);
        }
      }
      if (task_.d_x != nullptr) {
        gemm(count, channels, width, values, width, task_.backward_weight + at, channels,
             task_.d_x + row * channels, channels, block > 0);
      }
    }
    if (keeps_exponentials()) finish_past_cache();
    for (int64_t i = 0; i < count; i++) finish_row(row + i, values + i * channels);
    if (keeps_exponentials()) {
      transpose(values, channels, task_.scaled_x + offset, sizes_.chunk_rows, count, channels);
      T* factors = task_.scaled_x + channels * sizes_.chunk_rows + offset;
      for (int64_t i = 0; i < count; i++) factors[i] = T(factor(row + i));
      // An odd number of rows is multiplied as if another one of zeros followed.
      if (offset + count == rows && rows % kInterleaved<T> != 0) {
        for (int64_t channel = 0; channel <= channels; channel++) {
          task_.scaled_x[channel * sizes_.chunk_rows + rows] = T(0);
        }
      }
    }
  }

  bool keeps_exponentials() const { return task_.d_weight != nullptr || task_.d_bias != nullptr; }

  bool is_counted(int64_t row) const { return task_.target[row] != task_.ignore_index; }

  // What a row's exponentials are multiplied by to be the gradient of its logits, but for that of
  // its target.
  Sum factor(int64_t row) const { return is_counted(row) ? scale_ / row_sum_[row] : Sum(0); }

  // A row's products with a block's weights, and the biases that make them logits.
  struct Logits {
    const Sum* products;
    const Sum* bias;  // or null

    Vec load(int64_t i) const {
      const auto product = Vec::loadu(products + i);
      return bias == nullptr ? product : product + Vec::loadu(bias + i);
    }
    Sum operator[](int64_t i) const {
      return bias == nullptr ? products[i] : products[i] + bias[i];
    }
  };

  void exponentials_of_row(int64_t row, int64_t block, int64_t present, const Sum* products,
                           T* values) {
    const int64_t first = block * sizes_.width;
    const Logits logits{products, task_.bias == nullptr ? nullptr : task_.bias + first};
    const int64_t target = task_.target[row] - first;
    if (target >= 0 && target < present) row_target_[row] = logits[target];
    if (block == 0) {
      row_max_[row] = largest(logits, present);
      row_sum_[row] = 0;
    }
    Sum sum = exponentials(logits, present, row_max_[row], values);
    if (!(sum < kTooLarge)) {
      const Sum before = row_max_[row];
      const Sum now = std::max(before, largest(logits, present));
      row_max_[row] = now;
      const Sum shrink = std::exp(before - now);
      row_sum_[row] *= shrink;
      shrink_row(row, block, shrink);
      sum = exponentials(logits, present, now, values);
    }
    row_sum_[row] += sum;
  }

  Sum largest(const Logits& logits, int64_t count) const {
    constexpr int64_t size = Vec::size();
    Sum most = -std::numeric_limits<Sum>::infinity();
    int64_t i = 0;
    if (count >= size) {
      Vec most_of(most);
      for (; i + size <= count; i += size) most_of = at::vec::maximum(most_of, logits.load(i));
      Sum lanes[size];
      most_of.store(lanes);
      for (const Sum lane : lanes) most = std::max(most, lane);
    }
    for (; i < count; i++) most = std::max(most, logits[i]);
    return most;
  }

  // values = exp(logits - reference), zeros from `present` to the block's end; returns their sum.
  Sum exponentials(const Logits& logits, int64_t present, Sum reference, T* values) const {
    constexpr int64_t size = Vec::size();
    const Vec subtracted(reference);
    Vec sum(0), other(0);
    int64_t i = 0;
    for (; i + kBlock<T> <= present; i += kBlock<T>) {
      const Pair<T> powers{exp_below<T>(logits.load(i), subtracted),
                           exp_below<T>(logits.load(i + size), subtracted)};
      sum = sum + powers.first;
      other = other + powers.second;
      store_operand(values + i, powers);
    }
    Sum lanes[size];
    (sum + other).store(lanes);
    Sum total = 0;
    for (const Sum lane : lanes) total += lane;
    for (; i < present; i++) {
      const Sum power = std::exp(logits[i] - reference);
      total += power;
      values[i] = T(power);
    }
    std::fill(values + i, values + sizes_.width, T(0));
    return total;
  }

  // A row's reference has moved after `blocks` blocks: what was computed against the old one is
  // made smaller.
  void shrink_row(int64_t row, int64_t blocks, Sum shrink) {
    if (task_.d_x != nullptr && blocks > 0) {
      Sum* gradient = task_.d_x + row * task_.channels;
      for (int64_t channel = 0; channel < task_.channels; channel++) gradient[channel] *= shrink;
    }
    if (!keeps_exponentials()) return;
    const int64_t in_chunk = row % sizes_.chunk_rows;
    for (int64_t block = 0; block < blocks; block++) {
      T* kept = task_.exponentials + block * sizes_.chunk_rows * sizes_.width +
                in_chunk / kInterleaved<T> * kInterleaved<T> * sizes_.width +
                in_chunk % kInterleaved<T>;
      for (int64_t i = 0; i < sizes_.width; i++) {
        T& value = kept[i * kInterleaved<T>];
        value = T(static_cast<Sum>(value) * shrink);
      }
    }
  }

  // Puts a tile's exponentials of one block where the gradient of the weights reads them.
  void keep(int64_t block, int64_t offset, int64_t count, const T* values) const {
    T* kept = task_.exponentials + (block * sizes_.chunk_rows + offset) * sizes_.width;
    // What no cache holds until it is read again need not push out the weights.
    if (sizes_.exponentials * static_cast<int64_t>(sizeof(T)) > kCached) {
      pack<T, true>(values, sizes_.width, kept, count, sizes_.width);
    } else {
      pack(values, sizes_.width, kept, count, sizes_.width);
    }
  }

  // The row's loss and its gradient for x; `scaled` becomes x times the row's factor.
  void finish_row(int64_t row, T* scaled) const {
    const int64_t channels = task_.channels;
    const Sum by = factor(row);
    if (task_.d_x != nullptr) {
      Sum* gradient = task_.d_x + row * channels;
      if (is_counted(row)) {
        const Sum* weight = task_.weight + task_.target[row] * channels;
        for (int64_t channel = 0; channel < channels; channel++) {
          gradient[channel] = gradient[channel] * by - scale_ * weight[channel];
        }
      } else {
        std::fill(gradient, gradient + channels, Sum(0));
      }
    }
    if (keeps_exponentials()) {
      const T* x = task_.x + row * channels;
      for (int64_t channel = 0; channel < channels; channel++)
        scaled[channel] = T(static_cast<Sum>(x[channel]) * by);
    }
  }

  // The gradient of a block's weights and biases, but for that of the targets' own logits.
  void weights_of_block(int64_t block, int64_t rows, bool add) const {
    const auto [channels, width] = std::pair(task_.channels, sizes_.width);
    const int64_t outputs = channels + 1;
    Sum* sums = task_.thread_sums + at::get_thread_num() * sizes_.thread_sums;
    const T* exponentials = task_.exponentials + block * sizes_.chunk_rows * width;
    const int64_t even = (rows + kInterleaved<T> - 1) / kInterleaved<T> * kInterleaved<T>;
    for (int64_t k = 0; k < even; k += kSummedRows) {
      gemm(outputs, width, std::min(kSummedRows, even - k), task_.scaled_x + k, sizes_.chunk_rows,
           exponentials + k * width, width, sums, width, k > 0);
    }
    const int64_t first = block * width;
    const int64_t present = std::min(width, task_.vocabulary - first);
    if (task_.d_weight != nullptr) {
      Sum* gradient = task_.d_weight + first * channels;
      if (!add) {
        transpose(sums, width, gradient, channels, channels, present);
      } else {
        Sum* transposed = sums + outputs * width;
        transpose(sums, width, transposed, channels, channels, present);
        for (int64_t i = 0; i < present * channels; i++) gradient[i] += transposed[i];
      }
    }
    if (task_.d_bias != nullptr) {
      const Sum* sum = sums + channels * width;
      for (int64_t i = 0; i < present; i++)
        task_.d_bias[first + i] = (add ? task_.d_bias[first + i] : Sum(0)) + sum[i];
    }
  }

  // Takes the targets' own logits into account: several rows may have the same target, so they come
  // in order.
  void targets_of_weights() const {
    const int64_t channels = task_.channels;
    if (task_.d_weight != nullptr) {
      at::parallel_for(0, channels, std::max<int64_t>(16, 65536 / std::max<int64_t>(task_.rows, 1)),
                       [&](int64_t begin, int64_t end) {
                         for (int64_t row = 0; row < task_.rows; row++) {
                           if (!is_counted(row)) continue;
                           Sum* gradient = task_.d_weight + task_.target[row] * channels;
                           const T* x = task_.x + row * channels;
                           for (int64_t channel = begin; channel < end; channel++) {
                             gradient[channel] -= scale_ * static_cast<Sum>(x[channel]);
                           }
                         }
                       });
    }
    if (task_.d_bias != nullptr) {
      for (int64_t row = 0; row < task_.rows; row++) {
        if (is_counted(row)) task_.d_bias[task_.target[row]] -= scale_;
      }
    }
  }

  void sum_losses() const {
    double sum = 0;
    for (int64_t row = 0; row < task_.rows; row++) {
      if (is_counted(row))
        sum += static_cast<double>(row_max_[row] - row_target_[row]) +
               std::log(static_cast<double>(row_sum_[row]));
    }
    *task_.loss = static_cast<Sum>(sum / static_cast<double>(counted_));
  }

  const LinearCrossEntropy<T>& task_;
  const Sizes sizes_;
  Sum* row_max_;
  Sum* row_sum_;
  Sum* row_target_;
  Sum scale_;
  int64_t counted_;
};

template <typename T>
void compute(const LinearCrossEntropy<T>& task) {
  Computation<T>(task).run();
}

}  // namespace

WAVEGPT_REGISTER_KERNEL(linear_cross_entropy_float, compute<float>);
WAVEGPT_REGISTER_KERNEL(linear_cross_entropy_double, compute<double>);
WAVEGPT_REGISTER_KERNEL(linear_cross_entropy_bfloat16, compute<c10::BFloat16>);

}  // namespace wavegpt::kernels
