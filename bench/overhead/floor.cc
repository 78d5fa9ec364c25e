// The operator overhead's floor: the same calls from C++, where no language is between the program
// and libtorch. Answers as the workers of bench/pairs/worker.ts do.
//   overhead_floor cached|plain    with the addon's cache of small blocks, or with libtorch's own
//   allocator
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <map>
#include <string>

#include "../../binding/small_block_allocator.h"

namespace {

using Run = void (*)(size_t times);

struct Tensors {
  at::Tensor x = at::randn({4, 4}), y = at::randn({4, 4}), z = at::randn({4, 4}), s = at::randn({});
  at::Tensor p = at::randn({4, 4}).requires_grad_(), b = at::randn({4}).requires_grad_();
};

const Tensors& tensors() {
  static const Tensors made;
  return made;
}

// What is made is destroyed at once, as Python does.
#define REPEAT(expression)                                       \
  [](size_t times) {                                             \
    [[maybe_unused]] const auto& [x, y, z, s, p, b] = tensors(); \
    for (size_t done = 0; done < times; ++done) {                \
      [[maybe_unused]] auto&& result = expression;               \
      asm volatile("" : : "g"(&result) : "memory");              \
    }                                                            \
  }

const std::map<std::string, Run>& Cases() {
  static const std::map<std::string, Run> cases = {
      {"torch.add(x, y)", REPEAT(at::add(x, y))},
      {"x + y", REPEAT(at::add(x, y))},
      {"p + y", REPEAT(at::add(p, y))},
      {"x + 1", REPEAT(at::add(x, 1))},
      {"torch.add(x, y, alpha=2)", REPEAT(at::add(x, y, 2))},
      {"torch.add(x, y, out=z)", REPEAT(at::add_out(const_cast<at::Tensor&>(z), x, y))},
      {"z.add_(y)", REPEAT(z.add_(y))},
      {"x * y", REPEAT(at::mul(x, y))},
      {"p * y", REPEAT(at::mul(p, y))},
      {"x.relu()", REPEAT(at::relu(x))},
      {"x.view(2, 8)", REPEAT(x.view({2, 8}))},
      {"x.reshape((2, 8))", REPEAT(x.reshape({2, 8}))},
      {"x.transpose(0, 1)", REPEAT(x.transpose(0, 1))},
      {"x[0]", REPEAT(x.select(0, 0))},
      {"x[:, 1:3]", REPEAT(x.slice(1, 1, 3))},
      {"x.sum()", REPEAT(x.sum())},
      {"x.sum(1, keepdim=True)", REPEAT(x.sum(1, true))},
      {"x.softmax(-1)", REPEAT(x.softmax(-1))},
      {"torch.cat([x, y])", REPEAT(at::cat({x, y}))},
      {"torch.zeros((4, 4))", REPEAT(at::zeros({4, 4}))},
      {"x @ y", REPEAT(x.matmul(y))},
      {"F.linear(x, p, b)", REPEAT(at::linear(x, p, b))},
      {"F.layer_norm(x, (4,), b, b)", REPEAT(at::layer_norm(x, {4}, b, b))},
      {"x.shape", REPEAT(x.sizes().vec())},
      {"s.item()", REPEAT(s.item())},
      {"(p * y).sum().backward()", REPEAT((at::mul(p, y).sum().backward(), 0))},
  };
  return cases;
}

// The value of a field of one JSON line; nothing here needs an escape.
std::string Field(const std::string& line, const std::string& name) {
  size_t at = line.find("\"" + name + "\":");
  if (at == std::string::npos) return "";
  at += name.size() + 3;
  bool text = line[at] == '"';
  if (text) ++at;
  return line.substr(at, (text ? line.find('"', at) : line.find_first_of(",}", at)) - at);
}

double Nanoseconds(Run run, size_t times) {
  using Clock = std::chrono::steady_clock;
  auto begin = Clock::now();
  run(times);
  return std::chrono::duration<double, std::nano>(Clock::now() - begin).count() /
         static_cast<double>(times);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2 || (std::strcmp(arguments[1], "cached") && std::strcmp(arguments[1], "plain"))) {
    std::cerr << "usage: overhead_floor cached|plain\n";
    return 2;
  }
  if (!std::strcmp(arguments[1], "cached")) wavegpt::InstallSmallBlockAllocator();
  at::set_num_threads(1);
  for (std::string line; std::getline(std::cin, line);) {
    auto found = Cases().find(Field(line, "statement"));
    if (found == Cases().end()) {
      std::cout << "{\"error\":\"no such case: " << Field(line, "statement") << "\"}" << std::endl;
      continue;
    }
    size_t times = std::strtoull(Field(line, "times").c_str(), nullptr, 10);
    std::cout << "{\"value\":" << Nanoseconds(found->second, std::max<size_t>(times, 1)) << "}"
              << std::endl;
  }
}
