// mestre-worker export: a model in another layout.
#pragma once

#include <string>

#include "core/base/files.h"

namespace mestre {

struct ExportRequest {
  fs::path folder;     // as read_model_folder
  fs::path output;     // must not exist
  std::string layout;  // of layout_names()
};

/// Writes config.json and model.safetensors into a new folder, whole or not at all; the values and their types are
/// those of the source. Prints what it wrote. Throws Error: bad_input where `output` exists or the layout has no place
/// for the model; as read_model_folder.
void run_export(const ExportRequest& request);

}  // namespace mestre
