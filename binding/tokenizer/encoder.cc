#include "encoder.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "hash.h"

namespace wavegpt::tokenizer {
namespace {

constexpr uint64_t kBelow[9] = {
    0,
    0xFF,
    0xFFFF,
    0xFFFFFF,
    0xFFFFFFFF,
    0xFFFFFFFFFF,
    0xFFFFFFFFFFFF,
    0xFFFFFFFFFFFFFF,
    ~uint64_t{0},
};

// The first `length` bytes, at most 8, as a number; what lies beyond is not looked at.
uint64_t Low(const char* bytes, size_t length) {
  uint64_t value = 0;
  std::memcpy(&value, bytes, length);
  return value;
}

}  // namespace

Encoder::Encoder(const Vocabulary& vocabulary)
    : vocabulary_(vocabulary),
      merger_(vocabulary),
      known_(kKnownWords),
      known_long_(kKnownLongWords) {}

void Encoder::Append(std::string_view text, std::vector<uint32_t>& tokens) {
  const uint8_t* bytes = reinterpret_cast<const uint8_t*>(text.data());
  const SplitPattern pattern = vocabulary_.pattern();
  for (size_t at = 0; at < text.size();) {
    const size_t end = WordEnd(pattern, bytes, at, text.size());
    AppendWord(text.data() + at, end - at, at + 16 <= text.size(), tokens);
    at = end;
  }
}

void Encoder::AppendWord(const char* word, size_t length, bool readable,
                         std::vector<uint32_t>& tokens) {
  if (length > kLongestKnown) return AppendLong({word, length}, tokens);
  uint64_t low;
  uint64_t high;
  if (readable && std::endian::native == std::endian::little) {
    std::memcpy(&low, word, 8);
    std::memcpy(&high, word + 8, 8);
    if (length < 8) {
      low &= kBelow[length];
      high = 0;
    } else {
      high &= kBelow[length - 8];
    }
  } else {
    low = Low(word, std::min<size_t>(length, 8));
    high = length > 8 ? Low(word + 8, length - 8) : 0;
  }
  high |= static_cast<uint64_t>(length) << 56;
  Known& known = known_[Mix(low * 0x9E3779B97F4A7C15 ^ high) & (kKnownWords - 1)];
  if (known.low == low && known.high == high) {
    const size_t size = tokens.size();
    if (known.count == 1) return tokens.push_back(known.tokens[0]);
    tokens.resize(size + known.count);
    std::memcpy(tokens.data() + size, known.tokens, known.count * sizeof(uint32_t));
    return;
  }
  const size_t before = tokens.size();
  AppendLong({word, length}, tokens);
  const size_t count = tokens.size() - before;
  if (count > std::size(known.tokens)) return;
  known.low = low;
  known.high = high;
  known.count = static_cast<uint32_t>(count);
  std::memcpy(known.tokens, tokens.data() + before, count * sizeof(uint32_t));
}

void Encoder::AppendLong(std::string_view word, std::vector<uint32_t>& tokens) {
  if (word.size() > sizeof(KnownLong::word)) return AppendUnknown(word, tokens);
  const uint64_t hash = Hash(word);
  KnownLong& known = known_long_[hash & (kKnownLongWords - 1)];
  if (known.hash == hash && known.length == word.size() &&
      std::memcmp(known.word, word.data(), word.size()) == 0) {
    tokens.insert(tokens.end(), known.tokens, known.tokens + known.count);
    return;
  }
  const size_t before = tokens.size();
  AppendUnknown(word, tokens);
  const size_t count = tokens.size() - before;
  if (count > std::size(known.tokens)) return;
  known.hash = hash;
  known.length = static_cast<uint32_t>(word.size());
  known.count = static_cast<uint32_t>(count);
  std::memcpy(known.word, word.data(), word.size());
  std::memcpy(known.tokens, tokens.data() + before, count * sizeof(uint32_t));
}

void Encoder::AppendUnknown(std::string_view word, std::vector<uint32_t>& tokens) {
  const uint32_t token = vocabulary_.WordToken(word);
  if (token != kNone) return tokens.push_back(token);
  merger_.Append(word, tokens);
}

}  // namespace wavegpt::tokenizer
