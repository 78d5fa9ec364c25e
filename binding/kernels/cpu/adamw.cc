#include "kernels/cpu/adamw.h"

#include <ATen/Parallel.h>
#include <ATen/cpu/vec/functional.h>
#include <ATen/cpu/vec/vec.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace wavegpt::kernels {
namespace {

// Larger blocks share out many small tensors worse, smaller ones cost their beginnings.
constexpr int64_t kBlock = 4096;
// Elements that are worth a thread.
constexpr int64_t kGrain = 32768;
// Independent sums: enough to hide an addition's latency, and the same for every capability.
constexpr int64_t kLanes = 32;

struct Block {
  size_t tensor;
  int64_t first;  // within its tensor
  int64_t count;
  int64_t before;  // elements of all blocks before it
};

struct Blocks {
  std::vector<Block> list;
  int64_t elements = 0;
};

template <typename T>
Blocks cut(const AdamTensor<T>* tensors, size_t count) {
  Blocks blocks;
  for (size_t tensor = 0; tensor < count; tensor++) {
    for (int64_t first = 0; first < tensors[tensor].count; first += kBlock) {
      const int64_t size = std::min(kBlock, tensors[tensor].count - first);
      blocks.list.push_back({tensor, first, size, blocks.elements});
      blocks.elements += size;
    }
  }
  return blocks;
}

// Calls `run(block's index)` for all, shared out by elements: a thread takes the blocks that begin
// in its share.
template <typename Run>
void for_each_block(const Blocks& blocks, const Run& run) {
  at::parallel_for(0, blocks.elements, kGrain, [&](int64_t begin, int64_t end) {
    const auto first =
        std::lower_bound(blocks.list.begin(), blocks.list.end(), begin,
                         [](const Block& block, int64_t at) { return block.before < at; });
    for (auto block = first; block != blocks.list.end() && block->before < end; ++block) {
      run(static_cast<size_t>(block - blocks.list.begin()));
    }
  });
}

// A float's square is exact in double precision: neither range nor rounding of float enters.
template <typename T>
double sum_of_squares_of(const T* values, int64_t count) {
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; lane++) {
      const double value = values[i + lane];
      lanes[lane] += value * value;
    }
  }
  for (int64_t lane = 0; i + lane < count; lane++) {
    const double value = values[i + lane];
    lanes[lane] += value * value;
  }
  for (int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (int64_t lane = 0; lane < half; lane++) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

template <typename T>
double sum_of_squares(const AdamTensor<T>* tensors, size_t count) {
  const Blocks blocks = cut(tensors, count);
  std::vector<double> sums(blocks.list.size());
  for_each_block(blocks, [&](size_t at) {
    const Block& block = blocks.list[at];
    sums[at] = sum_of_squares_of(tensors[block.tensor].gradient + block.first, block.count);
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

// The roundings are those of libtorch's fused operator, in the same order.
template <typename T, bool kDecoupled, bool kAmsgrad>
class Update {
 public:
  Update(const AdamTensor<T>& tensor, const AdamSettings& settings)
      : tensor_(tensor),
        gradient_factor_(T(settings.gradient_factor)),
        decay_(T(kDecoupled ? 1 - settings.lr * settings.weight_decay : settings.weight_decay)),
        first_rate_(T(1 - settings.beta1)),
        beta2_(T(settings.beta2)),
        second_rate_(T(1 - settings.beta2)),
        correction_(T(tensor.second_moment_correction)),
        eps_(T(settings.eps)),
        negative_step_size_(T(-tensor.step_size)),
        decays_(settings.weight_decay != 0),
        keeps_average_(std::abs(T(1 - settings.beta1)) < T(0.5)) {}

  void operator()(int64_t first, int64_t count) const {
    const int64_t end = first + count;
    int64_t at = first;
    for (; at + Vector::size() <= end; at += Vector::size()) step(at, Vector::size());
    if (at < end) step(at, end - at);
  }

 private:
  using Vector = at::vec::Vectorized<T>;

  C10_ALWAYS_INLINE void step(int64_t at, int64_t count) const {
    Vector parameter = Vector::loadu(tensor_.parameter + at, count);
    Vector gradient = Vector::loadu(tensor_.gradient + at, count) * gradient_factor_;
    Vector average = Vector::loadu(tensor_.exp_avg + at, count);
    Vector square = Vector::loadu(tensor_.exp_avg_sq + at, count);
    if (decays_) {
      if constexpr (kDecoupled) {
        parameter = parameter * decay_;
      } else {
        gradient = at::vec::fmadd(parameter, decay_, gradient);
      }
    }
    // As lerp: from the nearer end.
    const Vector difference = gradient - average;
    average = keeps_average_ ? at::vec::fmadd(first_rate_, difference, average)
                             : at::vec::fmadd(first_rate_ - Vector(1), difference, gradient);
    square = at::vec::fmadd(second_rate_ * gradient, gradient, square * beta2_);
    average.store(tensor_.exp_avg + at, count);
    square.store(tensor_.exp_avg_sq + at, count);
    if constexpr (kAmsgrad) {
      square = at::vec::maximum(Vector::loadu(tensor_.max_exp_avg_sq + at, count), square);
      square.store(tensor_.max_exp_avg_sq + at, count);
    }
    const Vector denominator = square.sqrt() / correction_ + eps_;
    parameter = parameter + negative_step_size_ * average / denominator;
    parameter.store(tensor_.parameter + at, count);
  }

  const AdamTensor<T> tensor_;
  const Vector gradient_factor_, decay_, first_rate_, beta2_, second_rate_, correction_, eps_,
      negative_step_size_;
  const bool decays_, keeps_average_;
};

template <typename T, bool kDecoupled, bool kAmsgrad>
void update_all(const AdamTensor<T>* tensors, size_t count, const AdamSettings& settings) {
  const Blocks blocks = cut(tensors, count);
  for_each_block(blocks, [&](size_t at) {
    const Block& block = blocks.list[at];
    Update<T, kDecoupled, kAmsgrad>(tensors[block.tensor], settings)(block.first, block.count);
  });
}

template <typename T>
void adam_update(const AdamTensor<T>* tensors, size_t count, const AdamSettings& settings) {
  const auto update =
      settings.decoupled
          ? (settings.amsgrad ? update_all<T, true, true> : update_all<T, true, false>)
          : (settings.amsgrad ? update_all<T, false, true> : update_all<T, false, false>);
  update(tensors, count, settings);
}

}  // namespace

WAVEGPT_REGISTER_KERNEL(sum_of_squares_float, sum_of_squares<float>);
WAVEGPT_REGISTER_KERNEL(sum_of_squares_double, sum_of_squares<double>);
WAVEGPT_REGISTER_KERNEL(adam_update_float, adam_update<float>);
WAVEGPT_REGISTER_KERNEL(adam_update_double, adam_update<double>);

}  // namespace wavegpt::kernels
