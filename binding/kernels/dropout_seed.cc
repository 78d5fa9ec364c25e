#include "kernels/dropout_seed.h"

namespace wavegpt::kernels {
namespace {

// Of the capture that this thread is in.
thread_local at::Tensor places_of_capture;
thread_local int64_t places_taken = 0;

void draw(int64_t* numbers, int64_t count) {
  auto generator = at::detail::getDefaultCPUGenerator();
  std::lock_guard<std::mutex> lock(generator.mutex());
  auto* cpu = at::check_generator<at::CPUGeneratorImpl>(generator);
  for (int64_t i = 0; i < count; i++) numbers[i] = static_cast<int64_t>(cpu->random64());
}

}  // namespace

int64_t DropoutSeed::number() const {
  TORCH_CHECK(
      !place_.defined(),
      "while a CUDA graph is captured, seeds lie in its GPU's memory: dropout elsewhere cannot "
      "read them");
  return number_;
}

uint64_t DropoutSeed::bits_for(const at::Tensor& x) const {
  const bool reads_place = place_.defined() && x.is_cuda() && x.device() == place_.device();
  return reads_place ? 0 : static_cast<uint64_t>(number());
}

const int64_t* DropoutSeed::place() const {
  return place_.defined() ? place_.const_data_ptr<int64_t>() : nullptr;
}

void DropoutSeed::save(AutogradContext* ctx) const {
  ctx->saved_data["seed"] = number_;
  if (place_.defined()) ctx->saved_data["seed_place"] = place_;
}

DropoutSeed DropoutSeed::saved(AutogradContext* ctx) {
  const auto place = ctx->saved_data.find("seed_place");
  if (place != ctx->saved_data.end()) return DropoutSeed(place->second.toTensor());
  return DropoutSeed(ctx->saved_data["seed"].toInt());
}

DropoutSeed draw_dropout_seed(double p, bool train) {
  if (!train || p == 0) return {};
  if (!places_of_capture.defined()) {
    int64_t number;
    draw(&number, 1);
    return DropoutSeed(number);
  }
  TORCH_CHECK(places_taken < places_of_capture.numel(), "a CUDA graph can capture at most ",
              places_of_capture.numel(), " operators that drop");
  return DropoutSeed(places_of_capture.select(0, places_taken++));
}

void begin_seed_capture(at::Tensor places) {
  TORCH_CHECK(!places_of_capture.defined(), "a CUDA graph is being captured on this thread");
  TORCH_CHECK(places.scalar_type() == at::kLong && places.dim() == 1 && places.is_contiguous(),
              "places must be contiguous int64 of one dimension");
  places_of_capture = std::move(places);
  places_taken = 0;
}

int64_t end_seed_capture() {
  places_of_capture.reset();
  return places_taken;
}

void draw_captured_seeds(const at::Tensor& places, int64_t count) {
  TORCH_CHECK(places.scalar_type() == at::kLong && places.dim() == 1 && count >= 0 &&
                  count <= places.numel(),
              "places must be at least ", count, " int64 of one dimension");
  if (count == 0) return;
  const at::NoGradGuard no_grad;
  // Pinned, so that nothing waits for the copy; libtorch keeps the memory until it is done.
  const auto drawn =
      at::empty({count}, at::TensorOptions(at::kLong).pinned_memory(places.is_cuda()));
  draw(drawn.mutable_data_ptr<int64_t>(), count);
  places.narrow(0, 0, count).copy_(drawn, /*non_blocking=*/true);
}

}  // namespace wavegpt::kernels
