// Products of small matrices, in which the fused kernels do their work tile by tile.
//
// The tiles are multiplied by the micro-kernels of oneDNN that libtorch brings
// (at::native::cpublas::brgemm): they are generated at run time for the CPU at hand (AVX2, AVX512,
// AVX512-BF16, AMX). Call them from inside a parallel region.
#pragma once

#include <ATen/core/TensorBase.h>
#include <c10/util/BFloat16.h>

#include <cstdint>
#include <type_traits>

namespace wavegpt::kernels {

// What products of T are summed in.
template <typename T>
using Accumulate = std::conditional_t<std::is_same_v<T, double>, double, float>;

// How many rows of B lie interleaved: B of bfloat16 is stored as [K / 2][N][2] ("VNNI"), others as
// [K][N].
template <typename T>
inline constexpr int64_t kInterleaved = std::is_same_v<T, c10::BFloat16> ? 2 : 1;

// Whether gemm() takes this type on this CPU.
bool gemm_supports(at::ScalarType type);

// C (M x N) = A (M x K) * B (K x N), or C += A * B with `add`; all row-major, `ld` the distance of
// rows in elements. For bfloat16, K is even, B is interleaved and ldb is the distance of its rows
// before they were interleaved.
void gemm(int64_t m, int64_t n, int64_t k, const c10::BFloat16* a, int64_t lda,
          const c10::BFloat16* b, int64_t ldb, float* c, int64_t ldc, bool add);
void gemm(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b, int64_t ldb,
          float* c, int64_t ldc, bool add);
// For the checks of gradients: plain loops.
void gemm(int64_t m, int64_t n, int64_t k, const double* a, int64_t lda, const double* b,
          int64_t ldb, double* c, int64_t ldc, bool add);

// Gives back what this thread's tiles held of the CPU (AMX). Call it at the end of a parallel
// region's part.
void gemm_release();

}  // namespace wavegpt::kernels
