#include "kernels/cpu/token_shift.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "kernels/cpu/linear_tile.h"
#include "kernels/cpu/vector.h"

namespace wavegpt::kernels {
namespace {

// Elements that are worth a thread of their own.
constexpr int64_t kGrain = 32768;

// Calls body(block, b, first, last) for the blocks of positions of each of the batch.
template <typename T, typename Body>
void for_blocks_of_time(const TokenShift<T>& shift, const Body& body) {
  const int64_t blocks = shift_blocks(shift.time);
  const int64_t elements = std::min(kShiftBlock, shift.time) * shift.channels;
  const int64_t grain = std::max<int64_t>(1, kGrain / elements);
  at::parallel_for(0, shift.batch * blocks, grain, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; block++) {
      const int64_t first = block % blocks * kShiftBlock;
      body(block, block / blocks, first, std::min(shift.time, first + kShiftBlock));
    }
  });
}

// What is before a position.
template <typename T>
inline const T* earlier(const TokenShift<T>& shift, int64_t b, int64_t t) {
  if (t == 0) return shift.past + b * shift.channels;
  return shift.x + (b * shift.time + t - 1) * shift.channels;
}

template <typename T>
void forward(const TokenShiftForward<T>& task) {
  const auto& shift = task.shift;
  for_blocks_of_time(shift, [&](int64_t, int64_t b, int64_t first, int64_t last) {
    for (int64_t t = first; t < last; t++) {
      const int64_t start = (b * shift.time + t) * shift.channels;
      const T* before = earlier(shift, b, t);
      for_blocks<T>(shift.channels, [&](int64_t j, int64_t count) {
        const auto x = load(shift.x + start + j, count), other = load(before + j, count);
        const auto share = load_sums<T>(shift.share + j, count);
        store(task.y + start + j,
              Pair<T>{at::vec::fmadd(share.first, other.first - x.first, x.first),
                      at::vec::fmadd(share.second, other.second - x.second, x.second)},
              count);
      });
    }
  });
}

// d_x[t] = (1 - share) d_y[t] + share d_y[t + 1].
template <typename T>
void derive_x(const TokenShiftBackward<T>& task, int64_t b, int64_t t) {
  using V = Vector<T>;
  const auto& shift = task.shift;
  const int64_t start = (b * shift.time + t) * shift.channels;
  const bool is_last = t + 1 == shift.time;
  for_blocks<T>(shift.channels, [&](int64_t j, int64_t count) {
    const auto own = load(task.d_y + start + j, count);
    const auto later =
        is_last ? Pair<T>{V(0), V(0)} : load(task.d_y + start + shift.channels + j, count);
    const auto share = load_sums<T>(shift.share + j, count);
    store(task.d_x + start + j,
          Pair<T>{at::vec::fmadd(share.first, later.first - own.first, own.first),
                  at::vec::fmadd(share.second, later.second - own.second, own.second)},
          count);
  });
}

template <typename T>
void backward(const TokenShiftBackward<T>& task) {
  const auto& shift = task.shift;
  const int64_t channels = shift.channels;
  for_blocks_of_time(shift, [&](int64_t block, int64_t b, int64_t first, int64_t last) {
    if (task.d_x != nullptr) {
      for (int64_t t = first; t < last; t++) derive_x(task, b, t);
    }
    if (task.d_share == nullptr) return;
    auto* sums = task.partial_sums + block * channels;
    std::fill_n(sums, channels, Accumulate<T>(0));
    add_rows<T>(last - first, channels, sums, [&](int64_t i, int64_t j, int64_t count) {
      const int64_t at = (b * shift.time + first + i) * channels + j;
      const auto d_y = load(task.d_y + at, count), x = load(shift.x + at, count);
      const auto other = load(earlier(shift, b, first + i) + j, count);
      return Pair<T>{d_y.first * (other.first - x.first), d_y.second * (other.second - x.second)};
    });
  });
  if (task.d_share != nullptr) {
    sum_of_tiles<T>(shift.batch * shift_blocks(shift.time), channels, task.partial_sums,
                    task.d_share);
  }
}

}  // namespace

WAVEGPT_REGISTER_KERNEL(token_shift_forward_float, forward<float>);
WAVEGPT_REGISTER_KERNEL(token_shift_forward_double, forward<double>);
WAVEGPT_REGISTER_KERNEL(token_shift_forward_bfloat16, forward<c10::BFloat16>);
WAVEGPT_REGISTER_KERNEL(token_shift_backward_float, backward<float>);
WAVEGPT_REGISTER_KERNEL(token_shift_backward_double, backward<double>);
WAVEGPT_REGISTER_KERNEL(token_shift_backward_bfloat16, backward<c10::BFloat16>);

}  // namespace wavegpt::kernels
