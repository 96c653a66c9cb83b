// Runs the entropy measurement on a model.
#pragma once

#include "core/tasks/entropy/options.h"
#include "core/train/evaluate.h"

namespace mestre {

/// Draws texts, lets the model continue them and journals what its layers showed (README.md beside this file):
/// `attention_entropy` over layer and head, `selection_entropy` and `delta_mean` over layer, each followed by
/// `<name>_standard_error`. The same job gives the same bytes on the same machine. Memory is linear in the context.
/// Throws Error (bad_input) where the text has fewer pieces than samples, or the model shows nothing.
void run_entropy(const TaskOptions& options, Evaluation& evaluation);

}  // namespace mestre
