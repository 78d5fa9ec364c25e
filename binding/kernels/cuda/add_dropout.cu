#include "kernels/cuda/kernels.h"
#include "kernels/cuda/row.cuh"

namespace wavegpt::kernels::cuda {
namespace {

constexpr int kThreads = 256;

// A thread has one of Philox's counters, that is, up to eight elements.
template <typename X, typename Out>
__global__ void forward(Multipliers multipliers, int64_t count, const Out* residual, const X* x,
                        Out* out) {
  const int64_t group = int64_t{blockIdx.x} * (kThreads / 16) + threadIdx.x / 16;
  const int64_t first = group * 128;
  if (first >= count) return;
  const int64_t left = count - first;
  each_element(multipliers, first, left < 128 ? left : 128, threadIdx.x % 16, 16,
               [&](int64_t element, float multiplier) {
                 const int64_t i = first + element;
                 const float added = static_cast<float>(x[i]) * multiplier;
                 out[i] = static_cast<Out>(
                     residual == nullptr ? added : static_cast<float>(residual[i]) + added);
               });
}

}  // namespace

void add_dropout(const AddDropout& task) {
  if (task.count == 0) return;
  with_type(task.x_type, [&](auto x_type) {
    with_type(task.out_type, [&](auto out_type) {
      using X = typename decltype(x_type)::type;
      using Out = typename decltype(out_type)::type;
      launch(forward<X, Out>, divide_up(task.count, kThreads * 8), 1, dim3(kThreads),
             Multipliers(true, task), task.count, static_cast<const Out*>(task.residual),
             static_cast<const X*>(task.x), static_cast<Out*>(task.out));
    });
  });
}

}  // namespace wavegpt::kernels::cuda
