#include "core/train/lineage.h"

#include <algorithm>
#include <limits>
#include <optional>

#include <nlohmann/json.hpp>

#include "core/journal/attempt.h"
#include "core/journal/folders.h"
#include "core/journal/scanner.h"

namespace mestre {
namespace {

using Json = nlohmann::json;

struct History {
  std::optional<std::int64_t> restored_step;  // nothing where the attempt never started
  std::vector<Checkpoint> checkpoints;
};

History read_history(const fs::path& job_folder, int attempt) {
  History history;
  JournalScanner scanner(attempt_folder(job_folder, attempt) / "journal.jsonl", {});
  while (const std::optional<std::string_view> line = scanner.next()) {
    const bool started = line->find(R"("type":"started")") != std::string_view::npos;
    const bool checkpoint = line->find(R"("type":"checkpoint")") != std::string_view::npos;
    if (!started && !checkpoint) continue;
    const Json json = Json::parse(*line, nullptr, false);
    const std::string type = json.is_object() ? json.value("type", "") : "";
    if (type == "started")
      history.restored_step = json.at("restored").is_null() ? 0 : json.at("restored").at("step").get<std::int64_t>();
    if (type == "checkpoint") {
      history.checkpoints.push_back({.file = json.at("file").get<std::string>(),
                                     .digest = json.at("digest").get<std::string>(),
                                     .step = json.at("step").get<std::int64_t>(),
                                     .attempt = attempt});
    }
  }
  return history;
}

}  // namespace

std::vector<Checkpoint> usable_checkpoints(const fs::path& job_folder, int before) {
  std::vector<Checkpoint> usable;
  std::vector<int> attempts = attempts_of(job_folder);
  std::erase_if(attempts, [&](int attempt) { return attempt >= before; });
  std::int64_t valid_through = std::numeric_limits<std::int64_t>::max();
  for (auto attempt = attempts.rbegin(); attempt != attempts.rend(); ++attempt) {
    History history = read_history(job_folder, *attempt);
    for (Checkpoint& checkpoint : history.checkpoints)
      if (checkpoint.step <= valid_through) usable.push_back(std::move(checkpoint));
    if (history.restored_step) valid_through = std::min(valid_through, *history.restored_step);
  }
  std::stable_sort(usable.begin(), usable.end(),
                   [](const Checkpoint& a, const Checkpoint& b) { return a.step > b.step; });
  return usable;
}

}  // namespace mestre
