// What decides which elements an operator drops.
#pragma once

#include "kernels/autograd.h"

namespace wavegpt::kernels {

// A number; or in a step that is captured in a CUDA graph, the place in the GPU's memory where
// each replay finds the number it was given.
class DropoutSeed {
 public:
  // Nothing is dropped by it.
  DropoutSeed() = default;
  explicit DropoutSeed(int64_t number) : number_(number) {}
  // An int64 scalar.
  explicit DropoutSeed(at::Tensor place) : place_(std::move(place)) {}

  // Throws where the number is known to the GPU alone.
  int64_t number() const;
  // For a kernel that runs on the device of x: 0 where it has to read place().
  uint64_t bits_for(const at::Tensor& x) const;
  // Null where the number is the seed.
  const int64_t* place() const;

  void save(AutogradContext* ctx) const;
  static DropoutSeed saved(AutogradContext* ctx);

 private:
  int64_t number_ = 0;
  at::Tensor place_;
};

// A number of libtorch's default CPU generator, which torch.manualSeed sets and checkpoints hold.
// Nothing is drawn where p is 0 or the model does not train.
DropoutSeed draw_dropout_seed(double p, bool train);

// Until the end, seeds drawn on this thread are the next elements of `places` (int64), and the
// generator is left alone.
void begin_seed_capture(at::Tensor places);
// Returns how many were taken.
int64_t end_seed_capture();

// Fills the first `count` places with what as many draws would have given; does not wait.
void draw_captured_seeds(const at::Tensor& places, int64_t count);

}  // namespace wavegpt::kernels
