#include "kernels/cpu/retention.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <vector>

#include "kernels/cpu/exp.h"
#include "kernels/cpu/pack.h"
#include "kernels/cpu/workspace.h"

namespace wavegpt::kernels {
namespace {

// Queries and keys of a tile.
constexpr int64_t kTile = 64;

// decay^(t + 1) and decay^-(t + 1) / sqrt(width) of each head and position. With keys times the
// one, what queries make of them and of the state before the first position wants one factor, the
// other:
//
//     o[t] = decay^(t + 1) (q[t] state + the sum over s <= t of (q[t] . keys[s]) v[s])
template <typename Sum>
struct Powers {
  std::vector<Sum> of_queries, of_keys;

  // A tile's vectors may reach beyond the last position.
  template <typename Task>
  explicit Powers(const Task& task)
      : of_queries(task.heads * task.time + kTile), of_keys(task.heads * task.time + kTile) {
    const double scale = 1 / std::sqrt(static_cast<double>(task.width));
    for (int64_t head = 0; head < task.heads; head++) {
      double power = 1;
      for (int64_t t = 0; t < task.time; t++) {
        power *= task.decays[head];
        of_queries[head * task.time + t] = static_cast<Sum>(power);
        of_keys[head * task.time + t] = static_cast<Sum>(scale / power);
      }
    }
  }
};

// Calls body(column, count) for blocks of a row of a head.
template <typename T, typename Body>
inline void for_blocks(int64_t width, const Body& body) {
  if (width == kBlock<T>) return body(0, kBlock<T>);
  for (int64_t c = 0; c < width; c += kBlock<T>) body(c, std::min(kBlock<T>, width - c));
}

template <typename T>
inline Accumulate<T> mean_of_lanes(const Vector<T>& sums, int64_t width) {
  using V = Vector<T>;
  return at::vec::vec_reduce_all<Accumulate<T>>([](V& a, V& b) { return a + b; }, sums) /
         static_cast<Accumulate<T>>(width);
}

// The mean of a row's values, of which value(column, count) gives a block.
template <typename T, typename Value>
inline Accumulate<T> mean_of_row(int64_t width, const Value& value) {
  using V = Vector<T>;
  V sum(0);
  for_blocks<T>(width, [&](int64_t c, int64_t count) {
    const Pair<T> block = value(c, count);
    sum = sum + (first_lanes(block.first, count) +
                 first_lanes(block.second, std::max<int64_t>(0, count - V::size())));
  });
  return mean_of_lanes<T>(sum, width);
}

// A row of weights (first to last, zeros elsewhere up to `end`): scores, each times its factor.
template <typename T, typename Factor>
inline void weigh(const Accumulate<T>* scores, T* weights, int64_t first, int64_t last, int64_t end,
                  const Factor& factor) {
  using V = Vector<T>;
  const auto weight = [&](int64_t j) {
    return lanes_between(V::loadu(scores + j) * factor(j), first - j, last - j);
  };
  for (int64_t j = 0; j < end; j += kBlock<T>)
    store_operand(weights + j, Pair<T>{weight(j), weight(j + V::size())});
}

template <typename T>
inline Vector<T> sigmoid(const Vector<T>& x) {
  return Vector<T>(1) / (Vector<T>(1) + exp<T>(Vector<T>(0) - x));
}

template <typename T>
inline Vector<T> silu(const Vector<T>& x) {
  return x / (Vector<T>(1) + exp<T>(Vector<T>(0) - x));
}

// Brings elements into the cache.
template <typename T>
inline void prefetch(const T* from, int64_t count) {
#if defined(__GNUC__)
  constexpr int64_t line = 64 / sizeof(T);
  for (int64_t i = 0; i < count; i += line) __builtin_prefetch(from + i, 0, 2);
#endif
}

// One head of one row of the batch.
template <typename T>
struct Head {
  int64_t stride, channels;
  // Where its queries begin in qkvg, its results in out, and so on.
  int64_t qkvg, out, state, rates, powers;
  // Where the next row's share of what is read begins, which is in no order that the CPU would
  // foresee: this head's positions bring it, each some. Not of the last row.
  bool has_next;
  int64_t next;

  template <typename Task>
  Head(const Task& task, int64_t index)
      : stride(4 * task.heads * task.width),
        channels(task.heads * task.width),
        qkvg(index / task.heads * task.time * stride + index % task.heads * task.width),
        out(index / task.heads * task.time * channels + index % task.heads * task.width),
        state(index * task.width * task.width),
        rates(index * task.time),
        powers(index % task.heads * task.time),
        has_next(index / task.heads + 1 < task.batch),
        next((index + task.heads) * task.time) {}
};

template <typename T>
class ForwardPass {
  using Sum = Accumulate<T>;
  using V = Vector<T>;

 public:
  ForwardPass(const RetentionForward<T>& task, const Powers<Sum>& powers)
      : task_(task), powers_(powers) {
    const int64_t operand = even<T>(task.time) * task.width;
    const int64_t square = kTile * kTile;
    for (int i = 0; i < 3; i++) workspace_.reserve<T>(operand);
    workspace_.reserve<T>(even<T>(task.width) * task.width);
    workspace_.reserve<T>(square);
    workspace_.reserve<Sum>(square);
    workspace_.reserve<Sum>(kTile * task.width);
    workspace_.allocate();
    keys_by_channel_ = workspace_.template take<T>(operand);
    keys_by_position_ = workspace_.template take<T>(operand);
    values_ = workspace_.template take<T>(operand);
    state_ = workspace_.template take<T>(even<T>(task.width) * task.width);
    weights_ = workspace_.template take<T>(square);
    scores_ = workspace_.template take<Sum>(square);
    sums_ = workspace_.template take<Sum>(kTile * task.width);
  }

  void run(int64_t index) {
    const auto [time, width] = std::pair(task_.time, task_.width);
    const Head<T> head(task_, index);
    const T* q = task_.qkvg + head.qkvg;
    const T* k = q + head.channels;
    const Sum* of_keys = powers_.of_keys.data() + head.powers;
    pack_channels(k, head.stride, keys_by_channel_, time, width);
    pack(k + head.channels, head.stride, values_, time, width);
    pack(task_.state + head.state, width, state_, width, width);
    for (int64_t tile = 0; tile < time; tile += kTile) {
      const int64_t queries = std::min(kTile, time - tile);
      gemm(queries, width, width, q + tile * head.stride, head.stride, state_, width, sums_, width,
           false);
      for (int64_t other = 0; other <= tile; other += kTile) {
        const int64_t keys = std::min(kTile, time - other);
        gemm(queries, keys, width, q + tile * head.stride, head.stride,
             keys_by_channel_ + other * kInterleaved<T>, time, scores_, kTile, false);
        for (int64_t i = 0; i < queries; i++) {
          weigh(scores_ + i * kTile, weights_ + i * kTile, 0, other == tile ? i + 1 : keys,
                even<T>(keys), [&](int64_t j) { return V::loadu(of_keys + other + j); });
        }
        gemm(queries, width, even<T>(keys), weights_, kTile, values_ + other * width, width, sums_,
             width, true);
      }
      finish(head, tile, queries);
    }
    next_state(head, k, of_keys);
  }

 private:
  // The norms of a tile's o, gated.
  void finish(const Head<T>& head, int64_t first, int64_t queries) {
    const int64_t width = task_.width;
    const T* gates = task_.qkvg + head.qkvg + 3 * head.channels + first * head.stride;
    Sum means[kTile], rates[kTile];
    for (int64_t t = 0; t < queries; t++) {
      const Sum* sums = sums_ + t * width;
      means[t] = mean_of_row<T>(width, [&](int64_t c, int64_t count) {
        const auto o = load(sums + c, count);
        return Pair<T>{o.first, o.second};
      });
      const V mean(means[t]);
      // For now the variance.
      rates[t] = mean_of_row<T>(width, [&](int64_t c, int64_t count) {
        const auto o = load(sums + c, count);
        const V first = o.first - mean, second = o.second - mean;
        return Pair<T>{first * first, second * second};
      });
    }
    at::vec::map2(
        [eps = task_.eps](V variance, V power) {
          return power / (variance * power * power + V(static_cast<Sum>(eps))).sqrt();
        },
        rates, rates, powers_.of_queries.data() + head.powers + first, queries);
    if (task_.rates != nullptr) std::copy(rates, rates + queries, task_.rates + head.rates + first);
    for (int64_t t = 0; t < queries; t++) {
      if (head.has_next) prefetch(task_.qkvg + (head.next + first + t) * 4 * width, 4 * width);
      const int64_t out = head.out + (first + t) * head.channels;
      const V mean(means[t]), rate(rates[t]);
      for_blocks<T>(width, [&](int64_t c, int64_t count) {
        const auto o = load(sums_ + t * width + c, count);
        const auto gate = load(gates + t * head.stride + c, count);
        const V n1 = (o.first - mean) * rate, n2 = (o.second - mean) * rate;
        store(task_.out + out + c, Pair<T>{n1 * silu<T>(gate.first), n2 * silu<T>(gate.second)},
              count);
        if (task_.normed != nullptr) store(task_.normed + out + c, Pair<T>{n1, n2}, count);
      });
    }
  }

  void next_state(const Head<T>& head, const T* k, const Sum* of_keys) {
    const auto [time, width] = std::pair(task_.time, task_.width);
    const int64_t ld = even<T>(time);
    transpose(k, head.stride, keys_by_position_, ld, time, width);
    for (int64_t c = 0; c < width; c++) {
      T* row = keys_by_position_ + c * ld;
      for_blocks<T>(time, [&](int64_t t, int64_t count) {
        const auto keys = load(row + t, count);
        const auto powers = load(of_keys + t, count);
        store(row + t, Pair<T>{keys.first * powers.first, keys.second * powers.second}, count);
      });
      if (time < ld) row[time] = T(0);
    }
    Sum* next = task_.next + head.state;
    gemm(width, width, ld, keys_by_position_, ld, values_, width, next, width, false);
    const Sum* state = task_.state + head.state;
    const V whole(powers_.of_queries[head.powers + time - 1]);
    at::vec::map2([whole](V added, V before) { return (added + before) * whole; }, next, next,
                  state, width * width);
  }

  const RetentionForward<T>& task_;
  const Powers<Sum>& powers_;
  Workspace workspace_;
  T *keys_by_channel_, *keys_by_position_, *values_, *state_, *weights_;
  Sum *scores_, *sums_;
};

template <typename T>
class BackwardPass {
  using Sum = Accumulate<T>;
  using V = Vector<T>;

 public:
  BackwardPass(const RetentionBackward<T>& task, const Powers<Sum>& powers)
      : task_(task), powers_(powers) {
    const int64_t operand = even<T>(task.time) * task.width;
    const int64_t state = even<T>(task.width) * task.width;
    const int64_t square = kTile * kTile;
    for (int i = 0; i < 6; i++) workspace_.reserve<T>(operand);
    for (int i = 0; i < 2; i++) workspace_.reserve<T>(state);
    for (int i = 0; i < 2; i++) workspace_.reserve<T>(square);
    workspace_.reserve<Sum>(square);
    for (int i = 0; i < 2; i++) workspace_.reserve<Sum>(operand);
    workspace_.reserve<Sum>(kTile * task.width);
    workspace_.reserve<Sum>(task.width + kBlock<T>);
    workspace_.allocate();
    for (T** part :
         {&d_o_, &d_o_pairs_, &queries_, &keys_, &queries_by_channel_, &values_by_channel_}) {
      *part = workspace_.template take<T>(operand);
    }
    for (T** part : {&state_, &state_by_channel_}) *part = workspace_.template take<T>(state);
    for (T** part : {&weights_, &by_key_}) *part = workspace_.template take<T>(square);
    scores_ = workspace_.template take<Sum>(square);
    for (Sum** part : {&d_keys_, &d_values_}) *part = workspace_.template take<Sum>(operand);
    d_queries_ = workspace_.template take<Sum>(kTile * task.width);
    d_normed_ = workspace_.template take<Sum>(task.width + kBlock<T>);
  }

  void run(int64_t index) {
    const auto [time, width] = std::pair(task_.time, task_.width);
    const Head<T> head(task_, index);
    const int64_t stride = head.stride;
    const T* q = task_.qkvg + head.qkvg;
    const T* k = q + head.channels;
    T* d_q = task_.d_qkvg + head.qkvg;
    const Sum* of_keys = powers_.of_keys.data() + head.powers;
    derive_gates(head);
    pack(d_o_, width, d_o_pairs_, time, width);
    pack(q, stride, queries_, time, width);
    pack(k, stride, keys_, time, width);
    pack_channels(q, stride, queries_by_channel_, time, width);
    pack_channels(k + head.channels, stride, values_by_channel_, time, width);
    convert(task_.state + head.state, state_, width * width);
    pack_channels(state_, width, state_by_channel_, width, width);
    for (int64_t tile = 0; tile < time; tile += kTile) {
      const int64_t queries = std::min(kTile, time - tile);
      gemm(queries, width, width, d_o_ + tile * width, width, state_by_channel_, width, d_queries_,
           width, false);
      for (int64_t other = 0; other <= tile; other += kTile) {
        const bool causal = other == tile, adds = other < tile;
        const int64_t keys = std::min(kTile, time - other);
        // The gradients of the weights, by query and by key.
        gemm(queries, keys, width, d_o_ + tile * width, width,
             values_by_channel_ + other * kInterleaved<T>, time, scores_, kTile, false);
        for (int64_t i = 0; i < queries; i++) {
          weigh(scores_ + i * kTile, weights_ + i * kTile, 0, causal ? i + 1 : keys, even<T>(keys),
                [&](int64_t j) { return V::loadu(of_keys + other + j); });
        }
        if (queries < even<T>(queries)) std::fill_n(weights_ + queries * kTile, kTile, T(0));
        gemm(queries, width, even<T>(keys), weights_, kTile, keys_ + other * width, width,
             d_queries_, width, true);
        transpose(weights_, kTile, by_key_, kTile, even<T>(queries), keys);
        gemm(keys, width, even<T>(queries), by_key_, kTile, queries_ + tile * width, width,
             d_keys_ + other * width, width, adds);
        // The weights, by key.
        gemm(keys, queries, width, k + other * stride, stride,
             queries_by_channel_ + tile * kInterleaved<T>, time, scores_, kTile, false);
        for (int64_t j = 0; j < keys; j++) {
          const V factor(of_keys[other + j]);
          weigh(scores_ + j * kTile, by_key_ + j * kTile, causal ? j : 0, queries, even<T>(queries),
                [&](int64_t) { return factor; });
        }
        gemm(keys, width, even<T>(queries), by_key_, kTile, d_o_pairs_ + tile * width, width,
             d_values_ + other * width, width, adds);
      }
      write(d_queries_, d_q + tile * stride, stride, queries);
    }
    write(d_keys_, d_q + head.channels, stride, time);
    write(d_values_, d_q + 2 * head.channels, stride, time);
  }

 private:
  // The gradients of the gates, and of o times its power.
  void derive_gates(const Head<T>& head) {
    const int64_t width = task_.width;
    const T* gates = task_.qkvg + head.qkvg + 3 * head.channels;
    T* d_gates = task_.d_qkvg + head.qkvg + 3 * head.channels;
    for (int64_t t = 0; t < task_.time; t++) {
      const int64_t at = head.out + t * head.channels;
      if (head.has_next) {
        prefetch(task_.qkvg + (head.next + t) * 4 * width, 4 * width);
        prefetch(task_.normed + (head.next + t) * width, width);
        prefetch(task_.d_out + (head.next + t) * width, width);
      }
      V sum(0), sum_normed(0);
      for_blocks<T>(width, [&](int64_t c, int64_t count) {
        const auto n = load(task_.normed + at + c, count);
        const auto g = load(gates + t * head.stride + c, count);
        const auto d = load(task_.d_out + at + c, count);
        const auto derive = [&](const V& normed, const V& gate, const V& d_out, int64_t lanes,
                                V& d_gate) {
          const V open = sigmoid<T>(gate);
          d_gate = d_out * normed * open * (V(1) + gate * (V(1) - open));
          const V d_normed = first_lanes(d_out * gate * open, lanes);
          sum = sum + d_normed;
          sum_normed = sum_normed + first_lanes(d_normed * normed, lanes);
          return d_normed;
        };
        Pair<T> d_gate{V(0), V(0)};
        const V first = derive(n.first, g.first, d.first, count, d_gate.first);
        const V second = derive(n.second, g.second, d.second,
                                std::max<int64_t>(0, count - V::size()), d_gate.second);
        store(d_gates + t * head.stride + c, d_gate, count);
        store(d_normed_ + c, Pair<Sum>{first, second});
      });
      const V mean(mean_of_lanes<T>(sum, width)), mean_normed(mean_of_lanes<T>(sum_normed, width));
      const V rate(task_.rates[head.rates + t]);
      for_blocks<T>(width, [&](int64_t c, int64_t count) {
        const auto n = load(task_.normed + at + c, count);
        const auto d = load(d_normed_ + c);
        store_operand(d_o_ + t * width + c,
                      Pair<T>{(d.first - mean - n.first * mean_normed) * rate,
                              (d.second - mean - n.second * mean_normed) * rate},
                      count);
      });
    }
  }

  void write(const Sum* from, T* to, int64_t stride, int64_t rows) const {
    for (int64_t t = 0; t < rows; t++) {
      for_blocks<T>(task_.width, [&](int64_t c, int64_t count) {
        const auto sums = load(from + t * task_.width + c, count);
        store(to + t * stride + c, Pair<T>{sums.first, sums.second}, count);
      });
    }
  }

  const RetentionBackward<T>& task_;
  const Powers<Sum>& powers_;
  Workspace workspace_;
  T *d_o_, *d_o_pairs_, *queries_, *keys_, *queries_by_channel_, *values_by_channel_;
  T *state_, *state_by_channel_, *weights_, *by_key_;
  Sum *scores_, *d_keys_, *d_values_, *d_queries_, *d_normed_;
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
