// What a SentencePiece model file says of itself, read from its bytes: the library tells only of its pieces.
#pragma once

#include <optional>
#include <string_view>

namespace mestre {

/// Members of TrainerSpec and NormalizerSpec in sentencepiece_model.proto, with the defaults of that file.
struct SentencePieceSpec {
  static constexpr int kBytePairs = 2;
  int model_type = 1;
  bool treats_whitespace_as_suffix = false;
  bool has_byte_fallback = false;
  bool has_character_map = false;  // a normalisation of characters, such as NFKC
  bool adds_dummy_prefix = true;
  bool removes_extra_whitespaces = true;
  bool escapes_whitespaces = true;
};

/// Nothing where the bytes are no serialised message.
[[nodiscard]] std::optional<SentencePieceSpec> read_sentencepiece_spec(std::string_view model);

/// Appended to a model's bytes, takes its dummy prefix away: of a message that comes twice, the later members count.
inline constexpr std::string_view kWithoutDummyPrefix{"\x1a\x02\x18\x00", 4};

}  // namespace mestre
