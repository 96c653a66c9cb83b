// Tokenizers: text in, tokens of 16 bits out.
//
// A tokenizer is known by name and version; both, with its vocabulary, are part of the identity of data and so of every
// job. Each stands in one line of the table in tokenizer.cpp. Documents are joined as in the study: each is preceded by
// a begin-of-document token, none is followed by one.
//   bytes, version 1: token = byte value; 256 begins a document; vocabulary 257
//   sentencepiece:DIGEST, version 1: what libsentencepiece makes of the model file with this XXH3-128 digest; the
//     model's begin-of-sequence token begins a document
//
// A document is encoded in pieces of at most kPieceBytes, which any threads may encode in any order: where a document
// is cut is decided by its text alone (piece_of). Where the tokenizer knows a place at which a cut changes nothing, the
// last such place is taken; else the text is cut before its last blank. That rule is frozen with the version.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/files.h"
#include "core/spec/job.h"

namespace mestre {

using Token = std::uint16_t;

inline constexpr std::int64_t kLargestVocabulary = std::numeric_limits<Token>::max() + 1;

inline constexpr std::size_t kPieceBytes = std::size_t{1} << 18;
/// The tokenizer's own file, which a packed corpus keeps beside its tokens.
inline constexpr std::string_view kTokenizerFile = "tokenizer.model";

/// Not thread-safe: one per thread, by clone().
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  /// Another of the same kind, which shares what is large and immutable.
  [[nodiscard]] virtual std::unique_ptr<Tokenizer> clone() const = 0;
  /// What identity says of it; the digest is left empty.
  [[nodiscard]] virtual DataIdentity identity() const = 0;
  /// The token that precedes each document.
  [[nodiscard]] virtual Token begin_token() const = 0;
  /// The contents of its model file; empty where it has none.
  [[nodiscard]] virtual std::string_view model() const { return {}; }

  /// The last place in `text`, part of a document, where cutting changes no token, and before which a code point ends;
  /// 0 where there is none. More text behind `text` does not make the place wrong.
  [[nodiscard]] virtual std::size_t last_safe_cut(std::string_view text) const = 0;
  /// Appends the tokens of a piece to `out`, behind the begin token where the piece begins its document. Any bytes are
  /// text: where a tokenizer needs UTF-8, each byte that breaks it is read as U+FFFD.
  virtual void encode(std::string_view piece, bool begins, std::vector<Token>& out) = 0;

  /// The text of the tokens; the begin of a document shows as "<begin>". For people: the result need not be valid
  /// UTF-8.
  [[nodiscard]] virtual std::string decode(std::span<const Token> tokens) const = 0;
};

/// Bytes of the next piece of a document of which `rest` is left, or its first kPieceBytes bytes at least.
[[nodiscard]] std::size_t piece_of(const Tokenizer& tokenizer, std::string_view rest);
/// Appends the begin token and the tokens of a whole document.
void encode_document(Tokenizer& tokenizer, std::string_view text, std::vector<Token>& out);

struct TokenizerType {
  std::string_view name;
  std::string_view doc;
  bool needs_model;
  /// `model` is the path of the tokenizer's own file, empty where none was given.
  std::unique_ptr<Tokenizer> (*open)(const std::string& model);
};

[[nodiscard]] std::span<const TokenizerType> tokenizer_types();

/// Opens "NAME" or "NAME:MODEL-FILE". Throws Error: bad_input where the name is unknown or the model file is missing,
/// out of place or no such model; not_found; environment where this build lacks the library.
[[nodiscard]] std::unique_ptr<Tokenizer> open_tokenizer(std::string_view description);

/// The tokenizer of a packed corpus, whose manifest lies in `folder`; null where this build or the folder does not have
/// it.
[[nodiscard]] std::unique_ptr<Tokenizer> find_tokenizer(const DataIdentity& identity, const fs::path& folder);

}  // namespace mestre
