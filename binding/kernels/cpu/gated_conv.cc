#include "kernels/cpu/gated_conv.h"

#include "kernels/cpu/gate.h"
#include "kernels/cpu/linear_tile.h"

namespace wavegpt::kernels {
namespace {

// The taps of rows from `row` on: m x 2 in.
template <typename T, typename Task>
void gather_taps(const Task& task, int64_t row, int64_t m, T* taps) {
  const auto [time, dilation, in] = std::tuple(task.time, task.dilation, task.in);
  int64_t text = row / time, t = row % time;
  for (int64_t i = 0; i < m; i++, t++) {
    if (t == time) {
      text++;
      t = 0;
    }
    const T* own = task.x + (row + i) * in;
    const T* earlier = t < dilation ? task.past + (text * dilation + t) * in : own - dilation * in;
    std::copy(earlier, earlier + in, taps + 2 * i * in);
    std::copy(own, own + in, taps + (2 * i + 1) * in);
  }
}

template <typename T>
void forward(const GatedConvForward<T>& task) {
  const auto [in, hidden, out] = std::tuple(task.in, task.hidden, task.out);
  const int64_t rows = task.batch * task.time;
  pack_panels_transposed(task.w1, task.packed_w1, 2 * in, 2 * hidden);
  pack_panels_transposed(task.w2, task.packed_w2, hidden, out);
  at::parallel_for(0, row_tiles(rows), 1, [&](int64_t begin, int64_t end) {
    TileSums<T> sums;
    T* taps = task.thread_values + at::get_thread_num() * kTileRows * (2 * in + 3 * hidden);
    T* values = taps + kTileRows * 2 * in;
    T* scratch = values + kTileRows * hidden;
    // Writes a panel's sums, with a bias, to rows of `to`.
    const auto write = [&](int64_t m, int64_t column, int64_t columns, const auto* bias, T* to,
                           int64_t ld) {
      for (int64_t i = 0; i < m; i++) {
        for_blocks<T>(columns, [&](int64_t j, int64_t count) {
          store(to + i * ld + column + j,
                load_sums_and_bias<T>(sums.values + i * columns + j, bias, column + j, count),
                count);
        });
      }
    };
    for (int64_t tile = begin; tile < end; tile++) {
      const int64_t row = tile * kTileRows;
      const int64_t m = std::min(kTileRows, rows - row);
      T* before = task.before == nullptr ? scratch : task.before + row * 2 * hidden;
      gather_taps(task, row, m, taps);
      multiply(m, 2 * hidden, 2 * in, taps, 2 * in, task.packed_w1, sums,
               [&](int64_t column, int64_t columns) {
                 write(m, column, columns, task.b1, before, 2 * hidden);
               });
      for (int64_t i = 0; i < m; i++) {
        const T* z = before + i * 2 * hidden;
        for_blocks<T>(hidden, [&](int64_t j, int64_t count) {
          const auto x = load(z + j, count), gate = load(z + hidden + j, count);
          store_operand(values + i * hidden + j,
                        Pair<T>{gated<T>(x.first, gate.first), gated<T>(x.second, gate.second)},
                        count);
        });
      }
      multiply(m, out, hidden, values, hidden, task.packed_w2, sums,
               [&](int64_t column, int64_t columns) {
                 write(m, column, columns, task.b2, task.y + row * out, out);
               });
    }
    gemm_release();
  });
}

template <typename T>
class Backward {
  using Sum = Accumulate<T>;

 public:
  explicit Backward(const GatedConvBackward<T>& task) : task_(task) {}

  void run() {
    const auto [in, hidden, out] = std::tuple(task_.in, task_.hidden, task_.out);
    const int64_t tiles = row_tiles(task_.rows());
    if (wants_before()) pack_panels(task_.w2, task_.packed_w2, out, hidden);
    at::parallel_for(0, tiles, 1, [&](int64_t begin, int64_t end) {
      TileSums<T> sums;
      T* values = task_.thread_values + at::get_thread_num() * kTileRows * (2 * in + kPanelColumns);
      for (int64_t tile = begin; tile < end; tile++) rows_of_tile(tile, sums, values);
      gemm_release();
    });
    if (wants_x()) {
      pack_taps_weight();
      at::parallel_for(0, tiles, 1, [&](int64_t begin, int64_t end) {
        TileSums<T> sums;
        for (int64_t tile = begin; tile < end; tile++) input_of_tile(tile, sums);
        gemm_release();
      });
    }
    if (task_.d_w1 != nullptr)
      sum_over_rows(w1_sum_, task_.transposed_before, task_.packed_taps, task_.d_w1, false);
    if (task_.d_w2 != nullptr)
      sum_over_rows(w2_sum_, task_.transposed_y, task_.packed_hidden, task_.d_w2, false);
    if (task_.d_b1 != nullptr) sum_of_tiles<T>(tiles, 2 * hidden, task_.b1_sums, task_.d_b1);
    if (task_.d_b2 != nullptr) sum_of_tiles<T>(tiles, out, task_.b2_sums, task_.d_b2);
  }

 private:
  bool wants_x() const { return task_.d_x != nullptr || task_.d_x_sums != nullptr; }
  bool wants_before() const { return wants_x() || task_.d_w1 != nullptr || task_.d_b1 != nullptr; }

  // All but the gradient of x.
  void rows_of_tile(int64_t tile, TileSums<T>& sums, T* values) const {
    const auto [in, hidden, out] = std::tuple(task_.in, task_.hidden, task_.out);
    const int64_t row = tile * kTileRows;
    const int64_t m = std::min(kTileRows, task_.rows() - row);
    const T* d_y = task_.d_y + row * out;
    T* taps = values;
    T* scratch = values + kTileRows * 2 * in;
    const auto gates_of_panel = [&](int64_t column, int64_t columns) {
      derive_gates(row, m, column, columns, sums, scratch);
      if (task_.d_w2 != nullptr) {
        add_right_panel(w2_sum_, task_.packed_hidden, row, m, column, columns, scratch, columns);
      }
    };
    if (wants_before()) {
      multiply(m, hidden, out, d_y, out, task_.packed_w2, sums, gates_of_panel);
    } else if (task_.d_w2 != nullptr) {
      for (int64_t j = 0; j < hidden; j += kPanelColumns)
        gates_of_panel(j, std::min(kPanelColumns, hidden - j));
    }
    const T* d_before = task_.d_before + row * 2 * hidden;
    if (task_.d_w1 != nullptr) {
      gather_taps(task_, row, m, taps);
      add_right(w1_sum_, task_.packed_taps, row, m, taps);
      add_left(w1_sum_, task_.transposed_before, row, m, d_before, 2 * hidden);
    }
    if (task_.d_b1 != nullptr)
      set_column_sums(m, 2 * hidden, d_before, task_.b1_sums + tile * 2 * hidden);
    if (task_.d_w2 != nullptr) add_left(w2_sum_, task_.transposed_y, row, m, d_y, out);
    if (task_.d_b2 != nullptr) set_column_sums(m, out, d_y, task_.b2_sums + tile * out);
  }

  // Of a panel of the hidden columns: their values, and, from their gradients in `sums`, those of
  // both halves of z.
  void derive_gates(int64_t row, int64_t m, int64_t column, int64_t columns,
                    const TileSums<T>& sums, T* values) const {
    const int64_t hidden = task_.hidden;
    const bool derives = wants_before();
    for (int64_t i = 0; i < m; i++) {
      const int64_t start = (row + i) * 2 * hidden + column;
      for_blocks<T>(columns, [&](int64_t j, int64_t count) {
        const auto x = load(task_.before + start + j, count);
        const auto gate = load(task_.before + start + hidden + j, count);
        const Gated<T> first(x.first, gate.first), second(x.second, gate.second);
        store_operand(values + i * columns + j, Pair<T>{first.value, second.value}, count);
        if (!derives) return;
        const auto d = load_sums<T>(sums.values + i * columns + j, count);
        store_operand(task_.d_before + start + j,
                      Pair<T>{d.first * first.by_x, d.second * second.by_x}, count);
        store_operand(task_.d_before + start + hidden + j,
                      Pair<T>{d.first * first.by_gate, d.second * second.by_gate}, count);
      });
    }
  }

  // In panels of `in` columns, the weights of the earlier tap above those of the own.
  void pack_taps_weight() const {
    const auto [in, terms] = std::pair(task_.in, 2 * task_.hidden);
    for_panels(in, [&, in = in, terms = terms](int64_t j, int64_t count) {
      T* panel = task_.packed_w1 + panel_start<T>(2 * terms, j);
      pack(task_.w1 + j, 2 * in, panel, terms, count);
      pack(task_.w1 + in + j, 2 * in, panel + terms * count, terms, count);
    });
  }

  // d_x[t] = d_z[t] own weights + d_z[t + dilation] earlier weights, the latter within its text.
  void input_of_tile(int64_t tile, TileSums<T>& sums) const {
    const auto [time, dilation, in] = std::tuple(task_.time, task_.dilation, task_.in);
    const int64_t terms = 2 * task_.hidden;
    const int64_t row = tile * kTileRows;
    const int64_t m = std::min(kTileRows, task_.rows() - row);
    for (int64_t j = 0; j < in; j += kPanelColumns) {
      const int64_t columns = std::min(kPanelColumns, in - j);
      const T* earlier = task_.packed_w1 + panel_start<T>(2 * terms, j);
      const T* own = earlier + terms * columns;
      for (int64_t p = 0; p < terms; p += kDepth) {
        gemm(m, columns, std::min(kDepth, terms - p), task_.d_before + row * terms + p, terms,
             own + p * columns, columns, sums.values, columns, p > 0);
      }
      for (int64_t i = 0; i < m;) {
        const int64_t left = time - (row + i) % time;
        const int64_t count = std::min(m - i, left - dilation);
        for (int64_t p = 0; count > 0 && p < terms; p += kDepth) {
          gemm(count, columns, std::min(kDepth, terms - p),
               task_.d_before + (row + i + dilation) * terms + p, terms, earlier + p * columns,
               columns, sums.values + i * columns, columns, true);
        }
        i += left;
      }
      write_gradient(m, columns, sums, row * in + j, in, task_.d_x, task_.d_x_sums);
    }
  }

  const GatedConvBackward<T>& task_;
  const SumOverRows<T> w1_sum_ = task_.w1_gradient();
  const SumOverRows<T> w2_sum_ = task_.w2_gradient();
};

template <typename T>
void backward(const GatedConvBackward<T>& task) {
  Backward<T>(task).run();
}

}  // namespace

WAVEGPT_REGISTER_KERNEL(gated_conv_forward_float, forward<float>);
WAVEGPT_REGISTER_KERNEL(gated_conv_forward_double, forward<double>);
WAVEGPT_REGISTER_KERNEL(gated_conv_forward_bfloat16, forward<c10::BFloat16>);
WAVEGPT_REGISTER_KERNEL(gated_conv_backward_float, backward<float>);
WAVEGPT_REGISTER_KERNEL(gated_conv_backward_double, backward<double>);
WAVEGPT_REGISTER_KERNEL(gated_conv_backward_bfloat16, backward<c10::BFloat16>);

}  // namespace wavegpt::kernels
