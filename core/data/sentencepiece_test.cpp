#include "core/data/sentencepiece.h"

#include <sentencepiece_processor.h>

#include <cstdlib>
#include <random>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/data/sentencepiece_spec.h"
#include "core/data/test_folder.h"

namespace mestre {
namespace {

fs::path model_file(std::string_view name) {
  return fs::path(std::getenv("MESTRE_SOURCE")) / "tests/reference/tokenizers" / name;
}

std::unique_ptr<Tokenizer> open(std::string_view name) {
  return open_tokenizer("sentencepiece:" + model_file(name).native());
}

std::vector<Token> encoded(Tokenizer& tokenizer, std::string_view document) {
  std::vector<Token> tokens;
  encode_document(tokenizer, document, tokens);
  return tokens;
}

// What libsentencepiece makes of a whole document, behind the begin token.
std::vector<Token> encoded_by_library(std::string_view name, std::string_view document) {
  sentencepiece::SentencePieceProcessor processor;
  EXPECT_TRUE(processor.Load(model_file(name).native()).ok());
  std::vector<int> ids;
  EXPECT_TRUE(processor.Encode(document, &ids).ok());
  std::vector<Token> tokens{static_cast<Token>(processor.bos_id())};
  tokens.insert(tokens.end(), ids.begin(), ids.end());
  return tokens;
}

// Text of every sort that a tokenizer may stumble over, broken UTF-8 and NUL among it.
std::string random_text(std::mt19937& random, std::size_t parts) {
  static const std::vector<std::string> kParts = {" ",
                                                  "  ",
                                                  "\n",
                                                  "\t",
                                                  "the ",
                                                  "tokenizer",
                                                  "documents are",
                                                  "ing",
                                                  " of",
                                                  "std::vector<int>",
                                                  "();",
                                                  "12345",
                                                  "\u2581",
                                                  "\u2581the",
                                                  "größer",
                                                  "où",
                                                  "мир",
                                                  "世界",
                                                  "🙂",
                                                  "\xFF",
                                                  "\xC3",
                                                  "\xED\xA0\x80",
                                                  "\xE2\x96",
                                                  "x",
                                                  "return",
                                                  "<s>",
                                                  "<0x41>",
                                                  "\r\n",
                                                  "ſ",
                                                  "=== "};
  std::string text;
  for (std::size_t i = 0; i < parts; ++i) {
    const std::size_t choice = random() % (kParts.size() + 1);
    if (choice < kParts.size())
      text += kParts[choice];
    else
      text.append(1, '\0');
  }
  return text;
}

TEST(SentencePiece, IsFrozen) {
  const auto tokenizer = open("bpe.model");
  const DataIdentity identity = tokenizer->identity();
  EXPECT_EQ(identity.tokenizer, "sentencepiece:272a87cbae0433ff98586c9dab1ba104");
  EXPECT_EQ(identity.tokenizer_version, 1);
  EXPECT_EQ(identity.vocabulary, 640);
  EXPECT_EQ(tokenizer->begin_token(), 1);
  EXPECT_EQ(encoded(*tokenizer, "the tokens of 12 documents\n\t  größer 🙂"),
            (std::vector<Token>{1,   285, 497, 328, 532, 573, 576, 527, 535, 13,  12,
                                259, 558, 538, 632, 625, 265, 532, 243, 162, 156, 133}));
  EXPECT_EQ(encoded(*tokenizer, ""), std::vector<Token>{1});
}

TEST(SentencePiece, MakesOfWordsWhatTheLibraryMakesOfTheWhole) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto tokenizer = open("bpe.model");
  for (int i = 0; i < 300; ++i) {
    const std::string text = random_text(random, 1 + random() % 60);
    ASSERT_EQ(encoded(*tokenizer, text), encoded_by_library("bpe.model", text)) << testing::PrintToString(text);
  }
  // The same again for ordinary text, the cache being warm.
  const std::string page = read_file(fs::path(std::getenv("MESTRE_SOURCE")) / "README.md");
  EXPECT_EQ(encoded(*tokenizer, page), encoded_by_library("bpe.model", page));
  EXPECT_EQ(encoded(*tokenizer, page), encoded_by_library("bpe.model", page));
}

TEST(SentencePiece, MayBeCutWhereItSaysSo) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto tokenizer = open("bpe.model");
  int cuts = 0;
  for (int i = 0; i < 300; ++i) {
    const std::string text = random_text(random, 40);
    const std::string_view shown = std::string_view(text).substr(0, random() % text.size());
    const std::size_t cut = tokenizer->last_safe_cut(shown);
    ASSERT_LE(cut, shown.size());
    cuts += cut > 0 ? 1 : 0;
    std::vector<Token> parts;
    tokenizer->encode(std::string_view(text).substr(0, cut), true, parts);
    if (cut == 0) parts.assign({});
    tokenizer->clone()->encode(std::string_view(text).substr(cut), cut == 0, parts);
    ASSERT_EQ(parts, encoded_by_library("bpe.model", text)) << testing::PrintToString(text) << " at " << cut;
  }
  EXPECT_GT(cuts, 200);
}

TEST(SentencePiece, EncodesLongDocumentsPieceByPiece) {
  const auto tokenizer = open("bpe.model");
  std::string text;
  while (text.size() < kPieceBytes + 1000)
    text += "the tokens of a document stand in order, " + std::to_string(text.size()) + "\n";
  EXPECT_LT(piece_of(*tokenizer, text), kPieceBytes);
  EXPECT_GT(piece_of(*tokenizer, text), kPieceBytes - 100);
  EXPECT_EQ(encoded(*tokenizer, text), encoded_by_library("bpe.model", text));
  // What offers no place to cut is cut all the same.
  EXPECT_EQ(piece_of(*tokenizer, std::string(kPieceBytes + 1, ' ')), kPieceBytes - 1);
  EXPECT_EQ(tokenizer->last_safe_cut(std::string(1000, ' ')), 0U);
}

TEST(SentencePiece, EncodesOtherModelsWhole) {
  const auto tokenizer = open("unigram.model");
  const std::string text = "  the documents  are in order \xFF здравствуй ";
  EXPECT_EQ(encoded(*tokenizer, text), encoded_by_library("unigram.model", text));
  EXPECT_EQ(tokenizer->last_safe_cut(text), 0U);
  std::string large;
  while (large.size() <= kPieceBytes) large += "and so on ";
  EXPECT_EQ(large[piece_of(*tokenizer, large)], ' ');
  EXPECT_EQ(encoded(*tokenizer, large), encoded_by_library("unigram.model", large));
}

TEST(SentencePiece, DecodesWhatItEncoded) {
  const auto tokenizer = open("bpe.model");
  std::vector<Token> tokens = encoded(*tokenizer, "int main() {\n  return 'é';  }\n");
  encode_document(*tokenizer, " more 🙂", tokens);
  tokens.push_back(60000);
  EXPECT_EQ(tokenizer->decode(tokens), "<begin>int main() {\n  return 'é';  }\n<begin> more 🙂<60000>");
}

TEST(SentencePiece, RefusesWhatItCannotUse) {
  const auto message = [](const std::string& description) -> std::string {
    try {
      (void)open_tokenizer(description);
    } catch (const Error& error) {
      return error.message();
    }
    return "none";
  };
  EXPECT_EQ(message("sentencepiece"), "the tokenizer 'sentencepiece' needs a model file");
  const std::string no_begin = model_file("no-begin.model").native();
  EXPECT_EQ(message("sentencepiece:" + no_begin),
            "'" + no_begin + "' has no begin-of-sequence token, which begins each document");
  EXPECT_NE(message("sentencepiece:/nowhere.model").find("/nowhere.model"), std::string::npos);
  const std::string page = (fs::path(std::getenv("MESTRE_SOURCE")) / "README.md").native();
  EXPECT_EQ(message("sentencepiece:" + page),
            "'" + page + "' is no SentencePiece model: its bytes are no protocol buffer");
}

// A model file that was cut short or overwritten is refused or used, but never crashes.
TEST(SentencePiece, SurvivesDamagedModels) {
  const std::string whole = read_file(model_file("bpe.model"));
  const TestFolder folder;
  std::mt19937 random(7);
  for (int i = 0; i < 60; ++i) {
    std::string damaged = whole.substr(0, i % 2 == 0 ? random() % whole.size() : whole.size());
    if (i % 2 == 1) damaged[random() % damaged.size()] = static_cast<char>(random());
    folder.write("damaged.model", damaged);
    try {
      (void)encoded(*open_tokenizer("sentencepiece:" + (folder.path() / "damaged.model").native()), "some text");
    } catch (const Error& error) {
      EXPECT_NE(error.code(), ErrorCode::kBug) << error.message();
    }
  }
}

TEST(SentencePiece, IsFoundBesideItsCorpus) {
  const auto tokenizer = open("bpe.model");
  const TestFolder folder;
  folder.write(kTokenizerFile, tokenizer->model());
  const auto found = find_tokenizer(tokenizer->identity(), folder.path());
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->identity().tokenizer, tokenizer->identity().tokenizer);
  EXPECT_NE(open("unigram.model")->identity().tokenizer, tokenizer->identity().tokenizer);
  folder.write(kTokenizerFile, open("unigram.model")->model());
  EXPECT_EQ(find_tokenizer(tokenizer->identity(), folder.path()), nullptr) << "another model's file";
  EXPECT_EQ(find_tokenizer(tokenizer->identity(), folder.path() / "none"), nullptr);
}

TEST(SentencePieceSpec, ReadsTheSettings) {
  const auto bpe = read_sentencepiece_spec(read_file(model_file("bpe.model")));
  ASSERT_TRUE(bpe);
  EXPECT_EQ(bpe->model_type, SentencePieceSpec::kBytePairs);
  EXPECT_TRUE(bpe->has_byte_fallback && bpe->adds_dummy_prefix && bpe->escapes_whitespaces);
  EXPECT_FALSE(bpe->removes_extra_whitespaces || bpe->has_character_map || bpe->treats_whitespace_as_suffix);
  const auto unigram = read_sentencepiece_spec(read_file(model_file("unigram.model")));
  ASSERT_TRUE(unigram);
  EXPECT_NE(unigram->model_type, SentencePieceSpec::kBytePairs);
  EXPECT_TRUE(unigram->removes_extra_whitespaces);
  EXPECT_FALSE(unigram->has_byte_fallback);
  const auto changed = read_sentencepiece_spec(read_file(model_file("bpe.model")) + std::string(kWithoutDummyPrefix));
  ASSERT_TRUE(changed);
  EXPECT_FALSE(changed->adds_dummy_prefix);
  EXPECT_FALSE(read_sentencepiece_spec(""));
  EXPECT_FALSE(read_sentencepiece_spec("no protocol buffer"));
}

}  // namespace
}  // namespace mestre
