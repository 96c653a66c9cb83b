#include "core/data/tokenizer.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/base/diagnostics.h"
#include "core/base/error.h"
#include "core/data/sentencepiece.h"

namespace mestre {
namespace {

bool continues_code_point(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

// The last place in `text` before which a code point ends, as far as the bytes look like UTF-8 at all.
std::size_t last_code_point_end(std::string_view text) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(4, text.size()); ++back)
    if (!continues_code_point(text[text.size() - back]))
      return static_cast<unsigned char>(text[text.size() - back]) < 0x80 ? text.size() - back + 1 : text.size() - back;
  return text.size();
}

class Bytes final : public Tokenizer {
 public:
  [[nodiscard]] std::unique_ptr<Tokenizer> clone() const override { return std::make_unique<Bytes>(); }
  [[nodiscard]] DataIdentity identity() const override {
    return {.digest = {}, .tokenizer = "bytes", .tokenizer_version = 1, .vocabulary = kBegin + 1};
  }
  [[nodiscard]] Token begin_token() const override { return kBegin; }
  [[nodiscard]] std::size_t last_safe_cut(std::string_view text) const override { return last_code_point_end(text); }

  void encode(std::string_view piece, bool begins, std::vector<Token>& out) override {
    if (begins) out.push_back(kBegin);
    const std::size_t size = out.size();
    out.resize(size + piece.size());
    for (std::size_t i = 0; i < piece.size(); ++i) out[size + i] = static_cast<unsigned char>(piece[i]);
  }

  [[nodiscard]] std::string decode(std::span<const Token> tokens) const override {
    std::string text;
    for (const Token token : tokens) {
      if (token < kBegin)
        text += static_cast<char>(token);
      else
        text += token == kBegin ? "<begin>" : fmt::format("<{}>", token);
    }
    return text;
  }

 private:
  static constexpr Token kBegin = 256;
};

std::unique_ptr<Tokenizer> open_bytes(const std::string& model) {
  if (!model.empty())
    throw Error(ErrorCode::kBadInput,
                fmt::format("the tokenizer 'bytes' takes no model file, but '{}' was given", escaped(model)));
  return std::make_unique<Bytes>();
}

constexpr std::array kTypes = {
    TokenizerType{"bytes", "each byte is a token, 256 begins a document", false, open_bytes},
    TokenizerType{"sentencepiece", "the pieces of a SentencePiece model, such as Llama-2's", true, open_sentencepiece},
};

}  // namespace

std::size_t piece_of(const Tokenizer& tokenizer, std::string_view rest) {
  if (rest.size() <= kPieceBytes) return rest.size();
  const std::string_view window = rest.substr(0, kPieceBytes);
  if (const std::size_t safe = tokenizer.last_safe_cut(window); safe > 0) return safe;
  // Some limit there must be, or a document could take any memory.
  if (const std::size_t blank = window.find_last_of(" \n"); blank != std::string_view::npos && blank > 0) return blank;
  return std::max<std::size_t>(1, last_code_point_end(window));
}

void encode_document(Tokenizer& tokenizer, std::string_view text, std::vector<Token>& out) {
  bool begins = true;
  do {
    const std::size_t size = piece_of(tokenizer, text);
    tokenizer.encode(text.substr(0, size), begins, out);
    text.remove_prefix(size);
    begins = false;
  } while (!text.empty());
}

std::span<const TokenizerType> tokenizer_types() {
  return kTypes;
}

std::unique_ptr<Tokenizer> open_tokenizer(std::string_view description) {
  const std::string_view name = description.substr(0, description.find(':'));
  const std::string model(description.substr(std::min(description.size(), name.size() + 1)));
  std::vector<std::string> names;
  for (const TokenizerType& type : kTypes) {
    if (type.name == name && type.needs_model && model.empty())
      throw Error(ErrorCode::kBadInput, fmt::format("the tokenizer '{}' needs a model file", name))
          .hint(fmt::format("expected '{}:MODEL-FILE'", name));
    if (type.name == name) return type.open(model);
    names.emplace_back(type.name);
  }
  throw Error(ErrorCode::kBadInput, fmt::format("unknown tokenizer '{}'", escaped(name)))
      .hint(expected_one_of(name, names));
}

std::unique_ptr<Tokenizer> find_tokenizer(const DataIdentity& identity, const fs::path& folder) {
  const std::string_view name = std::string_view(identity.tokenizer).substr(0, identity.tokenizer.find(':'));
  for (const TokenizerType& type : kTypes) {
    if (type.name != name) continue;
    try {
      auto tokenizer = type.open(type.needs_model ? (folder / kTokenizerFile).native() : std::string());
      const DataIdentity found = tokenizer->identity();
      if (found.tokenizer == identity.tokenizer && found.tokenizer_version == identity.tokenizer_version)
        return tokenizer;
    } catch (const Error&) {
      return nullptr;
    }
  }
  return nullptr;
}

}  // namespace mestre
