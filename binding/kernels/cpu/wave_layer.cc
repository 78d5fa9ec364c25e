#include "kernels/cpu/wave_layer.h"

#include "kernels/cpu/linear_tile.h"
#include "kernels/cpu/normalize.h"

namespace wavegpt::kernels {
namespace {

using c10::BFloat16;

template <typename T, typename X>
void forward(const WaveLayerForward<T, X>& task) {
  const auto [rows, in, out] = std::tuple(task.rows, task.in, task.out);
  pack_panels_transposed(task.weight, task.packed_weight, in, out);
  at::parallel_for(0, row_tiles(rows), 1, [&](int64_t begin, int64_t end) {
    TileSums<T> sums;
    T* normed = task.thread_values + at::get_thread_num() * kTileRows * in;
    for (int64_t tile = begin; tile < end; tile++) {
      const int64_t row = tile * kTileRows;
      const int64_t m = std::min(kTileRows, rows - row);
      for (int64_t i = 0; i < m; i++) {
        const X* x = task.x + (row + i) * in;
        const auto statistics = statistics_of_row(x, in, task.eps);
        task.mean[row + i] = statistics.mean;
        task.rstd[row + i] = statistics.rstd;
        normalize_row(x, in, statistics, task.norm_weight, task.norm_bias, normed + i * in);
      }
      multiply(m, out, in, normed, in, task.packed_weight, sums,
               [&](int64_t column, int64_t columns) {
                 const Vector<T> zero(0);
                 for (int64_t i = 0; i < m; i++) {
                   for_blocks<T>(columns, [&](int64_t j, int64_t count) {
                     const auto before = load_sums_and_bias<T>(sums.values + i * columns + j,
                                                               task.bias, column + j, count);
                     store(task.y + (row + i) * out + column + j,
                           Pair<T>{at::vec::maximum(before.first, zero),
                                   at::vec::maximum(before.second, zero)},
                           count);
                   });
                 }
               });
    }
    gemm_release();
  });
}

template <typename T, typename X>
class Backward {
  using Sum = Accumulate<T>;

 public:
  explicit Backward(const WaveLayerBackward<T, X>& task) : task_(task) {}

  void run() {
    const auto [rows, in, out] = std::tuple(task_.rows, task_.in, task_.out);
    const int64_t tiles = row_tiles(rows);
    if (task_.wants_norm()) pack_panels(task_.weight, task_.packed_weight, out, in);
    at::parallel_for(0, tiles, 1, [&](int64_t begin, int64_t end) {
      TileSums<T> sums;
      for (int64_t tile = begin; tile < end; tile++) rows_of_tile(tile, sums);
      gemm_release();
    });
    if (task_.d_weight != nullptr) {
      sum_over_rows(weight_sum_, task_.transposed, task_.packed, task_.d_weight,
                    task_.transposes_normed());
    }
    if (task_.d_bias != nullptr) sum_of_tiles<T>(tiles, out, task_.bias_sums, task_.d_bias);
    if (task_.d_norm_weight != nullptr)
      sum_of_tiles<T>(tiles, in, task_.norm_weight_sums, task_.d_norm_weight);
    if (task_.d_norm_bias != nullptr)
      sum_of_tiles<T>(tiles, in, task_.norm_bias_sums, task_.d_norm_bias);
  }

 private:
  void rows_of_tile(int64_t tile, TileSums<T>& sums) const {
    const auto [in, out] = std::pair(task_.in, task_.out);
    const int64_t row = tile * kTileRows;
    const int64_t m = std::min(kTileRows, task_.rows - row);
    const int64_t thread = at::get_thread_num();
    T* d_before = task_.thread_values + thread * kTileRows * (in + out);
    T* normed = d_before + kTileRows * out;
    const Vector<T> zero(0);
    for_blocks<T>(m * out, [&](int64_t j, int64_t count) {
      const auto d_y = load(task_.d_y + row * out + j, count);
      const auto y = load(task_.y + row * out + j, count);
      store(d_before + j,
            Pair<T>{Vector<T>::blendv(d_y.first, zero, y.first <= zero),
                    Vector<T>::blendv(d_y.second, zero, y.second <= zero)},
            count);
    });
    if (task_.d_bias != nullptr) set_column_sums(m, out, d_before, task_.bias_sums + tile * out);
    if (task_.d_weight != nullptr) {
      for (int64_t i = 0; i < m; i++) {
        normalize_row(task_.x + (row + i) * in, in, statistics(row + i), task_.norm_weight,
                      task_.norm_bias, normed + i * in);
      }
      const bool normed_left = task_.transposes_normed();
      add_left(weight_sum_, task_.transposed, row, m, normed_left ? normed : d_before,
               weight_sum_.left);
      add_right(weight_sum_, task_.packed, row, m, normed_left ? d_before : normed);
    }
    if (!task_.wants_norm()) return;
    Sum* d_normed = task_.thread_sums + thread * kTileRows * in;
    multiply(m, in, out, d_before, out, task_.packed_weight, sums,
             [&](int64_t column, int64_t columns) {
               for (int64_t i = 0; i < m; i++) {
                 const Sum* from = sums.values + i * columns;
                 std::copy(from, from + columns, d_normed + i * in + column);
               }
             });
    Sum* d_norm_weight = task_.norm_weight_sums + tile * in;
    Sum* d_norm_bias = task_.norm_bias_sums + tile * in;
    std::fill_n(d_norm_weight, in, Sum(0));
    std::fill_n(d_norm_bias, in, Sum(0));
    for (int64_t i = 0; i < m; i++) {
      normalize_row_backward(task_.x + (row + i) * in, in, statistics(row + i), task_.norm_weight,
                             d_normed + i * in, d_norm_weight, d_norm_bias,
                             task_.d_x == nullptr ? nullptr : task_.d_x + (row + i) * in);
    }
  }

  RowStatistics<Sum> statistics(int64_t row) const { return {task_.mean[row], task_.rstd[row]}; }

  const WaveLayerBackward<T, X>& task_;
  const SumOverRows<T> weight_sum_ = task_.weight_gradient();
};

template <typename T, typename X>
void backward(const WaveLayerBackward<T, X>& task) {
  Backward<T, X>(task).run();
}

// Registered by name: a comma in a macro's argument ends it.
constexpr auto forward_float = forward<float, float>;
constexpr auto forward_double = forward<double, double>;
constexpr auto forward_bfloat16 = forward<BFloat16, BFloat16>;
constexpr auto forward_bfloat16_of_float = forward<BFloat16, float>;
constexpr auto backward_float = backward<float, float>;
constexpr auto backward_double = backward<double, double>;
constexpr auto backward_bfloat16 = backward<BFloat16, BFloat16>;
constexpr auto backward_bfloat16_of_float = backward<BFloat16, float>;

}  // namespace

WAVEGPT_REGISTER_KERNEL(wave_layer_forward_float, *forward_float);
WAVEGPT_REGISTER_KERNEL(wave_layer_forward_double, *forward_double);
WAVEGPT_REGISTER_KERNEL(wave_layer_forward_bfloat16, *forward_bfloat16);
WAVEGPT_REGISTER_KERNEL(wave_layer_forward_bfloat16_of_float, *forward_bfloat16_of_float);
WAVEGPT_REGISTER_KERNEL(wave_layer_backward_float, *backward_float);
WAVEGPT_REGISTER_KERNEL(wave_layer_backward_double, *backward_double);
WAVEGPT_REGISTER_KERNEL(wave_layer_backward_bfloat16, *backward_bfloat16);
WAVEGPT_REGISTER_KERNEL(wave_layer_backward_bfloat16_of_float, *backward_bfloat16_of_float);

}  // namespace wavegpt::kernels
