#include "kernels/cpu/add_dropout.h"

#include <ATen/Parallel.h>

#include "kernels/cpu/philox.h"
#include "kernels/cpu/vector.h"

namespace wavegpt::kernels {
namespace {

using c10::BFloat16;

// Groups that are worth a thread of their own.
constexpr int64_t kGroupsForThread = 256;

template <typename X, typename Out>
void add_dropout(const AddDropout& task) {
  using Acc = Accumulate<X>;
  const PhiloxKeys keys(task.seed);
  const DropRate rate(task.p);
  const auto* residual = static_cast<const Out*>(task.residual);
  const auto* x = static_cast<const X*>(task.x);
  auto* out = static_cast<Out*>(task.out);
  const int64_t groups = (task.count + kPhiloxGroup - 1) / kPhiloxGroup;
  at::parallel_for(0, groups, kGroupsForThread, [&](int64_t begin, int64_t end) {
    for (int64_t group = begin; group < end; group++) {
      Acc multipliers[kPhiloxGroup];
      dropout_group(keys, static_cast<uint64_t>(group), rate, multipliers);
      const int64_t first = group * kPhiloxGroup;
      const int64_t last = std::min(task.count, first + kPhiloxGroup);
      for (int64_t i = first; i < last; i += kBlock<X>) {
        const int64_t count = std::min(kBlock<X>, last - i);
        const auto values = load(x + i, count);
        const auto factors = load(multipliers + (i - first));
        Pair<Out> result;
        if (residual == nullptr) {
          result = {values.first * factors.first, values.second * factors.second};
        } else {
          const auto residuals = load(residual + i, count);
          result = {at::vec::fmadd(values.first, factors.first, residuals.first),
                    at::vec::fmadd(values.second, factors.second, residuals.second)};
        }
        store(out + i, result, count);
      }
    }
  });
}

void forward(const AddDropout& task) {
  using c10::ScalarType;
  if (task.x_type == ScalarType::Double) {
    add_dropout<double, double>(task);
  } else if (task.x_type == ScalarType::Float && task.out_type == ScalarType::Float) {
    add_dropout<float, float>(task);
  } else if (task.x_type == ScalarType::Float) {
    add_dropout<float, BFloat16>(task);
  } else if (task.out_type == ScalarType::Float) {
    add_dropout<BFloat16, float>(task);
  } else {
    add_dropout<BFloat16, BFloat16>(task);
  }
}

}  // namespace

WAVEGPT_REGISTER_KERNEL(add_dropout_forward, forward);

}  // namespace wavegpt::kernels
