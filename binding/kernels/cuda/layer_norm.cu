#include "kernels/cuda/kernels.h"
#include "kernels/cuda/row.cuh"

namespace wavegpt::kernels::cuda {
namespace {

// Threads of a block; rows of fewer threads share one.
template <int kThreads>
constexpr int kBlock = kThreads < 128 ? 128 : kThreads;

// This thread's row, of kThreads threads, and its place in it. Rows behind the last have no
// elements, but their threads go along.
template <int kThreads>
struct Row {
  int64_t row = int64_t{blockIdx.x} * (kBlock<kThreads> / kThreads) + threadIdx.x / kThreads;
  int thread = static_cast<int>(threadIdx.x % kThreads);
  int64_t start;
  int64_t count;

  __device__ Row(int64_t rows, int64_t channels)
      : start(row * channels), count(row < rows ? channels : 0) {}

  template <typename Body>
  __device__ void each(const Multipliers& multipliers, const Body& body) const {
    each_element(multipliers, start, count, thread, kThreads, body);
  }
};

template <typename T, typename X, typename Normed, int kThreads>
__global__ void __launch_bounds__(kBlock<kThreads>)
    forward(LayerNormForward task, Multipliers multipliers) {
  const Multipliers none = multipliers.without_dropping();
  const Row<kThreads> row(task.rows, task.channels);
  const auto* residual = static_cast<const T*>(task.residual) + row.start;
  const auto* x = task.x == nullptr ? nullptr : static_cast<const X*>(task.x) + row.start;
  auto* sum = x == nullptr ? nullptr : static_cast<T*>(task.sum) + row.start;
  // Normalised is the sum as it was rounded, which is what backward has.
  const auto value = [&](int64_t i) {
    return static_cast<float>(x == nullptr ? residual[i] : sum[i]);
  };
  float total = 0;
  row.each(multipliers, [&](int64_t i, float multiplier) {
    if (x != nullptr) {
      sum[i] =
          static_cast<T>(static_cast<float>(residual[i]) + static_cast<float>(x[i]) * multiplier);
    }
    total += value(i);
  });
  const auto channels = static_cast<float>(task.channels);
  const float mean = combined<kThreads, Sum>(total) / channels;
  float squares = 0;
  row.each(none, [&](int64_t i, float) {
    const float distance = value(i) - mean;
    squares += distance * distance;
  });
  const float variance = combined<kThreads, Sum>(squares) / channels;
  const float rstd = 1.0f / sqrtf(variance + static_cast<float>(task.eps));
  const auto* weight = static_cast<const float*>(task.weight);
  const auto* bias = static_cast<const float*>(task.bias);
  auto* normed = static_cast<Normed*>(task.normed) + row.start;
  row.each(none, [&](int64_t i, float) {
    normed[i] = static_cast<Normed>((value(i) - mean) * rstd * weight[i] + bias[i]);
  });
  if (row.count != 0 && row.thread == 0) {
    static_cast<float*>(task.mean)[row.row] = mean;
    static_cast<float*>(task.rstd)[row.row] = rstd;
  }
}

// With x' = (sum - mean) * rstd and g = weight * d normed:
// d sum = rstd * (g - mean(g) - x' * mean(g * x')).
template <typename T, typename X, typename Normed, int kThreads>
__global__ void __launch_bounds__(kBlock<kThreads>)
    backward(LayerNormBackward task, Multipliers multipliers) {
  const Multipliers none = multipliers.without_dropping();
  const Row<kThreads> row(task.rows, task.channels);
  const auto at = [&](auto* data) { return data == nullptr ? nullptr : data + row.start; };
  const auto* sum = static_cast<const T*>(task.sum) + row.start;
  const auto* grad_normed = static_cast<const Normed*>(task.grad_normed) + row.start;
  const auto* grad_sum = at(static_cast<const T*>(task.grad_sum));
  auto* grad_residual = at(static_cast<T*>(task.grad_residual));
  auto* grad_x = at(static_cast<X*>(task.grad_x));
  const auto* weight = static_cast<const float*>(task.weight);
  const float mean = row.count == 0 ? 0.0f : static_cast<const float*>(task.mean)[row.row];
  const float rstd = row.count == 0 ? 0.0f : static_cast<const float*>(task.rstd)[row.row];
  const auto normalized = [&](int64_t i) { return (static_cast<float>(sum[i]) - mean) * rstd; };
  float grads = 0, products = 0;
  row.each(none, [&](int64_t i, float) {
    const float grad = static_cast<float>(grad_normed[i]) * weight[i];
    grads += grad;
    products += grad * normalized(i);
  });
  const auto channels = static_cast<float>(task.channels);
  const float grad_mean = combined<kThreads, Sum>(grads) / channels;
  const float product_mean = combined<kThreads, Sum>(products) / channels;
  row.each(multipliers, [&](int64_t i, float multiplier) {
    const float grad = static_cast<float>(grad_normed[i]) * weight[i];
    float result = rstd * (grad - grad_mean - normalized(i) * product_mean);
    if (grad_sum != nullptr) result += static_cast<float>(grad_sum[i]);
    if (grad_residual != nullptr) grad_residual[i] = static_cast<T>(result);
    if (grad_x != nullptr) grad_x[i] = static_cast<X>(result * multiplier);
  });
}

constexpr int kColumns = 32, kRowsAtOnce = 8;

// Of weight and bias, over one block of rows: (blocks, 2, channels), summed in a fixed order.
template <typename T, typename Normed>
__global__ void parameter_sums(LayerNormBackward task, int64_t block_rows) {
  __shared__ float weights[kRowsAtOnce][kColumns], biases[kRowsAtOnce][kColumns];
  const int64_t channel = int64_t{blockIdx.x} * kColumns + threadIdx.x;
  const int64_t first = int64_t{blockIdx.y} * block_rows;
  const int64_t end = first + block_rows < task.rows ? first + block_rows : task.rows;
  float weight = 0, bias = 0;
  if (channel < task.channels) {
    for (int64_t row = first + threadIdx.y; row < end; row += kRowsAtOnce) {
      const int64_t i = row * task.channels + channel;
      const auto grad = static_cast<float>(static_cast<const Normed*>(task.grad_normed)[i]);
      const auto value = static_cast<float>(static_cast<const T*>(task.sum)[i]);
      const float mean = static_cast<const float*>(task.mean)[row];
      weight += grad * ((value - mean) * static_cast<const float*>(task.rstd)[row]);
      bias += grad;
    }
  }
  weights[threadIdx.y][threadIdx.x] = weight;
  biases[threadIdx.y][threadIdx.x] = bias;
  __syncthreads();
  if (threadIdx.y != 0 || channel >= task.channels) return;
  for (int y = 1; y < kRowsAtOnce; y++) {
    weight += weights[y][threadIdx.x];
    bias += biases[y][threadIdx.x];
  }
  auto* partial = static_cast<float*>(task.partial_sums) + 2 * blockIdx.y * task.channels;
  partial[channel] = weight;
  partial[task.channels + channel] = bias;
}

__global__ void sum_blocks(const float* partial, int64_t blocks, int64_t count, float* sums) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= count) return;
  float sum = 0;
  for (int64_t block = 0; block < blocks; block++) sum += partial[block * count + i];
  sums[i] = sum;
}

// body(T, X, Normed) of the types.
template <typename Body>
void with_types(const LayerNormTypes& types, const Body& body) {
  with_type(types.sum, [&](auto sum) {
    if constexpr (std::is_same_v<typename decltype(sum)::type, float>) {
      with_type(types.x, [&](auto x) {
        with_type(types.normed, [&](auto normed) { body(sum, x, normed); });
      });
    } else {
      TORCH_CHECK(types.x == types.sum && types.normed == types.sum,
                  "wavegpt_cuda: expected all of ", types.sum, ", got ", types.x, " and ",
                  types.normed);
      body(sum, sum, sum);
    }
  });
}

// body(number of threads for a row of so many channels), which is a constant there.
template <typename Body>
void with_threads(int64_t channels, const Body& body) {
  if (channels <= 128) return body(std::integral_constant<int, 16>{});
  if (channels <= 1024) return body(std::integral_constant<int, 32>{});
  body(std::integral_constant<int, 256>{});
}

}  // namespace

void layer_norm_forward(const LayerNormForward& task) {
  with_types(task.types, [&](auto sum, auto x, auto normed) {
    with_threads(task.channels, [&](auto threads) {
      constexpr int block = kBlock<threads.value>;
      launch(forward<typename decltype(sum)::type, typename decltype(x)::type,
                     typename decltype(normed)::type, threads.value>,
             divide_up(task.rows, block / threads.value), 1, dim3(block), task,
             Multipliers(task.drop, task));
    });
  });
}

void layer_norm_backward(const LayerNormBackward& task) {
  with_types(task.types, [&](auto sum, auto x, auto normed) {
    using T = typename decltype(sum)::type;
    using Normed = typename decltype(normed)::type;
    if (task.grad_residual != nullptr || task.grad_x != nullptr) {
      with_threads(task.channels, [&](auto threads) {
        constexpr int block = kBlock<threads.value>;
        launch(backward<T, typename decltype(x)::type, Normed, threads.value>,
               divide_up(task.rows, block / threads.value), 1, dim3(block), task,
               Multipliers(task.drop && task.grad_x != nullptr, task));
      });
    }
    if (task.grad_parameters == nullptr) return;
    const int64_t blocks = layer_norm_blocks(task.rows);
    launch(parameter_sums<T, Normed>, divide_up(task.channels, kColumns), blocks,
           dim3(kColumns, kRowsAtOnce), task, layer_norm_block_rows(task.rows));
    launch(sum_blocks, divide_up(2 * task.channels, 128), 1, dim3(128),
           static_cast<const float*>(task.partial_sums), blocks, 2 * task.channels,
           static_cast<float*>(task.grad_parameters));
  });
}

}  // namespace wavegpt::kernels::cuda
