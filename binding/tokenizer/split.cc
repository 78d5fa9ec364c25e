#include "split.h"

#include <array>

#include "unicode.h"

namespace wavegpt::tokenizer {
namespace {

constexpr std::array<CharacterClass, 0x80> AsciiClasses() {
  std::array<CharacterClass, 0x80> classes{};
  for (int c = 'A'; c <= 'Z'; c++) classes[c] = classes[c + 'a' - 'A'] = kLetter;
  for (int c = '0'; c <= '9'; c++) classes[c] = kNumber;
  for (int c : {'\t', '\n', '\v', '\f', '\r', ' '}) classes[c] = kSpace;
  return classes;
}

constexpr std::array<CharacterClass, 0x80> kAscii = AsciiClasses();

class Scanner {
 public:
  Scanner(const uint8_t* text, size_t size) : text_(text), size_(size) {}

  size_t Gpt2(size_t at) const {
    const uint8_t first = text_[at];
    if (first == '\'') {
      if (const size_t end = Contraction(at)) return end;
    }
    const size_t begin = at + (first == ' ');
    if (begin < size_) {
      const Run run = RunFrom(begin);
      if (run.of != kSpace) return run.end;
    }
    return Spaces(at);
  }

  size_t Cl100k(size_t at, int most_digits) const {
    const uint8_t first = text_[at];
    if (first == '\'') {
      if (const size_t end = ContractionOfAnyCase(at)) return end;
    }
    const Classified character = At(at);
    const size_t next = at + character.length;
    if (character.of == kNumber) return Digits(next, most_digits - 1);
    if (character.of == kLetter) return RunOf(kLetter, next);
    if (first != '\r' && first != '\n' && next < size_ && At(next).of == kLetter) {
      return RunOf(kLetter, next);
    }
    if (character.of == kOther || (first == ' ' && next < size_ && At(next).of == kOther)) {
      size_t end = RunOf(kOther, next);
      while (end < size_ && IsLineEnd(text_[end])) end++;
      return end;
    }
    const size_t end = RunOf(kSpace, next);
    for (size_t line = end; line > at; line--) {
      if (IsLineEnd(text_[line - 1])) return line;
    }
    return Spaces(at);
  }

 private:
  struct Classified {
    CharacterClass of;
    size_t length;
  };
  struct Run {
    CharacterClass of;
    size_t end;
  };

  static bool IsLineEnd(uint8_t byte) { return byte == '\r' || byte == '\n'; }

  Classified At(size_t at) const {
    if (text_[at] < 0x80) return {kAscii[text_[at]], 1};
    const CodePoint code_point = Decode(text_ + at);
    return {classes_[code_point.value], code_point.length};
  }

  size_t RunOf(CharacterClass of, size_t at) const {
    while (at < size_) {
      const Classified character = At(at);
      if (character.of != of) break;
      at += character.length;
    }
    return at;
  }

  Run RunFrom(size_t at) const {
    const Classified first = At(at);
    return {first.of, RunOf(first.of, at + first.length)};
  }

  size_t Digits(size_t at, int most) const {
    for (; most > 0 && at < size_; most--) {
      const Classified character = At(at);
      if (character.of != kNumber) break;
      at += character.length;
    }
    return at;
  }

  // All but the last of the spaces that begin at `at`, where something follows them and there are
  // several.
  size_t Spaces(size_t at) const {
    size_t last = at;
    size_t end = at;
    while (end < size_) {
      const Classified character = At(end);
      if (character.of != kSpace) break;
      last = end;
      end += character.length;
    }
    return end == size_ || last == at ? end : last;
  }

  // The end of 's, 'd, 'm, 't, 'll, 've or 're, else 0.
  size_t Contraction(size_t at) const {
    if (at + 1 >= size_) return 0;
    const uint8_t first = text_[at + 1];
    if (first == 's' || first == 'd' || first == 'm' || first == 't') return at + 2;
    if (at + 2 >= size_) return 0;
    const uint8_t second = text_[at + 2];
    const bool two =
        (first == 'l' && second == 'l') || (second == 'e' && (first == 'v' || first == 'r'));
    return two ? at + 3 : 0;
  }

  size_t ContractionOfAnyCase(size_t at) const {
    if (at + 1 >= size_) return 0;
    const uint8_t first = text_[at + 1] | 0x20;
    if (first == 's' || first == 'd' || first == 'm' || first == 't') return at + 2;
    if (at + 2 >= size_) return 0;
    // The long s, U+017F, is an s in another case.
    if (text_[at + 1] == 0xC5 && text_[at + 2] == 0xBF) return at + 3;
    const uint8_t second = text_[at + 2] | 0x20;
    const bool two =
        (first == 'l' && second == 'l') || (second == 'e' && (first == 'v' || first == 'r'));
    return two ? at + 3 : 0;
  }

  const uint8_t* text_;
  size_t size_;
  const CharacterClasses& classes_ = CharacterClasses::Instance();
};

}  // namespace

size_t WordEnd(SplitPattern pattern, const uint8_t* text, size_t at, size_t size) {
  const Scanner scanner(text, size);
  switch (pattern) {
    case SplitPattern::kGpt2:
      return scanner.Gpt2(at);
    case SplitPattern::kCl100k:
      return scanner.Cl100k(at, 3);
    case SplitPattern::kQwen2:
      return scanner.Cl100k(at, 1);
  }
  return size;
}

}  // namespace wavegpt::tokenizer
