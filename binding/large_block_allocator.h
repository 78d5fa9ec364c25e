// Large CPU blocks out of a heap that keeps memory for the next ones.
#pragma once

#include <c10/core/Allocator.h>

#include "page_heap.h"

namespace wavegpt {

class LargeBlockAllocator final : public c10::Allocator {
 public:
  // Blocks under this size go to the next allocator.
  static constexpr size_t kSmallest = 64 << 10;

  LargeBlockAllocator(c10::Allocator* next, size_t spare_limit);

  c10::DataPtr allocate(size_t bytes) override;
  // Frees any block of this allocator's or the next one's.
  c10::DeleterFnPtr raw_deleter() const override;
  void copy_data(void* destination, const void* source, size_t count) const override;

  PageHeap& heap() { return heap_; }

 private:
  c10::Allocator* next_;
  PageHeap heap_;
};

}  // namespace wavegpt
