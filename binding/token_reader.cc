#include "token_reader.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "errors.h"
#include "glibc.h"

#ifndef _WIN32
#include <sys/mman.h>
#include <unistd.h>
#endif

WAVEGPT_OLDEST_CONDITION_WAIT;

namespace wavegpt {
namespace {

constexpr int64_t kIgnoredTarget = -100;
#ifdef __linux__
// MADV_POPULATE_READ, which older headers lack.
constexpr int kPopulateRead = 22;
#endif

int64_t WidthOf(const at::Tensor& tokens) { return static_cast<int64_t>(tokens.element_size()); }

#ifndef _WIN32
// Advice on the pages that hold bytes of a mapping; 0, or the error's number.
int Advise(const void* data, int64_t bytes, int advice) {
  static const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  uintptr_t begin = reinterpret_cast<uintptr_t>(data) & ~(page - 1);
  uintptr_t end = reinterpret_cast<uintptr_t>(data) + static_cast<uintptr_t>(bytes);
  return madvise(reinterpret_cast<void*>(begin), end - begin, advice) == 0 ? 0 : errno;
}
#endif

}  // namespace

TokenReader::TokenReader(std::vector<TokenPiece> pieces, Options options)
    : pieces_(std::move(pieces)), starts_{0}, options_(options) {
  for (const TokenPiece& piece : pieces_) {
    data_.push_back(piece.tokens.const_data_ptr());
    starts_.push_back(starts_.back() + piece.tokens.numel());
  }
}

TokenReader::~TokenReader() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  asked_.notify_all();
  if (thread_.joinable()) thread_.join();
}

// The first of the tokens that a row reads.
int64_t TokenReader::Before(const TokenRow& row) const {
  return std::max<int64_t>(0, row.start - options_.block_size);
}

// The end of the tokens that a row reads: the last block of rows that run on may reach beyond the
// text's.
int64_t TokenReader::After(const TokenRow& row) const {
  return std::min(row.start + options_.block_size + 1, length());
}

TokenReader::Queued TokenReader::NewBatch(std::vector<TokenRow> rows) const {
  auto batch = std::make_shared<Batch>();
  const auto count = static_cast<int64_t>(rows.size());
  const int64_t size = options_.block_size;
  const bool lacking = std::any_of(rows.begin(), rows.end(),
                                   [size](const TokenRow& row) { return row.start < size; });
  // Made under inference mode, they could not be trained on.
  c10::InferenceMode normal(false);
  const auto memory = at::TensorOptions(at::kCPU).pinned_memory(options_.page_locked);
  if (options_.stacked) {
    batch->tensors.push_back(at::empty({3, count, size}, memory.dtype(at::kLong)));
  } else {
    for (int part = 0; part < 3; ++part) {
      batch->tensors.push_back(at::empty({count, size}, memory.dtype(at::kLong)));
    }
  }
  if (lacking || options_.document_start) {
    batch->mask = at::empty({count, size}, memory.dtype(at::kBool));
  }
  batch->rows = std::move(rows);
  return batch;
}

void TokenReader::Request(const std::vector<TokenRow>& rows, size_t rows_per_batch,
                          bool in_background) {
  std::vector<Queued> batches;
  for (auto row = rows.begin(); row < rows.end(); row += rows_per_batch) {
    batches.push_back(NewBatch({row, row + rows_per_batch}));
    if (in_background) continue;
    Read(*batches.back());
    batches.back()->state = State::kDone;
  }
  {
    std::lock_guard<std::mutex> lock(mutex_);
    queue_.insert(queue_.end(), batches.begin(), batches.end());
  }
  if (!in_background) return;
  StartThread();
  asked_.notify_one();
}

void TokenReader::StartThread() {
  if (thread_.joinable() || thread_failed_) return;
  try {
    thread_ = std::thread([this] { Run(); });
  } catch (const std::system_error&) {
    // Nothing is lost but time: batches are read when they are taken.
    thread_failed_ = true;
  }
}

TokenReader::Queued TokenReader::NextWaiting() const {
  for (const Queued& batch : queue_) {
    if (batch->state == State::kWaiting) return batch;
  }
  return nullptr;
}

void TokenReader::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    asked_.wait(lock, [this] { return stopping_ || NextWaiting(); });
    if (stopping_) return;
    // A disk is quickest where it knows of much at once: all that is asked for, before waiting.
    std::vector<Queued> news;
    for (const Queued& batch : queue_) {
      if (batch->announced || batch->state != State::kWaiting) continue;
      batch->announced = true;
      news.push_back(batch);
    }
    if (!news.empty()) {
      lock.unlock();
      for (const Queued& batch : news) Announce(*batch);
      lock.lock();
      continue;
    }
    Queued batch = NextWaiting();
    batch->state = State::kReading;
    lock.unlock();
    Read(*batch);
    lock.lock();
    batch->state = State::kDone;
    done_.notify_all();
  }
}

TokenBatch TokenReader::Take() {
  std::unique_lock<std::mutex> lock(mutex_);
  if (queue_.empty()) {
    throw BindingError("ERR_WAVEGPT_ARGUMENT", "takeTokenBatch: no batch was asked for");
  }
  Queued batch = std::move(queue_.front());
  queue_.pop_front();
  if (batch->state == State::kWaiting) {
    batch->state = State::kReading;
    lock.unlock();
    Read(*batch);
  } else {
    done_.wait(lock, [&batch] { return batch->state == State::kDone; });
  }
  if (!batch->error.empty()) throw BindingError("ERR_WAVEGPT_DATA", batch->error);
  return {std::move(batch->tensors), batch->masked ? std::move(batch->mask) : at::Tensor()};
}

void TokenReader::Drop() {
  // Freed without the lock; what is being read lives until that has ended.
  std::deque<Queued> dropped;
  std::lock_guard<std::mutex> lock(mutex_);
  dropped.swap(queue_);
}

size_t TokenReader::PieceWith(int64_t position) const {
  auto after = std::upper_bound(starts_.begin(), starts_.end() - 1, position);
  return static_cast<size_t>(after - starts_.begin()) - 1;
}

// Visits what each piece has of the tokens from `from` to before `to`.
template <typename Visit>
void TokenReader::EachPart(int64_t from, int64_t to, const Visit& visit) const {
  for (size_t piece = from < to ? PieceWith(from) : 0; from < to; ++piece) {
    int64_t end = std::min(to, starts_[piece + 1]);
    if (end > from) visit(piece, from - starts_[piece], end - from);
    from = std::max(from, end);
  }
}

void TokenReader::Copy(int64_t from, int64_t to, int64_t* target) const {
  EachPart(from, to, [&](size_t piece, int64_t offset, int64_t count) {
    if (WidthOf(pieces_[piece].tokens) == 2) {
      const auto* tokens = static_cast<const uint16_t*>(data_[piece]) + offset;
      std::copy(tokens, tokens + count, target);
    } else {
      const auto* tokens = static_cast<const uint32_t*>(data_[piece]) + offset;
      std::copy(tokens, tokens + count, target);
    }
    target += count;
  });
}

// Has the system bring in the pages of mapped files, without waiting for them.
void TokenReader::Announce([[maybe_unused]] const Batch& batch) const {
#ifndef _WIN32
  for (const TokenRow& row : batch.rows) {
    EachPart(Before(row), After(row), [&](size_t piece, int64_t offset, int64_t count) {
      if (pieces_[piece].file.empty()) return;
      const int64_t width = WidthOf(pieces_[piece].tokens);
      Advise(static_cast<const char*>(data_[piece]) + offset * width, count * width, MADV_WILLNEED);
    });
  }
#endif
}

// Has the pages of a row there, where the system can say that they cannot be had: touching those of
// a file that was cut short, or whose disk fails, ends the process. What went wrong, or nothing.
std::string TokenReader::Populate([[maybe_unused]] const TokenRow& row) const {
  std::string error;
#ifdef __linux__
  EachPart(Before(row), After(row), [&](size_t piece, int64_t offset, int64_t count) {
    const std::string& file = pieces_[piece].file;
    if (file.empty() || !error.empty()) return;
    const int64_t width = WidthOf(pieces_[piece].tokens);
    const char* data = static_cast<const char*>(data_[piece]) + offset * width;
    const int number = Advise(data, count * width, kPopulateRead);
    // Others say nothing of the file: a system before Linux 5.14, for one, does not know of it.
    if (number != EFAULT && number != EHWPOISON) return;
    error = file + ": its tokens " + std::to_string(offset) + " to " +
            std::to_string(offset + count - 1) + " could not be read (" +
            std::generic_category().message(number) +
            "). Was the file cut short or replaced, or its disk taken away, since it was opened?";
  });
#endif
  return error;
}

int64_t* TokenReader::Part(const Batch& batch, size_t part) const {
  if (!options_.stacked) return static_cast<int64_t*>(batch.tensors[part].data_ptr());
  const auto size = static_cast<int64_t>(batch.rows.size()) * options_.block_size;
  return static_cast<int64_t*>(batch.tensors[0].data_ptr()) + static_cast<int64_t>(part) * size;
}

void TokenReader::Read(Batch& batch) const {
  int64_t* previous = Part(batch, 0);
  int64_t* x = Part(batch, 1);
  int64_t* y = Part(batch, 2);
  auto* mask = batch.mask.defined() ? static_cast<bool*>(batch.mask.data_ptr()) : nullptr;
  const int64_t size = options_.block_size;
  for (const TokenRow& row : batch.rows) {
    batch.error = Populate(row);
    if (!batch.error.empty()) return;
    const int64_t missing = ReadRow(row, previous, x, y);
    if (mask != nullptr) {
      std::fill_n(mask, missing, false);
      std::fill_n(mask + missing, size - missing, true);
      mask += size;
      batch.masked |= missing > 0;
    }
    previous += size;
    x += size;
    y += size;
  }
}

// How many of the previous tokens are left out.
int64_t TokenReader::ReadRow(const TokenRow& row, int64_t* previous, int64_t* x, int64_t* y) const {
  const int64_t size = options_.block_size;
  const int64_t begin = Before(row);
  const int64_t end = std::min(row.start + size, length());
  int64_t missing = size - (row.start - begin);
  Copy(begin, row.start, previous + missing);
  Copy(row.start, end, x);
  std::fill(x + (end - row.start), x + size, 0);
  std::fill_n(y, size, kIgnoredTarget);
  Copy(row.from + 1, row.to + 1, y + (row.from - row.start));
  if (options_.document_start) {
    const int64_t token = *options_.document_start;
    // The row's own document begins with the last such token.
    int64_t at = x[0] == token ? size : size - 1;
    while (at < size && at > missing && previous[at] != token) --at;
    missing = std::max(missing, at);
  }
  std::fill_n(previous, missing, 0);
  return missing;
}

}  // namespace wavegpt
