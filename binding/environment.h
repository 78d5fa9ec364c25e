// What one JavaScript environment (the main thread or a worker) owns: tensors, scopes, generators,
// modes. Nothing here is shared between environments, so a terminated worker frees what it held.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "errors.h"
#include "frame.h"

namespace wavegpt {

struct Operator;

// References to typed arrays whose memory tensors share. A storage may be freed on any thread, a
// reference only on the JavaScript thread: so they are queued here and deleted at the environment's
// next call.
class SharedMemoryReferences {
 public:
  void QueueRelease(napi_ref reference);
  void Drain(napi_env env);
  void Close();

 private:
  std::mutex mutex_;
  std::atomic<bool> pending_ = false;
  std::vector<napi_ref> queue_;
  bool closed_ = false;
};

class Environment {
 public:
  explicit Environment(napi_env env);
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  // The environment of this thread; its pending releases are done first. Throws after its end.
  static Environment* From(napi_env env);

  // --- Tensors: a handle is generation * 2^32 + slot; a freed slot's generation changes.
  double Put(at::Tensor tensor);
  // A handle outside all scopes (gradients).
  double PutUnscoped(at::Tensor tensor);
  // Whether the number has a handle's form, live or stale.
  static bool IsHandle(double number);
  // Destroys one of the small tensors whose scopes have ended, if there is one.
  void DestroyOne() {
    if (!ended_.empty()) ended_.pop_back();
  }
  // Null where the handle is stale or never was one. Valid until the next Put.
  const at::Tensor* Find(double handle) const {
    const Slot* slot = FindSlot(handle);
    return slot ? &slot->tensor : nullptr;
  }
  void Release(double handle);
  // A tensor without dimensions that holds the number as a float32 or a float64. The same one each
  // time: for operators that keep no reference to it.
  const at::Tensor& NumberTensor(at::ScalarType type, double number);

  // --- Scopes
  uint32_t OpenScope();
  uint32_t CloseScope(uint32_t depth);
  uint32_t ScopeDepth() const { return static_cast<uint32_t>(marks_.size()); }
  void Keep(double handle);
  // From the scope at `depth`, where the tensor belongs to it, to the one around. Whether it is
  // outside all now.
  bool MoveToOuterScope(double handle, uint32_t depth);
  bool IsScoped(double handle) const;

  // --- Generators, with handles of their own
  double PutGenerator(at::Generator generator);
  const at::Generator* FindGenerator(double handle) const;
  void ReleaseGenerator(double handle);

  // Restores what the innermost autocast changed.
  void ExitAutocast();

  // --- Counters
  size_t LiveHandles() const { return live_; }
  int64_t LiveBytes() const;
  size_t LiveGenerators() const;
  int64_t ExternalBytes() const { return external_bytes_; }

  struct AutocastEntry {
    c10::DeviceType device;
    at::ScalarType dtype;
    bool enabled;
    bool cache_enabled;
  };

  napi_env env;
  std::vector<std::unique_ptr<Operator>> operators;
  std::unordered_map<std::string, size_t> operator_ids;
  std::vector<std::unique_ptr<c10::InferenceMode>> inference_modes;
  std::vector<AutocastEntry> autocast_entries;
  torch::jit::Stack stack;  // reused by each operator's call
  std::shared_ptr<SharedMemoryReferences> shared_memory;
  // Owned together with the array buffer that JavaScript sees it through.
  std::shared_ptr<Frame> frame = std::make_shared<Frame>();
  napi_ref frame_buffer = nullptr;
  std::array<int64_t, Frame::kNumbers> integers;  // of the frame, as integers

 private:
  struct Slot {
    at::Tensor tensor;
    uint32_t generation = 1;
    uint32_t scope = 0;    // depth of the scope that owns it; 0 for none
    int64_t reported = 0;  // bytes of it reported to V8
  };
  struct ScopeEntry {
    uint32_t slot;
    uint32_t generation;
  };
  struct GeneratorSlot {
    at::Generator generator;
    uint32_t generation = 1;
  };

  double Insert(at::Tensor tensor, uint32_t scope);
  static constexpr double kSlots = 4294967296.0;  // 2^32
  // The last generation for which generation * 2^32 + slot is an exact double. A slot that reaches
  // it is retired.
  static constexpr uint32_t kLastGeneration = (1u << 21) - 1;

  static double Encode(uint32_t slot, uint32_t generation) { return generation * kSlots + slot; }

  static bool Decode(double handle, uint32_t* slot, uint32_t* generation) {
    if (!(handle >= kSlots && handle < kSlots * (kLastGeneration + 1.0))) return false;
    auto bits = static_cast<int64_t>(handle);
    if (static_cast<double>(bits) != handle) return false;
    *slot = static_cast<uint32_t>(bits);
    *generation = static_cast<uint32_t>(bits >> 32);
    return true;
  }

  const Slot* FindSlot(double handle, uint32_t* index = nullptr) const {
    uint32_t slot, generation;
    if (!Decode(handle, &slot, &generation) || slot >= slots_.size()) return nullptr;
    const Slot& found = slots_[slot];
    if (found.generation != generation || !found.tensor.defined()) return nullptr;
    if (index) *index = slot;
    return &found;
  }
  Slot* FindSlot(double handle, uint32_t* index = nullptr) {
    return const_cast<Slot*>(std::as_const(*this).FindSlot(handle, index));
  }
  void Free(uint32_t index);
  void Destroy(at::Tensor tensor);
  void ReportBytes(Slot& slot);
  void AdjustExternal(int64_t bytes);

  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  std::vector<ScopeEntry> scope_entries_;
  std::vector<size_t> marks_;  // where each open scope begins in scope_entries_
  // A hundred tensors freed at once overflow the C library's caches of free blocks, one freed with
  // each that is made does not. So small ones wait here to be destroyed, by the next calls.
  std::vector<at::Tensor> ended_;
  at::Tensor float_number_;
  at::Tensor double_number_;
  std::vector<GeneratorSlot> generators_;
  std::vector<uint32_t> free_generators_;
  size_t live_ = 0;
  int64_t external_bytes_ = 0;
  int64_t external_pending_ = 0;  // not told to V8 yet
};

}  // namespace wavegpt
