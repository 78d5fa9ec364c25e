#include <cfloat>

#include "kernels/cuda/kernels.h"
#include "kernels/cuda/row.cuh"

namespace wavegpt::kernels::cuda {
namespace {

constexpr int kThreads = 512;

// A block for each row: maximum and sum of exponentials in one pass, gradients in a second.
template <typename T>
__global__ void __launch_bounds__(kThreads) cross_entropy_rows(CrossEntropyRows task) {
  const int64_t row = blockIdx.x;
  auto* logits = static_cast<T*>(task.logits) + row * task.vocabulary;
  const int64_t target = task.target[row];
  const bool ignored = target == task.ignore_index;
  // As libtorch's own kernel does: nothing on the host has seen the targets.
  CUDA_KERNEL_ASSERT(ignored || (target >= 0 && target < task.vocabulary));
  const auto logit = [&](int64_t i) {
    return static_cast<float>(logits[i]) + (task.bias == nullptr ? 0.0f : task.bias[i]);
  };
  if (ignored) {
    if (threadIdx.x == 0) task.losses[row] = 0;
    if (!task.gradients) return;
    for (int64_t i = threadIdx.x; i < task.vocabulary; i += kThreads) logits[i] = 0;
    return;
  }
  // Before any thread writes gradients over the logits: the sums below wait for all.
  const float of_target = logit(target);
  float most = -FLT_MAX, sum = 0;
  for (int64_t i = threadIdx.x; i < task.vocabulary; i += kThreads) {
    const float value = logit(i);
    if (value > most) {
      sum = sum * expf(most - value) + 1.0f;
      most = value;
    } else {
      sum += expf(value - most);
    }
  }
  const float row_most = combined<kThreads, Most>(most);
  const float row_sum = combined<kThreads, Sum>(sum * expf(most - row_most));
  if (threadIdx.x == 0) task.losses[row] = logf(row_sum) + row_most - of_target;
  if (!task.gradients) return;
  const float inverse = 1.0f / row_sum;
  for (int64_t i = threadIdx.x; i < task.vocabulary; i += kThreads) {
    const float share = expf(logit(i) - row_most) * inverse;
    logits[i] = static_cast<T>(i == target ? share - 1.0f : share);
  }
}

}  // namespace

void cross_entropy(const CrossEntropyRows& task) {
  if (task.rows == 0) return;
  with_type(task.type, [&](auto type) {
    launch(cross_entropy_rows<typename decltype(type)::type>, task.rows, 1, dim3(kThreads), task);
  });
}

}  // namespace wavegpt::kernels::cuda
