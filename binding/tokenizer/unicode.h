// What text is made of: code points as UTF-8, and the classes by which it is split into words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace wavegpt::tokenizer {

// \p{L}, \p{N}, \s and all the rest.
enum CharacterClass : uint8_t { kOther, kLetter, kNumber, kSpace };

// No code point from here on is a letter, a number or a space.
inline constexpr uint32_t kClassified = 0x40000;

class CharacterClasses {
 public:
  static const CharacterClasses& Instance();

  CharacterClass operator[](uint32_t code_point) const {
    if (code_point >= kClassified) return kOther;
    return static_cast<CharacterClass>(packed_[code_point >> 2] >> (code_point & 3) * 2 & 3);
  }

 private:
  CharacterClasses();

  uint8_t packed_[kClassified / 4] = {};
};

// A code point and the bytes that it takes.
struct CodePoint {
  uint32_t value;
  size_t length;
};

// The code point that begins at `at`, of valid UTF-8.
inline CodePoint Decode(const uint8_t* at) {
  const uint32_t lead = at[0];
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) return {(lead & 0x1F) << 6 | (at[1] & 0x3Fu), 2};
  if (lead < 0xF0) return {(lead & 0xF) << 12 | (at[1] & 0x3Fu) << 6 | (at[2] & 0x3Fu), 3};
  return {(lead & 7) << 18 | (at[1] & 0x3Fu) << 12 | (at[2] & 0x3Fu) << 6 | (at[3] & 0x3Fu), 4};
}

// How many bytes from the beginning are valid UTF-8.
size_t ValidUtf8(const uint8_t* text, size_t size);

// With U+FFFD for each longest beginning of a character that does not go on as one, as Python's
// errors="replace" and the WHATWG's decoder have it.
std::string RepairedUtf8(const uint8_t* text, size_t size);

}  // namespace wavegpt::tokenizer
