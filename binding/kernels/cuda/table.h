// What the second library, wavegpt_cuda, gives the binding. It links CUDA, which the binding does
// not: the loader opens it where libtorch's CUDA build is open, and hands its table over.
#pragma once

#include <torch/headeronly/version.h>

#include "kernels/cpu/add_dropout.h"
#include "kernels/cpu/layer_norm.h"
#include "kernels/cuda/graph.h"

namespace wavegpt::kernels {

// Of a chunk of rows, their cross-entropies and, in place of the logits, their gradients: softmax
// less one at the target, not divided by the number of rows.
struct CrossEntropyRows {
  c10::ScalarType type;
  int64_t rows, vocabulary;
  void* logits;
  // In float, added to the logits; may be null.
  const float* bias;
  const int64_t* target;
  // Rows of this target get a loss and a gradient of zero.
  int64_t ignore_index;
  float* losses;
  bool gradients;
};

// Tasks are those of the CPU's kernels, but for their types: float, bfloat16 and float16, where a
// residual of float takes any other, and never double. Pointers are to the memory of the current
// device, work goes to its current stream.
struct CudaKernels {
  // Both sides must have been built of one source against one libtorch.
  static constexpr uint64_t kBuild = uint64_t{2} << 32 | TORCH_VERSION_MAJOR << 16 |
                                     TORCH_VERSION_MINOR << 8 | TORCH_VERSION_PATCH;

  uint64_t build = kBuild;
  void (*add_dropout)(const AddDropout&);
  void (*layer_norm_forward)(const LayerNormForward&);
  void (*layer_norm_backward)(const LayerNormBackward&);
  void (*cross_entropy)(const CrossEntropyRows&);
  std::unique_ptr<CudaGraph> (*make_graph)(c10::DeviceIndex device);
};

}  // namespace wavegpt::kernels
