// The library's entry: two classes, described in src/tokenizer/native.ts. Loads no libtorch.
#include <napi.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <thread>

#include "encoder.h"
#include "trainer.h"
#include "unicode.h"
#include "vocabulary.h"

namespace wavegpt::tokenizer {
namespace {

[[noreturn]] void Fail(Napi::Env env, const char* code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", code);
  throw error;
}

// What `body` returns, with C++ exceptions as JavaScript's.
template <typename Body>
auto Guarded(Napi::Env env, Body body) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (const DefinitionError& error) {
    Fail(env, "ERR_WAVEGPT_TOKENIZER", error.what());
  } catch (const std::bad_alloc&) {
    Fail(env, "ERR_WAVEGPT_OUT_OF_MEMORY", "the tokenizer could not have the memory it needs");
  } catch (const std::exception& error) {
    Fail(env, "ERR_WAVEGPT_TOKENIZER", error.what());
  }
}

// A string or Uint8Array as valid UTF-8.
class Text {
 public:
  Text(Napi::Env env, Napi::Value value) {
    if (value.IsString()) {
      ReadString(env, value);
    } else if (IsBytes(value)) {
      const auto bytes = value.As<Napi::Uint8Array>();
      view_ = {reinterpret_cast<const char*>(bytes.Data()), bytes.ByteLength()};
      const uint8_t* data = reinterpret_cast<const uint8_t*>(view_.data());
      if (ValidUtf8(data, view_.size()) < view_.size()) {
        repaired_ = RepairedUtf8(data, view_.size());
        view_ = repaired_;
      }
    } else {
      Fail(env, "ERR_WAVEGPT_ARGUMENT", "expected text as a string or a Uint8Array of UTF-8");
    }
  }
  // The view may be of the object itself.
  Text(const Text&) = delete;
  Text& operator=(const Text&) = delete;

  std::string_view view() const { return view_; }

 private:
  struct Free {
    void operator()(char* memory) const { std::free(memory); }
  };

  static bool IsBytes(Napi::Value value) {
    return value.IsTypedArray() &&
           value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
  }

  // Lone surrogates become U+FFFD.
  void ReadString(Napi::Env env, Napi::Value value) {
    size_t units = 0;
    size_t written = 0;
    // With room for the longest that it can become, V8 writes in one pass.
    if (napi_get_value_string_utf16(env, value, nullptr, 0, &units) != napi_ok) {
      throw Napi::Error::New(env);
    }
    const size_t room = units * 3 + 1;
    characters_.reset(static_cast<char*>(std::malloc(room)));
    if (!characters_) throw std::bad_alloc();
    if (napi_get_value_string_utf8(env, value, characters_.get(), room, &written) != napi_ok) {
      throw Napi::Error::New(env);
    }
    view_ = {characters_.get(), written};
  }

  std::unique_ptr<char, Free> characters_;
  std::string repaired_;
  std::string_view view_;
};

template <typename Array>
Array ReadArray(Napi::Env env, Napi::Value value, napi_typedarray_type type, const char* expected) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) {
    Fail(env, "ERR_WAVEGPT_ARGUMENT", expected);
  }
  return value.As<Array>();
}

Napi::Uint32Array ReadIds(Napi::Env env, Napi::Value value, const char* expected) {
  return ReadArray<Napi::Uint32Array>(env, value, napi_uint32_array, expected);
}

std::span<const uint32_t> Ids(const Napi::Uint32Array& array) {
  return {array.Data(), array.ElementLength()};
}

SplitPattern ReadPattern(Napi::Env env, Napi::Value value) {
  const std::string name = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  if (name == "gpt2") return SplitPattern::kGpt2;
  if (name == "cl100k") return SplitPattern::kCl100k;
  if (name == "qwen2") return SplitPattern::kQwen2;
  Fail(env, "ERR_WAVEGPT_ARGUMENT", "expected the pattern gpt2, cl100k or qwen2");
}

uint32_t ReadCount(Napi::Env env, Napi::Value value, const char* expected) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (!(number >= 0 && number < 4294967296.0)) Fail(env, "ERR_WAVEGPT_ARGUMENT", expected);
  return static_cast<uint32_t>(number);
}

Napi::Uint32Array NewIds(Napi::Env env, const std::vector<uint32_t>& ids) {
  auto array = Napi::Uint32Array::New(env, ids.size());
  if (!ids.empty()) std::memcpy(array.Data(), ids.data(), ids.size() * sizeof(uint32_t));
  return array;
}

class Encoding : public Napi::ObjectWrap<Encoding> {
 public:
  explicit Encoding(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    const Napi::Env env = info.Env();
    Guarded(env, [&] {
      if (!info[0].IsObject()) Fail(env, "ERR_WAVEGPT_ARGUMENT", "expected a definition");
      const auto given = info[0].As<Napi::Object>();
      const auto bytes = ReadArray<Napi::Uint8Array>(env, given.Get("bytes"), napi_uint8_array,
                                                     "expected bytes as a Uint8Array");
      const auto ends = ReadIds(env, given.Get("ends"), "expected ends as a Uint32Array");
      const auto special = ReadIds(env, given.Get("special"), "expected special as a Uint32Array");
      std::optional<std::span<const uint32_t>> merges;
      if (!given.Get("merges").IsNull()) {
        merges = Ids(ReadIds(env, given.Get("merges"), "expected merges as a Uint32Array or null"));
      }
      vocabulary_ = std::make_unique<Vocabulary>(Definition{
          ReadPattern(env, given.Get("pattern")),
          {bytes.Data(), bytes.ElementLength()},
          Ids(ends),
          Ids(special),
          merges,
          given.Get("ignoreMerges").ToBoolean(),
      });
      encoder_ = std::make_unique<Encoder>(*vocabulary_);
      return 0;
    });
  }

  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Encoding",
                       {InstanceMethod<&Encoding::Encode>("encode"),
                        InstanceMethod<&Encoding::EncodeBatch>("encodeBatch"),
                        InstanceMethod<&Encoding::Decode>("decode")});
  }

 private:
  Napi::Value Encode(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    return Guarded(env, [&]() -> Napi::Value {
      const Text text(env, info[0]);
      tokens_.clear();
      encoder_->Append(text.view(), tokens_);
      const Napi::Value result = NewIds(env, tokens_);
      // What one long text took is not kept.
      if (tokens_.capacity() > (1 << 20)) tokens_ = {};
      return result;
    });
  }

  Napi::Value EncodeBatch(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    return Guarded(env, [&]() -> Napi::Value {
      if (!info[0].IsArray()) Fail(env, "ERR_WAVEGPT_ARGUMENT", "expected an array of texts");
      const auto given = info[0].As<Napi::Array>();
      const size_t count = given.Length();
      const size_t threads = ReadCount(env, info[1], "expected a number of threads");
      std::vector<std::unique_ptr<Text>> texts;
      texts.reserve(count);
      for (uint32_t i = 0; i < count; i++) {
        const Napi::HandleScope scope(env);
        texts.push_back(std::make_unique<Text>(env, given.Get(i)));
      }
      std::vector<std::vector<uint32_t>> tokens(count);
      EncodeAll(texts, tokens, std::max<size_t>(1, std::min(threads, count)));
      const auto result = Napi::Array::New(env, count);
      for (uint32_t i = 0; i < count; i++) {
        const Napi::HandleScope scope(env);
        result.Set(i, NewIds(env, tokens[i]));
        tokens[i] = {};
      }
      return result;
    });
  }

  void EncodeAll(const std::vector<std::unique_ptr<Text>>& texts,
                 std::vector<std::vector<uint32_t>>& tokens, size_t threads) {
    std::atomic<size_t> next{0};
    // Not an exception_ptr: GCC compiles those for a C++ library newer than libtorch asks for.
    std::string failure;
    std::atomic<bool> out_of_memory{false};
    std::mutex failing;
    const auto work = [&](Encoder& encoder) {
      try {
        for (size_t i; (i = next.fetch_add(1)) < texts.size();) {
          encoder.Append(texts[i]->view(), tokens[i]);
        }
      } catch (const std::bad_alloc&) {
        out_of_memory = true;
      } catch (const std::exception& error) {
        const std::lock_guard<std::mutex> lock(failing);
        failure = error.what();
      }
    };
    std::vector<std::thread> running;
    try {
      for (size_t i = 0; i + 1 < threads; i++) {
        if (i == helpers_.size()) helpers_.push_back(std::make_unique<Encoder>(*vocabulary_));
        running.emplace_back([&work, encoder = helpers_[i].get()] { work(*encoder); });
      }
    } catch (const std::exception&) {
      // No more threads are to be had: those that run, and this one, do it.
    }
    work(*encoder_);
    for (std::thread& thread : running) thread.join();
    if (out_of_memory) throw std::bad_alloc();
    if (!failure.empty()) throw std::runtime_error(failure);
  }

  Napi::Value Decode(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    return Guarded(env, [&]() -> Napi::Value {
      const auto array = ReadIds(env, info[0], "expected ids as a Uint32Array");
      const std::span<const uint32_t> ids = Ids(array);
      size_t size = 0;
      for (size_t i = 0; i < ids.size(); i++) {
        if (ids[i] >= vocabulary_->size() || vocabulary_->Token(ids[i]).empty()) {
          Fail(env, "ERR_WAVEGPT_TOKENIZER",
               "token " + std::to_string(ids[i]) + " at position " + std::to_string(i) +
                   " is not in the vocabulary of " + std::to_string(vocabulary_->size()) +
                   " tokens");
        }
        size += vocabulary_->Token(ids[i]).size();
      }
      auto bytes = Napi::Uint8Array::New(env, size);
      uint8_t* at = bytes.Data();
      for (const uint32_t id : ids) {
        const std::string_view token = vocabulary_->Token(id);
        std::memcpy(at, token.data(), token.size());
        at += token.size();
      }
      return bytes;
    });
  }

  std::unique_ptr<const Vocabulary> vocabulary_;
  std::unique_ptr<Encoder> encoder_;
  // Of the other threads of a batch: what they know of words is kept.
  std::vector<std::unique_ptr<Encoder>> helpers_;
  std::vector<uint32_t> tokens_;
};

class Training : public Napi::ObjectWrap<Training> {
 public:
  explicit Training(const Napi::CallbackInfo& info)
      : ObjectWrap(info), pattern_(ReadPattern(info.Env(), info[0])) {}

  static Napi::Function Define(Napi::Env env) {
    return DefineClass(
        env, "Training",
        {InstanceMethod<&Training::Add>("add"), InstanceMethod<&Training::Words>("words"),
         InstanceMethod<&Training::Learn>("learn")});
  }

 private:
  Napi::Value Add(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    return Guarded(env, [&]() -> Napi::Value {
      const Text text(env, info[0]);
      counts_.Add(pattern_, text.view());
      return env.Undefined();
    });
  }

  Napi::Value Words(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(counts_.size()));
  }

  Napi::Value Learn(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    return Guarded(env, [&]() -> Napi::Value {
      const auto bytes = ReadIds(env, info[3], "expected the bytes' tokens as a Uint32Array");
      if (bytes.ElementLength() != 256) {
        Fail(env, "ERR_WAVEGPT_ARGUMENT", "expected the tokens of 256 bytes");
      }
      const std::vector<LearntMerge> merges = LearnMerges(
          counts_, {ReadCount(env, info[0], "expected a size of the vocabulary"),
                    ReadCount(env, info[1], "expected a least count"), bytes.Data(),
                    ReadCount(env, info[2], "expected the id of the first token to learn")});
      auto result = Napi::Uint32Array::New(env, merges.size() * 3);
      uint32_t* at = result.Data();
      for (const LearntMerge& merge : merges) {
        *at++ = merge.left;
        *at++ = merge.right;
        *at++ = merge.id;
      }
      return result;
    });
  }

  SplitPattern pattern_;
  WordCounts counts_;
};

Napi::Object Initialize(Napi::Env env, Napi::Object exports) {
  exports.Set("Encoding", Encoding::Define(env));
  exports.Set("Training", Training::Define(env));
  return exports;
}

}  // namespace
}  // namespace wavegpt::tokenizer

Napi::Object InitializeTokenizer(Napi::Env env, Napi::Object exports) {
  return wavegpt::tokenizer::Initialize(env, exports);
}

NODE_API_MODULE(wavegpt_tokenizer, InitializeTokenizer)
