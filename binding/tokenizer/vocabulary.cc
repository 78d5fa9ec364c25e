#include "vocabulary.h"

#include <algorithm>
#include <bit>

#include "hash.h"
#include "merge.h"

namespace wavegpt::tokenizer {
namespace {

// A table at most half full.
size_t TableSize(size_t count) { return std::bit_ceil(std::max<size_t>(count * 2, 16)); }

}  // namespace

Vocabulary::Vocabulary(const Definition& definition)
    : pattern_(definition.pattern),
      bytes_(definition.bytes.begin(), definition.bytes.end()),
      ends_(definition.ends.begin(), definition.ends.end()) {
  if (!std::is_sorted(ends_.begin(), ends_.end()) || ends_.empty() ||
      ends_.back() != bytes_.size()) {
    throw DefinitionError("expected the tokens' ends to rise to the number of their bytes");
  }
  std::vector<bool> special(size());
  for (const uint32_t id : definition.special) {
    if (id >= size()) throw DefinitionError("expected special ids below the number of tokens");
    special[id] = true;
  }
  std::fill(std::begin(byte_tokens_), std::end(byte_tokens_), kNone);
  for (uint32_t id = 0; id < size(); id++) {
    const std::string_view token = Token(id);
    if (token.size() == 1 && !special[id]) byte_tokens_[static_cast<uint8_t>(token[0])] = id;
  }
  for (int byte = 0; byte < 256; byte++) {
    if (byte_tokens_[byte] == kNone) {
      throw DefinitionError("expected a token for each of the 256 bytes, but byte " +
                            std::to_string(byte) + " has none");
    }
  }
  ReserveWords(size());
  if (!definition.merges) {
    MergeWhatIsAToken(special);
    return;
  }
  MergeAsListed(*definition.merges);
  WordMerger merger(*this);
  std::vector<uint32_t> tokens;
  for (uint32_t id = 0; id < size(); id++) {
    const std::string_view token = Token(id);
    if (special[id] || token.empty()) continue;
    if (!definition.ignore_merges) {
      tokens.clear();
      merger.Append(token, tokens);
      if (tokens.size() != 1 || tokens[0] != id) continue;
    }
    AddWord(id);
  }
}

uint32_t Vocabulary::WordToken(std::string_view word) const {
  const uint32_t hash = static_cast<uint32_t>(Hash(word));
  for (size_t at = hash & word_mask_;; at = (at + 1) & word_mask_) {
    const Word& entry = words_[at];
    if (entry.id == kNone) return kNone;
    if (entry.hash == hash && Token(entry.id) == word) return entry.id;
  }
}

void Vocabulary::ReserveWords(size_t count) {
  words_.assign(TableSize(count), {0, kNone});
  word_mask_ = words_.size() - 1;
}

void Vocabulary::AddWord(uint32_t id) {
  const uint32_t hash = static_cast<uint32_t>(Hash(Token(id)));
  size_t at = hash & word_mask_;
  while (words_[at].id != kNone) at = (at + 1) & word_mask_;
  words_[at] = {hash, id};
}

void Vocabulary::ReservePairs(size_t count) {
  pairs_.assign(TableSize(count), {kNoPair, {kNone, kNone}});
  pair_mask_ = pairs_.size() - 1;
  pair_shift_ = 64 - std::countr_zero(pairs_.size());
}

void Vocabulary::AddPair(uint32_t left, uint32_t right, Merge merge) {
  const uint64_t key = static_cast<uint64_t>(left) << 32 | right;
  size_t at = PairSlot(key);
  while (pairs_[at].key != kNoPair && pairs_[at].key != key) at = (at + 1) & pair_mask_;
  pairs_[at] = {key, merge};
}

void Vocabulary::MergeWhatIsAToken(const std::vector<bool>& special) {
  for (uint32_t id = 0; id < size(); id++) {
    if (!special[id] && !Token(id).empty()) AddWord(id);
  }
  std::vector<Pair> found;
  for (uint32_t id = 0; id < size(); id++) {
    if (special[id]) continue;
    const std::string_view token = Token(id);
    for (size_t cut = 1; cut < token.size(); cut++) {
      const uint32_t left = WordToken(token.substr(0, cut));
      if (left == kNone) continue;
      const uint32_t right = WordToken(token.substr(cut));
      if (right == kNone) continue;
      found.push_back({static_cast<uint64_t>(left) << 32 | right, {id, id}});
    }
  }
  ReservePairs(found.size());
  for (const Pair& pair : found) {
    AddPair(static_cast<uint32_t>(pair.key >> 32), static_cast<uint32_t>(pair.key), pair.merge);
  }
}

void Vocabulary::MergeAsListed(std::span<const uint32_t> merges) {
  if (merges.size() % 3 != 0) throw DefinitionError("expected three ids for each merge");
  ReservePairs(merges.size() / 3);
  for (uint32_t rank = 0; rank < merges.size() / 3; rank++) {
    const uint32_t left = merges[3 * rank];
    const uint32_t right = merges[3 * rank + 1];
    const uint32_t merged = merges[3 * rank + 2];
    if (left >= size() || right >= size() || merged >= size() ||
        std::string(Token(left)).append(Token(right)) != Token(merged)) {
      throw DefinitionError("expected merge " + std::to_string(rank) +
                            " to give the token that its two make together");
    }
    AddPair(left, right, {rank, merged});
  }
}

}  // namespace wavegpt::tokenizer
