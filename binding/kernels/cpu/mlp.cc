#include "kernels/cpu/mlp.h"

#include "kernels/cpu/gelu.h"
#include "kernels/cpu/linear_tile.h"

namespace wavegpt::kernels {
namespace {

template <typename T>
void forward(const MlpForward<T>& task) {
  const auto [rows, in, hidden, out] = std::tuple(task.rows, task.in, task.hidden, task.out);
  pack_panels_transposed(task.w1, task.packed_w1, in, hidden);
  pack_panels_transposed(task.w2, task.packed_w2, hidden, out);
  at::parallel_for(0, row_tiles(rows), 1, [&](int64_t begin, int64_t end) {
    TileSums<T> sums;
    T* values = task.thread_values + at::get_thread_num() * kTileRows * hidden;
    for (int64_t tile = begin; tile < end; tile++) {
      const int64_t row = tile * kTileRows;
      const int64_t m = std::min(kTileRows, rows - row);
      multiply(m, hidden, in, task.x + row * in, in, task.packed_w1, sums,
               [&](int64_t column, int64_t columns) {
                 for (int64_t i = 0; i < m; i++) {
                   for_blocks<T>(columns, [&](int64_t j, int64_t count) {
                     const auto before = load_sums_and_bias<T>(sums.values + i * columns + j,
                                                               task.b1, column + j, count);
                     if (task.before != nullptr)
                       store(task.before + (row + i) * hidden + column + j, before, count);
                     store_operand(values + i * hidden + column + j,
                                   Pair<T>{gelu<T>(before.first), gelu<T>(before.second)}, count);
                   });
                 }
               });
      multiply(m, out, hidden, values, hidden, task.packed_w2, sums,
               [&](int64_t column, int64_t columns) {
                 for (int64_t i = 0; i < m; i++) {
                   for_blocks<T>(columns, [&](int64_t j, int64_t count) {
                     store(task.y + (row + i) * out + column + j,
                           load_sums_and_bias<T>(sums.values + i * columns + j, task.b2, column + j,
                                                 count),
                           count);
                   });
                 }
               });
    }
    gemm_release();
  });
}

template <typename T>
class Backward {
  using Sum = Accumulate<T>;

 public:
  explicit Backward(const MlpBackward<T>& task) : task_(task) {}

  void run() {
    const auto [rows, in, hidden, out] = std::tuple(task_.rows, task_.in, task_.hidden, task_.out);
    if (wants_x()) pack_panels(task_.w1, task_.packed_w1, hidden, in);
    if (wants_before()) pack_panels(task_.w2, task_.packed_w2, out, hidden);
    at::parallel_for(0, row_tiles(rows), 1, [&](int64_t begin, int64_t end) {
      TileSums<T> sums;
      T* values = task_.thread_values + at::get_thread_num() * kTileRows * (hidden + kPanelColumns);
      for (int64_t tile = begin; tile < end; tile++) rows_of_tile(tile, sums, values);
      gemm_release();
    });
    if (task_.d_w1 != nullptr)
      sum_over_rows(w1_sum_, task_.transposed_x, task_.packed_before, task_.d_w1, true);
    if (task_.d_w2 != nullptr)
      sum_over_rows(w2_sum_, task_.transposed_y, task_.packed_hidden, task_.d_w2, false);
    if (task_.d_b1 != nullptr) sum_of_tiles<T>(row_tiles(rows), hidden, task_.b1_sums, task_.d_b1);
    if (task_.d_b2 != nullptr) sum_of_tiles<T>(row_tiles(rows), out, task_.b2_sums, task_.d_b2);
  }

 private:
  bool wants_x() const { return task_.d_x != nullptr || task_.d_x_sums != nullptr; }
  bool wants_before() const { return wants_x() || task_.d_w1 != nullptr || task_.d_b1 != nullptr; }

  void rows_of_tile(int64_t tile, TileSums<T>& sums, T* values) const {
    const auto [in, hidden, out] = std::tuple(task_.in, task_.hidden, task_.out);
    const int64_t row = tile * kTileRows;
    const int64_t m = std::min(kTileRows, task_.rows - row);
    const T* d_y = task_.d_y + row * out;
    T* d_before = values;
    T* scratch = values + kTileRows * hidden;
    if (task_.d_b1 != nullptr) std::fill_n(task_.b1_sums + tile * hidden, hidden, Sum(0));
    const auto activations_of_panel = [&](int64_t column, int64_t columns) {
      // Types that are not interleaved are written where they belong at once.
      T* activations = scratch;
      if (kInterleaved<T> == 1 && task_.d_w2 != nullptr)
        activations = right_place(w2_sum_, task_.packed_hidden, row, column, columns);
      derive_gelu(tile, m, column, columns, sums, d_before + column, activations);
      if (task_.d_w2 != nullptr && activations == scratch) {
        add_right_panel(w2_sum_, task_.packed_hidden, row, m, column, columns, activations,
                        columns);
      }
      if (task_.d_w1 != nullptr) {
        add_right_panel(w1_sum_, task_.packed_before, row, m, column, columns, d_before + column,
                        hidden);
      }
    };
    if (wants_before()) {
      multiply(m, hidden, out, d_y, out, task_.packed_w2, sums, activations_of_panel);
    } else if (task_.d_w2 != nullptr) {
      for (int64_t j = 0; j < hidden; j += kPanelColumns)
        activations_of_panel(j, std::min(kPanelColumns, hidden - j));
    }
    if (task_.d_w1 != nullptr)
      add_left(w1_sum_, task_.transposed_x, row, m, task_.x + row * in, in);
    if (task_.d_w2 != nullptr) add_left(w2_sum_, task_.transposed_y, row, m, d_y, out);
    if (task_.d_b2 != nullptr) set_column_sums(m, out, d_y, task_.b2_sums + tile * out);
    if (wants_x()) {
      multiply(m, in, hidden, d_before, hidden, task_.packed_w1, sums,
               [&](int64_t column, int64_t columns) {
                 write_gradient(m, columns, sums, (row * in) + column, in, task_.d_x,
                                task_.d_x_sums);
               });
    }
  }

  // Of a panel of columns: GELU's values, and the gradient of what it was given, of which the
  // gradient of its values are in `sums`.
  void derive_gelu(int64_t tile, int64_t m, int64_t column, int64_t columns,
                   const TileSums<T>& sums, T* d_before, T* activations) const {
    const int64_t hidden = task_.hidden;
    const bool slopes = wants_before();
    for (int64_t i = 0; i < m; i++) {
      const T* before = task_.before + (tile * kTileRows + i) * hidden + column;
      for_blocks<T>(columns, [&](int64_t j, int64_t count) {
        const auto given = load(before + j, count);
        const auto first = gelu_and_slope<T>(given.first);
        const auto second = gelu_and_slope<T>(given.second);
        store_operand(activations + i * columns + j, Pair<T>{first.value, second.value}, count);
        if (!slopes) return;
        const auto d_value = load_sums<T>(sums.values + i * columns + j, count);
        const Pair<T> gradient{d_value.first * first.slope, d_value.second * second.slope};
        store_operand(d_before + i * hidden + j, gradient, count);
        if (task_.d_b1 != nullptr) {
          Sum* sum = task_.b1_sums + tile * hidden + column + j;
          const auto total = load_sums<T>(sum, count);
          store_sums<T>(sum, Pair<T>{total.first + gradient.first, total.second + gradient.second},
                        count);
        }
      });
    }
  }

  const MlpBackward<T>& task_;
  const SumOverRows<T> w1_sum_ = task_.w1_gradient();
  const SumOverRows<T> w2_sum_ = task_.w2_gradient();
};

template <typename T>
void backward(const MlpBackward<T>& task) {
  Backward<T>(task).run();
}

}  // namespace

WAVEGPT_REGISTER_KERNEL(mlp_forward_float, forward<float>);
WAVEGPT_REGISTER_KERNEL(mlp_forward_double, forward<double>);
WAVEGPT_REGISTER_KERNEL(mlp_forward_bfloat16, forward<c10::BFloat16>);
WAVEGPT_REGISTER_KERNEL(mlp_backward_float, backward<float>);
WAVEGPT_REGISTER_KERNEL(mlp_backward_double, backward<double>);
WAVEGPT_REGISTER_KERNEL(mlp_backward_bfloat16, backward<c10::BFloat16>);

}  // namespace wavegpt::kernels
