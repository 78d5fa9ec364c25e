// Splits text into the words within which tokens are merged: regular expressions, scanned by hand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace wavegpt::tokenizer {

enum class SplitPattern {
  // '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  kGpt2,
  // (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
  // ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
  kCl100k,
  // The same with single numbers: \p{N}
  kQwen2,
};

// The end of the word that begins at `at` < `size`, of valid UTF-8. Words of any text take time
// linear in its size.
size_t WordEnd(SplitPattern pattern, const uint8_t* text, size_t at, size_t size);

}  // namespace wavegpt::tokenizer
