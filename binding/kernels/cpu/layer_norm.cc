#include "kernels/cpu/layer_norm.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <vector>

#include "kernels/cpu/philox.h"
#include "kernels/cpu/vector.h"

namespace wavegpt::kernels {
namespace {

using c10::BFloat16;

// The width of the preset, for which a row's loops are unrolled and its values stay in registers.
constexpr int64_t kUnrolled = 128;

// Elements that are worth a thread of their own.
constexpr int64_t kGrain = 32768;

template <typename Acc>
Acc total(const Pair<Acc>& values) {
  return at::vec::vec_reduce_all<Acc>([](auto& x, auto& y) { return x + y; },
                                      values.first + values.second);
}

// Zeros after `count` elements.
template <typename Acc>
Pair<Acc> first_of(const Pair<Acc>& values, int64_t count) {
  constexpr int64_t size = Vector<Acc>::size();
  const Vector<Acc> zero(Acc{0});
  return {Vector<Acc>::set(zero, values.first, std::min(count, size)),
          Vector<Acc>::set(zero, values.second, std::max(int64_t{0}, count - size))};
}

template <typename Acc, typename T>
Pair<Acc> load_as(const T* from, int64_t count) {
  const auto values = load(from, count);
  return {values.first, values.second};
}

// For what matrix products read next.
template <typename T, typename Acc>
void store_operand_as(T* to, const Pair<Acc>& values, int64_t count) {
  store_operand(to, Pair<T>{values.first, values.second}, count);
}

template <typename T, typename Acc>
void store_as(T* to, const Pair<Acc>& values, int64_t count) {
  store(to, Pair<T>{values.first, values.second}, count);
}

// Dropout's multipliers of rows in order. Rows that are no whole groups of Philox come several at a
// time.
template <typename Acc>
class RowMultipliers {
 public:
  RowMultipliers(bool drop, uint64_t seed, double p, int64_t channels, int64_t end)
      : drop_(drop), keys_(seed), rate_(p), channels_(channels), end_(end) {
    if (!drop) return;
    if (channels % kPhiloxGroup != 0) at_once_ = std::max<int64_t>(1, 8 * kPhiloxGroup / channels);
    multipliers_.resize(at_once_ * channels);
  }

  // Null where nothing is dropped.
  const Acc* of(int64_t row) {
    if (!drop_) return nullptr;
    if (row >= next_) {
      first_ = row;
      next_ = std::min(row + at_once_, end_);
      dropout_multipliers(keys_, rate_, row * channels_, (next_ - row) * channels_,
                          multipliers_.data());
    }
    return multipliers_.data() + (row - first_) * channels_;
  }

 private:
  bool drop_;
  PhiloxKeys keys_;
  DropRate rate_;
  int64_t channels_, end_;
  int64_t at_once_ = 1, first_ = 0, next_ = 0;
  std::vector<Acc> multipliers_;
};

template <typename T, typename X, typename Normed, int64_t kChannels>
struct Forward {
  using Acc = Accumulate<T>;
  static constexpr int64_t block = kBlock<Acc>;
  static constexpr int64_t kBlocks = (kChannels + block - 1) / block;

  const LayerNormForward& task;
  const int64_t channels = kChannels ? kChannels : task.channels;
  const int64_t blocks = (channels + block - 1) / block;
  const T* residual = static_cast<const T*>(task.residual);
  const X* x = static_cast<const X*>(task.x);
  const Acc* weight = static_cast<const Acc*>(task.weight);
  const Acc* bias = static_cast<const Acc*>(task.bias);
  T* sum = static_cast<T*>(task.sum);
  Normed* normed = static_cast<Normed*>(task.normed);
  Acc* mean = static_cast<Acc*>(task.mean);
  Acc* rstd = static_cast<Acc*>(task.rstd);

  // `values` takes a row.
  void row(int64_t row, const Acc* multipliers, Pair<Acc>* values) const {
    const int64_t start = row * channels;
    const auto each = [&](const auto& body) {
      if constexpr (kChannels != 0) {
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC unroll 16
#endif
        for (int64_t i = 0; i < kChannels / block; i++) body(values[i], i * block, block);
      } else {
        const int64_t whole = channels / block;
        for (int64_t i = 0; i < whole; i++) body(values[i], i * block, block);
        if (whole < blocks) body(values[whole], whole * block, channels - whole * block);
      }
    };
    Pair<Acc> totals{Vector<Acc>(0), Vector<Acc>(0)};
    each([&](Pair<Acc>& value, int64_t offset, int64_t count) {
      value = load_as<Acc>(residual + start + offset, count);
      if (x != nullptr) {
        const auto added = load_as<Acc>(x + start + offset, count);
        if (multipliers != nullptr) {
          const auto factors = load_as<Acc>(multipliers + offset, count);
          value.first = at::vec::fmadd(added.first, factors.first, value.first);
          value.second = at::vec::fmadd(added.second, factors.second, value.second);
        } else {
          value.first = value.first + added.first;
          value.second = value.second + added.second;
        }
        store_as(sum + start + offset, value, count);
        // Normalised is the sum as it was rounded, which is what backward has.
        if constexpr (!std::is_same_v<T, Acc>) value = load_as<Acc>(sum + start + offset, count);
      }
      if (count < block) value = first_of(value, count);
      totals.first = totals.first + value.first;
      totals.second = totals.second + value.second;
    });
    const Acc row_mean = total(totals) / static_cast<Acc>(channels);
    const Vector<Acc> means(row_mean);
    Pair<Acc> squares{Vector<Acc>(0), Vector<Acc>(0)};
    each([&](Pair<Acc>& value, int64_t, int64_t count) {
      value.first = value.first - means;
      value.second = value.second - means;
      if (count < block) value = first_of(value, count);
      squares.first = at::vec::fmadd(value.first, value.first, squares.first);
      squares.second = at::vec::fmadd(value.second, value.second, squares.second);
    });
    const Acc variance = total(squares) / static_cast<Acc>(channels);
    const Acc row_rstd = Acc{1} / std::sqrt(variance + static_cast<Acc>(task.eps));
    const Vector<Acc> rstds(row_rstd);
    each([&](const Pair<Acc>& value, int64_t offset, int64_t count) {
      const auto scale = load_as<Acc>(weight + offset, count);
      const auto shift = load_as<Acc>(bias + offset, count);
      store_operand_as(normed + start + offset,
                       Pair<Acc>{at::vec::fmadd(value.first * rstds, scale.first, shift.first),
                                 at::vec::fmadd(value.second * rstds, scale.second, shift.second)},
                       count);
    });
    mean[row] = row_mean;
    rstd[row] = row_rstd;
  }

  void operator()() const {
    const int64_t grain = std::max<int64_t>(1, kGrain / channels);
    at::parallel_for(0, task.rows, grain, [&](int64_t begin, int64_t end) {
      RowMultipliers<Acc> multipliers(task.drop, task.seed, task.p, channels, end);
      if constexpr (kChannels != 0) {
        for (int64_t i = begin; i < end; i++) {
          Pair<Acc> values[kBlocks];
          row(i, multipliers.of(i), values);
        }
      } else {
        std::vector<Pair<Acc>> values(blocks);
        for (int64_t i = begin; i < end; i++) row(i, multipliers.of(i), values.data());
      }
    });
  }
};

template <typename T, typename X, typename Normed, int64_t kChannels>
struct Backward {
  using Acc = Accumulate<T>;
  static constexpr int64_t block = kBlock<Acc>;

  const LayerNormBackward& task;
  const int64_t channels = kChannels ? kChannels : task.channels;
  const T* sum = static_cast<const T*>(task.sum);
  const Acc* mean = static_cast<const Acc*>(task.mean);
  const Acc* rstd = static_cast<const Acc*>(task.rstd);
  const Acc* weight = static_cast<const Acc*>(task.weight);
  const T* grad_sum = static_cast<const T*>(task.grad_sum);
  const Normed* grad_normed = static_cast<const Normed*>(task.grad_normed);
  T* grad_residual = static_cast<T*>(task.grad_residual);
  X* grad_x = static_cast<X*>(task.grad_x);

  // With x' = (sum - mean) * rstd and g = weight * d normed: d sum = rstd * (g - mean(g) - x' *
  // mean(g * x')).
  void row(int64_t row, const Acc* multipliers, Acc* grad_weight, Acc* grad_bias) const {
    const int64_t start = row * channels;
    const Vector<Acc> means(mean[row]), rstds(rstd[row]);
    const auto each = [&](const auto& body) {
      if constexpr (kChannels != 0) {
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC unroll 16
#endif
        for (int64_t i = 0; i < kChannels / block; i++) body(i * block, block);
      } else {
        int64_t offset = 0;
        for (; offset + block <= channels; offset += block) body(offset, block);
        if (offset < channels) body(offset, channels - offset);
      }
    };
    const auto normalized = [&](int64_t offset, int64_t count) {
      const auto value = load_as<Acc>(sum + start + offset, count);
      return Pair<Acc>{(value.first - means) * rstds, (value.second - means) * rstds};
    };
    Pair<Acc> grads{Vector<Acc>(0), Vector<Acc>(0)}, products{Vector<Acc>(0), Vector<Acc>(0)};
    each([&](int64_t offset, int64_t count) {
      const auto value = normalized(offset, count);
      const auto grad = load_as<Acc>(grad_normed + start + offset, count);
      const auto scale = load_as<Acc>(weight + offset, count);
      Pair<Acc> scaled{grad.first * scale.first, grad.second * scale.second};
      Pair<Acc> product{scaled.first * value.first, scaled.second * value.second};
      if (count < block) {
        scaled = first_of(scaled, count);
        product = first_of(product, count);
      }
      grads.first = grads.first + scaled.first;
      grads.second = grads.second + scaled.second;
      products.first = products.first + product.first;
      products.second = products.second + product.second;
      if (grad_weight != nullptr) {
        const auto weights = load_as<Acc>(grad_weight + offset, count);
        store_as(grad_weight + offset,
                 Pair<Acc>{at::vec::fmadd(grad.first, value.first, weights.first),
                           at::vec::fmadd(grad.second, value.second, weights.second)},
                 count);
        const auto biases = load_as<Acc>(grad_bias + offset, count);
        store_as(grad_bias + offset,
                 Pair<Acc>{biases.first + grad.first, biases.second + grad.second}, count);
      }
    });
    if (grad_residual == nullptr && grad_x == nullptr) return;
    const Vector<Acc> grad_mean(total(grads) / static_cast<Acc>(channels));
    const Vector<Acc> product_mean(total(products) / static_cast<Acc>(channels));
    each([&](int64_t offset, int64_t count) {
      const auto value = normalized(offset, count);
      const auto grad = load_as<Acc>(grad_normed + start + offset, count);
      const auto scale = load_as<Acc>(weight + offset, count);
      Pair<Acc> result{
          rstds * (grad.first * scale.first - grad_mean - value.first * product_mean),
          rstds * (grad.second * scale.second - grad_mean - value.second * product_mean),
      };
      if (grad_sum != nullptr) {
        const auto other = load_as<Acc>(grad_sum + start + offset, count);
        result.first = result.first + other.first;
        result.second = result.second + other.second;
      }
      if (grad_residual != nullptr) store_as(grad_residual + start + offset, result, count);
      if (grad_x == nullptr) return;
      if (multipliers != nullptr) {
        const auto factors = load_as<Acc>(multipliers + offset, count);
        result.first = result.first * factors.first;
        result.second = result.second * factors.second;
      }
      store_operand_as(grad_x + start + offset, result, count);
    });
  }

  void operator()() const {
    const int64_t block_rows = layer_norm_block_rows(task.rows);
    const int64_t row_blocks = layer_norm_blocks(task.rows);
    auto* partial = static_cast<Acc*>(task.partial_sums);
    const int64_t grain = std::max<int64_t>(1, kGrain / (channels * block_rows));
    at::parallel_for(0, row_blocks, grain, [&](int64_t begin, int64_t end) {
      const int64_t last = std::min(task.rows, end * block_rows);
      RowMultipliers<Acc> multipliers(task.drop && grad_x != nullptr, task.seed, task.p, channels,
                                      last);
      for (int64_t b = begin; b < end; b++) {
        Acc* grad_weight = partial == nullptr ? nullptr : partial + b * 2 * channels;
        Acc* grad_bias = partial == nullptr ? nullptr : grad_weight + channels;
        if (partial != nullptr) std::fill(grad_weight, grad_weight + 2 * channels, Acc{0});
        for (int64_t i = b * block_rows; i < std::min(task.rows, (b + 1) * block_rows); i++) {
          row(i, multipliers.of(i), grad_weight, grad_bias);
        }
      }
    });
    if (partial == nullptr) return;
    auto* parameters = static_cast<Acc*>(task.grad_parameters);
    std::fill(parameters, parameters + 2 * channels, Acc{0});
    for (int64_t b = 0; b < row_blocks; b++) {
      for (int64_t i = 0; i < 2 * channels; i++) parameters[i] += partial[b * 2 * channels + i];
    }
  }
};

template <typename T, typename X, typename Normed,
          template <typename, typename, typename, int64_t> typename Pass, typename Task>
void with_channels(const Task& task) {
  if (task.channels == kUnrolled) {
    Pass<T, X, Normed, kUnrolled>{task}();
  } else {
    Pass<T, X, Normed, 0>{task}();
  }
}

template <template <typename, typename, typename, int64_t> typename Pass, typename Task>
void with_types(const Task& task) {
  using c10::ScalarType;
  const auto& [sum, x, normed] = task.types;
  if (sum == ScalarType::Double) {
    with_channels<double, double, double, Pass>(task);
  } else if (sum == ScalarType::BFloat16) {
    with_channels<BFloat16, BFloat16, BFloat16, Pass>(task);
  } else if (x == ScalarType::Float && normed == ScalarType::Float) {
    with_channels<float, float, float, Pass>(task);
  } else if (x == ScalarType::Float) {
    with_channels<float, float, BFloat16, Pass>(task);
  } else if (normed == ScalarType::Float) {
    with_channels<float, BFloat16, float, Pass>(task);
  } else {
    with_channels<float, BFloat16, BFloat16, Pass>(task);
  }
}

void forward(const LayerNormForward& task) { with_types<Forward>(task); }
void backward(const LayerNormBackward& task) { with_types<Backward>(task); }

}  // namespace

WAVEGPT_REGISTER_KERNEL(layer_norm_forward, forward);
WAVEGPT_REGISTER_KERNEL(layer_norm_backward, backward);

}  // namespace wavegpt::kernels
