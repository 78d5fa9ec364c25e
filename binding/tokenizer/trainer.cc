#include "trainer.h"

#include <algorithm>
#include <stdexcept>
#include <unordered_map>

#include "hash.h"

namespace wavegpt::tokenizer {
namespace {

uint64_t Key(uint32_t left, uint32_t right) { return static_cast<uint64_t>(left) << 32 | right; }

// How often each pair of neighbours occurs, in a table of open addressing.
class PairCounts {
 public:
  struct Entry {
    uint64_t key;
    int64_t count;
    // Where in the list of pairs that the merge under way brought it stands, or kNotNew.
    uint32_t fresh;
  };
  static constexpr uint32_t kNotNew = 0xFFFFFFFF;

  PairCounts() : entries_(1 << 16, kFree) {}

  Entry& operator[](uint64_t key) {
    if (used_ * 2 >= entries_.size()) Grow();
    Entry& entry = Slot(key);
    if (entry.key == kFree.key) {
      entry = {key, 0, kNotNew};
      used_++;
    }
    return entry;
  }

 private:
  static constexpr Entry kFree = {~uint64_t{0}, 0, kNotNew};

  Entry& Slot(uint64_t key) {
    size_t at = Mix(key * 0x9E3779B97F4A7C15) & (entries_.size() - 1);
    while (entries_[at].key != key && entries_[at].key != kFree.key) {
      at = (at + 1) & (entries_.size() - 1);
    }
    return entries_[at];
  }

  void Grow() {
    std::vector<Entry> before(entries_.size() * 2, kFree);
    before.swap(entries_);
    for (const Entry& entry : before) {
      if (entry.key != kFree.key) Slot(entry.key) = entry;
    }
  }

  std::vector<Entry> entries_;
  size_t used_ = 0;
};

// A pair that may be merged next, and the words it was seen in.
struct Candidate {
  uint32_t left;
  uint32_t right;
  int64_t count;
  std::vector<uint32_t> words;
};

bool ComesLater(const Candidate& a, const Candidate& b) {
  if (a.count != b.count) return a.count < b.count;
  return Key(a.left, a.right) > Key(b.left, b.right);
}

class Learner {
 public:
  Learner(const WordCounts& words, const TrainingOptions& options)
      : words_(words), options_(options) {
    begins_.reserve(words.size() + 1);
    begins_.push_back(0);
    for (size_t i = 0; i < words.size(); i++) {
      for (const char byte : words.Word(i)) {
        symbols_.push_back(options.byte_tokens[static_cast<uint8_t>(byte)]);
      }
      begins_.push_back(symbols_.size());
    }
    ends_.assign(begins_.begin() + 1, begins_.end());
    for (int byte = 0; byte < 256; byte++) {
      texts_.emplace(options.byte_tokens[byte], std::string(1, static_cast<char>(byte)));
    }
  }

  std::vector<LearntMerge> Learn() {
    CountPairs();
    std::vector<LearntMerge> merges;
    uint32_t next_id = options_.first_merge;
    while (next_id < options_.vocabulary_size && !candidates_.empty()) {
      Candidate best = Pop();
      const int64_t count = counts_[Key(best.left, best.right)].count;
      if (best.count != count) {
        best.count = count;
        Push(std::move(best));
        continue;
      }
      if (best.count < 1 || best.count < options_.least_count) break;
      std::string text = texts_.at(best.left) + texts_.at(best.right);
      const auto [known, is_new] = ids_.try_emplace(std::move(text), next_id);
      const uint32_t id = known->second;
      if (is_new) {
        texts_.emplace(id, known->first);
        next_id++;
      }
      merges.push_back({best.left, best.right, id});
      for (const uint32_t word : best.words) MergeIn(word, best.left, best.right, id);
      AddFresh();
    }
    return merges;
  }

 private:
  Candidate Pop() {
    std::pop_heap(candidates_.begin(), candidates_.end(), ComesLater);
    Candidate best = std::move(candidates_.back());
    candidates_.pop_back();
    return best;
  }

  void Push(Candidate candidate) {
    candidates_.push_back(std::move(candidate));
    std::push_heap(candidates_.begin(), candidates_.end(), ComesLater);
  }

  void CountPairs() {
    for (uint32_t word = 0; word < words_.size(); word++) {
      for (uint64_t at = begins_[word]; at + 1 < ends_[word]; at++) {
        Change(symbols_[at], symbols_[at + 1], 1, word);
      }
    }
    AddFresh();
  }

  void Change(uint32_t left, uint32_t right, int sign, uint32_t word) {
    PairCounts::Entry& entry = counts_[Key(left, right)];
    entry.count += sign * words_.Count(word);
    if (sign < 0) return;
    if (entry.fresh == PairCounts::kNotNew) {
      entry.fresh = static_cast<uint32_t>(fresh_.size());
      fresh_.push_back({left, right, 0, {}});
    }
    std::vector<uint32_t>& words = fresh_[entry.fresh].words;
    // Words come in order: the same one again comes right after itself.
    if (words.empty() || words.back() != word) words.push_back(word);
  }

  void AddFresh() {
    for (Candidate& candidate : fresh_) {
      PairCounts::Entry& entry = counts_[Key(candidate.left, candidate.right)];
      entry.fresh = PairCounts::kNotNew;
      candidate.count = entry.count;
      if (candidate.count > 0) Push(std::move(candidate));
    }
    fresh_.clear();
  }

  void MergeIn(uint32_t word, uint32_t left, uint32_t right, uint32_t id) {
    uint32_t* const symbols = symbols_.data() + begins_[word];
    const size_t size = ends_[word] - begins_[word];
    size_t kept = 0;
    for (size_t at = 0; at < size; at++) {
      if (symbols[at] != left || at + 1 >= size || symbols[at + 1] != right) {
        symbols[kept++] = symbols[at];
        continue;
      }
      if (kept > 0) {
        Change(symbols[kept - 1], left, -1, word);
        Change(symbols[kept - 1], id, 1, word);
      }
      at++;
      if (at + 1 < size) {
        Change(right, symbols[at + 1], -1, word);
        Change(id, symbols[at + 1], 1, word);
      }
      symbols[kept++] = id;
    }
    ends_[word] = begins_[word] + kept;
  }

  const WordCounts& words_;
  const TrainingOptions& options_;
  // The tokens of all words: word i has those from begins_[i] to ends_[i].
  std::vector<uint32_t> symbols_;
  std::vector<uint64_t> begins_;
  std::vector<uint64_t> ends_;
  PairCounts counts_;
  std::vector<Candidate> candidates_;
  std::vector<Candidate> fresh_;
  std::unordered_map<uint32_t, std::string> texts_;
  std::unordered_map<std::string, uint32_t> ids_;
};

}  // namespace

void WordCounts::Add(SplitPattern pattern, std::string_view text) {
  const uint8_t* bytes = reinterpret_cast<const uint8_t*>(text.data());
  for (size_t at = 0; at < text.size();) {
    const size_t end = WordEnd(pattern, bytes, at, text.size());
    Count(text.substr(at, end - at));
    at = end;
  }
}

void WordCounts::Count(std::string_view word) {
  if (words_.size() * 2 >= table_.size()) Grow();
  const uint32_t hash = static_cast<uint32_t>(Hash(word));
  size_t at = hash & (table_.size() - 1);
  for (; table_[at] != 0; at = (at + 1) & (table_.size() - 1)) {
    Entry& entry = words_[table_[at] - 1];
    if (entry.hash == hash && Word(table_[at] - 1) == word) {
      entry.count++;
      return;
    }
  }
  if (words_.size() >= 0x7FFFFFFF || word.size() > 0xFFFFFFFF) {
    throw std::length_error("expected fewer than 2^31 different words, each below 4 GiB");
  }
  words_.push_back({bytes_.size(), static_cast<uint32_t>(word.size()), hash, 1});
  bytes_.append(word);
  table_[at] = static_cast<uint32_t>(words_.size());
}

void WordCounts::Grow() {
  table_.assign(std::max<size_t>(table_.size() * 2, 1 << 16), 0);
  for (size_t i = 0; i < words_.size(); i++) {
    size_t at = words_[i].hash & (table_.size() - 1);
    while (table_[at] != 0) at = (at + 1) & (table_.size() - 1);
    table_[at] = static_cast<uint32_t>(i + 1);
  }
}

std::vector<LearntMerge> LearnMerges(const WordCounts& words, const TrainingOptions& options) {
  return Learner(words, options).Learn();
}

}  // namespace wavegpt::tokenizer
