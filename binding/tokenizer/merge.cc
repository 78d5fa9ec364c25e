#include "merge.h"

#include <algorithm>
#include <functional>
#include <stdexcept>

namespace wavegpt::tokenizer {
namespace {

// Up to here looking at every pair costs less than a heap.
constexpr size_t kShort = 48;

}  // namespace

void WordMerger::Append(std::string_view word, std::vector<uint32_t>& tokens) {
  if (word.size() <= kShort) {
    AppendShort(word, tokens);
  } else {
    AppendLong(word, tokens);
  }
}

void WordMerger::AppendShort(std::string_view word, std::vector<uint32_t>& tokens) {
  Part parts[kShort];
  size_t count = word.size();
  for (size_t i = 0; i < count; i++) parts[i].id = vocabulary_.ByteToken(word[i]);
  for (size_t i = 0; i + 1 < count; i++) {
    parts[i].with_next = vocabulary_.Find(parts[i].id, parts[i + 1].id);
  }
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; i++) {
      if (parts[i].with_next.rank < parts[best].with_next.rank) best = i;
    }
    if (parts[best].with_next.rank == kNone) break;
    parts[best].id = parts[best].with_next.id;
    count--;
    std::copy(parts + best + 2, parts + count + 1, parts + best + 1);
    if (best + 1 < count) {
      parts[best].with_next = vocabulary_.Find(parts[best].id, parts[best + 1].id);
    }
    if (best > 0) {
      parts[best - 1].with_next = vocabulary_.Find(parts[best - 1].id, parts[best].id);
    }
  }
  for (size_t i = 0; i < count; i++) tokens.push_back(parts[i].id);
}

void WordMerger::Rank(uint32_t node) {
  Node& left = nodes_[node];
  left.with_next =
      left.next == kNone ? Merge{kNone, kNone} : vocabulary_.Find(left.id, nodes_[left.next].id);
}

void WordMerger::AppendLong(std::string_view word, std::vector<uint32_t>& tokens) {
  if (word.size() >= kNone) throw std::length_error("a word of 4 GiB and more cannot be encoded");
  const uint32_t count = static_cast<uint32_t>(word.size());
  nodes_.resize(count);
  candidates_.clear();
  for (uint32_t i = 0; i < count; i++) {
    nodes_[i] = {vocabulary_.ByteToken(word[i]), i - 1, i + 1 < count ? i + 1 : kNone, {}};
  }
  const auto entry = [this](uint32_t node) {
    return static_cast<uint64_t>(nodes_[node].with_next.rank) << 32 | node;
  };
  for (uint32_t i = 0; i < count; i++) {
    Rank(i);
    if (nodes_[i].with_next.rank != kNone) candidates_.push_back(entry(i));
  }
  std::make_heap(candidates_.begin(), candidates_.end(), std::greater<>());
  const auto rank_again = [&](uint32_t node) {
    Rank(node);
    if (nodes_[node].with_next.rank == kNone) return;
    candidates_.push_back(entry(node));
    std::push_heap(candidates_.begin(), candidates_.end(), std::greater<>());
  };
  while (!candidates_.empty()) {
    std::pop_heap(candidates_.begin(), candidates_.end(), std::greater<>());
    const uint64_t candidate = candidates_.back();
    candidates_.pop_back();
    const uint32_t at = static_cast<uint32_t>(candidate);
    Node& left = nodes_[at];
    if (left.with_next.rank != candidate >> 32) continue;
    Node& right = nodes_[left.next];
    left.id = left.with_next.id;
    left.next = right.next;
    right.with_next = {kNone, kNone};
    if (left.next != kNone) nodes_[left.next].previous = at;
    rank_again(at);
    if (left.previous != kNone) rank_again(left.previous);
  }
  for (uint32_t at = 0; at != kNone; at = nodes_[at].next) tokens.push_back(nodes_[at].id);
  // What one immense word took is not kept for the small ones that follow.
  if (nodes_.capacity() > (1 << 20)) {
    nodes_ = {};
    candidates_ = {};
  }
}

}  // namespace wavegpt::tokenizer
