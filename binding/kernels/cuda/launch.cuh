// What the CUDA kernels share: launching on the current stream, and types.
#pragma once

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Exception.h>
#include <c10/util/Half.h>

#include <cstdint>
#include <limits>

namespace wavegpt::kernels::cuda {

// `blocks` along x, `rows_of_blocks` along y, with threads along x and y.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), int64_t blocks, int64_t rows_of_blocks, dim3 threads,
            const Arguments&... arguments) {
  TORCH_CHECK(blocks <= std::numeric_limits<int32_t>::max() && rows_of_blocks <= 65535,
              "wavegpt_cuda: a tensor is too large, ", blocks, " by ", rows_of_blocks,
              " blocks of threads");
  const dim3 grid(static_cast<unsigned>(blocks), static_cast<unsigned>(rows_of_blocks));
  kernel<<<grid, threads, 0, c10::cuda::getCurrentCUDAStream()>>>(arguments...);
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

template <typename T>
struct Type {
  using type = T;
};

// body(Type<T>{}) of the C++ type.
template <typename Body>
void with_type(c10::ScalarType type, const Body& body) {
  switch (type) {
    case c10::ScalarType::Float:
      return body(Type<float>{});
    case c10::ScalarType::BFloat16:
      return body(Type<c10::BFloat16>{});
    case c10::ScalarType::Half:
      return body(Type<c10::Half>{});
    default:
      TORCH_CHECK(false, "wavegpt_cuda: expected float32, bfloat16 or float16, got ", type);
  }
}

inline int64_t divide_up(int64_t value, int64_t by) { return (value + by - 1) / by; }

}  // namespace wavegpt::kernels::cuda
