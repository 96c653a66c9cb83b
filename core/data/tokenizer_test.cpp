#include "core/data/tokenizer.h"

#include <gtest/gtest.h>

#include "core/base/error.h"

namespace mestre {
namespace {

std::vector<Token> encode(Tokenizer& tokenizer, std::string_view document, std::size_t piece) {
  std::vector<Token> tokens;
  tokenizer.begin_document(tokens);
  for (std::size_t i = 0; i < document.size(); i += piece) tokenizer.append(document.substr(i, piece), tokens);
  tokenizer.end_document(tokens);
  return tokens;
}

TEST(BytesTokenizer, IsFrozen) {
  const auto tokenizer = open_tokenizer("bytes");
  EXPECT_EQ(encode(*tokenizer, std::string_view("A\n\0\xFF", 4), 4), (std::vector<Token>{256, 65, 10, 0, 255}));
  EXPECT_EQ(tokenizer->identity().tokenizer, "bytes");
  EXPECT_EQ(tokenizer->identity().tokenizer_version, 1);
  EXPECT_EQ(tokenizer->identity().vocabulary, 257);
}

// Of every tokenizer in the table that needs no model file.
TEST(Tokenizers, DoNotDependOnThePieces) {
  const std::string document = "int main() { return 'é'; }\n\xF0\x9F\xA5\x81 \x80 broken";
  for (const TokenizerType& type : tokenizer_types()) {
    const auto tokenizer = type.open("");
    const std::vector<Token> whole = encode(*tokenizer, document, document.size());
    for (std::size_t piece = 1; piece < document.size(); ++piece)
      EXPECT_EQ(encode(*tokenizer, document, piece), whole) << type.name;
    for (const Token token : whole) EXPECT_LT(token, tokenizer->identity().vocabulary);
    EXPECT_EQ(tokenizer->decode(whole), "<begin>" + document);
    EXPECT_EQ(tokenizer->identity().tokenizer, type.name);
  }
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
