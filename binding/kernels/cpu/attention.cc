#include "kernels/cpu/attention.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/cpu/exp.h"
#include "kernels/cpu/pack.h"
#include "kernels/cpu/philox.h"
#include "kernels/cpu/workspace.h"

namespace wavegpt::kernels {
namespace {

// Queries and keys of a tile.
constexpr int64_t kTile = 64;

// Which probabilities of a tile of queries are kept: bits of the elements of (batch, heads, T, T),
// of which only the causal ones are drawn.
class KeptBits {
 public:
  KeptBits(double rate, uint64_t seed, int64_t time)
      : rate_(rate), keys_(seed), time_(time), any_(rate > 0) {}

  bool any() const { return any_; }
  float scale() const { return any_ ? rate_.scale : 1.0f; }

  // Bytes for a tile's bits, and some that are read but not used.
  static int64_t size(int64_t time) {
    return (std::min(time, kTile) * time / kPhiloxGroup + 2) * kPhiloxGroup / 8 + 8;
  }

  void draw(uint8_t* bits, int64_t head, int64_t first_query, int64_t queries) {
    if (!any_) return;
    bits_ = bits;
    const int64_t row = head * time_ + first_query;
    const int64_t first_group = row * time_ / kPhiloxGroup;
    int64_t next = first_group;
    for (int64_t i = 0; i < queries; i++) {
      const int64_t start = (row + i) * time_;
      next = std::max(next, start / kPhiloxGroup);
      for (; next <= (start + first_query + i) / kPhiloxGroup; next++) {
        dropout_bits(keys_, static_cast<uint64_t>(next), rate_,
                     bits + (next - first_group) * (kPhiloxGroup / 8));
      }
    }
    start_ = row * time_ - first_group * kPhiloxGroup;
  }

  // x where kept, 0 elsewhere; x begins at this query of the tile and this key.
  template <typename V>
  V filter(const V& x, int64_t query, int64_t key) const {
    const auto element = static_cast<uint64_t>(start_ + query * time_ + key);
    uint32_t bits;
    std::memcpy(&bits, bits_ + element / 8, sizeof(bits));
    bits >>= element % 8;
#if defined(CPU_CAPABILITY_AVX512)
    if constexpr (std::is_same_v<V, at::vec::Vectorized<float>>) {
      return _mm512_maskz_mov_ps(static_cast<__mmask16>(bits), x);
    }
#elif defined(CPU_CAPABILITY_AVX2)
    if constexpr (std::is_same_v<V, at::vec::Vectorized<float>>) {
      const auto lanes = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
      const auto chosen = _mm256_and_si256(_mm256_set1_epi32(static_cast<int>(bits)), lanes);
      return _mm256_and_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(chosen, lanes)), x);
    }
#endif
    typename V::value_type values[V::size()];
    x.store(values);
    for (int lane = 0; lane < V::size(); lane++) {
      if ((bits >> lane & 1) == 0) values[lane] = 0;
    }
    return V::loadu(values);
  }

 private:
  DropRate rate_;
  PhiloxKeys keys_;
  int64_t time_;
  bool any_;
  uint8_t* bits_ = nullptr;
  int64_t start_ = 0;
};

// What both passes read of one head's channels.
template <typename T>
struct Head {
  const T *q, *k, *v;
  int64_t stride;

  Head(const T* qkv, int64_t time, int64_t heads, int64_t width, int64_t head)
      : q(qkv + head / heads * time * 3 * heads * width + head % heads * width),
        k(q + heads * width),
        v(k + heads * width),
        stride(3 * heads * width) {}
};

template <typename T>
class ForwardPass {
  using Sum = Accumulate<T>;
  using V = Vector<T>;
  static constexpr int64_t kLanes = V::size();

 public:
  explicit ForwardPass(const AttentionForward<T>& task)
      : task_(task),
        kept_(task.rate, task.seed, task.time),
        scale_(1 / std::sqrt(static_cast<Sum>(task.width))) {
    const int64_t operand = even<T>(task.time) * task.width;
    const int64_t square = kTile * kTile;
    const int64_t values = kTile * task.width;
    workspace_.reserve<T>(operand);
    workspace_.reserve<T>(operand);
    workspace_.reserve<T>(square);
    workspace_.reserve<Sum>(square);
    workspace_.reserve<Sum>(values);
    workspace_.reserve<uint8_t>(KeptBits::size(task.time));
    workspace_.allocate();
    keys_ = workspace_.template take<T>(operand);
    values_ = workspace_.template take<T>(operand);
    probabilities_ = workspace_.template take<T>(square);
    scores_ = workspace_.template take<Sum>(square);
    sums_ = workspace_.template take<Sum>(values);
    bits_ = workspace_.template take<uint8_t>(KeptBits::size(task.time));
  }

  // One tile of queries of one head (of batch * heads).
  void run(int64_t head, int64_t tile) {
    const Head<T> from(task_.qkv, task_.time, task_.heads, task_.width, head);
    if (head != packed_head_) {
      packed_head_ = head;
      packed_tiles_ = 0;
    }
    for (; packed_tiles_ <= tile; packed_tiles_++) pack_keys(from, packed_tiles_);
    const int64_t first = tile * kTile;
    const int64_t queries = std::min(kTile, task_.time - first);
    kept_.draw(bits_, head, first, queries);
    std::fill(most_, most_ + kTile, -std::numeric_limits<Sum>::infinity());
    std::fill(total_, total_ + kTile, Sum{0});
    for (int64_t other = 0; other <= tile; other++) {
      const int64_t keys = std::min(kTile, task_.time - other * kTile);
      gemm(queries, keys, task_.width, from.q + first * from.stride, from.stride,
           keys_ + other * kTile * task_.width, keys, scores_, kTile, false);
      const bool causal = other == tile;
      for (int64_t i = 0; i < queries; i++) maximum(i, causal ? i + 1 : keys, other > 0);
      for (int64_t i = 0; i < queries; i++) {
        const auto count = causal ? i + 1 : keys;
        if (kept_.any()) {
          exponentials<true>(i, other * kTile, count, even<T>(keys));
        } else {
          exponentials<false>(i, other * kTile, count, even<T>(keys));
        }
      }
      gemm(queries, task_.width, even<T>(keys), probabilities_, kTile,
           values_ + other * kTile * task_.width, task_.width, sums_, task_.width, other > 0);
    }
    finish(head, first, queries);
  }

 private:
  void pack_keys(const Head<T>& from, int64_t tile) {
    const int64_t first = tile * kTile;
    const int64_t keys = std::min(kTile, task_.time - first);
    pack_channels(from.k + first * from.stride, from.stride, keys_ + first * task_.width, keys,
                  task_.width);
    pack(from.v + first * from.stride, from.stride, values_ + first * task_.width, keys,
         task_.width);
  }

  // The greatest score of a row, of keys 0 ... count - 1 of the tile and those of earlier tiles,
  // which are scaled anew.
  void maximum(int64_t i, int64_t count, bool adds) {
    const Sum* scores = scores_ + i * kTile;
    V most(-std::numeric_limits<Sum>::infinity());
    int64_t j = 0;
    for (; j + kLanes <= count; j += kLanes) most = at::vec::maximum(most, V::loadu(scores + j));
    if (j < count) most = V::set(most, at::vec::maximum(most, V::loadu(scores + j)), count - j);
    const Sum row_most =
        at::vec::vec_reduce_all<Sum>([](V& a, V& b) { return at::vec::maximum(a, b); }, most) *
        scale_;
    // What is NaN stays so: the comparison is false then.
    const Sum next = most_[i] > row_most ? most_[i] : row_most;
    if (adds && next != most_[i]) {
      const Sum factor = std::exp(most_[i] - next);
      total_[i] *= factor;
      Sum* sums = sums_ + i * task_.width;
      at::vec::map([factor](V x) { return x * V(factor); }, sums, sums, task_.width);
    }
    most_[i] = next;
  }

  // Turns a row of scores into probabilities that still want their sum, of keys 0 ... count - 1 of
  // the tile; of the others they are 0.
  template <bool kDrops>
  void exponentials(int64_t i, int64_t first_key, int64_t count, int64_t keys) {
    const Sum* scores = scores_ + i * kTile;
    T* probabilities = probabilities_ + i * kTile;
    const V most(most_[i]), scale(scale_);
    V total(0);
    const auto exponential = [&](int64_t j) {
      if (j >= count) return V(0);
      const V p = first_lanes(exp_below<T>(V::loadu(scores + j) * scale, most), count - j);
      total = total + p;
      return kDrops ? kept_.filter(p, i, first_key + j) : p;
    };
    for (int64_t j = 0; j < keys; j += kBlock<T>) {
      const V first = exponential(j);
      store_operand(probabilities + j, Pair<T>{first, exponential(j + kLanes)});
    }
    total_[i] += at::vec::vec_reduce_all<Sum>([](V& a, V& b) { return a + b; }, total);
  }

  void finish(int64_t head, int64_t first, int64_t queries) {
    const int64_t channels = task_.heads * task_.width;
    T* out = task_.out + (head / task_.heads * task_.time + first) * channels +
             head % task_.heads * task_.width;
    Sum* lse = task_.lse + head * task_.time + first;
    Sum factors[kTile];
    for (int64_t i = 0; i < queries; i += kLanes) {
      const auto count = std::min(kLanes, queries - i);
      const V most = V::loadu(most_ + i);
      // NaN where the greatest score is NaN or infinite, as softmax has it.
      const V total = V::loadu(total_ + i) + (most - most);
      (most + total.log()).store(lse + i, static_cast<int>(count));
      (V(static_cast<Sum>(kept_.scale())) / total).store(factors + i);
    }
    for (int64_t i = 0; i < queries; i++) {
      const V factor(factors[i]);
      const Sum* sums = sums_ + i * task_.width;
      for (int64_t c = 0; c < task_.width; c += kBlock<T>) {
        const auto count = std::min(kBlock<T>, task_.width - c);
        const auto pair = load(sums + c, count);
        store(out + i * channels + c, Pair<T>{pair.first * factor, pair.second * factor}, count);
      }
    }
  }

  const AttentionForward<T>& task_;
  KeptBits kept_;
  Sum scale_;
  Workspace workspace_;
  int64_t packed_head_ = -1, packed_tiles_ = 0;
  T *keys_, *values_, *probabilities_;
  Sum *scores_, *sums_;
  uint8_t* bits_;
  Sum most_[kTile], total_[kTile];
};

template <typename T>
void forward(const AttentionForward<T>& task) {
  const int64_t tiles = (task.time + kTile - 1) / kTile;
  at::parallel_for(0, task.batch * task.heads * tiles, 1, [&](int64_t begin, int64_t end) {
    ForwardPass<T> pass(task);
    for (int64_t index = begin; index < end; index++) {
      // Early tiles see few keys and late ones many: taken by turns, every thread has as much to
      // do.
      const int64_t turn = index % tiles;
      pass.run(index / tiles, turn % 2 == 0 ? turn / 2 : tiles - 1 - turn / 2);
    }
    gemm_release();
  });
}

template <typename T>
class BackwardPass {
  using Sum = Accumulate<T>;
  using V = Vector<T>;
  static constexpr int64_t kLanes = V::size();

 public:
  explicit BackwardPass(const AttentionBackward<T>& task)
      : task_(task),
        kept_(task.rate, task.seed, task.time),
        scale_(1 / std::sqrt(static_cast<Sum>(task.width))),
        channels_(task.heads * task.width) {
    const int64_t whole = even<T>(task.time) * task.width;
    const int64_t tile = kTile * task.width;
    constexpr int64_t square = kTile * kTile;
    constexpr int64_t squares = 4;
    for (int i = 0; i < 3; i++) workspace_.reserve<T>(whole);
    for (int i = 0; i < 2; i++) workspace_.reserve<T>(tile);
    for (int i = 0; i < squares; i++) workspace_.reserve<T>(square);
    for (int i = 0; i < 2; i++) workspace_.reserve<Sum>(square);
    for (int i = 0; i < 2; i++) workspace_.reserve<Sum>(whole);
    workspace_.reserve<Sum>(tile);
    workspace_.reserve<uint8_t>(KeptBits::size(task.time));
    workspace_.allocate();
    keys_by_channel_ = workspace_.template take<T>(whole);
    values_by_channel_ = workspace_.template take<T>(whole);
    keys_ = workspace_.template take<T>(whole);
    queries_ = workspace_.template take<T>(tile);
    d_out_ = workspace_.template take<T>(tile);
    probabilities_ = workspace_.template take<T>(square);
    d_scores_ = workspace_.template take<T>(square);
    probabilities_by_key_ = workspace_.template take<T>(square);
    d_scores_by_key_ = workspace_.template take<T>(square);
    scores_ = workspace_.template take<Sum>(square);
    d_probabilities_ = workspace_.template take<Sum>(square);
    d_keys_ = workspace_.template take<Sum>(whole);
    d_values_ = workspace_.template take<Sum>(whole);
    d_queries_ = workspace_.template take<Sum>(tile);
    bits_ = workspace_.template take<uint8_t>(KeptBits::size(task.time));
  }

  // A head's gradients: those of keys and values are summed over the tiles of queries in order.
  void run(int64_t head) {
    const Head<T> from(task_.qkv, task_.time, task_.heads, task_.width, head);
    const int64_t width = task_.width;
    const int64_t at = head / task_.heads * task_.time * channels_ + head % task_.heads * width;
    const T* d_out = task_.d_out + at;
    T* d_q = task_.d_qkv + (from.q - task_.qkv);
    for (int64_t tile = 0; tile * kTile < task_.time; tile++) {
      const int64_t first = tile * kTile;
      const int64_t queries = std::min(kTile, task_.time - first);
      pack_channels(from.k + first * from.stride, from.stride, keys_by_channel_ + first * width,
                    queries, width);
      pack_channels(from.v + first * from.stride, from.stride, values_by_channel_ + first * width,
                    queries, width);
      pack(from.k + first * from.stride, from.stride, keys_ + first * width, queries, width);
      pack(from.q + first * from.stride, from.stride, queries_, queries, width);
      pack(d_out + first * channels_, channels_, d_out_, queries, width);
      kept_.draw(bits_, head, first, queries);
      corrections(at + first * channels_, queries);
      const Sum* lse = task_.lse + head * task_.time + first;
      for (int64_t other = 0; other <= tile; other++) {
        const int64_t offset = other * kTile * width;
        const int64_t keys = std::min(kTile, task_.time - other * kTile);
        gemm(queries, keys, width, from.q + first * from.stride, from.stride,
             keys_by_channel_ + offset, keys, scores_, kTile, false);
        gemm(queries, keys, width, d_out + first * channels_, channels_,
             values_by_channel_ + offset, keys, d_probabilities_, kTile, false);
        for (int64_t i = 0; i < queries; i++) {
          const auto count = other == tile ? i + 1 : keys;
          if (kept_.any()) {
            gradients<true>(i, other * kTile, count, even<T>(keys), lse[i]);
          } else {
            gradients<false>(i, other * kTile, count, even<T>(keys), lse[i]);
          }
        }
        if (queries < even<T>(queries)) {
          std::fill_n(probabilities_ + queries * kTile, kTile, T(0));
          std::fill_n(d_scores_ + queries * kTile, kTile, T(0));
        }
        gemm(queries, width, even<T>(keys), d_scores_, kTile, keys_ + offset, width, d_queries_,
             width, other > 0);
        transpose(probabilities_, kTile, probabilities_by_key_, kTile, even<T>(queries), keys);
        transpose(d_scores_, kTile, d_scores_by_key_, kTile, even<T>(queries), keys);
        gemm(keys, width, even<T>(queries), probabilities_by_key_, kTile, d_out_, width,
             d_values_ + offset, width, tile > other);
        gemm(keys, width, even<T>(queries), d_scores_by_key_, kTile, queries_, width,
             d_keys_ + offset, width, tile > other);
      }
      write(d_queries_, d_q + first * from.stride, from.stride, queries, scale_);
    }
    write(d_keys_, d_q + channels_, from.stride, task_.time, scale_);
    write(d_values_, d_q + 2 * channels_, from.stride, task_.time, static_cast<Sum>(kept_.scale()));
  }

 private:
  // The sum of probability times its gradient, which softmax subtracts, is that of output times its
  // gradient, dropout or not. Divided by the scale of what is kept, which follows.
  void corrections(int64_t at, int64_t queries) {
    const T* out = task_.out + at;
    const T* d_out = task_.d_out + at;
    for (int64_t i = 0; i < queries; i++) {
      V sum(0);
      for (int64_t c = 0; c < task_.width; c += kBlock<T>) {
        const auto count = std::min(kBlock<T>, task_.width - c);
        const auto x = load(out + i * channels_ + c, count);
        const auto y = load(d_out + i * channels_ + c, count);
        sum = sum + first_lanes(x.first * y.first, count);
        if (count > kLanes) sum = sum + first_lanes(x.second * y.second, count - kLanes);
      }
      corrections_[i] = at::vec::vec_reduce_all<Sum>([](V& a, V& b) { return a + b; }, sum);
    }
  }

  // Of a row of a tile: what is kept of the probabilities (without dropout's scale), and the
  // gradient of the scores (without that of attention).
  template <bool kDrops>
  void gradients(int64_t i, int64_t first_key, int64_t count, int64_t keys, Sum row_lse) {
    const Sum* scores = scores_ + i * kTile;
    const Sum* d_probabilities = d_probabilities_ + i * kTile;
    const V lse(row_lse), scale(scale_), correction(corrections_[i]);
    const V kept_scale(static_cast<Sum>(kept_.scale()));
    const auto gradient = [&](int64_t j, V& kept, V& d_score) {
      if (j >= count) {
        kept = d_score = V(0);
        return;
      }
      const V p = first_lanes(exp_below<T>(V::loadu(scores + j) * scale, lse), count - j);
      V d_p = V::loadu(d_probabilities + j);
      kept = p;
      if constexpr (kDrops) {
        kept = kept_.filter(p, i, first_key + j);
        d_p = kept_.filter(d_p, i, first_key + j) * kept_scale;
      }
      d_score = first_lanes(p * (d_p - correction), count - j);
    };
    for (int64_t j = 0; j < keys; j += kBlock<T>) {
      Pair<T> p, d;
      gradient(j, p.first, d.first);
      gradient(j + kLanes, p.second, d.second);
      store_operand(probabilities_ + i * kTile + j, p);
      store_operand(d_scores_ + i * kTile + j, d);
    }
  }

  void write(const Sum* from, T* to, int64_t stride, int64_t rows, Sum factor) const {
    for (int64_t i = 0; i < rows; i++) {
      for (int64_t c = 0; c < task_.width; c += kBlock<T>) {
        const auto count = std::min(kBlock<T>, task_.width - c);
        const auto pair = load(from + i * task_.width + c, count);
        store(to + i * stride + c, Pair<T>{pair.first * V(factor), pair.second * V(factor)}, count);
      }
    }
  }

  const AttentionBackward<T>& task_;
  KeptBits kept_;
  Sum scale_;
  int64_t channels_;
  Workspace workspace_;
  T *keys_by_channel_, *values_by_channel_, *keys_, *queries_, *d_out_;
  T *probabilities_, *d_scores_, *probabilities_by_key_, *d_scores_by_key_;
  Sum *scores_, *d_probabilities_, *d_keys_, *d_values_, *d_queries_;
  uint8_t* bits_;
  Sum corrections_[kTile];
};

template <typename T>
void backward(const AttentionBackward<T>& task) {
  at::parallel_for(0, task.batch * task.heads, 1, [&](int64_t begin, int64_t end) {
    BackwardPass<T> pass(task);
    for (int64_t head = begin; head < end; head++) pass.run(head);
    gemm_release();
  });
}

}  // namespace

WAVEGPT_REGISTER_KERNEL(attention_forward_float, forward<float>);
WAVEGPT_REGISTER_KERNEL(attention_forward_double, forward<double>);
WAVEGPT_REGISTER_KERNEL(attention_forward_bfloat16, forward<c10::BFloat16>);
WAVEGPT_REGISTER_KERNEL(attention_backward_float, backward<float>);
WAVEGPT_REGISTER_KERNEL(attention_backward_double, backward<double>);
WAVEGPT_REGISTER_KERNEL(attention_backward_bfloat16, backward<c10::BFloat16>);

}  // namespace wavegpt::kernels
