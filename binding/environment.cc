#include "environment.h"

#include <cmath>
#include <unordered_set>

#include "operators.h"

namespace wavegpt {
namespace {

// V8 is told of external memory in steps of this size: telling it costs more than many operators.
constexpr int64_t kExternalStep = 1 << 20;
// Of the tensors that wait to be destroyed: how many, and how large each may be.
constexpr size_t kMostEnded = 256;
constexpr int64_t kLargestEnded = 4096;

}  // namespace

void SharedMemoryReferences::QueueRelease(napi_ref reference) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) return;
  queue_.push_back(reference);
  pending_ = true;
}

void SharedMemoryReferences::Drain(napi_env env) {
  if (!pending_.load(std::memory_order_relaxed)) return;
  std::vector<napi_ref> ready;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    ready.swap(queue_);
    pending_ = false;
  }
  for (napi_ref reference : ready) napi_delete_reference(env, reference);
}

void SharedMemoryReferences::Close() {
  std::lock_guard<std::mutex> lock(mutex_);
  closed_ = true;
  queue_.clear();
}

Environment::Environment(napi_env env)
    : env(env), shared_memory(std::make_shared<SharedMemoryReferences>()) {
  ended_.reserve(kMostEnded);
}

Environment::~Environment() {
  // Modes are the thread's: undo them in reverse order, then free everything.
  while (!autocast_entries.empty()) ExitAutocast();
  while (!inference_modes.empty()) inference_modes.pop_back();
  shared_memory->Close();
  slots_.clear();
}

Environment* Environment::From(napi_env env) {
  void* data = nullptr;
  Check(env, napi_get_instance_data(env, &data));
  if (!data) throw BindingError("ERR_WAVEGPT_NODE", "the environment has ended");
  auto* environment = static_cast<Environment*>(data);
  environment->shared_memory->Drain(env);
  return environment;
}

bool Environment::IsHandle(double number) {
  uint32_t slot, generation;
  return Decode(number, &slot, &generation);
}

double Environment::Insert(at::Tensor tensor, uint32_t scope) {
  uint32_t index;
  if (!free_.empty()) {
    index = free_.back();
    free_.pop_back();
  } else {
    if (slots_.size() >= UINT32_MAX) {
      throw BindingError("ERR_WAVEGPT_OUT_OF_MEMORY", "too many live tensors");
    }
    index = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
    // Freeing must never allocate: it happens where an exception could not be reported.
    free_.reserve(slots_.capacity());
  }
  Slot& slot = slots_[index];
  slot.tensor = std::move(tensor);
  slot.scope = scope;
  ++live_;
  if (scope == 0) {
    ReportBytes(slot);
  } else {
    try {
      scope_entries_.push_back({index, slot.generation});
    } catch (...) {
      Free(index);
      throw;
    }
  }
  return Encode(index, slot.generation);
}

double Environment::Put(at::Tensor tensor) { return Insert(std::move(tensor), ScopeDepth()); }

double Environment::PutUnscoped(at::Tensor tensor) { return Insert(std::move(tensor), 0); }

void Environment::Free(uint32_t index) {
  Slot& slot = slots_[index];
  if (slot.reported) AdjustExternal(-slot.reported);
  slot.reported = 0;
  slot.scope = 0;
  --live_;
  if (++slot.generation < kLastGeneration) free_.push_back(index);
  // Last: a custom deleter may look at this environment.
  Destroy(std::move(slot.tensor));
}

void Environment::Destroy(at::Tensor tensor) {
  const at::TensorImpl& impl = *tensor.unsafeGetTensorImpl();
  if (ended_.size() == kMostEnded || !impl.has_storage() || impl.is_sparse() ||
      impl.is_python_dispatch())
    return;
  const c10::StorageImpl& storage = *impl.unsafe_storage().unsafeGetStorageImpl();
  // Memory of others is given back at once, and what a graph holds may be large.
  if (!storage.allocator() ||
      storage.sym_nbytes().maybe_as_int().value_or(INT64_MAX) > kLargestEnded ||
      impl.requires_grad()) {
    return;
  }
  ended_.push_back(std::move(tensor));
}

const at::Tensor& Environment::NumberTensor(at::ScalarType type, double number) {
  at::Tensor& tensor = type == at::kFloat ? float_number_ : double_number_;
  if (C10_UNLIKELY(!tensor.defined())) {
    c10::InferenceMode normal(false);
    tensor = at::empty({}, at::TensorOptions(type).device(at::kCPU));
    tensor.unsafeGetTensorImpl()->set_wrapped_number(true);
  }
  void* data = tensor.unsafeGetTensorImpl()->mutable_data();
  if (type == at::kFloat) {
    *static_cast<float*>(data) = static_cast<float>(number);
  } else {
    *static_cast<double*>(data) = number;
  }
  return tensor;
}

void Environment::Release(double handle) {
  uint32_t index;
  if (FindSlot(handle, &index)) Free(index);
}

uint32_t Environment::OpenScope() {
  marks_.push_back(scope_entries_.size());
  return ScopeDepth();
}

uint32_t Environment::CloseScope(uint32_t depth) {
  if (depth != ScopeDepth() || depth == 0) {
    throw BindingError("ERR_WAVEGPT_SCOPE", "scope closed out of order: scope " +
                                                std::to_string(depth) +
                                                " was closed while the innermost open scope is " +
                                                std::to_string(ScopeDepth()));
  }
  size_t kept = marks_.back();
  uint32_t freed = 0;
  for (size_t at = kept; at < scope_entries_.size(); ++at) {
    ScopeEntry entry = scope_entries_[at];
    Slot& slot = slots_[entry.slot];
    if (slot.generation != entry.generation) continue;
    if (slot.scope == depth) {
      Free(entry.slot);
      ++freed;
    } else if (slot.scope > 0) {
      scope_entries_[kept++] = entry;  // moved out: it now belongs to the scope around
    }
  }
  scope_entries_.resize(kept);
  marks_.pop_back();
  return freed;
}

void Environment::Keep(double handle) {
  if (Slot* slot = FindSlot(handle)) {
    if (slot->scope == 0) return;
    slot->scope = 0;
    ReportBytes(*slot);
  }
}

bool Environment::MoveToOuterScope(double handle, uint32_t depth) {
  Slot* slot = FindSlot(handle);
  if (!slot) return false;
  if (slot->scope > 0 && slot->scope == depth && --slot->scope == 0) ReportBytes(*slot);
  return slot->scope == 0;
}

bool Environment::IsScoped(double handle) const {
  const Slot* slot = FindSlot(handle);
  return slot && slot->scope > 0;
}

void Environment::ReportBytes(Slot& slot) {
  const at::Tensor& tensor = slot.tensor;
  if (!tensor.has_storage() || slot.reported) return;
  slot.reported = static_cast<int64_t>(tensor.storage().sym_nbytes().maybe_as_int().value_or(0));
  AdjustExternal(slot.reported);
}

void Environment::AdjustExternal(int64_t bytes) {
  external_bytes_ += bytes;
  external_pending_ += bytes;
  if (external_pending_ > -kExternalStep && external_pending_ < kExternalStep) return;
  int64_t total;
  napi_adjust_external_memory(env, external_pending_, &total);
  external_pending_ = 0;
}

int64_t Environment::LiveBytes() const {
  std::unordered_set<const void*> seen;
  int64_t bytes = 0;
  for (const Slot& slot : slots_) {
    if (!slot.tensor.defined() || !slot.tensor.has_storage()) continue;
    const auto* storage = slot.tensor.storage().unsafeGetStorageImpl();
    if (seen.insert(storage).second) bytes += static_cast<int64_t>(storage->nbytes());
  }
  return bytes;
}

double Environment::PutGenerator(at::Generator generator) {
  uint32_t index;
  if (!free_generators_.empty()) {
    index = free_generators_.back();
    free_generators_.pop_back();
  } else {
    index = static_cast<uint32_t>(generators_.size());
    generators_.emplace_back();
  }
  generators_[index].generator = std::move(generator);
  return Encode(index, generators_[index].generation);
}

const at::Generator* Environment::FindGenerator(double handle) const {
  uint32_t index, generation;
  if (!Decode(handle, &index, &generation) || index >= generators_.size()) return nullptr;
  const GeneratorSlot& slot = generators_[index];
  return slot.generation == generation && slot.generator.defined() ? &slot.generator : nullptr;
}

void Environment::ReleaseGenerator(double handle) {
  if (!FindGenerator(handle)) return;
  auto index = static_cast<uint32_t>(static_cast<uint64_t>(handle));
  GeneratorSlot& slot = generators_[index];
  slot.generator = at::Generator();
  if (++slot.generation < kLastGeneration) free_generators_.push_back(index);
}

void Environment::ExitAutocast() {
  AutocastEntry entry = autocast_entries.back();
  autocast_entries.pop_back();
  // Copies of weights in the lower precision live as long as the outermost autocast.
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(entry.device, entry.enabled);
  at::autocast::set_autocast_dtype(entry.device, entry.dtype);
  at::autocast::set_autocast_cache_enabled(entry.cache_enabled);
}

size_t Environment::LiveGenerators() const { return generators_.size() - free_generators_.size(); }

}  // namespace wavegpt
