#include "page_heap.h"

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <chrono>

namespace wavegpt {
namespace {

// Chunks that were spare throughout such a time go back to the system.
constexpr int64_t kPeriod = 10'000'000'000;
// Each displaced chunk may be a mapping of its own, of which Linux allows a process 65,530.
constexpr size_t kMostDisplaced = 8192;

size_t RoundUp(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

int64_t Nanoseconds() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

PageHeap::PageHeap(size_t spare_limit)
    : spare_limit_(spare_limit / kChunk), period_start_(Nanoseconds()) {}

void* PageHeap::Allocate(size_t bytes) {
  if (bytes == 0 || bytes > SIZE_MAX / 2) return nullptr;
  bytes = RoundUp(bytes, kPage);
  std::lock_guard<std::mutex> lock(mutex_);
  ReleaseUnneeded();
  auto fit = free_.lower_bound({bytes, 0});
  Blocks::iterator block = fit != free_.end() ? blocks_.find(fit->second) : Grow(bytes);
  if (block == blocks_.end()) return nullptr;
  if (block->second.bytes > bytes) {
    Address rest = block->first + bytes;
    size_t rest_bytes = block->second.bytes - bytes;
    // Made before anything changes: either may throw.
    BySize::node_type entry = [&] {
      BySize made{{rest_bytes, rest}};
      return made.extract(made.begin());
    }();
    auto after = blocks_.emplace_hint(std::next(block), rest, Block{rest_bytes, false, {}});
    block->second.entry = RemoveFree(block);
    block->second.bytes = bytes;
    InsertFree(after, std::move(entry));
  } else {
    block->second.entry = RemoveFree(block);
  }
  block->second.used = true;
  Back(block->first, bytes);
  statistics_.allocated += bytes;
  statistics_.peak_allocated = std::max(statistics_.peak_allocated, statistics_.allocated);
  return reinterpret_cast<void*>(block->first);
}

void PageHeap::Free(void* pointer) noexcept {
  auto address = reinterpret_cast<Address>(pointer);
  std::lock_guard<std::mutex> lock(mutex_);
  auto block = blocks_.find(address);
  statistics_.allocated -= block->second.bytes;
  size_t last = ChunkOf(address + block->second.bytes - 1);
  for (size_t at = ChunkOf(address); at <= last; ++at) {
    if (--chunks_[at].blocks == 0 && chunks_[at].resident) {
      ++spare_;
      spare_hint_ = std::max(spare_hint_, at);
    }
  }
  block->second.used = false;
  BySize::node_type entry = std::move(block->second.entry);
  auto after = std::next(block);
  if (after != blocks_.end() && !after->second.used) {
    RemoveFree(after);
    block->second.bytes += after->second.bytes;
    blocks_.erase(after);
  }
  if (block != blocks_.begin()) {
    auto before = std::prev(block);
    if (!before->second.used) {
      RemoveFree(before);
      before->second.bytes += block->second.bytes;
      blocks_.erase(block);
      block = before;
    }
  }
  InsertFree(block, std::move(entry));
  if (spare_ > spare_limit_) ReleaseDownTo(spare_limit_);
}

bool PageHeap::Owns(const void* pointer) noexcept {
  auto address = reinterpret_cast<Address>(pointer);
  std::lock_guard<std::mutex> lock(mutex_);
  return address >= base_ && address < top_;
}

void PageHeap::ReleaseSpare() noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  ReleaseDownTo(0);
}

PageHeap::Statistics PageHeap::Read() noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  return statistics_;
}

void PageHeap::ResetPeak() noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  statistics_.peak_allocated = statistics_.allocated;
  statistics_.peak_reserved = statistics_.reserved;
}

void PageHeap::InsertFree(Blocks::iterator block, BySize::node_type entry) noexcept {
  entry.value() = {block->second.bytes, block->first};
  free_.insert(std::move(entry));
}

PageHeap::BySize::node_type PageHeap::RemoveFree(Blocks::iterator block) noexcept {
  return free_.extract({block->second.bytes, block->first});
}

// Sees to memory under a block that is about to be used.
void PageHeap::Back(Address start, size_t bytes) {
  size_t first = ChunkOf(start), last = ChunkOf(start + bytes - 1);
  for (size_t at = first; at <= last; ++at) {
    if (IsSpare(chunks_[at])) --spare_;
    ++chunks_[at].blocks;
  }
  for (size_t at = first; at <= last; ++at) {
    Chunk& chunk = chunks_[at];
    if (chunk.resident) continue;
    chunk.resident = true;
    if (spare_ > 0) {
      size_t from = HighestSpare();
      if (MoveMemory(from, at)) {
        chunks_[from].resident = false;
        --spare_;
        continue;
      }
      // As much is given back as will be taken.
      Release(from);
    }
    statistics_.taken += kChunk;
    statistics_.reserved += kChunk;
  }
  statistics_.peak_reserved = std::max(statistics_.peak_reserved, statistics_.reserved);
  lowest_spare_ = std::min(lowest_spare_, spare_);
}

// A spare chunk; there must be one. The highest, so that the lower ones fill up.
size_t PageHeap::HighestSpare() noexcept {
  while (!IsSpare(chunks_[spare_hint_])) --spare_hint_;
  return spare_hint_;
}

void PageHeap::ReleaseDownTo(size_t spare) noexcept {
  while (spare_ > spare) Release(HighestSpare());
  lowest_spare_ = std::min(lowest_spare_, spare_);
}

void PageHeap::ReleaseUnneeded() {
  int64_t now = Nanoseconds();
  if (now - period_start_ < kPeriod) return;
  ReleaseDownTo(spare_ - std::min(spare_, lowest_spare_));
  period_start_ = now;
  lowest_spare_ = spare_;
}

#ifdef __linux__

// Addresses cost nothing: four times as many as the machine has memory leave room for a block
// between others that are in the way.
bool PageHeap::ReserveAddresses() {
  if (without_addresses_) return false;
  if (base_) return true;
  auto pages = static_cast<size_t>(std::max(0L, sysconf(_SC_PHYS_PAGES)));
  size_t bytes = RoundUp(pages * static_cast<size_t>(sysconf(_SC_PAGESIZE)) * 4, kChunk);
  for (; bytes >= kChunk; bytes = bytes / 2 / kChunk * kChunk) {
    void* found = mmap(nullptr, bytes + kChunk, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (found == MAP_FAILED) continue;
    base_ = top_ = RoundUp(reinterpret_cast<Address>(found), kChunk);
    end_ = base_ + bytes;
    return true;
  }
  without_addresses_ = true;
  return false;
}

// A free block of at least so many bytes at the end, or blocks_.end().
PageHeap::Blocks::iterator PageHeap::Grow(size_t bytes) {
  if (!ReserveAddresses()) return blocks_.end();
  auto last = blocks_.empty() ? blocks_.end() : std::prev(blocks_.end());
  bool extends = last != blocks_.end() && !last->second.used;
  size_t missing = RoundUp(bytes - (extends ? last->second.bytes : 0), kChunk);
  if (missing > end_ - top_) return blocks_.end();
  chunks_.resize(ChunkOf(top_ + missing));
  BySize made{{missing, top_}};
  if (!extends) last = blocks_.emplace_hint(blocks_.end(), top_, Block{0, false, {}});
  // Writable memory is what the system accounts for: it refuses what it could never give.
  void* mapped = mmap(reinterpret_cast<void*>(top_), missing, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (mapped == MAP_FAILED) {
    if (!extends) blocks_.erase(last);
    return blocks_.end();
  }
  // Fewer, larger page faults and fewer misses of the TLB; without huge pages, 4 KiB ones serve.
  madvise(mapped, missing, MADV_HUGEPAGE);
  BySize::node_type entry = extends ? RemoveFree(last) : made.extract(made.begin());
  last->second.bytes += missing;
  top_ += missing;
  InsertFree(last, std::move(entry));
  return last;
}

bool PageHeap::MoveMemory(size_t from, size_t to) {
#ifdef MREMAP_DONTUNMAP
  if (!chunks_[to].displaced && displaced_ == kMostDisplaced) return false;
  void* moved = mremap(reinterpret_cast<void*>(AddressOf(from)), kChunk, kChunk,
                       MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
                       reinterpret_cast<void*>(AddressOf(to)));
  if (moved == MAP_FAILED) return false;
  if (!chunks_[to].displaced) ++displaced_;
  chunks_[to].displaced = true;
  return true;
#else
  (void)from, (void)to;
  return false;
#endif
}

void PageHeap::Release(size_t chunk) noexcept {
  madvise(reinterpret_cast<void*>(AddressOf(chunk)), kChunk, MADV_DONTNEED);
  chunks_[chunk].resident = false;
  --spare_;
  statistics_.reserved -= kChunk;
}

#else

// Elsewhere the system's own allocator keeps what it can.
bool PageHeap::ReserveAddresses() { return false; }
PageHeap::Blocks::iterator PageHeap::Grow(size_t) { return blocks_.end(); }
bool PageHeap::MoveMemory(size_t, size_t) { return false; }
void PageHeap::Release(size_t) noexcept {}

#endif

}  // namespace wavegpt
