// The tokenizer `sentencepiece:MODEL-FILE`: models in the format of the Llama-2 tokenizer, through libsentencepiece.
//
// The library encodes one text as a whole, in time and memory that grow faster than the text. But a byte-pair model can
// only ever join characters that stand side by side in one of its pieces; between two that never do, the text may be
// cut, and the parts' tokens are those of the whole (NOTE: for byte-pair models with byte fallback that leave the text
// as it is, as Llama-2's does; others are encoded piece by piece, tokenizer.h). So a text is cut into words, and what
// the library made of a word is remembered.
#pragma once

#include <memory>
#include <string>

#include "core/data/tokenizer.h"

namespace mestre {

/// Throws Error: bad_input where `model` is no SentencePiece model, has no begin-of-sequence token or more
/// than 65,536 pieces; not_found; environment where this build is without libsentencepiece.
[[nodiscard]] std::unique_ptr<Tokenizer> open_sentencepiece(const std::string& model);

}  // namespace mestre
