// Operators that JavaScript may not call, and why.
#include <unordered_map>

#include "operators.h"

namespace wavegpt {

const char* RefusalReason(const std::string& full_name) {
  static const std::unordered_map<std::string, const char*> kRefused = {};
  auto found = kRefused.find(full_name);
  return found == kRefused.end() ? nullptr : found->second;
}

}  // namespace wavegpt
