#include "kernels/cuda/kernels.h"

// The loader gives this to the binding's wavegpt_use_cuda_kernels.
extern "C"
#ifdef _WIN32
    __declspec(dllexport)
#else
    __attribute__((visibility("default")))
#endif
    const void* wavegpt_cuda_kernels(void) {
  static const wavegpt::kernels::CudaKernels table{
      .add_dropout = wavegpt::kernels::cuda::add_dropout,
      .layer_norm_forward = wavegpt::kernels::cuda::layer_norm_forward,
      .layer_norm_backward = wavegpt::kernels::cuda::layer_norm_backward,
      .cross_entropy = wavegpt::kernels::cuda::cross_entropy,
      .make_graph = wavegpt::kernels::cuda::make_graph,
  };
  return &table;
}
