// Tokenizers: text in, tokens of 16 bits out.
//
// A tokenizer is known by name and version; both, with its vocabulary, are part of the identity of data and so of every
// job. Each stands in one line of the table in tokenizer.cpp. Documents are joined as in the study: each is preceded by
// a begin-of-document token, none is followed by one.
//   bytes, version 1: token = byte value; 256 begins a document; vocabulary 257
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/spec/job.h"

namespace mestre {

using Token = std::uint16_t;

/// Not thread-safe: a document may be half read. One per thread.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  /// What identity says of it; the digest is left empty.
  [[nodiscard]] virtual DataIdentity identity() const = 0;

  /// A document is begun, handed over in pieces that may be cut at any byte, and ended. Each call appends to `out` the
  /// tokens that are then certain; what they are in all does not depend on the cuts.
  virtual void begin_document(std::vector<Token>& out) = 0;
  virtual void append(std::string_view piece, std::vector<Token>& out) = 0;
  virtual void end_document(std::vector<Token>& out) = 0;

  /// The text of the tokens; the begin of a document shows as "<begin>". For people: the result need not be valid
  /// UTF-8.
  [[nodiscard]] virtual std::string decode(std::span<const Token> tokens) const = 0;
};

struct TokenizerType {
  std::string_view name;
  std::string_view doc;
  /// `model` is the tokenizer's own file, empty where none was given.
  std::unique_ptr<Tokenizer> (*open)(const std::string& model);
};

[[nodiscard]] std::span<const TokenizerType> tokenizer_types();

/// Opens "NAME" or "NAME:MODEL-FILE". Throws Error (bad_input) where the name is unknown or the model file is missing
/// or out of place.
[[nodiscard]] std::unique_ptr<Tokenizer> open_tokenizer(std::string_view description);

}  // namespace mestre
