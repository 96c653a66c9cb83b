#include "core/data/tokenizer.h"

#include <array>

#include <fmt/format.h>

#include "core/base/diagnostics.h"
#include "core/base/error.h"

namespace mestre {
namespace {

class Bytes final : public Tokenizer {
 public:
  [[nodiscard]] DataIdentity identity() const override {
    return {.digest = {}, .tokenizer = "bytes", .tokenizer_version = 1, .vocabulary = kBegin + 1};
  }

  void begin_document(std::vector<Token>& out) override { out.push_back(kBegin); }
  void append(std::string_view piece, std::vector<Token>& out) override {
    const std::size_t size = out.size();
    out.resize(size + piece.size());
    for (std::size_t i = 0; i < piece.size(); ++i) out[size + i] = static_cast<unsigned char>(piece[i]);
  }
  void end_document(std::vector<Token>&) override {}

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
    TokenizerType{"bytes", "each byte is a token, 256 begins a document", open_bytes},
};

}  // namespace

std::span<const TokenizerType> tokenizer_types() {
  return kTypes;
}

std::unique_ptr<Tokenizer> open_tokenizer(std::string_view description) {
  const std::string_view name = description.substr(0, description.find(':'));
  const std::string model(description.substr(std::min(description.size(), name.size() + 1)));
  std::vector<std::string> names;
  for (const TokenizerType& type : kTypes) {
    if (type.name == name) return type.open(model);
    names.emplace_back(type.name);
  }
  throw Error(ErrorCode::kBadInput, fmt::format("unknown tokenizer '{}'", escaped(name)))
      .hint(expected_one_of(name, names));
}

}  // namespace mestre
