// Text to tokens, in one thread.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "merge.h"
#include "vocabulary.h"

namespace wavegpt::tokenizer {

class Encoder {
 public:
  explicit Encoder(const Vocabulary& vocabulary);

  // Appends the tokens of `text`, valid UTF-8.
  void Append(std::string_view text, std::vector<uint32_t>& tokens);

 private:
  // The tokens of a short word that was met before. Most words of a text are: they cost one look
  // here.
  struct Known {
    uint64_t low;
    // The last byte is the length, so that no entry is of two words; 0 in one that holds none.
    uint64_t high;
    uint32_t tokens[3];
    uint32_t count;
  };
  static constexpr size_t kKnownWords = 1 << 14;
  static constexpr size_t kLongestKnown = 15;
  // The same for words of more bytes or tokens.
  struct KnownLong {
    uint64_t hash;
    uint32_t length;
    uint32_t count;
    char word[64];
    uint32_t tokens[20];
  };
  static constexpr size_t kKnownLongWords = 1 << 13;

  void AppendWord(const char* word, size_t length, bool readable, std::vector<uint32_t>& tokens);
  void AppendLong(std::string_view word, std::vector<uint32_t>& tokens);
  void AppendUnknown(std::string_view word, std::vector<uint32_t>& tokens);

  const Vocabulary& vocabulary_;
  WordMerger merger_;
  std::vector<Known> known_;
  std::vector<KnownLong> known_long_;
};

}  // namespace wavegpt::tokenizer
