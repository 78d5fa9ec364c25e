#include "kernels/cpu/dropout.h"

#include <ATen/Parallel.h>

#include "kernels/cpu/philox.h"

namespace wavegpt::kernels {
namespace {

template <typename Accumulator>
void fill(uint64_t seed, double p, int64_t count, Accumulator* multipliers) {
  const DropRate rate(p);
  const int64_t groups = (count + kPhiloxGroup - 1) / kPhiloxGroup;
  at::parallel_for(0, groups, 64, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * kPhiloxGroup;
    dropout_multipliers(seed, rate, first, std::min(count, end * kPhiloxGroup) - first,
                        multipliers + first);
  });
}

}  // namespace

WAVEGPT_REGISTER_KERNEL(dropout_mask_float, fill<float>);
WAVEGPT_REGISTER_KERNEL(dropout_mask_double, fill<double>);

}  // namespace wavegpt::kernels
