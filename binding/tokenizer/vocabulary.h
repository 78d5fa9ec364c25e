// The tables of a byte-pair encoding, which never change: any number of threads may read them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "split.h"

namespace wavegpt::tokenizer {

inline constexpr uint32_t kNone = 0xFFFFFFFF;

// What two neighbouring tokens become. Of all pairs in a word the one with the lowest rank is
// merged first.
struct Merge {
  uint32_t rank;
  uint32_t id;
};

// A definition that makes no encoding; the message says what was expected and what came.
class DefinitionError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What an encoding is made of.
struct Definition {
  SplitPattern pattern;
  // The tokens' bytes, one after the other; token i ends at ends[i]. Ids that are no token have no
  // bytes.
  std::span<const uint8_t> bytes;
  std::span<const uint32_t> ends;
  // Ids that text never becomes.
  std::span<const uint32_t> special;
  // Left, right and merged id of each merge, best first. None: any two tokens merge whose bytes
  // together are a token, the one with the lowest id first, as tiktoken has it.
  std::optional<std::span<const uint32_t>> merges;
  // A word that is a token becomes it, even where merges would not lead there.
  bool ignore_merges;
};

class Vocabulary {
 public:
  explicit Vocabulary(const Definition& definition);

  size_t size() const { return ends_.size(); }
  SplitPattern pattern() const { return pattern_; }
  std::string_view Token(uint32_t id) const {
    const size_t begin = id == 0 ? 0 : ends_[id - 1];
    return {bytes_.data() + begin, ends_[id] - begin};
  }
  uint32_t ByteToken(uint8_t byte) const { return byte_tokens_[byte]; }

  // The token that a whole word is, or kNone.
  uint32_t WordToken(std::string_view word) const;

  // {kNone, kNone} where the two do not merge.
  Merge Find(uint32_t left, uint32_t right) const {
    const uint64_t key = static_cast<uint64_t>(left) << 32 | right;
    for (size_t at = PairSlot(key);; at = (at + 1) & pair_mask_) {
      const Pair& pair = pairs_[at];
      if (pair.key == key) return pair.merge;
      if (pair.key == kNoPair) return {kNone, kNone};
    }
  }

 private:
  struct Pair {
    uint64_t key;
    Merge merge;
  };
  struct Word {
    uint32_t hash;
    uint32_t id;
  };
  static constexpr uint64_t kNoPair = ~uint64_t{0};

  size_t PairSlot(uint64_t key) const { return key * 0x9E3779B97F4A7C15 >> pair_shift_; }
  void AddPair(uint32_t left, uint32_t right, Merge merge);
  void AddWord(uint32_t id);
  void ReservePairs(size_t count);
  void ReserveWords(size_t count);
  void MergeWhatIsAToken(const std::vector<bool>& special);
  void MergeAsListed(std::span<const uint32_t> merges);

  SplitPattern pattern_;
  std::string bytes_;
  std::vector<uint32_t> ends_;
  uint32_t byte_tokens_[256];
  std::vector<Pair> pairs_;
  size_t pair_mask_ = 0;
  int pair_shift_ = 0;
  std::vector<Word> words_;
  size_t word_mask_ = 0;
};

}  // namespace wavegpt::tokenizer
