#pragma once

#include <cstdint>

#include "kernels/capability.h"
#include "kernels/gemm.h"

namespace wavegpt::kernels {

// `tokens` of (batch, length), all from 0 to vocabulary - 1; positions begin at first_position.
struct EmbeddingSizes {
  int64_t batch, length, channels, vocabulary, positions, first_position;
};

template <typename T>
struct EmbeddingForward {
  EmbeddingSizes sizes;
  const int64_t* tokens;
  // (vocabulary, channels)
  const T* token_weight;
  // (positions, channels)
  const T* position_weight;
  // (batch, length, channels)
  T* out;
};

template <typename T>
struct EmbeddingBackward {
  EmbeddingSizes sizes;
  const int64_t* tokens;
  // (batch, length, channels)
  const T* grad;
  // As the weights, zeros included; null where not wanted.
  Accumulate<T>* grad_token_weight;
  Accumulate<T>* grad_position_weight;
};

extern Kernel<void(const EmbeddingForward<float>&)> embedding_forward_float;
extern Kernel<void(const EmbeddingForward<double>&)> embedding_forward_double;
extern Kernel<void(const EmbeddingForward<c10::BFloat16>&)> embedding_forward_bfloat16;
extern Kernel<void(const EmbeddingBackward<float>&)> embedding_backward_float;
extern Kernel<void(const EmbeddingBackward<double>&)> embedding_backward_double;
extern Kernel<void(const EmbeddingBackward<c10::BFloat16>&)> embedding_backward_bfloat16;

}  // namespace wavegpt::kernels
