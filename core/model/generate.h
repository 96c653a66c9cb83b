// Text that a model reads a piece at a time and goes on writing, with the state of its layers in between.
#pragma once

#include <cstdint>
#include <functional>

#include <ATen/core/Tensor.h>

#include "core/model/language_model.h"

namespace mestre {

/// How texts are read.
struct Reading {
  std::int64_t piece = 0;  // tokens of each text in one forward pass, at most; 0: all of them
  /// Called before each forward pass with the tokens of each text that it reads; what it throws ends the work.
  std::function<void(std::int64_t tokens)> before_pass = {};
};

/// Reads texts [B, L], L >= 1, from options.state on, which must be given. Returns the logits behind the last token,
/// [B, 1, V]. Besides the states, memory grows with the piece and not with L.
at::Tensor read_in_pieces(LanguageModel& model, const at::Tensor& texts, ForwardOptions options,
                          const Reading& reading = {});

/// Continues texts [B, L], L >= 1, by `count` tokens, each the likeliest behind those before it: [B, count] int64.
/// Nothing is recorded for gradients.
[[nodiscard]] at::Tensor continue_greedily(LanguageModel& model, const at::Tensor& texts, std::int64_t count,
                                           const Reading& reading = {});

}  // namespace mestre
