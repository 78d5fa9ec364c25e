// Small CPU blocks, kept by the thread that frees them.
#pragma once

#include <c10/core/Allocator.h>

namespace wavegpt {

class SmallBlockAllocator final : public c10::Allocator {
 public:
  // Larger blocks go to the next allocator.
  static constexpr size_t kLargest = 4096;

  explicit SmallBlockAllocator(c10::Allocator* next);

  c10::DataPtr allocate(size_t bytes) override;
  // oneDNN and others take raw blocks and give them back without a size: they bypass the cache
  // then. Every block is alloc_cpu's, so the next allocator's deleter frees each.
  c10::DeleterFnPtr raw_deleter() const override;
  void copy_data(void* destination, const void* source, size_t count) const override;

  // Frees what this thread keeps.
  static void EmptyThreadCache() noexcept;

 private:
  c10::Allocator* next_;
};

}  // namespace wavegpt
