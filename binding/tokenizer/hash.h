// A hash of short byte strings.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace wavegpt::tokenizer {

inline uint64_t Mix(uint64_t value) {
  value = (value ^ value >> 32) * 0xD6E8FEB86659FD93;
  return value ^ value >> 32;
}

inline uint64_t Hash(std::string_view text) {
  uint64_t hash = text.size() * 0x9E3779B97F4A7C15;
  const char* at = text.data();
  size_t left = text.size();
  for (; left >= 8; left -= 8, at += 8) {
    uint64_t eight;
    std::memcpy(&eight, at, 8);
    hash = Mix(hash ^ eight);
  }
  if (left > 0) {
    uint64_t rest = 0;
    std::memcpy(&rest, at, left);
    hash = Mix(hash ^ rest);
  }
  return hash;
}

}  // namespace wavegpt::tokenizer
