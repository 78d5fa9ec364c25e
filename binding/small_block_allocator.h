// A cache of small blocks in front of libtorch's CPU allocator.
#pragma once

namespace wavegpt {

// Makes it libtorch's CPU allocator. Safe to call again.
void InstallSmallBlockAllocator();

}  // namespace wavegpt
