// Cuts rows of text out of arrays of tokens: at once, or in a thread of its own, as for mapped
// files whose pages may have to come from a disk.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "libtorch.h"

namespace wavegpt {

// A part of a text: 16 or 32-bit tokens, one after the other.
struct TokenPiece {
  at::Tensor tokens;
  std::string file;  // which is mapped there; empty for memory like any other
};

// A row reads `block_size` tokens from `start` and counts the targets from `from` to before `to`.
struct TokenRow {
  int64_t start;
  int64_t from;
  int64_t to;
};

// What is made of rows: int64, each (rows, block_size), or the three in one tensor.
struct TokenBatch {
  std::vector<at::Tensor> tensors;  // previous, x, y
  at::Tensor mask;                  // undefined where every row has all of its previous tokens
};

class TokenReader {
 public:
  struct Options {
    int64_t block_size;
    // The token that bounds what stands before a row, where one does.
    std::optional<int64_t> document_start;
    bool stacked;      // the three parts in one tensor (3, rows, block_size)
    bool page_locked;  // in memory that a CUDA device reads by itself
  };

  TokenReader(std::vector<TokenPiece> pieces, Options options);
  ~TokenReader();
  TokenReader(const TokenReader&) = delete;
  TokenReader& operator=(const TokenReader&) = delete;

  // The number of tokens, all pieces together.
  int64_t length() const { return starts_.back(); }
  int64_t block_size() const { return options_.block_size; }

  // Asks for batches of so many rows each: read by the thread, or here and now.
  void Request(const std::vector<TokenRow>& rows, size_t rows_per_batch, bool in_background);
  // The batch asked for first. What the thread has not begun is read here and now.
  // Throws BindingError where the pages of a mapped file cannot be had, or nothing was asked for.
  TokenBatch Take();
  // Forgets what was asked for.
  void Drop();

 private:
  enum class State { kWaiting, kReading, kDone };
  struct Batch {
    std::vector<TokenRow> rows;
    std::vector<at::Tensor> tensors;
    at::Tensor mask;  // undefined where no row can lack a previous token
    bool announced = false;
    State state = State::kWaiting;
    bool masked = false;
    std::string error;
  };
  using Queued = std::shared_ptr<Batch>;

  Queued NewBatch(std::vector<TokenRow> rows) const;
  int64_t* Part(const Batch& batch, size_t part) const;
  void StartThread();
  void Run();
  Queued NextWaiting() const;
  void Announce(const Batch& batch) const;
  void Read(Batch& batch) const;
  std::string Populate(const TokenRow& row) const;
  int64_t ReadRow(const TokenRow& row, int64_t* previous, int64_t* x, int64_t* y) const;
  void Copy(int64_t from, int64_t to, int64_t* target) const;
  size_t PieceWith(int64_t position) const;
  template <typename Visit>
  void EachPart(int64_t from, int64_t to, const Visit& visit) const;
  int64_t Before(const TokenRow& row) const;
  int64_t After(const TokenRow& row) const;

  const std::vector<TokenPiece> pieces_;
  std::vector<const void*> data_;
  std::vector<int64_t> starts_;  // where each piece begins, and where the last one ends
  const Options options_;

  std::mutex mutex_;
  std::condition_variable asked_;
  std::condition_variable done_;
  std::deque<Queued> queue_;
  bool stopping_ = false;
  bool thread_failed_ = false;
  std::thread thread_;
};

}  // namespace wavegpt
