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

// to = own + share (other - own), of a position's channels; `other` is zero where it is null.
template <typename T>
void blend(const TokenShift<T>& shift, const T* own, const T* other, T* to) {
  using V = Vector<T>;
  for_blocks<T>(shift.channels, [&](int64_t j, int64_t count) {
    const auto a = load(own + j, count);
    const auto b = other == nullptr ? Pair<T>{V(0), V(0)} : load(other + j, count);
    const auto share = load_sums<T>(shift.share + j, count);
    store(to + j,
          Pair<T>{at::vec::fmadd(share.first, b.first - a.first, a.first),
                  at::vec::fmadd(share.second, b.second - a.second, a.second)},
          count);
  });
}

template <typename T>
void forward(const TokenShiftForward<T>& task) {
  const auto& shift = task.shift;
  for_blocks_of_time(shift, [&](int64_t, int64_t b, int64_t first, int64_t last) {
    for (int64_t t = first; t < last; t++) {
      const int64_t start = (b * shift.time + t) * shift.channels;
      blend(shift, shift.x + start, earlier(shift, b, t), task.y + start);
    }
  });
}

template <typename T>
void backward(const TokenShiftBackward<T>& task) {
  const auto& shift = task.shift;
  const int64_t channels = shift.channels;
  for_blocks_of_time(shift, [&](int64_t block, int64_t b, int64_t first, int64_t last) {
    for (int64_t t = first; task.d_x != nullptr && t < last; t++) {
      // d_x[t] = (1 - share) d_y[t] + share d_y[t + 1]
      const int64_t start = (b * shift.time + t) * channels;
      const T* later = t + 1 == shift.time ? nullptr : task.d_y + start + channels;
      blend(shift, task.d_y + start, later, task.d_x + start);
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
