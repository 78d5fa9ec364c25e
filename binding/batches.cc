// Batches of tokens. A reader is a JavaScript object until that is collected, or until its thread
// ends.
#include "methods.h"
#include "token_reader.h"

namespace wavegpt {
namespace {

constexpr napi_type_tag kReaderTag = {0x7a0f6c2be15d4f18, 0x92c4d7b3086ea1f5};

// Empty once it was closed.
using Holder = std::unique_ptr<TokenReader>;

// When a JavaScript thread ends, reading ends with it, whatever is freed then in which order.
void CloseAtEnd(void* holder) { static_cast<Holder*>(holder)->reset(); }

Holder& ReadHolder(const Call& call) {
  napi_value value = call.raw(0);
  napi_valuetype type = napi_undefined;
  bool is_reader = false;
  void* holder = nullptr;
  if (value != nullptr) Check(call.env, napi_typeof(call.env, value, &type));
  if (type == napi_object) {
    Check(call.env, napi_check_object_type_tag(call.env, value, &kReaderTag, &is_reader));
  }
  if (!is_reader || napi_unwrap(call.env, value, &holder) != napi_ok) {
    ThrowArgument(call.name, "reader", "what createTokenReader returned",
                  Describe(call.env, value));
  }
  return *static_cast<Holder*>(holder);
}

TokenReader& ReadReader(const Call& call) {
  Holder& holder = ReadHolder(call);
  if (!holder) ThrowArgument(call.name, "reader", "an open reader", "one that was closed");
  return *holder;
}

std::vector<TokenPiece> ReadPieces(const Call& call) {
  std::vector<TokenPiece> pieces;
  for (at::Tensor& tokens : call.Tensors(0, "pieces", false)) {
    const at::ScalarType type = tokens.scalar_type();
    if ((type != at::kUInt16 && type != at::kUInt32) || !tokens.is_cpu() || tokens.dim() != 1 ||
        !tokens.is_contiguous()) {
      ThrowArgument(call.name, "pieces",
                    "contiguous tensors of one dimension, uint16 or uint32, on the CPU",
                    c10::str(type, " of ", tokens.dim(), " dimensions on ", tokens.device()));
    }
    pieces.push_back({std::move(tokens), ""});
  }
  if (call.ArrayLength(1, "files") != pieces.size()) {
    ThrowArgument(call.name, "files", std::to_string(pieces.size()) + ", one for each piece",
                  std::to_string(call.ArrayLength(1, "files")));
  }
  for (uint32_t at = 0; at < pieces.size(); ++at) {
    napi_value file;
    napi_valuetype type;
    Check(call.env, napi_get_element(call.env, call.raw(1), at, &file));
    Check(call.env, napi_typeof(call.env, file, &type));
    if (type != napi_null) pieces[at].file = ReadString(call.env, file, call.name, "files");
  }
  return pieces;
}

napi_value createTokenReader(Call& call) {
  TokenReader::Options options;
  options.block_size = call.Integer(2, "blockSize");
  if (options.block_size < 1) {
    ThrowArgument(call.name, "blockSize", "at least 1", std::to_string(options.block_size));
  }
  if (!call.IsNullish(3)) options.document_start = call.Integer(3, "documentStart");
  options.stacked = call.Boolean(4, "stacked");
  options.page_locked = call.Boolean(5, "pageLocked");
  auto holder = std::make_unique<Holder>(std::make_unique<TokenReader>(ReadPieces(call), options));
  napi_value object;
  Check(call.env, napi_create_object(call.env, &object));
  Check(call.env, napi_type_tag_object(call.env, object, &kReaderTag));
  Check(call.env, napi_wrap(
                      call.env, object, holder.get(),
                      [](napi_env env, void* data, void*) {
                        napi_remove_env_cleanup_hook(env, CloseAtEnd, data);
                        delete static_cast<Holder*>(data);
                      },
                      nullptr, nullptr));
  Check(call.env, napi_add_env_cleanup_hook(call.env, CloseAtEnd, holder.release()));
  return object;
}

napi_value closeTokenReader(Call& call) {
  ReadHolder(call).reset();
  return call.Undefined();
}

// Rows as three numbers each, checked against the text: the reader trusts them.
std::vector<TokenRow> ReadRows(const Call& call, int64_t length, int64_t block_size) {
  napi_value value = call.raw(1);
  bool is_typed_array = false;
  napi_typedarray_type type = napi_int8_array;
  size_t count = 0;
  void* data = nullptr;
  if (value != nullptr) Check(call.env, napi_is_typedarray(call.env, value, &is_typed_array));
  if (is_typed_array) {
    Check(call.env,
          napi_get_typedarray_info(call.env, value, &type, &count, &data, nullptr, nullptr));
  }
  if (type != napi_float64_array || count == 0 || count % 3 != 0) {
    ThrowArgument(call.name, "rows", "a Float64Array of three numbers a row",
                  is_typed_array ? std::to_string(count) + " numbers" : Describe(call.env, value));
  }
  std::vector<TokenRow> rows(count / 3);
  const auto* numbers = static_cast<const double*>(data);
  for (TokenRow& row : rows) {
    const double start = numbers[0], from = numbers[1], to = numbers[2];
    // Compared as they came: what is no number fails, too.
    if (!(start >= 0 && start < static_cast<double>(length) && start <= from && from <= to &&
          to <= start + static_cast<double>(block_size) &&
          (from == to || to < static_cast<double>(length)))) {
      ThrowArgument(call.name, "rows",
                    c10::str("rows within the text's ", length, " tokens, of at most ", block_size,
                             " targets"),
                    c10::str("start ", start, ", targets ", from, " to ", to));
    }
    row = {static_cast<int64_t>(start), static_cast<int64_t>(from), static_cast<int64_t>(to)};
    numbers += 3;
  }
  return rows;
}

napi_value requestTokenBatches(Call& call) {
  TokenReader& reader = ReadReader(call);
  std::vector<TokenRow> rows = ReadRows(call, reader.length(), reader.block_size());
  const int64_t batch_rows = call.Integer(2, "rowsPerBatch");
  if (batch_rows < 1 || rows.size() % static_cast<size_t>(batch_rows) != 0) {
    ThrowArgument(call.name, "rowsPerBatch",
                  "a divisor of the " + std::to_string(rows.size()) + " rows",
                  std::to_string(batch_rows));
  }
  reader.Request(rows, static_cast<size_t>(batch_rows), call.Boolean(3, "inBackground"));
  return call.Undefined();
}

napi_value takeTokenBatch(Call& call) {
  TokenBatch batch = ReadReader(call).Take();
  napi_value result;
  uint32_t at = 0;
  Check(call.env, napi_create_array_with_length(call.env, batch.tensors.size() + 1, &result));
  for (at::Tensor& tensor : batch.tensors) {
    Check(call.env, napi_set_element(call.env, result, at++, call.NewTensor(std::move(tensor))));
  }
  napi_value mask = call.NewTensor(std::move(batch.mask));
  Check(call.env, napi_set_element(call.env, result, at, mask));
  return result;
}

napi_value dropTokenBatches(Call& call) {
  ReadReader(call).Drop();
  return call.Undefined();
}

}  // namespace

std::vector<MethodEntry> BatchMethods() {
  return {
      WAVEGPT_METHOD(createTokenReader),   WAVEGPT_METHOD(closeTokenReader),
      WAVEGPT_METHOD(requestTokenBatches), WAVEGPT_METHOD(takeTokenBatch),
      WAVEGPT_METHOD(dropTokenBatches),
  };
}

}  // namespace wavegpt
