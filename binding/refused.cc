// Operators that JavaScript may not call, and why. Found by fuzzing (test/binding/) with each
// tensor's memory between guard pages: all of them are inner parts of libtorch, which trust what
// the operators around them have checked.
#include <unordered_map>

#include "operators.h"

namespace wavegpt {
namespace {

constexpr const char* kBackward =
    "a backward kernel trusts autograd to have checked its arguments, and reads or writes out of "
    "bounds where they "
    "do not fit; use backward() or autograd.grad()";
constexpr const char* kUnchecked =
    "it is an inner part of libtorch that does not check its arguments, and reads or writes out of "
    "bounds where they "
    "do not fit";
constexpr const char* kQuantized =
    "it is a kernel of quantized models that does not check its arguments, and takes weights "
    "packed by libtorch";
constexpr const char* kArithmetic =
    "it divides by zero, or goes on for ever, with arguments that it does not check";
constexpr const char* kNoStorage =
    "it makes a tensor without memory, which other operators write to all the same";

// By name without overload ("aten::_stack"): an overload shares its kernel with the others.
const std::unordered_map<std::string, const char*>& RefusedNames() {
  static const std::unordered_map<std::string, const char*> names = {
      {"aten::_add_batch_dim", kUnchecked},
      {"aten::_batch_norm_no_update", kUnchecked},
      {"aten::_batch_norm_with_update", kUnchecked},
      {"aten::_batch_norm_with_update_functional", kUnchecked},
      {"aten::_cholesky_solve_helper", kUnchecked},
      {"aten::_chunk_cat", kUnchecked},
      {"aten::_compute_linear_combination", kUnchecked},
      {"aten::_convert_indices_from_coo_to_csr", kUnchecked},
      {"aten::_convert_indices_from_csr_to_coo", kUnchecked},
      {"aten::_cummax_helper", kUnchecked},
      {"aten::_cummin_helper", kUnchecked},
      {"aten::_dyn_quant_matmul_4bit", kUnchecked},
      {"aten::_dyn_quant_pack_4bit_weight", kUnchecked},
      {"aten::_efficientzerotensor", kNoStorage},
      {"aten::_embedding_bag", kUnchecked},
      {"aten::_embedding_bag_forward_only", kUnchecked},
      {"aten::_fft_c2c", kUnchecked},
      {"aten::_fft_c2r", kUnchecked},
      {"aten::_fft_r2c", kUnchecked},
      {"aten::_foreach_copy", kUnchecked},
      {"aten::_logcumsumexp", kUnchecked},
      {"aten::_native_batch_norm_legit", kUnchecked},
      {"aten::_native_batch_norm_legit_functional", kUnchecked},
      {"aten::_native_batch_norm_legit_no_training", kUnchecked},
      {"aten::_neg_view_copy", kUnchecked},
      {"aten::_nested_view_from_buffer", kUnchecked},
      {"aten::_nested_view_from_buffer_copy", kUnchecked},
      {"aten::_new_zeros_with_same_feature_meta", kUnchecked},
      {"aten::_nnpack_spatial_convolution", kUnchecked},
      {"aten::_pad_packed_sequence", kUnchecked},
      {"aten::_remove_batch_dim", kUnchecked},
      {"aten::_reshape_alias", kUnchecked},
      {"aten::_reshape_alias_copy", kUnchecked},
      {"aten::_sobol_engine_draw", kUnchecked},
      {"aten::_sobol_engine_ff", kUnchecked},
      {"aten::_sobol_engine_ff_", kUnchecked},
      {"aten::_sobol_engine_initialize_state", kUnchecked},
      {"aten::_sobol_engine_initialize_state_", kUnchecked},
      {"aten::_sobol_engine_scramble", kUnchecked},
      {"aten::_sobol_engine_scramble_", kUnchecked},
      {"aten::_sparse_compressed_tensor_with_dims", kUnchecked},
      {"aten::_stack", kUnchecked},
      {"aten::_transform_bias_rescale_qkv", kUnchecked},
      {"aten::_upsample_bicubic2d_aa", kUnchecked},
      {"aten::_upsample_bilinear2d_aa", kUnchecked},
      {"aten::_weight_norm", kUnchecked},
      {"aten::_weight_norm_interface", kUnchecked},
      {"aten::batch_norm_update_stats", kUnchecked},
      {"aten::choose_qparams_optimized", kArithmetic},
      {"aten::copy", kUnchecked},
      {"aten::mkldnn_rnn_layer", kUnchecked},
      {"aten::native_batch_norm", kUnchecked},
      {"aten::native_group_norm", kUnchecked},
      {"aten::quantized_lstm_cell", kUnchecked},
      {"aten::segment_reduce", kUnchecked},
  };
  return names;
}

// By name with overload, where the others are safe.
const std::unordered_map<std::string, const char*>& RefusedOverloads() {
  static const std::unordered_map<std::string, const char*> overloads = {
      {"aten::linear.out", kUnchecked},
      {"aten::range.out", kArithmetic},
      {"aten::rrelu_with_noise.out", kUnchecked},
  };
  return overloads;
}

}  // namespace

const char* RefusalReason(const c10::OperatorName& name) {
  if (name.name.find("_backward") != std::string::npos) return kBackward;
  for (const char* prefix :
       {"quantized::", "_quantized::", "quantization::", "onednn::", "mkldnn::"}) {
    if (name.name.rfind(prefix, 0) == 0) return kQuantized;
  }
  auto by_name = RefusedNames().find(name.name);
  if (by_name != RefusedNames().end()) return by_name->second;
  auto by_overload = RefusedOverloads().find(c10::toString(name));
  return by_overload == RefusedOverloads().end() ? nullptr : by_overload->second;
}

}  // namespace wavegpt
