#include "core/data/tokenizer.h"

#include <gtest/gtest.h>

#include "core/base/error.h"

namespace mestre {
namespace {

std::vector<Token> encode(Tokenizer& tokenizer, std::string_view document) {
  std::vector<Token> tokens;
  encode_document(tokenizer, document, tokens);
  return tokens;
}

TEST(BytesTokenizer, IsFrozen) {
  const auto tokenizer = open_tokenizer("bytes");
  EXPECT_EQ(encode(*tokenizer, std::string_view("A\n\0\xFF", 4)), (std::vector<Token>{256, 65, 10, 0, 255}));
  EXPECT_EQ(encode(*tokenizer, ""), std::vector<Token>{256});
  EXPECT_EQ(tokenizer->identity().tokenizer, "bytes");
  EXPECT_EQ(tokenizer->identity().tokenizer_version, 1);
  EXPECT_EQ(tokenizer->identity().vocabulary, 257);
}

// Of every tokenizer in the table that needs no model file.
TEST(Tokenizers, DoNotDependOnThePieces) {
  const std::string document = "int main() { return 'é'; }\n\xF0\x9F\xA5\x81 \x80 broken";
  for (const TokenizerType& type : tokenizer_types()) {
    if (type.needs_model) continue;
    const auto tokenizer = type.open("");
    const std::vector<Token> whole = encode(*tokenizer, document);
    for (std::size_t size = 1; size < document.size(); ++size) {
      const std::size_t cut = tokenizer->last_safe_cut(std::string_view(document).substr(0, size));
      std::vector<Token> parts;
      tokenizer->encode(std::string_view(document).substr(0, cut), true, parts);
      tokenizer->clone()->encode(std::string_view(document).substr(cut), false, parts);
      EXPECT_EQ(parts, whole) << type.name;
    }
    for (const Token token : whole) EXPECT_LT(token, tokenizer->identity().vocabulary);
    EXPECT_EQ(tokenizer->decode(whole), "<begin>" + document);
    EXPECT_EQ(tokenizer->identity().tokenizer, type.name);
  }
}

TEST(Tokenizers, CutNoCodePoint) {
  const auto tokenizer = open_tokenizer("bytes");
  EXPECT_EQ(tokenizer->last_safe_cut("ab\xC3"), 2U);
  EXPECT_EQ(tokenizer->last_safe_cut("ab\xF0\x9F\xA5"), 2U);
  EXPECT_EQ(tokenizer->last_safe_cut("ab"), 2U);
  EXPECT_EQ(tokenizer->last_safe_cut("\x80\x80\x80\x80\x80"), 5U);
  const std::string large = std::string(kPieceBytes - 1, 'x') + "é and more";
  EXPECT_EQ(piece_of(*tokenizer, large), kPieceBytes - 1);
  EXPECT_EQ(piece_of(*tokenizer, std::string(kPieceBytes, 'x')), kPieceBytes);
  EXPECT_EQ(encode(*tokenizer, large).size(), large.size() + 1);
}

TEST(Tokenizers, AreNamedWhenUnknown) {
  try {
    (void)open_tokenizer("byts");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_EQ(error.message(), "unknown tokenizer 'byts'");
    EXPECT_NE(error.hints().at(0).find("'bytes'"), std::string::npos) << error.hints().at(0);
  }
  EXPECT_THROW((void)open_tokenizer("bytes:some.model"), Error);
  EXPECT_THROW((void)open_tokenizer(""), Error);
}

}  // namespace
}  // namespace mestre
