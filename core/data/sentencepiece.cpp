#include "core/data/sentencepiece.h"

#include <sentencepiece_processor.h>

#include <limits>

#include <fmt/format.h>

#include "core/base/diagnostics.h"
#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/units.h"
#include "core/base/utf8.h"
#include "core/data/joined_pairs.h"
#include "core/data/sentencepiece_spec.h"
#include "core/data/token_cache.h"

namespace mestre {
namespace {

using sentencepiece::SentencePieceProcessor;

constexpr int kVersion = 1;

// A model file, loaded; immutable, so that threads share it.
struct Model {
  std::string bytes;
  std::string digest;
  SentencePieceSpec spec;
  SentencePieceProcessor processor;  // as the file says
  SentencePieceProcessor continued;  // for text in the middle of a document: adds no dummy prefix
  bool is_separable = false;         // tokens never cross a pair of characters that is not in `joined`
  JoinedPairs joined;
};

bool is_separable(const SentencePieceSpec& spec) {
  return spec.model_type == SentencePieceSpec::kBytePairs && spec.has_byte_fallback && spec.escapes_whitespaces &&
         !spec.has_character_map && !spec.removes_extra_whitespaces && !spec.treats_whitespace_as_suffix;
}

class SentencePiece final : public Tokenizer {
 public:
  explicit SentencePiece(std::shared_ptr<const Model> model) : model_(std::move(model)) {}

  [[nodiscard]] std::unique_ptr<Tokenizer> clone() const override { return std::make_unique<SentencePiece>(model_); }
  [[nodiscard]] DataIdentity identity() const override {
    return {.digest = {},
            .tokenizer = "sentencepiece:" + model_->digest,
            .tokenizer_version = kVersion,
            .vocabulary = model_->processor.GetPieceSize()};
  }
  [[nodiscard]] Token begin_token() const override { return static_cast<Token>(model_->processor.bos_id()); }
  [[nodiscard]] std::string_view model() const override { return model_->bytes; }

  [[nodiscard]] std::size_t last_safe_cut(std::string_view text) const override {
    if (!model_->is_separable) return 0;
    for (std::size_t tail = 256;; tail *= 8) {
      const std::size_t begin = text.size() - std::min(tail, text.size());
      if (const std::size_t cut = last_separation(text, begin); cut > 0) return cut;
      if (begin == 0) return 0;
    }
  }

  void encode(std::string_view piece, bool begins, std::vector<Token>& out) override {
    if (begins) out.push_back(begin_token());
    if (piece.empty()) return;
    if (model_->is_separable)
      encode_words(piece, begins && model_->spec.adds_dummy_prefix, out);
    else  // a piece is cut before a blank, which such a model takes away and puts back as its dummy prefix
      encode_word(piece, begins || model_->spec.removes_extra_whitespaces ? model_->processor : model_->continued, out);
  }

  [[nodiscard]] std::string decode(std::span<const Token> tokens) const override {
    std::string text;
    std::vector<int> ids;
    const auto flush = [&] {
      text += model_->processor.DecodeIds(ids);
      ids.clear();
    };
    for (const Token token : tokens) {
      if (token < model_->processor.GetPieceSize() && token != begin_token()) {
        ids.push_back(token);
        continue;
      }
      flush();
      text += token == begin_token() ? "<begin>" : fmt::format("<{}>", token);
    }
    flush();
    return text;
  }

 private:
  // The last place from `begin` on between two characters that no piece of the model joins. What stands at the very end
  // may be a code point in parts, so it is not looked at.
  [[nodiscard]] std::size_t last_separation(std::string_view text, std::size_t begin) const {
    while (begin < text.size() && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) ++begin;
    constexpr std::size_t kLongestCodePoint = 4;
    std::size_t cut = 0;
    char32_t left = kInvalidUtf8;
    for (std::size_t i = begin; i + kLongestCodePoint <= text.size();) {
      const CodePoint next = character_at(text, i);
      if (i > begin && !model_->joined.contains(left, next.value)) cut = i;
      left = next.value;
      i += next.length;
    }
    return cut;
  }

  // As the library reads it: a byte that breaks the text is U+FFFD.
  static CodePoint character_at(std::string_view text, std::size_t i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x80) return {byte, 1};
    CodePoint character = first_code_point(text.substr(i));
    if (character.value == kInvalidUtf8) character.value = U'\uFFFD';
    return character;
  }

  void encode_words(std::string_view text, bool adds_prefix, std::vector<Token>& out) {
    std::size_t begin = 0;
    char32_t left = 0;
    for (std::size_t i = 0; i <= text.size();) {
      const CodePoint next = i < text.size() ? character_at(text, i) : CodePoint{};
      if (i > 0 && (i == text.size() || !model_->joined.contains(left, next.value))) {
        const std::string_view word = text.substr(begin, i - begin);
        if (begin == 0 && adds_prefix)
          encode_word(" " + std::string(word), model_->continued, out);
        else
          encode_cached(word, out);
        begin = i;
      }
      left = next.value;
      i += next.length;
    }
  }

  void encode_cached(std::string_view word, std::vector<Token>& out) {
    if (const std::span<const Token> known = cache_.find(word); !known.empty()) {
      out.insert(out.end(), known.begin(), known.end());
      return;
    }
    const std::size_t size = out.size();
    encode_word(word, model_->continued, out);
    cache_.remember(word, std::span(out).subspan(size));
  }

  void encode_word(std::string_view text, const SentencePieceProcessor& processor, std::vector<Token>& out) {
    const sentencepiece::util::Status status = processor.Encode(text, &ids_);
    if (!status.ok())
      throw Error(ErrorCode::kBug, fmt::format("libsentencepiece cannot encode a text: {}", status.ToString()));
    out.insert(out.end(), ids_.begin(), ids_.end());
  }

  std::shared_ptr<const Model> model_;
  TokenCache cache_;
  std::vector<int> ids_;
};

Error no_model(const std::string& path, std::string_view why) {
  return Error(ErrorCode::kBadInput, fmt::format("'{}' is no SentencePiece model: {}", escaped(path), why))
      .hint("expected a .model file, such as the tokenizer.model of Llama-2");
}

void load(SentencePieceProcessor& processor, std::string_view bytes, const std::string& path) {
  const sentencepiece::util::Status status = processor.LoadFromSerializedProto(bytes);
  if (!status.ok()) throw no_model(path, status.ToString());
}

void check_pieces(const SentencePieceProcessor& processor, const std::string& path) {
  if (processor.GetPieceSize() > kLargestVocabulary)
    throw Error(ErrorCode::kBadInput, fmt::format("'{}' has {} pieces, and packed tokens have 16 bits", escaped(path),
                                                  with_thousands(processor.GetPieceSize())))
        .hint("expected at most 65,536");
  if (processor.bos_id() < 0)
    throw Error(ErrorCode::kBadInput,
                fmt::format("'{}' has no begin-of-sequence token, which begins each document", escaped(path)))
        .hint("expected a model that was trained with a bos_id");
}

}  // namespace

std::unique_ptr<Tokenizer> open_sentencepiece(const std::string& path) {
  auto model = std::make_shared<Model>();
  model->bytes = read_file(path);
  model->digest = xxh3_128(model->bytes);
  const std::optional<SentencePieceSpec> spec = read_sentencepiece_spec(model->bytes);
  if (!spec) throw no_model(path, "its bytes are no protocol buffer");
  model->spec = *spec;
  load(model->processor, model->bytes, path);
  load(model->continued, model->bytes + std::string(kWithoutDummyPrefix), path);
  check_pieces(model->processor, path);
  model->is_separable = is_separable(model->spec);
  for (int id = 0; id < model->processor.GetPieceSize(); ++id)
    if (!model->processor.IsControl(id) && !model->processor.IsUnknown(id) && !model->processor.IsByte(id))
      model->joined.add(model->processor.IdToPiece(id));
  return std::make_unique<SentencePiece>(std::move(model));
}

}  // namespace mestre
