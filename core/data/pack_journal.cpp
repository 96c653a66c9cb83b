#include "core/data/pack_journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/options.h"

namespace mestre {
namespace {

using Json = nlohmann::json;

constexpr int kJournalFormat = 1;

std::string header_of(const PrepareStamp& stamp) {
  JsonObject object;
  object.number("format", static_cast<std::int64_t>(kJournalFormat));
  object.raw("command", stamp.command).text("sources", stamp.sources);
  return object.str();
}

std::string to_json(const PackState& state) {
  JsonObject object;
  object.number("tokens", state.tokens).number("documents", state.documents).text("digest", state.digest);
  return object.str();
}

std::string to_json(const std::vector<SkippedSource>& examples) {
  std::string json = "[";
  for (const SkippedSource& each : examples) {
    JsonObject object;
    object.text("path", each.path).text("reason", each.reason);
    if (json.size() > 1) json += ',';
    json += object.str();
  }
  return json + "]";
}

std::string to_json(const PackCheckpoint& checkpoint) {
  JsonObject position, tally, object;
  position.number("file", checkpoint.position.file).number("offset", checkpoint.position.offset);
  position.number("lines", checkpoint.position.lines).boolean("has_nul", checkpoint.position.has_nul);
  position.boolean("is_invalid", checkpoint.position.is_invalid);
  for (const auto& [name, member] : kTallyMembers) tally.number(name, checkpoint.tally.*member);
  object.raw("position", position.str()).number("source_bytes", checkpoint.source_bytes).raw("tally", tally.str());
  object.raw("skipped", to_json(checkpoint.skipped)).raw("bad", to_json(checkpoint.bad));
  object.raw("train", to_json(checkpoint.train)).raw("validation", to_json(checkpoint.validation));
  return object.str();
}

PackState state_from(const Json& json) {
  return {.tokens = json.at("tokens").get<std::int64_t>(),
          .documents = json.at("documents").get<std::int64_t>(),
          .digest = json.at("digest").get<std::string>()};
}

std::vector<SkippedSource> examples_from(const Json& json) {
  std::vector<SkippedSource> examples;
  for (const Json& each : json)
    examples.push_back({each.at("path").get<std::string>(), each.at("reason").get<std::string>()});
  return examples;
}

// Throws Json::exception where a member is missing or of another type.
PackCheckpoint checkpoint_from(const Json& json) {
  PackCheckpoint checkpoint;
  const Json& position = json.at("position");
  position.at("file").get_to(checkpoint.position.file);
  position.at("offset").get_to(checkpoint.position.offset);
  position.at("lines").get_to(checkpoint.position.lines);
  position.at("has_nul").get_to(checkpoint.position.has_nul);
  position.at("is_invalid").get_to(checkpoint.position.is_invalid);
  json.at("source_bytes").get_to(checkpoint.source_bytes);
  for (const auto& [name, member] : kTallyMembers) json.at("tally").at(name).get_to(checkpoint.tally.*member);
  checkpoint.skipped = examples_from(json.at("skipped"));
  checkpoint.bad = examples_from(json.at("bad"));
  checkpoint.train = state_from(json.at("train"));
  checkpoint.validation = state_from(json.at("validation"));
  return checkpoint;
}

// The last whole line that is a checkpoint.
std::optional<PackCheckpoint> last_checkpoint(std::string_view lines) {
  std::optional<PackCheckpoint> last;
  for (std::size_t end = lines.find('\n'); end != std::string_view::npos; end = lines.find('\n')) {
    try {
      last = checkpoint_from(Json::parse(lines.substr(0, end)));
    } catch (const Json::exception&) {
      return last;
    }
    lines.remove_prefix(end + 1);
  }
  return last;
}

}  // namespace

bool may_carry_on(const fs::path& folder, const PrepareStamp& stamp) {
  const std::optional<std::string> text = read_file_if_exists(folder / kJournalFile);
  return text && text->starts_with(header_of(stamp) + "\n");
}

PackJournal::PackJournal(const fs::path& folder, const PrepareStamp& stamp) : path_(folder / kJournalFile) {
  const std::string header = header_of(stamp) + "\n";
  if (may_carry_on(folder, stamp)) last_ = last_checkpoint(read_file(path_).substr(header.size()));
  // Begun anew, so that nothing stands behind a line that was cut off.
  write_file_atomically(path_, last_ ? header + to_json(*last_) + "\n" : header);
  file_ = FileDescriptor(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (!file_.is_open()) throw system_error(errno, "open", path_.native());
}

void PackJournal::append(const PackCheckpoint& checkpoint) {
  write_all(file_.get(), to_json(checkpoint) + "\n", path_);
  if (::fdatasync(file_.get()) != 0) throw system_error(errno, "sync", path_.native());
}

}  // namespace mestre
