// Memory for large blocks, of which what is free is used again before the system is asked for more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

namespace wavegpt {

// One range of addresses, cut into blocks of whole pages. Its memory comes and goes in chunks of
// 2 MiB, a huge page each. A free block is any that fits best, whether memory lies under it or not:
// where none does, a chunk that nothing uses is moved there from elsewhere in the range, which
// takes the kernel one entry of a page table. So blocks of different sizes do not keep memory from
// each other, and the heap never holds more chunks than were in use at once.
class PageHeap {
 public:
  static constexpr size_t kPage = 4096;
  static constexpr size_t kChunk = size_t{2} << 20;

  struct Statistics {
    size_t allocated = 0;       // bytes of the blocks in use
    size_t reserved = 0;        // bytes of all chunks with memory
    size_t peak_allocated = 0;  // since the last ResetPeak
    size_t peak_reserved = 0;
    size_t taken = 0;  // bytes ever taken from the system
  };

  // At most `spare_limit` bytes of chunks that nothing uses are kept.
  explicit PageHeap(size_t spare_limit);
  PageHeap(const PageHeap&) = delete;
  PageHeap& operator=(const PageHeap&) = delete;

  // Null where the system gives no addresses or no memory.
  void* Allocate(size_t bytes);
  // A pointer that Allocate gave, once.
  void Free(void* pointer) noexcept;
  bool Owns(const void* pointer) noexcept;
  // Gives all chunks that nothing uses back to the system.
  void ReleaseSpare() noexcept;
  Statistics Read() noexcept;
  void ResetPeak() noexcept;

  // Around fork, so that the child does not inherit a lock that nobody holds.
  void Lock() { mutex_.lock(); }
  void Unlock() { mutex_.unlock(); }

 private:
  using Address = uintptr_t;
  using BySize = std::set<std::pair<size_t, Address>>;

  struct Block {
    size_t bytes;
    bool used;
    // A used block keeps its entry of free_, so that freeing allocates nothing and cannot fail.
    BySize::node_type entry;
  };
  using Blocks = std::map<Address, Block>;

  struct Chunk {
    uint16_t blocks = 0;     // used blocks that overlap it
    bool resident = false;   // has memory, as far as is known
    bool displaced = false;  // once took another's memory: a mapping of its own in the kernel
  };

  bool ReserveAddresses();
  Blocks::iterator Grow(size_t bytes);
  void InsertFree(Blocks::iterator block, BySize::node_type entry) noexcept;
  BySize::node_type RemoveFree(Blocks::iterator block) noexcept;
  void Back(Address start, size_t bytes);
  bool MoveMemory(size_t from, size_t to);
  void Release(size_t chunk) noexcept;
  void ReleaseDownTo(size_t spare) noexcept;
  void ReleaseUnneeded();
  size_t HighestSpare() noexcept;
  size_t ChunkOf(Address address) const { return (address - base_) / kChunk; }
  Address AddressOf(size_t chunk) const { return base_ + chunk * kChunk; }
  bool IsSpare(const Chunk& chunk) const { return chunk.resident && chunk.blocks == 0; }

  std::mutex mutex_;
  const size_t spare_limit_;  // in chunks
  Address base_ = 0;
  Address top_ = 0;  // end of what is mapped to be written
  Address end_ = 0;
  bool without_addresses_ = false;
  Blocks blocks_;  // used and free, together all from base_ to top_
  BySize free_;
  std::vector<Chunk> chunks_;
  size_t spare_ = 0;
  size_t spare_hint_ = 0;  // no spare chunk has a higher number
  size_t lowest_spare_ = 0;
  int64_t period_start_ = 0;
  size_t displaced_ = 0;
  Statistics statistics_;
};

}  // namespace wavegpt
