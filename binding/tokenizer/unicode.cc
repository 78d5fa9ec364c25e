#include "unicode.h"

#include <cstring>

namespace wavegpt::tokenizer {
namespace {

struct Range {
  uint32_t first;
  uint32_t last;
  CharacterClass value;
};

constexpr Range kRanges[] = {
#include "unicode_ranges.inc"
};

// A character's bytes as far as they are valid: all of them, or those before the first that cannot
// follow.
struct Character {
  size_t length;
  bool valid;
};

Character ReadCharacter(const uint8_t* at, size_t left) {
  const uint8_t lead = at[0];
  if (lead < 0x80) return {1, true};
  if (lead < 0xC2 || lead > 0xF4) return {1, false};
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // Neither longer than needed, nor a surrogate, nor beyond U+10FFFF.
  const uint8_t lowest = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const uint8_t highest = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (left < 2 || at[1] < lowest || at[1] > highest) return {1, false};
  for (size_t i = 2; i < length; i++) {
    if (i >= left || (at[i] & 0xC0) != 0x80) return {i, false};
  }
  return {length, true};
}

// The end of the valid characters from `at` on.
size_t ValidUntil(const uint8_t* text, size_t at, size_t size) {
  while (at < size) {
    uint64_t eight;
    while (at + sizeof eight <= size) {
      std::memcpy(&eight, text + at, sizeof eight);
      if (eight & 0x8080808080808080) break;
      at += sizeof eight;
    }
    if (at >= size) break;
    const Character character = ReadCharacter(text + at, size - at);
    if (!character.valid) break;
    at += character.length;
  }
  return at;
}

}  // namespace

CharacterClasses::CharacterClasses() {
  for (const Range& range : kRanges) {
    for (uint32_t c = range.first; c <= range.last; c++)
      packed_[c >> 2] |= range.value << (c & 3) * 2;
  }
}

const CharacterClasses& CharacterClasses::Instance() {
  static const CharacterClasses instance;
  return instance;
}

size_t ValidUtf8(const uint8_t* text, size_t size) { return ValidUntil(text, 0, size); }

std::string RepairedUtf8(const uint8_t* text, size_t size) {
  std::string repaired;
  repaired.reserve(size + size / 8);
  for (size_t at = 0; at < size;) {
    const size_t valid = ValidUntil(text, at, size);
    repaired.append(reinterpret_cast<const char*>(text + at), valid - at);
    if (valid == size) break;
    repaired.append("\xEF\xBF\xBD");
    at = valid + ReadCharacter(text + valid, size - valid).length;
  }
  return repaired;
}

}  // namespace wavegpt::tokenizer
