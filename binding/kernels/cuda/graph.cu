#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/Event.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <optional>

#include "kernels/cuda/graph.h"

namespace wavegpt::kernels::cuda {
namespace {

void wait_for(const c10::Stream& waiting, const c10::Stream& other) {
  c10::Event done(c10::DeviceType::CUDA);
  done.record(other);
  done.block(waiting);
}

// libtorch's own graph does the work: operators that draw from the device's generator, and the
// caching allocator, know of it.
class LibtorchGraph final : public CudaGraph {
 public:
  explicit LibtorchGraph(c10::DeviceIndex device)
      : stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device)) {}

  ~LibtorchGraph() override {
    try {
      reset();
    } catch (const std::exception& error) {
      TORCH_WARN("a CUDA graph could not be freed: ", error.what());
    }
  }

  void enter() override {
    const auto outer = c10::cuda::getCurrentCUDAStream(stream_.device_index());
    wait_for(stream_, outer);
    entered_.emplace(stream_);
    outer_ = outer;
  }

  void leave() override {
    TORCH_CHECK(entered_, "the graph's stream is not the current one");
    entered_.reset();
    wait_for(*outer_, stream_);
    outer_.reset();
  }

  void begin() override {
    TORCH_CHECK(entered_, "the graph's stream is not the current one");
    reset();
    // As torch.cuda.graph does: unused memory is given back, for the pool to take.
    c10::cuda::device_synchronize();
    c10::cuda::CUDACachingAllocator::emptyCache();
    graph_.emplace();
    // Other threads may go on calling CUDA: workers that load data, evaluate or generate. What of
    // the step itself may not be captured, as waiting for its stream, is an error on any thread.
    graph_->capture_begin(/*pool=*/{0, 0}, cudaStreamCaptureModeThreadLocal);
  }

  void end() override {
    TORCH_CHECK(graph_, "the graph captures nothing");
    try {
      graph_->capture_end();
    } catch (...) {
      graph_.reset();
      throw;
    }
  }

  void abandon() noexcept override {
    if (!graph_) return;
    try {
      graph_->capture_end();
    } catch (const std::exception&) {
      // The capture was invalid; what made it so is being thrown.
    }
    graph_.reset();
  }

  void launch() override {
    TORCH_CHECK(graph_, "the graph has captured nothing");
    graph_->replay();
  }

  void reset() override {
    if (!graph_) return;
    const c10::cuda::CUDAGuard device(stream_.device_index());
    // It may be running.
    c10::cuda::device_synchronize();
    graph_.reset();
  }

 private:
  const c10::cuda::CUDAStream stream_;
  std::optional<c10::cuda::CUDAStream> outer_;
  std::optional<c10::cuda::CUDAStreamGuard> entered_;
  std::optional<at::cuda::CUDAGraph> graph_;
};

}  // namespace

std::unique_ptr<CudaGraph> make_graph(c10::DeviceIndex device) {
  return std::make_unique<LibtorchGraph>(device);
}

}  // namespace wavegpt::kernels::cuda
