// The functions of the table, by file.
#pragma once

#include "kernels/cuda/table.h"

namespace wavegpt::kernels::cuda {

void add_dropout(const AddDropout& task);
void layer_norm_forward(const LayerNormForward& task);
void layer_norm_backward(const LayerNormBackward& task);
void cross_entropy(const CrossEntropyRows& task);

}  // namespace wavegpt::kernels::cuda
