#include "cpu_allocator.h"

#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <string>

#include "errors.h"
#include "large_block_allocator.h"
#include "small_block_allocator.h"

namespace wavegpt {
namespace {

PageHeap* heap = nullptr;

// The most bytes of unused large blocks to keep.
size_t ReadLimit() {
  constexpr size_t kMost = SIZE_MAX >> 20;
  const char* setting = std::getenv("WAVEGPT_CPU_CACHE");
  if (!setting || !*setting) return kMost << 20;
  size_t mebibytes = 0;
  const char* end = setting + std::strlen(setting);
  auto [rest, error] = std::from_chars(setting, end, mebibytes);
  if (rest != end || error != std::errc()) {
    throw BindingError("ERR_WAVEGPT_ARGUMENT",
                       "WAVEGPT_CPU_CACHE: expected a whole number of MiB, 0 for no cache, got \"" +
                           std::string(setting) + "\"");
  }
  return std::min(mebibytes, kMost) << 20;
}

bool Install() {
  size_t limit = ReadLimit();
  if (limit == 0) return false;
  // Never freed: tensors may outlive every environment.
  auto* large = new LargeBlockAllocator(c10::GetCPUAllocator(), limit);
  heap = &large->heap();
  c10::SetCPUAllocator(new SmallBlockAllocator(large), 1);
  return true;
}

}  // namespace

void InstallCpuAllocator() {
  static bool installed = Install();
  (void)installed;
}

void EmptyCpuCache() noexcept {
  SmallBlockAllocator::EmptyThreadCache();
  if (heap) heap->ReleaseSpare();
}

PageHeap::Statistics CpuMemory() noexcept { return heap ? heap->Read() : PageHeap::Statistics{}; }

void ResetPeakCpuMemory() noexcept {
  if (heap) heap->ResetPeak();
}

}  // namespace wavegpt
