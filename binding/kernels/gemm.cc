#include "kernels/gemm.h"

#include <ATen/native/CPUBlas.h>

#include "libtorch.h"

namespace wavegpt::kernels {

namespace cpublas = at::native::cpublas;

namespace {

// libtorch tells only by an error whether oneDNN has a bfloat16 kernel for this CPU.
bool multiplies_bfloat16() {
  const c10::BFloat16 a[4] = {1.0f, 0.0f, 0.0f, 0.0f};
  float c[4];
  try {
    cpublas::brgemm(2, 2, 2, 2, 2, 2, false, a, a, c, true);
    cpublas::brgemm_release(true);
    return true;
  } catch (const c10::Error&) {
    return false;
  }
}

}  // namespace

bool gemm_supports(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
    case at::kDouble:
      return true;
    case at::kBFloat16: {
      static const bool supported = multiplies_bfloat16();
      // With oneDNN switched off (torch.backends.mkldnn), brgemm refuses interleaved operands.
      return supported && at::globalContext().userEnabledMkldnn();
    }
    default:
      return false;
  }
}

void gemm(int64_t m, int64_t n, int64_t k, const c10::BFloat16* a, int64_t lda,
          const c10::BFloat16* b, int64_t ldb, float* c, int64_t ldc, bool add) {
  cpublas::brgemm(m, n, k, lda, ldb, ldc, add, a, b, c, true);
}

void gemm(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b, int64_t ldb,
          float* c, int64_t ldc, bool add) {
  cpublas::brgemm(m, n, k, lda, ldb, ldc, add, a, b, c, false);
}

void gemm(int64_t m, int64_t n, int64_t k, const double* a, int64_t lda, const double* b,
          int64_t ldb, double* c, int64_t ldc, bool add) {
  for (int64_t i = 0; i < m; i++) {
    double* row = c + i * ldc;
    if (!add) std::fill(row, row + n, 0.0);
    for (int64_t p = 0; p < k; p++) {
      const double factor = a[i * lda + p];
      for (int64_t j = 0; j < n; j++) row[j] += factor * b[p * ldb + j];
    }
  }
}

void gemm_release() { cpublas::brgemm_release(true); }

}  // namespace wavegpt::kernels
