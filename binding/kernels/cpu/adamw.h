// Adam's update over all elements of several tensors together. The tensors are cut into blocks of a
// fixed size, each sum of squares is kept by block and added up in order, so results are the same
// for any number of threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/capability.h"

namespace wavegpt::kernels {

// One parameter with its state, all of `count` elements in the same order. No two writable ones
// overlap.
template <typename T>
struct AdamTensor {
  T* parameter;
  const T* gradient;
  T* exp_avg;
  T* exp_avg_sq;
  T* max_exp_avg_sq;  // null without amsgrad
  int64_t count;
  double step_size;                 // lr / (1 - beta1^step)
  double second_moment_correction;  // sqrt(1 - beta2^step)
};

struct AdamSettings {
  double lr;
  double beta1;
  double beta2;
  double weight_decay;
  double eps;
  double gradient_factor;  // what gradients are multiplied with: clipping, and the sign where a
                           // value is maximised
  bool amsgrad;
  bool decoupled;  // AdamW: decay shrinks the parameter and does not enter the moments
};

// The sum of squares of all gradients, accumulated in double precision.
template <typename T>
using SumOfSquares = double(const AdamTensor<T>* tensors, size_t count);

// Updates parameters and state.
template <typename T>
using AdamUpdate = void(const AdamTensor<T>* tensors, size_t count, const AdamSettings& settings);

extern Kernel<SumOfSquares<float>> sum_of_squares_float;
extern Kernel<SumOfSquares<double>> sum_of_squares_double;
extern Kernel<AdamUpdate<float>> adam_update_float;
extern Kernel<AdamUpdate<double>> adam_update_double;

}  // namespace wavegpt::kernels
