// libtorch's profiler (Kineto): recording this thread, named ranges, events, the Chrome trace.
#include <torch/csrc/autograd/profiler_kineto.h>

#include <cstdlib>

#include "methods.h"

namespace wavegpt {
namespace {

namespace profiler = torch::autograd::profiler;
using torch::profiler::impl::ActivityType;

// libkineto::ActivityType::GPU_USER_ANNOTATION: a range as the GPU's time line shows it.
constexpr uint8_t kGpuUserAnnotation = 2;

struct Range {
  explicit Range(double id) : id(id), record(at::RecordScope::USER_SCOPE) {}
  const double id;
  at::RecordFunction record;  // ends with this
};

using Ranges = std::vector<std::unique_ptr<Range>>;

// Kineto records one profile a process, and that of one thread and the threads which work for it.
std::atomic<bool> recording_somewhere = false;
// The open ranges of the profile that is being recorded on this thread.
thread_local std::unique_ptr<Ranges> recording;
// Never counted back, so that a range of an earlier profile is not taken for one of this.
thread_local double last_range = 0;

// Kineto tells standard error when it starts and stops, unless this variable, which it reads at its
// first start, asks for less than that. What goes wrong is thrown.
class QuietKineto {
 public:
  QuietKineto() : ours_(std::getenv(kName) == nullptr) {
    if (ours_) Set("6");
  }
  ~QuietKineto() {
    if (ours_) Set("");
  }

 private:
  static constexpr const char* kName = "KINETO_LOG_LEVEL";
  static void Set(const char* value) {
#ifdef _WIN32
    _putenv_s(kName, value);
#else
    if (*value) {
      setenv(kName, value, 1);
    } else {
      unsetenv(kName);
    }
#endif
  }
  const bool ours_;
};

std::unique_ptr<profiler::ProfilerResult> EndRecording() {
  struct Free {
    ~Free() { recording_somewhere = false; }
  } free;
  // Their ends are written into the profiler's memory, so they end before it, innermost first.
  while (!recording->empty()) recording->pop_back();
  recording.reset();
  return profiler::disableProfiler();
}

// A worker that is terminated while it records gives the profiler free.
void AbandonRecording(void*) {
  try {
    if (recording) EndRecording();
  } catch (...) {
    // Nobody is left to be told.
  }
}

napi_value startProfiler(Call& call) {
  std::set<ActivityType> activities;
  if (call.Boolean(0, "cpu")) activities.insert(ActivityType::CPU);
  if (call.Boolean(1, "cuda")) activities.insert(ActivityType::CUDA);
  if (activities.empty()) ThrowArgument(call.name, "cpu", "an activity to record", "none");
  if (activities.count(ActivityType::CUDA) && !at::hasCUDA()) {
    ThrowArgument(call.name, "cuda", "false where libtorch finds no GPU", "true");
  }
  torch::profiler::impl::ProfilerConfig config(torch::profiler::impl::ProfilerState::KINETO,
                                               call.Boolean(2, "recordShapes"));
  if (recording || torch::profiler::impl::profilerEnabled()) {
    throw BindingError("ERR_WAVEGPT_PROFILER", "a profile is being recorded on this thread already",
                       call.name);
  }
  if (recording_somewhere.exchange(true)) {
    throw BindingError("ERR_WAVEGPT_PROFILER",
                       "another thread is being profiled, and a process records one profile at a "
                       "time",
                       call.name);
  }
  bool hooked = false;
  try {
    auto ranges = std::make_unique<Ranges>();
    Check(call.env, napi_add_env_cleanup_hook(call.env, AbandonRecording, nullptr));
    hooked = true;
    {
      QuietKineto quiet;
      profiler::prepareProfiler(config, activities);
    }
    profiler::enableProfiler(config, activities);
    recording = std::move(ranges);
  } catch (...) {
    if (hooked) napi_remove_env_cleanup_hook(call.env, AbandonRecording, nullptr);
    recording_somewhere = false;
    throw;
  }
  return call.Undefined();
}

// What a profile recorded; kept by a JavaScript object until that is collected.
struct Trace {
  std::unique_ptr<profiler::ProfilerResult> result;
  bool saved = false;
};

constexpr napi_type_tag kTraceTag = {0x6a7c1f0d52b94e83, 0x9be1d3476c20f5a8};

Trace& ReadTrace(const Call& call, size_t index) {
  napi_value value = call.raw(index);
  napi_valuetype type = napi_undefined;
  bool is_trace = false;
  void* trace = nullptr;
  if (value != nullptr) Check(call.env, napi_typeof(call.env, value, &type));
  if (type == napi_object) {
    Check(call.env, napi_check_object_type_tag(call.env, value, &kTraceTag, &is_trace));
  }
  if (!is_trace || napi_unwrap(call.env, value, &trace) != napi_ok) {
    ThrowArgument(call.name, "trace", "what stopProfiler returned", Describe(call.env, value));
  }
  return *static_cast<Trace*>(trace);
}

napi_value stopProfiler(Call& call) {
  if (!recording) {
    throw BindingError("ERR_WAVEGPT_PROFILER", "no profile is being recorded on this thread",
                       call.name);
  }
  Check(call.env, napi_remove_env_cleanup_hook(call.env, AbandonRecording, nullptr));
  auto trace = std::make_unique<Trace>();
  trace->result = EndRecording();
  napi_value object;
  Check(call.env, napi_create_object(call.env, &object));
  Check(call.env, napi_type_tag_object(call.env, object, &kTraceTag));
  Check(call.env, napi_wrap(
                      call.env, object, trace.get(),
                      [](napi_env, void* data, void*) { delete static_cast<Trace*>(data); },
                      nullptr, nullptr));
  trace.release();
  return object;
}

napi_value WriteEvent(const Call& call, const profiler::KinetoEvent& event, uint64_t origin) {
  napi_value object;
  Check(call.env, napi_create_object(call.env, &object));
  auto set = [&](const char* key, napi_value value) {
    Check(call.env, napi_set_named_property(call.env, object, key, value));
  };
  auto microseconds = [](uint64_t from, uint64_t to) {
    return static_cast<double>(static_cast<int64_t>(to - from)) / 1000;
  };
  set("name", call.NewString(event.name()));
  set("start", call.NewNumber(microseconds(origin, event.startNs())));
  set("duration", call.NewNumber(microseconds(0, event.durationNs())));
  set("thread", call.NewNumber(static_cast<double>(event.startThreadId())));
  set("deviceType", call.NewString(c10::DeviceTypeName(event.deviceType(), true)));
  set("isUserAnnotation",
      call.NewBoolean(event.scope() == static_cast<uint8_t>(at::RecordScope::USER_SCOPE) ||
                      event.activityType() == kGpuUserAnnotation));
  set("isAsync", call.NewBoolean(event.isAsync()));
  set("correlation", call.NewNumber(static_cast<double>(event.correlationId())));
  set("linkedCorrelation", call.NewNumber(static_cast<double>(event.linkedCorrelationId())));
  return object;
}

napi_value profilerEvents(Call& call) {
  const profiler::ProfilerResult& result = *ReadTrace(call, 0).result;
  napi_value array;
  Check(call.env, napi_create_array(call.env, &array));
  uint32_t count = 0;
  for (const profiler::KinetoEvent& event : result.events()) {
    if (event.isHiddenEvent()) continue;
    napi_handle_scope scope;
    Check(call.env, napi_open_handle_scope(call.env, &scope));
    Check(call.env, napi_set_element(call.env, array, count++,
                                     WriteEvent(call, event, result.trace_start_ns())));
    Check(call.env, napi_close_handle_scope(call.env, scope));
  }
  return array;
}

napi_value saveProfilerTrace(Call& call) {
  Trace& trace = ReadTrace(call, 0);
  std::string path = call.String(1, "path");
  if (trace.saved) {
    throw BindingError("ERR_WAVEGPT_PROFILER",
                       "the trace was written already, and libtorch writes it once", call.name);
  }
  trace.saved = true;
  trace.result->save(path);
  return call.Undefined();
}

// Kineto writes names into JSON as they are, if they are ASCII; this keeps them readable and valid.
std::string PlainName(const std::string& name) {
  std::string plain;
  for (unsigned char byte : name) {
    if ((byte & 0xc0) == 0x80) continue;  // the rest of a character of several bytes
    if (byte == '"') {
      plain += '\'';
    } else if (byte == '\\') {
      plain += '/';
    } else {
      plain += byte < 0x20 || byte > 0x7e ? '?' : static_cast<char>(byte);
    }
  }
  return plain;
}

napi_value beginProfilerRange(Call& call) {
  std::string name = PlainName(call.String(0, "name"));
  if (!recording) return call.NewNumber(0);
  recording->push_back(std::make_unique<Range>(++last_range));
  at::RecordFunction& record = recording->back()->record;
  if (record.isActive()) record.before(std::string_view(name));
  return call.NewNumber(last_range);
}

napi_value endProfilerRange(Call& call) {
  double id = call.Number(0, "range");
  if (!recording) return call.Undefined();
  auto found = std::find_if(recording->begin(), recording->end(),
                            [id](const auto& range) { return range->id == id; });
  if (found == recording->end()) return call.Undefined();  // ended with an earlier profile
  if (found + 1 != recording->end()) {
    throw BindingError("ERR_WAVEGPT_SCOPE",
                       "a range was ended out of order: others that began in it are open",
                       call.name);
  }
  recording->pop_back();
  return call.Undefined();
}

}  // namespace

std::vector<MethodEntry> ProfilerMethods() {
  return {
      WAVEGPT_METHOD(startProfiler),      WAVEGPT_METHOD(stopProfiler),
      WAVEGPT_METHOD(profilerEvents),     WAVEGPT_METHOD(saveProfilerTrace),
      WAVEGPT_METHOD(beginProfilerRange), WAVEGPT_METHOD(endProfilerRange),
  };
}

}  // namespace wavegpt
