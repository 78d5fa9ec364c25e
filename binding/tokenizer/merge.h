// Merges the tokens of one word.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "vocabulary.h"

namespace wavegpt::tokenizer {

// Merges again and again the pair with the lowest rank, the leftmost of several, until none is
// left. Not thread-safe: it keeps the memory that it works in.
class WordMerger {
 public:
  explicit WordMerger(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}

  // Appends the tokens of `word`. Time grows as n log n with its bytes.
  void Append(std::string_view word, std::vector<uint32_t>& tokens);

 private:
  // A token of the word, and what it and the next become.
  struct Part {
    uint32_t id;
    Merge with_next;
  };
  struct Node {
    uint32_t id;
    uint32_t previous;
    uint32_t next;
    Merge with_next;
  };

  void AppendShort(std::string_view word, std::vector<uint32_t>& tokens);
  void AppendLong(std::string_view word, std::vector<uint32_t>& tokens);
  void Rank(uint32_t node);

  const Vocabulary& vocabulary_;
  std::vector<Node> nodes_;
  // A heap of rank * 2^32 + node, least first; entries that later merges made untrue are passed
  // over.
  std::vector<uint64_t> candidates_;
};

}  // namespace wavegpt::tokenizer
