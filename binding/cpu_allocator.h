// libtorch's allocator for the CPU: small blocks from a cache of each thread, large ones from a
// heap of pages.
#pragma once

#include "page_heap.h"

namespace wavegpt {

// Makes it libtorch's. Safe to call again.
// The environment's WAVEGPT_CPU_CACHE: 0 leaves libtorch's own allocator in place (for tools that
// watch each allocation), a number is the most MiB of unused large blocks to keep.
void InstallCpuAllocator();

// Gives what is kept for later blocks back to the system.
void EmptyCpuCache() noexcept;

// Of large blocks; all zero where there is no heap of them.
PageHeap::Statistics CpuMemory() noexcept;
void ResetPeakCpuMemory() noexcept;

}  // namespace wavegpt
