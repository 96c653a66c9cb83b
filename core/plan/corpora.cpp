#include "core/plan/corpora.h"

#include <limits>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/data/mixture.h"
#include "core/spec/job.h"
#include "core/tasks/task.h"

namespace mestre {
namespace {

constexpr std::int64_t kAssumedTokens = 10'000'000;  // of a corpus that is not there
constexpr std::int64_t kWithoutEnd = std::numeric_limits<std::int64_t>::max() / 4;

PlannedCorpus stand_in(const std::string& path, Position place) {
  PlannedCorpus corpus{.path = path, .tokens = kAssumedTokens, .place = place, .missing = true};
  corpus.identity.digest = "missing:" + path;
  corpus.identity.tokenizer = "unknown";
  corpus.identity.tokenizer_version = 0;
  corpus.json = canonical_json(corpus.identity);
  return corpus;
}

// Items of benchmarks are no packed text: `mestre data prepare` makes none.
std::string how_to_prepare(const std::string& path) {
  const std::string folder = fs::path(path).parent_path().generic_string();
  if (folder == "benchmarks") return "items of benchmarks: this version can plan with them, not prepare them";
  return fmt::format("prepare them: mestre data prepare {} FILES-OR-FOLDERS --holdout 0.02",
                     folder.empty() ? "NAME" : folder);
}

std::vector<std::string> tasks_that_give_text() {
  std::vector<std::string> names;
  for (const TaskType& type : task_types())
    if (type.gives_text) names.emplace_back(type.name);
  return names;
}

}  // namespace

bool stays_below(const std::string& path) {
  if (path.empty() || path.find('\0') != std::string::npos || fs::path(path).is_absolute()) return false;
  const fs::path normal = fs::path(path).lexically_normal();
  return !normal.empty() && *normal.begin() != ".." && normal != ".";
}

PlannedCorpus tokenizer_of(const PlannedCorpus& corpus) {
  PlannedCorpus bare = corpus;
  // What is missing stays in the identity, so that it remains provisional.
  if (!corpus.missing) bare.identity.digest.clear();
  bare.identity.task.clear();
  bare.components.clear();
  bare.json = canonical_json(bare.identity);
  bare.tokens = kWithoutEnd;
  return bare;
}

std::optional<PlannedCorpus> Corpora::find(const std::string& path, TextUse use, const std::string& pin, Position place,
                                           Position pin_place) {
  if (!stays_below(path)) {
    diagnostics_.error(place, fmt::format("'{}' is outside the data folder", escaped(path)),
                       {"expected a path below it, such as \"torch-headers/train.manifest\"",
                        fmt::format("the data folder is '{}'; --data names another", context_.data_root)});
    return std::nullopt;
  }
  const Found& found = manifest(path, place);
  if (found.missing) return stand_in(path, place);
  if (!found.manifest) return std::nullopt;
  const DataIdentity& identity = found.manifest->identity;
  if (!pin.empty() && pin != identity.digest) {
    diagnostics_.error(pin_place, fmt::format("'{}' is not the pinned data", escaped(path)),
                       {fmt::format("expected the digest {}, found {}", escaped(pin), identity.digest),
                        "prepare the data again from the same text, or pin what is there"});
    return std::nullopt;
  }
  if (found.manifest->is_mixture() && use == TextUse::kScoring) {
    diagnostics_.error(
        place, fmt::format("'{}' is a mixture, which only training reads", escaped(path)),
        {fmt::format("expected one corpus: the held-out text of '{}', say", found.manifest->components.front().path)});
    return std::nullopt;
  }
  return PlannedCorpus{.path = path,
                       .identity = identity,
                       .tokens = found.manifest->tokens,
                       .components = found.manifest->components,
                       .json = canonical_json(identity),
                       .place = place};
}

std::optional<PlannedCorpus> Corpora::made_by(const std::string& task, const PlannedCorpus& like, Position place) {
  const TaskType* type = find_task_type(task);
  if (type == nullptr || !type->gives_text) {
    diagnostics_.error(place,
                       type == nullptr ? fmt::format("unknown task '{}'", escaped(task))
                                       : fmt::format("task '{}' makes no text to read", escaped(task)),
                       {expected_one_of(task, tasks_that_give_text())});
    return std::nullopt;
  }
  PlannedCorpus made = tokenizer_of(like);
  made.identity.task = type->name;
  const std::unique_ptr<TaskOptions> options = type->make();
  made.identity.task_version = options->version();
  if (type->text == TaskText::kItems) {
    const std::optional<PlannedCorpus> items = find(options->items(), TextUse::kScoring, "", place, place);
    if (!items) return std::nullopt;
    made.identity.digest = items->identity.digest;
    made.path = items->path;
    made.missing = made.missing || items->missing;
  }
  made.json = canonical_json(made.identity);
  made.place = place;
  return made;
}

const Corpora::Found& Corpora::manifest(const std::string& path, Position place) {
  const auto [slot, is_new] = manifests_.try_emplace(path);
  Found& found = slot->second;
  if (!is_new) return found;
  const fs::path whole = fs::path(context_.data_root) / path;
  diagnostics_.note_input(whole.native());
  try {
    found.manifest = read_manifest(whole);
  } catch (const Error& problem) {
    found.missing = problem.code() == ErrorCode::kNotFound;
    if (!found.missing) {
      diagnostics_.error(place, problem.message(), problem.hints());
    } else {
      add_missing({.path = path, .place = whole.lexically_normal().generic_string(), .remedy = how_to_prepare(path)});
    }
  }
  if (found.manifest && found.manifest->is_mixture() && !has_its_components(*found.manifest, whole, place))
    found.manifest.reset();
  return found;
}

// A component that is not there is missing, as a corpus is; the mixture says what it must be.
bool Corpora::has_its_components(const Manifest& mixture, const fs::path& path, Position place) {
  bool sound = true;
  for (const MixtureComponent& component : mixture.components) {
    const Found& part = manifest(component.path, place);
    sound = sound && (part.missing || part.manifest);
    if (!part.manifest) continue;
    try {
      require_component(*part.manifest, component, path);
    } catch (const Error& problem) {
      diagnostics_.error(place, problem.message(), problem.hints());
      sound = false;
    }
  }
  return sound;
}

}  // namespace mestre
