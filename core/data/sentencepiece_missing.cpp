#include "core/base/error.h"
#include "core/data/sentencepiece.h"

namespace mestre {

std::unique_ptr<Tokenizer> open_sentencepiece(const std::string&) {
  throw Error(ErrorCode::kEnvironment, "this build of mestre is without SentencePiece")
      .hint("install libsentencepiece-dev and build again");
}

}  // namespace mestre
