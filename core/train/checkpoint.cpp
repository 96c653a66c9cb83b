#include "core/train/checkpoint.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <limits>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/options.h"
#include "core/journal/attempt.h"
#include "core/journal/folders.h"

namespace mestre {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kFormat = 1;
constexpr const char* kModelFile = "model.safetensors";
constexpr const char* kOptimizerFile = "optimizer.safetensors";
constexpr const char* kStateFile = "state.json";
constexpr const char* kGenerator = "rng.cpu";

std::string to_json(const FileRecord& record) {
  JsonObject object;
  return object.number("bytes", record.bytes).text("digest", record.digest).str();
}

std::string to_json(const SpikeMemory& memory) {
  JsonObject object;
  object.number("spikes", memory.spikes).number("norms", memory.norms).number("usual_norm", memory.usual_norm);
  return object.str();
}

std::string to_json(const TrainingState& state, std::int64_t updates, const FileRecord& model,
                    const FileRecord& optimizer) {
  JsonObject files;
  files.raw(kModelFile, to_json(model)).raw(kOptimizerFile, to_json(optimizer));
  JsonObject interval;
  interval.number("loss", state.interval_loss).number("steps", state.interval_steps);
  JsonObject object;
  object.number("format", kFormat)
      .number("step", state.step)
      .number("sequences", state.sequences)
      .number("loss", state.last_loss)
      .number("updates", updates)
      .number("micro_batch", state.micro_batch)
      .raw("spikes", to_json(state.spikes));
  if (state.best) {
    JsonObject best;
    object.raw("best", best.number("step", state.best->step).number("loss", state.best->loss).str());
  }
  return object.raw("interval", interval.str()).raw("files", files.str()).str() + "\n";
}

[[noreturn]] void corrupt(const fs::path& file, const std::string& what) {
  throw Error(ErrorCode::kCheckpointCorrupt, fmt::format("'{}' {}", file.native(), what));
}

Json parse_state(const fs::path& file, const std::string& text) {
  Json state = Json::parse(text, nullptr, false);
  if (!state.is_object() || state.value("format", std::int64_t{0}) != kFormat)
    corrupt(file, fmt::format("is not a checkpoint of format {}", kFormat));
  return state;
}

Json read_state(const fs::path& folder, const Checkpoint& checkpoint) {
  const fs::path file = folder / kStateFile;
  const std::string text = read_file(file);
  if (xxh3_128(text) != checkpoint.digest) corrupt(file, "does not have the digest that its journal noted");
  return parse_state(file, text);
}

// With the number of updates.
std::pair<TrainingState, std::int64_t> training_state(const fs::path& file, const Json& json) {
  try {
    TrainingState state;
    json.at("step").get_to(state.step);
    json.at("sequences").get_to(state.sequences);
    json.at("loss").get_to(state.last_loss);
    json.at("interval").at("loss").get_to(state.interval_loss);
    json.at("interval").at("steps").get_to(state.interval_steps);
    json.at("micro_batch").get_to(state.micro_batch);
    json.at("spikes").at("spikes").get_to(state.spikes.spikes);
    json.at("spikes").at("norms").get_to(state.spikes.norms);
    json.at("spikes").at("usual_norm").get_to(state.spikes.usual_norm);
    if (const auto best = json.find("best"); best != json.end())
      state.best = {.step = best->at("step").get<std::int64_t>(), .loss = best->at("loss").get<double>()};
    return {state, json.at("updates").get<std::int64_t>()};
  } catch (const Json::exception& problem) {
    corrupt(file, fmt::format("lacks what a checkpoint holds: {}", problem.what()));
  }
}

std::string digest_of_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string piece(std::size_t{1} << 20, '\0');
  Digester digester;
  while (file.read(piece.data(), static_cast<std::streamsize>(piece.size())) || file.gcount() > 0)
    digester.update({piece.data(), static_cast<std::size_t>(file.gcount())});
  if (file.bad()) throw Error(ErrorCode::kIo, fmt::format("cannot read '{}'", path.native()));
  return digester.hex();
}

void check_digest(const fs::path& file, const Json& record) {
  const auto bytes = record.at("bytes").get<std::int64_t>();
  std::error_code missing;
  const auto found = fs::file_size(file, missing);
  if (missing) corrupt(file, "is missing");
  if (found != static_cast<std::uintmax_t>(bytes))
    corrupt(file, fmt::format("has {} bytes, expected {}", found, bytes));
  if (digest_of_file(file) != record.at("digest").get<std::string>())
    corrupt(file, "does not have the digest that state.json noted");
}

Safetensors read_checked(const fs::path& folder, const Json& state, const char* name) {
  check_digest(folder / name, state.at("files").at(name));
  return read_safetensors(folder / name);
}

void take_weights(const Safetensors& file, LanguageModel& model) {
  for (const auto& parameter : model.named_parameters()) copy_from(file, parameter.key(), parameter.value());
}

std::vector<NamedTensor> weights_of(const LanguageModel& model) {
  std::vector<NamedTensor> weights;
  for (const auto& parameter : model.named_parameters())
    weights.push_back({.name = parameter.key(), .value = parameter.value()});
  return weights;
}

Checkpoint last_checkpoint(const fs::path& training) {
  if (!is_finished(training)) {
    throw Error(ErrorCode::kBadInput, fmt::format("the training in '{}' has not finished", training.native()))
        .hint("run the training first; its last checkpoint is read");
  }
  const std::vector<Checkpoint> checkpoints = usable_checkpoints(training, std::numeric_limits<int>::max());
  if (checkpoints.empty())
    throw Error(ErrorCode::kCheckpointCorrupt,
                fmt::format("the training in '{}' left no checkpoint", training.native()));
  return checkpoints.front();
}

}  // namespace

Checkpoint write_checkpoint(const fs::path& job_folder, int attempt, const LanguageModel& model, const AdamW& optimizer,
                            const TrainingState& state) {
  const fs::path attempt_path = attempt_folder(job_folder, attempt);
  const fs::path all = attempt_path / "checkpoints";
  const fs::path folder = all / checkpoint_name(state.step);
  const fs::path unfinished = all / (checkpoint_name(state.step) + ".unfinished");
  make_durable_folders(all);
  fs::remove_all(unfinished);
  fs::create_directory(unfinished);  // its own name need not survive

  const FileRecord weights = write_safetensors(unfinished / kModelFile, weights_of(model), {{"format", "pt"}});
  std::vector<NamedTensor> rest = optimizer.moments();
  rest.push_back({.name = kGenerator, .value = at::detail::getDefaultCPUGenerator().get_state()});
  const FileRecord moments = write_safetensors(unfinished / kOptimizerFile, rest);
  const std::string text = to_json(state, optimizer.updates(), weights, moments);
  write_file_atomically(unfinished / kStateFile, text);
  if (std::rename(unfinished.c_str(), folder.c_str()) != 0) throw system_error(errno, "rename to", folder.native());
  sync_folder(all);
  return {.file = fmt::format("attempt-{}/checkpoints/{}", attempt, checkpoint_name(state.step)),
          .digest = xxh3_128(text),
          .step = state.step,
          .attempt = attempt};
}

TrainingState restore_checkpoint(const fs::path& job_folder, const Checkpoint& checkpoint, LanguageModel& model,
                                 AdamW& optimizer) {
  const fs::path folder = job_folder / checkpoint.file;
  const Json json = read_state(folder, checkpoint);
  const auto [state, updates] = training_state(folder / kStateFile, json);
  const Safetensors weights = read_checked(folder, json, kModelFile);
  const Safetensors rest = read_checked(folder, json, kOptimizerFile);
  take_weights(weights, model);
  optimizer.restore(rest, updates);
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  generator.set_state(rest.at(kGenerator));
  return state;
}

void restore_weights(const fs::path& job_folder, const Checkpoint& checkpoint, LanguageModel& model) {
  const fs::path folder = job_folder / checkpoint.file;
  take_weights(read_checked(folder, read_state(folder, checkpoint), kModelFile), model);
}

Checkpoint restore_last_weights(const fs::path& folder, LanguageModel& model) {
  Checkpoint last = last_checkpoint(folder);
  restore_weights(folder, last, model);
  return last;
}

TrainingState restore_last(const fs::path& folder, LanguageModel& model, AdamW& optimizer) {
  return restore_checkpoint(folder, last_checkpoint(folder), model, optimizer);
}

Safetensors read_checked_weights(const fs::path& checkpoint_folder) {
  const fs::path file = checkpoint_folder / kStateFile;
  const Json state = parse_state(file, read_file(file));
  try {
    return read_checked(checkpoint_folder, state, kModelFile);
  } catch (const Json::exception&) {
    corrupt(file, "does not list the file of the weights");
  }
}

void remove_other_checkpoints(const fs::path& job_folder, int attempt, const std::vector<Checkpoint>& keep) {
  for (const int each : attempts_of(job_folder)) {
    if (each > attempt) continue;
    std::error_code problem;
    for (fs::directory_iterator entry(attempt_folder(job_folder, each) / "checkpoints", problem), end;
         !problem && entry != end; entry.increment(problem)) {
      const fs::path folder = entry->path();
      const bool kept =
          std::any_of(keep.begin(), keep.end(), [&](const Checkpoint& one) { return job_folder / one.file == folder; });
      std::error_code ignored;  // what cannot be removed now is `mestre gc`'s
      if (!kept) fs::remove_all(folder, ignored);
    }
  }
}

}  // namespace mestre
