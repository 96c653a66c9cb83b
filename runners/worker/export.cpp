#include "runners/worker/export.h"

#include <cerrno>
#include <cstdio>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/train/model_folder.h"

namespace mestre {

void run_export(const ExportRequest& request) {
  fs::path output = fs::absolute(request.output).lexically_normal();
  if (!output.has_filename()) output = output.parent_path();  // it was named with a slash behind it
  if (fs::exists(output))
    throw Error(ErrorCode::kBadInput, fmt::format("'{}' exists already", request.output.native()))
        .hint("name a folder that does not; nothing is written over");
  const ModelFolder source = read_model_folder(request.folder);
  ModelConfig config = source.config;
  config.layout = layout_named(request.layout, config.model);
  const std::string text = write_model_config(config);
  const std::vector<NamedTensor> tensors = to_foreign(foreign_tensors(config.model, config.layout), source.weights);

  const fs::path unfinished = output.native() + ".unfinished";
  make_durable_folders(output.parent_path());
  fs::remove_all(unfinished);
  fs::create_directory(unfinished);
  const FileRecord weights = write_safetensors(unfinished / "model.safetensors", tensors, {{"format", "pt"}});
  write_file_atomically(unfinished / "config.json", text);
  if (std::rename(unfinished.c_str(), output.c_str()) != 0) throw system_error(errno, "rename to", output.native());
  sync_folder(output.parent_path());
  fmt::print("{} tensors, {} bytes, in {}\n", tensors.size(), weights.bytes, request.output.native());
}

}  // namespace mestre
