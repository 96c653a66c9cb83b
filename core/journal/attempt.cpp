#include "core/journal/attempt.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/options.h"
#include "core/journal/folders.h"
#include "core/journal/scanner.h"
#include "core/spec/job.h"

namespace mestre {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kAttemptPrefix = "attempt-";
constexpr auto kLockPatience = std::chrono::seconds(2);  // a probe of the coordinator may hold the lock for a moment

int highest_attempt(const fs::path& job_folder) {
  const std::vector<int> numbers = attempts_of(job_folder);
  return numbers.empty() ? 0 : numbers.back();
}

// Makes attempt-N for the lowest N above all that exist; another worker may win a number, then the next is tried.
int make_next_attempt(const fs::path& job_folder) {
  for (;;) {
    const int number = highest_attempt(job_folder) + 1;
    const fs::path folder = attempt_folder(job_folder, number);
    if (::mkdir(folder.c_str(), 0755) == 0) return number;
    if (errno != EEXIST) throw system_error(errno, "create folder", folder.native());
  }
}

void remove_empty_attempt(const fs::path& folder) {
  ::unlink((folder / "lock").c_str());
  ::rmdir(folder.c_str());
}

template <class T>
T member(const Json& json, const char* key, const fs::path& file) {
  try {
    return json.at(key).get<T>();
  } catch (const Json::exception&) {
    throw Error(ErrorCode::kBadInput,
                fmt::format("'{}' lacks the member '{}', or it is of the wrong type", file.native(), key));
  }
}

Json parse_file(const fs::path& file, const std::string& text) {
  try {
    return Json::parse(text);
  } catch (const Json::exception& problem) {
    throw Error(ErrorCode::kBadInput, fmt::format("'{}' is not JSON: {}", file.native(), problem.what()));
  }
}

}  // namespace

Claim claim_attempt(const fs::path& job_folder, const std::string& token) {
  if (read_launch(job_folder).token != token) return {.refusal = Refusal::kForeignToken};
  if (is_finished(job_folder)) return {.refusal = Refusal::kFinished};
  const int number = make_next_attempt(job_folder);
  const fs::path folder = attempt_folder(job_folder, number);
  std::optional<FileLock> lock = FileLock::try_acquire(folder / "lock", kLockPatience);
  if (!lock) throw Error(ErrorCode::kBusy, fmt::format("somebody else holds '{}/lock'", folder.native()));
  // Between the first look and the lock another submission may have taken over, or another attempt finished.
  std::optional<Refusal> refusal;
  Launch launch = read_launch(job_folder);
  if (launch.token != token) refusal = Refusal::kForeignToken;
  if (is_finished(job_folder)) refusal = Refusal::kFinished;
  if (refusal) {
    remove_empty_attempt(folder);
    return {.refusal = refusal};
  }
  sync_folder(job_folder);
  return {.attempt = Attempt{.number = number, .folder = folder, .lock = std::move(*lock)},
          .launch = std::move(launch)};
}

std::vector<int> attempts_of(const fs::path& job_folder) {
  std::vector<int> numbers;
  std::error_code problem;
  for (fs::directory_iterator entry(job_folder, problem), end; !problem && entry != end; entry.increment(problem)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(kAttemptPrefix)) continue;
    int number = 0;
    const char* last = name.data() + name.size();
    const auto parsed = std::from_chars(name.data() + kAttemptPrefix.size(), last, number);
    if (parsed.ec == std::errc() && parsed.ptr == last && number > 0) numbers.push_back(number);
  }
  if (problem && problem != std::errc::no_such_file_or_directory)
    throw system_error(problem.value(), "read folder", job_folder.native());
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

bool is_superseded(const fs::path& job_folder, int number) {
  return highest_attempt(job_folder) > number;
}

bool is_finished(const fs::path& job_folder) {
  const std::vector<int> numbers = attempts_of(job_folder);
  return std::any_of(numbers.rbegin(), numbers.rend(), [&](int number) {
    return ending_of(attempt_folder(job_folder, number) / "journal.jsonl") == Ending::kFinished;
  });
}

// The options stand beside the other members: a worker in another language need not know which are which.
std::string to_json(const Launch& launch) {
  Json json = Json::parse(canonical_json(launch.options));
  json.update({{"format", 1},
               {"token", launch.token},
               {"data_root", launch.data_root},
               {"data", launch.data},
               {"validation", launch.validation},
               {"validation_digest", launch.validation_digest},
               {"deadline", launch.deadline}});
  return json.dump() + "\n";
}

Launch read_launch(const fs::path& job_folder) {
  const fs::path file = job_folder / "launch.json";
  Json json = parse_file(file, read_file(file));
  Launch launch;
  launch.token = member<std::string>(json, "token", file);
  launch.data_root = member<std::string>(json, "data_root", file);
  launch.data = member<std::string>(json, "data", file);
  if (json.contains("validation")) launch.validation = member<std::string>(json, "validation", file);
  if (json.contains("validation_digest"))
    launch.validation_digest = member<std::string>(json, "validation_digest", file);
  launch.deadline = member<double>(json, "deadline", file);
  for (const char* own : {"format", "token", "data_root", "data", "validation", "validation_digest", "deadline"})
    json.erase(own);
  read_options(json.dump(), launch.options, fmt::format("'{}'", file.native()));
  return launch;
}

std::optional<std::int64_t> start_time_of(std::int64_t pid) {
  const std::optional<std::string> stat = read_file_if_exists(fmt::format("/proc/{}/stat", pid));
  if (!stat) return std::nullopt;
  // The name, field 2, may hold spaces and parentheses; the fields behind its last parenthesis are plain: field 3 is
  // the first of them.
  const std::size_t behind_name = stat->rfind(')');
  if (behind_name == std::string::npos) return std::nullopt;
  std::size_t at = behind_name + 2;
  for (int field = 3; field < 22; ++field) at = stat->find(' ', at) + 1;
  std::int64_t ticks = 0;
  std::from_chars(stat->data() + at, stat->data() + stat->size(), ticks);
  return ticks;
}

ProcessIdentity this_process() {
  ProcessIdentity identity;
  char host[256] = {};
  ::gethostname(host, sizeof host - 1);
  identity.host = host;
  identity.pid = ::getpid();
  identity.start_time = start_time_of(identity.pid).value_or(0);
  identity.boot_id = read_file_if_exists("/proc/sys/kernel/random/boot_id").value_or("");
  while (!identity.boot_id.empty() && identity.boot_id.back() == '\n') identity.boot_id.pop_back();
  return identity;
}

std::string to_json(const AttemptRecord& record) {
  JsonObject process;
  process.text("host", record.process.host).number("pid", record.process.pid);
  process.number("start_time", record.process.start_time).text("boot_id", record.process.boot_id);
  JsonObject versions;
  for (const auto& [name, version] : record.versions) versions.text(name, version);
  JsonObject object;
  object.number("format", std::int64_t{1})
      .number("attempt", static_cast<std::int64_t>(record.number))
      .text("token", record.token);
  object.raw("process", process.str())
      .number("started_at", record.started_at)
      .raw("devices", json_texts(record.devices));
  object.number("threads", record.threads).number("micro_batch", record.micro_batch).raw("versions", versions.str());
  return object.text("commit", record.commit).boolean("dirty", record.dirty).str() + "\n";
}

std::optional<AttemptRecord> read_attempt_record(const fs::path& folder) {
  const fs::path file = folder / "attempt.json";
  const std::optional<std::string> text = read_file_if_exists(file);
  if (!text) return std::nullopt;
  const Json json = parse_file(file, *text);
  AttemptRecord record;
  record.number = member<int>(json, "attempt", file);
  record.token = member<std::string>(json, "token", file);
  const Json process = member<Json>(json, "process", file);
  record.process = {.host = member<std::string>(process, "host", file),
                    .pid = member<std::int64_t>(process, "pid", file),
                    .start_time = member<std::int64_t>(process, "start_time", file),
                    .boot_id = member<std::string>(process, "boot_id", file)};
  record.started_at = member<double>(json, "started_at", file);
  record.devices = member<std::vector<std::string>>(json, "devices", file);
  record.threads = member<std::int64_t>(json, "threads", file);
  record.micro_batch = member<std::int64_t>(json, "micro_batch", file);
  for (const auto& [name, version] : member<std::map<std::string, std::string>>(json, "versions", file))
    record.versions.emplace_back(name, version);
  record.commit = member<std::string>(json, "commit", file);
  record.dirty = member<bool>(json, "dirty", file);
  return record;
}

}  // namespace mestre
