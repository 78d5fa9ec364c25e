#include "large_block_allocator.h"

#include <c10/core/CPUAllocator.h>

#ifdef __linux__
#include <pthread.h>
#endif

#include <cstring>

namespace wavegpt {
namespace {

// libtorch's deleters get a pointer and nothing else, and so does a handler of fork.
PageHeap* installed = nullptr;
c10::DeleterFnPtr free_elsewhere = nullptr;

void Free(void* pointer) {
  // Told first: another thread may be given the same address the moment it is free.
  c10::profiledCPUMemoryReporter().Delete(pointer);
  installed->Free(pointer);
}

void FreeAny(void* pointer) {
  if (installed->Owns(pointer)) {
    Free(pointer);
  } else {
    free_elsewhere(pointer);
  }
}

}  // namespace

LargeBlockAllocator::LargeBlockAllocator(c10::Allocator* next, size_t spare_limit)
    : next_(next), heap_(spare_limit) {
  installed = &heap_;
  free_elsewhere = next->raw_deleter();
#ifdef __linux__
  pthread_atfork([] { installed->Lock(); }, [] { installed->Unlock(); },
                 [] { installed->Unlock(); });
#endif
}

c10::DataPtr LargeBlockAllocator::allocate(size_t bytes) {
  if (bytes < kSmallest) return next_->allocate(bytes);
  void* pointer = heap_.Allocate(bytes);
  // The next one may have memory still, or says best that there is none.
  if (!pointer) return next_->allocate(bytes);
  c10::profiledCPUMemoryReporter().New(pointer, bytes);
  return {pointer, pointer, Free, c10::Device(c10::DeviceType::CPU)};
}

c10::DeleterFnPtr LargeBlockAllocator::raw_deleter() const { return FreeAny; }

void LargeBlockAllocator::copy_data(void* destination, const void* source, size_t count) const {
  std::memcpy(destination, source, count);
}

}  // namespace wavegpt
