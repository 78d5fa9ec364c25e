// Working memory of a thread, cut from one piece. For files in kernels/cpu.
#pragma once

#include <cstdint>
#include <memory>
#include <new>

namespace wavegpt::kernels {
namespace {

class Workspace {
 public:
  template <typename T>
  void reserve(int64_t count) {
    size_ += align(count * static_cast<int64_t>(sizeof(T)));
  }

  void allocate() {
    memory_.reset(static_cast<char*>(::operator new(static_cast<size_t>(size_), kLine)));
  }

  template <typename T>
  T* take(int64_t count) {
    auto* taken = reinterpret_cast<T*>(memory_.get() + taken_);
    taken_ += align(count * static_cast<int64_t>(sizeof(T)));
    return taken;
  }

 private:
  static constexpr std::align_val_t kLine{64};
  struct Free {
    void operator()(char* memory) const { ::operator delete(memory, kLine); }
  };
  static int64_t align(int64_t bytes) { return (bytes + 63) / 64 * 64; }

  int64_t size_ = 0, taken_ = 0;
  std::unique_ptr<char, Free> memory_;
};

}  // namespace
}  // namespace wavegpt::kernels
