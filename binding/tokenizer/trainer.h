// Learns merges from text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "split.h"

namespace wavegpt::tokenizer {

// Words and how often each occurs: all that training keeps of a text.
class WordCounts {
 public:
  // Memory grows with distinct words only.
  void Add(SplitPattern pattern, std::string_view text);

  size_t size() const { return words_.size(); }
  std::string_view Word(size_t index) const {
    return {bytes_.data() + words_[index].begin, words_[index].length};
  }
  int64_t Count(size_t index) const { return words_[index].count; }

 private:
  struct Entry {
    uint64_t begin;
    uint32_t length;
    uint32_t hash;
    int64_t count;
  };

  void Count(std::string_view word);
  void Grow();

  std::string bytes_;
  std::vector<Entry> words_;
  // Indices of words by hash, 0 where there is none, else the index + 1.
  std::vector<uint32_t> table_;
};

struct TrainingOptions {
  // At most this many tokens, counting those below `first_merge`.
  uint32_t vocabulary_size;
  // Pairs that occur less often are not merged.
  int64_t least_count;
  // The ids of the 256 bytes, which decide between pairs that occur equally often.
  const uint32_t* byte_tokens;
  // The id of the first token that is learnt.
  uint32_t first_merge;
};

struct LearntMerge {
  uint32_t left;
  uint32_t right;
  uint32_t id;
};

// The merges that shorten the words most, one by one: the pair that occurs most often, of several
// the one with the lowest ids. Sennrich, Haddow and Birch, https://arxiv.org/abs/1508.07909,
// section 3.2.
std::vector<LearntMerge> LearnMerges(const WordCounts& words, const TrainingOptions& options);

}  // namespace wavegpt::tokenizer
