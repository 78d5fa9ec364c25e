#include "kernels/linear_cross_entropy.h"
#include "kernels/plain_cuda.h"

namespace wavegpt::kernels {
namespace {

// Memory that the logits of one chunk of rows may take.
constexpr int64_t kMostLogits = int64_t{128} << 20;

// Rows in chunks of about the same size.
int64_t chunk_rows(int64_t rows, int64_t bytes_of_row) {
  const int64_t most = std::max<int64_t>(1, kMostLogits / bytes_of_row);
  const int64_t chunks = (rows + most - 1) / most;
  return (rows + chunks - 1) / chunks;
}

}  // namespace

CrossEntropyResult linear_cross_entropy_on_cuda(at::ScalarType type, const at::Tensor& x,
                                                const at::Tensor& weight, const at::Tensor& bias,
                                                const at::Tensor& target, int64_t ignore_index,
                                                CrossEntropyWanted wanted) {
  const auto* kernels = cuda_kernels_of(x);
  const CudaDevice device(x);
  // The types are settled: products must not be cast once more.
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  const at::NoGradGuard no_grad;
  const auto vocabulary = weight.size(0), channels = weight.size(1), rows = target.numel();
  const at::Tensor x_rows = x.reshape({rows, channels}).to(type).contiguous();
  const at::Tensor weights = weight.to(type).contiguous();
  const at::Tensor biases = bias.defined() ? bias.to(at::kFloat).contiguous() : at::Tensor();
  const at::Tensor targets = target.reshape({-1}).contiguous();
  const auto values = x_rows.options(), sums = values.dtype(at::kFloat);

  CrossEntropyResult result;
  if (wanted.x) result.d_x = at::empty({rows, channels}, sums);
  if (wanted.weight) result.d_weight = at::zeros({vocabulary, channels}, sums);
  if (wanted.bias) result.d_bias = at::zeros({vocabulary}, sums);
  const at::Tensor losses = at::empty({rows}, sums);
  const auto chunk = chunk_rows(rows, vocabulary * static_cast<int64_t>(x_rows.element_size()));
  const at::Tensor buffer = at::empty({chunk, vocabulary}, values);
  for (int64_t first = 0; first < rows; first += chunk) {
    const auto count = std::min(chunk, rows - first);
    const at::Tensor chunk_x = x_rows.narrow(0, first, count);
    at::Tensor logits = buffer.narrow(0, 0, count);
    at::mm_out(logits, chunk_x, weights.t());
    kernels->cross_entropy(CrossEntropyRows{
        .type = type,
        .rows = count,
        .vocabulary = vocabulary,
        .logits = logits.mutable_data_ptr(),
        .bias = biases.defined() ? biases.const_data_ptr<float>() : nullptr,
        .target = targets.const_data_ptr<int64_t>() + first,
        .ignore_index = ignore_index,
        .losses = losses.mutable_data_ptr<float>() + first,
        .gradients = wanted.any(),
    });
    if (wanted.x) result.d_x.narrow(0, first, count).copy_(at::mm(logits, weights));
    if (wanted.weight) {
      if (type == at::kFloat) {
        result.d_weight.addmm_(logits.t(), chunk_x);
      } else {
        result.d_weight.add_(at::mm(logits.t(), chunk_x));
      }
    }
    if (wanted.bias) result.d_bias.add_(at::sum(logits, {0}, /*keepdim=*/false, at::kFloat));
  }

  // The number of rows stays on the device. Without any, the loss is NaN and gradients are zero, as
  // libtorch has it.
  const at::Tensor counted = targets.ne(ignore_index).sum();
  result.loss = losses.sum().div_(counted);
  const at::Tensor share = counted.clamp_min(1).to(at::kFloat).reciprocal();
  for (auto* gradient : {&result.d_x, &result.d_weight, &result.d_bias}) {
    if (gradient->defined()) gradient->mul_(share);
  }
  if (wanted.x) result.d_x = result.d_x.reshape(x.sizes());
  return result;
}

}  // namespace wavegpt::kernels
