// The functions of each file of the binding, gathered by module.cc.
#pragma once

#include <vector>

#include "call.h"

namespace wavegpt {

std::vector<MethodEntry> DispatchMethods();   // operators: names, schemas, calls
std::vector<MethodEntry> OwnershipMethods();  // scopes, keep, release, counters
std::vector<MethodEntry> DataMethods();       // typed arrays in and out
std::vector<MethodEntry> PropertyMethods();   // shape, strides, dtype, device
std::vector<MethodEntry> AutogradMethods();   // requires_grad, grad, backward
std::vector<MethodEntry> ModeMethods();  // no-grad, inference, autocast, default dtype, determinism
std::vector<MethodEntry> RandomMethods();     // seeds and generators
std::vector<MethodEntry> RuntimeMethods();    // build information, threads, devices, CPU memory
std::vector<MethodEntry> ProfilerMethods();   // recording, ranges, events, Chrome traces
std::vector<MethodEntry> CudaGraphMethods();  // capture and replay, seeds of captured dropout
std::vector<MethodEntry> BatchMethods();      // batches of tokens, read ahead

}  // namespace wavegpt
