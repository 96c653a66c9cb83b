// A model on disk, whoever wrote it: its description and its weights by our names.
//
//   config.json and *.safetensors    of Hugging Face's library (llama, mistral, mamba), or as `mestre-worker export`
//                                    writes it
//   a checkpoint of a training       mestre-work/jobs/3f/3f0c…/attempt-1/checkpoints/step-00002000
//   a job's folder                   its newest checkpoint
#pragma once

#include "core/base/files.h"
#include "core/model/foreign_weights.h"
#include "core/spec/model_config.h"

namespace mestre {

struct ModelFolder {
  ModelConfig config;     // its layout is that of the files
  TensorsByName weights;  // in the types of the files, of which they are views where possible
};

/// Where config.json stands, the weights are in model.safetensors; else in the files that model.safetensors.index.json
/// lists; else in all *.safetensors. Of our checkpoints the digests are checked. Throws Error: not_found where
/// something is not there; bad_input where config.json and the weights do not fit or the model is none of those that we
/// know; checkpoint_corrupt.
[[nodiscard]] ModelFolder read_model_folder(const fs::path& folder);

}  // namespace mestre
