#include "kernels/cpu/retention.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <utility>
#include <vector>

#include "kernels/cpu/exp.h"
#include "kernels/cpu/pack.h"

namespace wavegpt::kernels {
namespace {

// Positions of a tile of the products of positions by positions.
constexpr int64_t kTile = 64;

// decay^(t + 1) and decay^-(t + 1) / sqrt(width) of each head and position: queries times the one
// and keys times the other have products that fade with their distance, and queries times the state
// before the first position fade with theirs.
template <typename Sum>
struct Powers {
  std::vector<Sum> of_queries, of_keys;

  template <typename Task>
  explicit Powers(const Task& task)
      : of_queries(task.heads * task.time), of_keys(task.heads * task.time) {
    const double scale = 1 / std::sqrt(static_cast<double>(task.width));
    for (int64_t head = 0; head < task.heads; head++) {
      for (int64_t t = 0; t < task.time; t++) {
        const double power = std::pow(task.decays[head], static_cast<double>(t + 1));
        of_queries[head * task.time + t] = static_cast<Sum>(power);
        of_keys[head * task.time + t] = static_cast<Sum>(scale / power);
      }
    }
  }
};

// Calls body(column, count) for blocks of a row of a head.
template <typename Sum, typename Body>
inline void for_blocks(int64_t width, const Body& body) {
  for (int64_t c = 0; c < width; c += kBlock<Sum>) body(c, std::min(kBlock<Sum>, width - c));
}

// to (rows x width) = rows of `from`, each times its factor; null factors are 1.
template <typename T, typename Sum>
inline void load_rows(const T* from, int64_t stride, Sum* to, int64_t rows, int64_t width,
                      const Sum* factors) {
  for (int64_t t = 0; t < rows; t++) {
    const Vector<T> factor(factors == nullptr ? Sum(1) : factors[t]);
    for_blocks<Sum>(width, [&](int64_t c, int64_t count) {
      const auto pair = load(from + t * stride + c, count);
      store(to + t * width + c, Pair<Sum>{pair.first * factor, pair.second * factor}, count);
    });
  }
}

// The same the other way.
template <typename T, typename Sum>
inline void store_rows(const Sum* from, T* to, int64_t stride, int64_t rows, int64_t width,
                       const Sum* factors) {
  for (int64_t t = 0; t < rows; t++) {
    const Vector<T> factor(factors == nullptr ? Sum(1) : factors[t]);
    for_blocks<Sum>(width, [&](int64_t c, int64_t count) {
      const auto pair = load(from + t * width + c, count);
      store(to + t * stride + c, Pair<T>{pair.first * factor, pair.second * factor}, count);
    });
  }
}

template <typename Sum>
struct Statistics {
  Sum mean, rstd;

  Statistics(const Sum* row, int64_t width, double eps) {
    using V = at::vec::Vectorized<Sum>;
    const auto add = [](V a, V b) { return a + b; };
    mean = at::vec::reduce_all<Sum>(add, row, width) / static_cast<Sum>(width);
    const V center(mean);
    const Sum squares = at::vec::map_reduce_all<Sum>(
        [center](V x) { return (x - center) * (x - center); }, add, row, width);
    rstd = 1 / std::sqrt(squares / static_cast<Sum>(width) + static_cast<Sum>(eps));
  }
};

template <typename T>
inline Vector<T> sigmoid(const Vector<T>& x) {
  return Vector<T>(1) / (Vector<T>(1) + exp<T>(Vector<T>(0) - x));
}

// One head of one row of the batch.
template <typename T>
struct Head {
  int64_t channels, stride, qkvg, out, state;

  template <typename Task>
  Head(const Task& task, int64_t index)
      : channels(task.heads * task.width),
        stride(4 * channels),
        qkvg(index / task.heads * task.time * stride + index % task.heads * task.width),
        out(index / task.heads * task.time * channels + index % task.heads * task.width),
        state(index * task.width * task.width) {}
};

template <typename T>
class ForwardPass {
  using Sum = Accumulate<T>;

 public:
  ForwardPass(const RetentionForward<T>& task, const Powers<Sum>& powers)
      : task_(task), powers_(powers) {
    const int64_t rows = task.time * task.width;
    memory_.resize(5 * rows + kTile * task.time);
    Sum* free = memory_.data();
    for (Sum** part : {&q_, &k_, &keys_by_channel_, &v_, &o_})
      *part = std::exchange(free, free + rows);
    weights_ = free;
  }

  void run(int64_t index) {
    const auto [time, width] = std::pair(task_.time, task_.width);
    const Head<T> head(task_, index);
    const T* from = task_.qkvg + head.qkvg;
    const int64_t first = index % task_.heads * time;
    load_rows(from, head.stride, q_, time, width, powers_.of_queries.data() + first);
    load_rows(from + head.channels, head.stride, k_, time, width, powers_.of_keys.data() + first);
    load_rows<T, Sum>(from + 2 * head.channels, head.stride, v_, time, width, nullptr);
    transpose(k_, width, keys_by_channel_, time, time, width);
    for (int64_t row = 0; row < time; row += kTile) {
      const int64_t rows = std::min(kTile, time - row), keys = row + rows;
      gemm(rows, keys, width, q_ + row * width, width, keys_by_channel_, time, weights_, keys,
           false);
      for (int64_t i = 0; i < rows; i++) {
        std::fill(weights_ + i * keys + row + i + 1, weights_ + (i + 1) * keys, Sum(0));
      }
      gemm(rows, width, keys, weights_, keys, v_, width, o_ + row * width, width, false);
    }
    const Sum* state = task_.state + head.state;
    gemm(time, width, width, q_, width, state, width, o_, width, true);
    finish(head, from + 3 * head.channels);
    Sum* next = task_.next + head.state;
    gemm(width, width, time, keys_by_channel_, time, v_, width, next, width, false);
    const auto whole = powers_.of_queries[first + time - 1];
    for (int64_t i = 0; i < width * width; i++) next[i] = (next[i] + state[i]) * whole;
  }

 private:
  void finish(const Head<T>& head, const T* gates) {
    using V = Vector<T>;
    for (int64_t t = 0; t < task_.time; t++) {
      const Sum* o = o_ + t * task_.width;
      const Statistics<Sum> statistics(o, task_.width, task_.eps);
      const V mean(statistics.mean), rstd(statistics.rstd);
      for_blocks<Sum>(task_.width, [&](int64_t c, int64_t count) {
        const auto x = load(o + c, count);
        const auto gate = load(gates + t * head.stride + c, count);
        const auto gated = [&](const V& o, const V& g) {
          return (o - mean) * rstd * g * sigmoid<T>(g);
        };
        store(task_.out + head.out + t * head.channels + c,
              Pair<T>{gated(x.first, gate.first), gated(x.second, gate.second)}, count);
      });
    }
    if (task_.o != nullptr) {
      store_rows<Sum, Sum>(o_, task_.o + head.out, head.channels, task_.time, task_.width, nullptr);
    }
  }

  const RetentionForward<T>& task_;
  const Powers<Sum>& powers_;
  std::vector<Sum> memory_;
  Sum *q_, *k_, *keys_by_channel_, *v_, *o_, *weights_;
};

template <typename T>
class BackwardPass {
  using Sum = Accumulate<T>;
  using V = Vector<T>;

 public:
  BackwardPass(const RetentionBackward<T>& task, const Powers<Sum>& powers)
      : task_(task), powers_(powers) {
    const int64_t rows = task.time * task.width;
    memory_.resize(8 * rows + kTile * task.time + task.width * task.width);
    Sum* free = memory_.data();
    for (Sum** part : {&q_, &k_, &v_, &d_o_, &queries_by_channel_, &values_by_channel_,
                       &d_o_by_channel_, &result_}) {
      *part = std::exchange(free, free + rows);
    }
    weights_ = std::exchange(free, free + kTile * task.time);
    state_by_channel_ = free;
  }

  void run(int64_t index) {
    const auto [time, width] = std::pair(task_.time, task_.width);
    const Head<T> head(task_, index);
    const T* from = task_.qkvg + head.qkvg;
    T* to = task_.d_qkvg + head.qkvg;
    const Sum* of_queries = powers_.of_queries.data() + index % task_.heads * time;
    const Sum* of_keys = powers_.of_keys.data() + index % task_.heads * time;
    load_rows(from, head.stride, q_, time, width, of_queries);
    load_rows(from + head.channels, head.stride, k_, time, width, of_keys);
    load_rows<T, Sum>(from + 2 * head.channels, head.stride, v_, time, width, nullptr);
    gate(head, from + 3 * head.channels, to + 3 * head.channels);
    transpose(q_, width, queries_by_channel_, time, time, width);
    transpose(v_, width, values_by_channel_, time, time, width);
    transpose(d_o_, width, d_o_by_channel_, time, time, width);
    transpose(task_.state + head.state, width, state_by_channel_, width, width, width);
    for (int64_t row = 0; row < time; row += kTile) {
      const int64_t rows = std::min(kTile, time - row), keys = row + rows;
      Sum* result = result_ + row * width;
      gemm(rows, keys, width, d_o_ + row * width, width, values_by_channel_, time, weights_, keys,
           false);
      for (int64_t i = 0; i < rows; i++) {
        std::fill(weights_ + i * keys + row + i + 1, weights_ + (i + 1) * keys, Sum(0));
      }
      gemm(rows, width, keys, weights_, keys, k_, width, result, width, false);
      gemm(rows, width, width, d_o_ + row * width, width, state_by_channel_, width, result, width,
           true);
    }
    store_rows(result_, to, head.stride, time, width, of_queries);
    later(v_, d_o_by_channel_, q_);
    store_rows(result_, to + head.channels, head.stride, time, width, of_keys);
    later(k_, queries_by_channel_, d_o_);
    store_rows<T, Sum>(result_, to + 2 * head.channels, head.stride, time, width, nullptr);
  }

 private:
  // The gradients of o and of the gates.
  void gate(const Head<T>& head, const T* gates, T* d_gates) {
    const int64_t width = task_.width;
    const auto add = [](V a, V b) { return a + b; };
    Sum* normed = result_;
    for (int64_t t = 0; t < task_.time; t++) {
      const int64_t at = head.out + t * head.channels;
      const Statistics<Sum> statistics(task_.o + at, width, task_.eps);
      const V mean(statistics.mean), rstd(statistics.rstd);
      Sum* d_o = d_o_ + t * width;
      for_blocks<Sum>(width, [&](int64_t c, int64_t count) {
        const auto x = load(task_.o + at + c, count);
        const auto g = load(gates + t * head.stride + c, count);
        const auto d = load(task_.d_out + at + c, count);
        const auto derive = [&](const V& o, const V& gate, const V& d_out, V& n, V& d_n) {
          const V open = sigmoid<T>(gate);
          n = (o - mean) * rstd;
          d_n = d_out * gate * open;
          return d_out * n * open * (V(1) + gate * (V(1) - open));
        };
        Pair<Sum> n{V(0), V(0)}, d_n{V(0), V(0)};
        const V first = derive(x.first, g.first, d.first, n.first, d_n.first);
        const V second = derive(x.second, g.second, d.second, n.second, d_n.second);
        store(d_gates + t * head.stride + c, Pair<T>{first, second}, count);
        store(normed + c, n, count);
        store(d_o + c, d_n, count);
      });
      const V mean_d(at::vec::reduce_all<Sum>(add, d_o, width) / static_cast<Sum>(width));
      const V mean_dn(
          at::vec::map2_reduce_all<Sum>([](V a, V b) { return a * b; }, add, d_o, normed, width) /
          static_cast<Sum>(width));
      at::vec::map2([&](V d, V n) { return (d - mean_d - n * mean_dn) * rstd; }, d_o, d_o, normed,
                    width);
    }
  }

  // result[j] = the sum over i >= j of (left[j] right[:, i]) other[i].
  void later(const Sum* left, const Sum* right, const Sum* other) {
    const auto [time, width] = std::pair(task_.time, task_.width);
    for (int64_t row = 0; row < time; row += kTile) {
      const int64_t rows = std::min(kTile, time - row), queries = time - row;
      gemm(rows, queries, width, left + row * width, width, right + row, time, weights_, queries,
           false);
      for (int64_t i = 1; i < rows; i++) std::fill_n(weights_ + i * queries, i, Sum(0));
      gemm(rows, width, queries, weights_, queries, other + row * width, width,
           result_ + row * width, width, false);
    }
  }

  const RetentionBackward<T>& task_;
  const Powers<Sum>& powers_;
  std::vector<Sum> memory_;
  Sum *q_, *k_, *v_, *d_o_, *queries_by_channel_, *values_by_channel_, *d_o_by_channel_, *result_;
  Sum *weights_, *state_by_channel_;
};

template <typename Pass, typename Task>
void run_heads(const Task& task) {
  const Powers<typename Task::Sum> powers(task);
  at::parallel_for(0, task.batch * task.heads, 1, [&](int64_t begin, int64_t end) {
    Pass pass(task, powers);
    for (int64_t index = begin; index < end; index++) pass.run(index);
    gemm_release();
  });
}

template <typename T>
void forward(const RetentionForward<T>& task) {
  run_heads<ForwardPass<T>>(task);
}

template <typename T>
void backward(const RetentionBackward<T>& task) {
  run_heads<BackwardPass<T>>(task);
}

}  // namespace

WAVEGPT_REGISTER_KERNEL(retention_forward_float, forward<float>);
WAVEGPT_REGISTER_KERNEL(retention_forward_double, forward<double>);
WAVEGPT_REGISTER_KERNEL(retention_forward_bfloat16, forward<c10::BFloat16>);
WAVEGPT_REGISTER_KERNEL(retention_backward_float, backward<float>);
WAVEGPT_REGISTER_KERNEL(retention_backward_double, backward<double>);
WAVEGPT_REGISTER_KERNEL(retention_backward_bfloat16, backward<c10::BFloat16>);

}  // namespace wavegpt::kernels
