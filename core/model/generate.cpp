#include "core/model/generate.h"

#include <algorithm>
#include <vector>

#include <ATen/ATen.h>

namespace mestre {

at::Tensor read_in_pieces(LanguageModel& model, const at::Tensor& texts, ForwardOptions options,
                          const Reading& reading) {
  options.last_position_only = true;
  const std::int64_t length = texts.size(1), piece = reading.piece > 0 ? reading.piece : length;
  at::Tensor logits;
  for (std::int64_t first = 0; first < length; first += piece) {
    const std::int64_t tokens = std::min(piece, length - first);
    if (reading.before_pass) reading.before_pass(tokens);
    logits = model.forward(texts.narrow(1, first, tokens), options);
  }
  return logits;
}

at::Tensor continue_greedily(LanguageModel& model, const at::Tensor& texts, std::int64_t count,
                             const Reading& reading) {
  const at::NoGradGuard no_gradient;
  ModelState state = model.start();
  at::Tensor unread = texts;
  std::vector<at::Tensor> written;
  for (std::int64_t step = 0; step < count; ++step) {
    unread = read_in_pieces(model, unread, {.state = &state}, reading).argmax(-1);
    written.push_back(unread);
  }
  return at::cat(written, 1);
}

}  // namespace mestre
