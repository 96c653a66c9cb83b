// mestre-worker forward: what a model on disk computes for given tokens, as tensors that any other implementation can
// be compared with.
#pragma once

#include <cstdint>

#include <c10/core/ScalarType.h>

#include "core/base/files.h"

namespace mestre {

struct ForwardRequest {
  fs::path folder;  // as read_model_folder
  fs::path input;   // safetensors with input_ids [B, L] int64
  fs::path output;
  at::ScalarType type = at::kFloat;  // fp32 or fp64 throughout; bf16: of products, as train.precision has it
  bool gradients = false;
  bool entropy = false;
  std::int64_t greedy = 0;  // tokens to write after the prompt; 0: none
  std::int64_t prompt = 8;  // tokens: greedy starts behind them, and entropies of attention leave their rows out
};

/// Writes `output`, whole or not at all, in place of a file of that name, in fp32, or in fp64 where that was asked:
///   logits [B, L, V]; loss [], mean cross entropy in nats of token t + 1 at position t, over the B (L - 1) pairs
///   hidden.<i> [B, L, d]      the residual stream behind layer i, counted as the checkpoint's layout does
///   gradients: grad.<tensor>  d loss / d tensor by the checkpoint's names and shapes; a tied head counts with the
///                             embedding
///   entropy:                  attention_entropy [n] and attention_entropy_per_head [n, h] of the n attention layers,
///                             mean over sequences and the rows behind the prompt; selection_entropy [m] and
///                             delta_mean [m] of the m Mamba layers; delta.<i> [B, L, E]. Nats. Where heads differ in
///                             number, the missing ones are NaN
///   greedy [B, N] int64       the tokens with the largest logits, one after the other
/// Prints the loss and how many tensors it wrote. Throws Error: not_found, bad_input, checkpoint_corrupt, io.
void run_forward(const ForwardRequest& request);

}  // namespace mestre
