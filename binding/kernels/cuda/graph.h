// Work for a CUDA device that is recorded once and launched again as a whole.
#pragma once

#include <c10/core/Device.h>

#include <memory>

namespace wavegpt::kernels {

// Of one thread. Recorded is what is launched on the graph's own stream between begin() and end();
// memory that is asked for meanwhile comes from a pool which no other work uses.
class CudaGraph {
 public:
  virtual ~CudaGraph() = default;

  // Makes the graph's stream the thread's current one, behind all work of the stream that was.
  virtual void enter() = 0;
  // The other way round.
  virtual void leave() = 0;

  // Both within enter() and leave(). What was recorded before is gone.
  virtual void begin() = 0;
  virtual void end() = 0;
  // In place of end(), where what was to be recorded failed: there is nothing to launch then.
  virtual void abandon() noexcept = 0;

  // On the current stream. Does not wait.
  virtual void launch() = 0;
  // Waits for the device, and gives the pool back.
  virtual void reset() = 0;
};

// In the second library.
namespace cuda {
std::unique_ptr<CudaGraph> make_graph(c10::DeviceIndex device);
}

}  // namespace wavegpt::kernels
