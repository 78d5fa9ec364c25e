#include "kernels/cpu/linear.h"

#include "kernels/cpu/gelu.h"
#include "kernels/cpu/linear_tile.h"

namespace wavegpt::kernels {
namespace {

template <typename T>
inline Vector<T> activate(Activation activation, const Vector<T>& x) {
  switch (activation) {
    case Activation::gelu:
      return gelu<T>(x);
    case Activation::relu:
      return at::vec::maximum(x, Vector<T>(0));
    default:
      return x;
  }
}

template <typename T, Activation activation>
void forward_tiles(const LinearForward<T>& task) {
  const auto [rows, in, out] = std::tuple(task.rows, task.in, task.out);
  at::parallel_for(0, row_tiles(rows), 1, [&](int64_t begin, int64_t end) {
    TileSums<T> sums;
    for (int64_t tile = begin; tile < end; tile++) {
      const int64_t row = tile * kTileRows;
      const int64_t m = std::min(kTileRows, rows - row);
      multiply(m, out, in, task.x + row * in, in, task.packed_weight, sums,
               [&](int64_t column, int64_t columns) {
                 for (int64_t i = 0; i < m; i++) {
                   const int64_t start = (row + i) * out + column;
                   for_blocks<T>(columns, [&](int64_t j, int64_t count) {
                     const auto value = load_sums_and_bias<T>(sums.values + i * columns + j,
                                                              task.bias, column + j, count);
                     if (activation == Activation::gelu && task.before != nullptr)
                       store(task.before + start + j, value, count);
                     store(task.y + start + j,
                           Pair<T>{activate<T>(activation, value.first),
                                   activate<T>(activation, value.second)},
                           count);
                   });
                 }
               });
    }
    gemm_release();
  });
}

template <typename T>
void forward(const LinearForward<T>& task) {
  pack_panels_transposed(task.weight, task.packed_weight, task.in, task.out);
  switch (task.activation) {
    case Activation::gelu:
      return forward_tiles<T, Activation::gelu>(task);
    case Activation::relu:
      return forward_tiles<T, Activation::relu>(task);
    default:
      return forward_tiles<T, Activation::none>(task);
  }
}

// The gradient before the activation, of one block.
template <typename T>
inline Pair<T> through_activation(Activation activation, const Pair<T>& d_y, const Pair<T>& kept) {
  using V = Vector<T>;
  if (activation == Activation::gelu) {
    return {d_y.first * gelu_and_slope<T>(kept.first).slope,
            d_y.second * gelu_and_slope<T>(kept.second).slope};
  }
  const V zero(0);
  return {V::blendv(d_y.first, zero, kept.first <= zero),
          V::blendv(d_y.second, zero, kept.second <= zero)};
}

template <typename T>
void backward(const LinearBackward<T>& task) {
  const auto [rows, in, out] = std::tuple(task.rows, task.in, task.out);
  const auto sum = task.weight_gradient();
  const bool wants_x = task.d_x != nullptr || task.d_x_sums != nullptr;
  if (wants_x) pack_panels(task.weight, task.packed_weight, out, in);
  at::parallel_for(0, row_tiles(rows), 1, [&](int64_t begin, int64_t end) {
    TileSums<T> sums;
    T* values = task.thread_values + at::get_thread_num() * kTileRows * out;
    for (int64_t tile = begin; tile < end; tile++) {
      const int64_t row = tile * kTileRows;
      const int64_t m = std::min(kTileRows, rows - row);
      const T* d_y = task.d_y + row * out;
      if (task.activation != Activation::none) {
        for_blocks<T>(m * out, [&](int64_t j, int64_t count) {
          const auto before = through_activation<T>(task.activation, load(d_y + j, count),
                                                    load(task.kept + row * out + j, count));
          store_operand(values + j, before, count);
        });
        d_y = values;
      }
      if (task.d_bias != nullptr) {
        set_column_sums(m, out, d_y, task.bias_sums + tile * out);
      }
      if (task.d_weight != nullptr) {
        const T* x = task.x + row * in;
        const bool x_left = task.transposes_x();
        add_left(sum, task.transposed, row, m, x_left ? x : d_y, x_left ? in : out);
        add_right(sum, task.packed, row, m, x_left ? d_y : x);
      }
      if (wants_x) {
        multiply(m, in, out, d_y, out, task.packed_weight, sums,
                 [&](int64_t column, int64_t columns) {
                   write_gradient(m, columns, sums, row * in + column, in, task.d_x, task.d_x_sums);
                 });
      }
    }
    gemm_release();
  });
  if (task.d_weight != nullptr) {
    sum_over_rows(sum, task.transposed, task.packed, task.d_weight, task.transposes_x());
  }
  if (task.d_bias != nullptr) sum_of_tiles<T>(row_tiles(rows), out, task.bias_sums, task.d_bias);
}

}  // namespace

WAVEGPT_REGISTER_KERNEL(linear_forward_float, forward<float>);
WAVEGPT_REGISTER_KERNEL(linear_forward_double, forward<double>);
WAVEGPT_REGISTER_KERNEL(linear_forward_bfloat16, forward<c10::BFloat16>);
WAVEGPT_REGISTER_KERNEL(linear_backward_float, backward<float>);
WAVEGPT_REGISTER_KERNEL(linear_backward_double, backward<double>);
WAVEGPT_REGISTER_KERNEL(linear_backward_bfloat16, backward<c10::BFloat16>);

}  // namespace wavegpt::kernels
