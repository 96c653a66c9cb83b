// Runs the perplexity task on a model.
#pragma once

#include "core/tasks/perplexity/options.h"
#include "core/train/evaluate.h"

namespace mestre {

/// Journals `negative_log_likelihood` (nats/token) and `perplexity`, its exponential, each over the axis `length`;
/// details: blocks, tokens (that were predicted at the longest length), checkpoint aside. One forward pass of the
/// longest length serves all lengths: a causal model predicts the first tokens of a block the same, whatever follows.
/// Throws Error (bad_input) where the text has fewer blocks than asked for, or none.
void run_perplexity(const TaskOptions& options, Evaluation& evaluation);

}  // namespace mestre
