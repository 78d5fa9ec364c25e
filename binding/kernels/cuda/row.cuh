// How threads share a row of elements, and what they sum up.
#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/philox.h"

namespace wavegpt::kernels::cuda {

// What dropout multiplies elements by, or 1.
struct Multipliers {
  bool drop;
  uint64_t seed;
  const int64_t* seed_place;
  DropRate rate;

  // Of a task with a seed.
  template <typename Task>
  Multipliers(bool drop, const Task& task)
      : drop(drop), seed(task.seed), seed_place(task.seed_place), rate(task.p) {}

  __device__ Multipliers without_dropping() const {
    Multipliers ones = *this;
    ones.drop = false;
    return ones;
  }
};

// Calls body(offset, multiplier) for elements first ... first + count - 1 of a tensor, those of
// this thread out of `threads`: the same ones at each call, so that a thread reads what it wrote.
// Elements are shared by Philox's counters, which have eight numbers each: none is computed twice.
template <typename Body>
__device__ __forceinline__ void each_element(const Multipliers& multipliers, int64_t first,
                                             int64_t count, int thread, int threads,
                                             const Body& body) {
  if (count == 0) return;
  const int64_t end = (first + count + 127) / 128 * 16;
  const bool replayed = multipliers.drop && multipliers.seed_place != nullptr;
  const uint64_t seed =
      replayed ? static_cast<uint64_t>(*multipliers.seed_place) : multipliers.seed;
  for (int64_t counter = first / 128 * 16 + thread; counter < end; counter += threads) {
    const int64_t offset = PhiloxNumbers::first_element(counter) - first;
    if (multipliers.drop) {
      const PhiloxNumbers numbers(seed, static_cast<uint64_t>(counter));
#pragma unroll
      for (int i = 0; i < 8; i++) {
        const int64_t element = offset + 16 * i;
        if (element < 0 || element >= count) continue;
        body(element, numbers[i] < multipliers.rate.threshold ? 0.0f : multipliers.rate.scale);
      }
    } else {
#pragma unroll
      for (int i = 0; i < 8; i++) {
        const int64_t element = offset + 16 * i;
        if (element >= 0 && element < count) body(element, 1.0f);
      }
    }
  }
}

struct Sum {
  static __device__ float of(float a, float b) { return a + b; }
};

struct Most {
  // Not fmaxf: a NaN stays one.
  static __device__ float of(float a, float b) { return a > b || a != a ? a : b; }
};

// Combines what kThreads neighbours have, and gives it to each of them. All threads of the block
// must come here. More than a warp: a whole block.
template <int kThreads, typename Operation>
__device__ __forceinline__ float combined(float value) {
  constexpr int width = kThreads < 32 ? kThreads : 32;
#pragma unroll
  for (int distance = width / 2; distance > 0; distance /= 2)
    value = Operation::of(value, __shfl_xor_sync(0xFFFFFFFFu, value, distance, width));
  if constexpr (kThreads > 32) {
    constexpr int warps = kThreads / 32;
    __shared__ float of_warps[warps];
    // The last call's values have been read.
    __syncthreads();
    if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = value;
    __syncthreads();
    value = of_warps[0];
#pragma unroll
    for (int warp = 1; warp < warps; warp++) value = Operation::of(value, of_warps[warp]);
  }
  return value;
}

}  // namespace wavegpt::kernels::cuda
