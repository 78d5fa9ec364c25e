#include "small_block_allocator.h"

#include <c10/core/impl/alloc_cpu.h>

#include <array>
#include <bit>
#include <cstring>

namespace wavegpt {
namespace {

// An operator on a few numbers spends a tenth of its time in posix_memalign and free. Blocks of 64
// to 4,096 bytes are kept by the thread that frees them instead, by power of two.
constexpr size_t kSmallest = 64;
constexpr size_t kClasses =
    std::bit_width(SmallBlockAllocator::kLargest) - std::bit_width(kSmallest) + 1;
constexpr size_t kBlocksPerClass = 512;

struct FreeBlock {
  FreeBlock* next;
};

struct ThreadCache {
  std::array<FreeBlock*, kClasses> blocks{};
  std::array<size_t, kClasses> counts{};
};

// Not destroyed with the thread's other objects, of which some may still free tensors: the guard
// below empties it.
thread_local ThreadCache cache;
thread_local bool cache_closed = false;

struct CacheGuard {
  ~CacheGuard() {
    cache_closed = true;
    SmallBlockAllocator::EmptyThreadCache();
  }
};

void EmptyCacheAtThreadExit() { static thread_local CacheGuard guard; }

size_t ClassOf(size_t bytes) {
  return bytes <= kSmallest ? 0 : std::bit_width(bytes - 1) - std::bit_width(kSmallest - 1);
}

template <size_t Class>
void Free(void* pointer) {
  if (cache_closed || cache.counts[Class] >= kBlocksPerClass) {
    c10::free_cpu(pointer);
    return;
  }
  EmptyCacheAtThreadExit();
  auto* block = static_cast<FreeBlock*>(pointer);
  block->next = cache.blocks[Class];
  cache.blocks[Class] = block;
  ++cache.counts[Class];
}

template <size_t... Class>
constexpr std::array<c10::DeleterFnPtr, sizeof...(Class)> Deleters(std::index_sequence<Class...>) {
  return {Free<Class>...};
}

constexpr auto kDeleters = Deleters(std::make_index_sequence<kClasses>());

}  // namespace

SmallBlockAllocator::SmallBlockAllocator(c10::Allocator* next) : next_(next) {}

c10::DataPtr SmallBlockAllocator::allocate(size_t bytes) {
  if (bytes == 0 || bytes > kLargest) return next_->allocate(bytes);
  size_t size_class = ClassOf(bytes);
  void* pointer = cache.blocks[size_class];
  if (pointer) {
    cache.blocks[size_class] = static_cast<FreeBlock*>(pointer)->next;
    --cache.counts[size_class];
  } else {
    pointer = c10::alloc_cpu(kSmallest << size_class);
  }
  return {pointer, pointer, kDeleters[size_class], c10::Device(c10::DeviceType::CPU)};
}

c10::DeleterFnPtr SmallBlockAllocator::raw_deleter() const { return next_->raw_deleter(); }

void SmallBlockAllocator::copy_data(void* destination, const void* source, size_t count) const {
  std::memcpy(destination, source, count);
}

void SmallBlockAllocator::EmptyThreadCache() noexcept {
  for (FreeBlock*& first : cache.blocks) {
    while (FreeBlock* block = first) {
      first = block->next;
      c10::free_cpu(block);
    }
  }
  cache.counts = {};
}

}  // namespace wavegpt
