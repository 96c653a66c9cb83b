// An entry is one file: a head, one line for each input (how its state is told, the state, then its path as JSON), a
// line with the lengths of the two texts, the texts, and last the digest of all before it.

#include "runners/cli/plan_cache.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/options.h"

namespace mestre {
namespace {

constexpr std::string_view kHead = "mestre plan cache 1\n";
constexpr std::size_t kLongest = std::size_t{16} << 20U;       // bytes of an entry
constexpr std::int64_t kLargeInput = std::int64_t{16} << 20U;  // bytes; larger files are known by size and time
constexpr std::size_t kMostEntries = 64;
constexpr double kClockStep = 0.05;  // s; a file system's times may be this coarse
constexpr std::size_t kDigest = 32;

// How the state of a file is told.
enum class By : char { kContents = 'c', kTime = 't' };

struct InputState {
  std::string text;       // equal for two states only if nothing changed between them
  double changed_at = 0;  // s since the epoch; 0 where there is nothing
};

InputState state_of(By by, const std::string& path) {
  struct stat status {};
  // An empty write-ahead log is none: readers make and remove one.
  if (::stat(path.c_str(), &status) != 0 || (by == By::kTime && status.st_size == 0)) return {.text = "absent"};
  if (S_ISDIR(status.st_mode)) return {.text = "folder"};
  const double changed =
      static_cast<double>(status.st_mtim.tv_sec) + 1e-9 * static_cast<double>(status.st_mtim.tv_nsec);
  if (by == By::kTime || status.st_size > kLargeInput)
    return {.text = fmt::format("{}-{}-{}.{:09}", status.st_ino, status.st_size, status.st_mtim.tv_sec,
                                status.st_mtim.tv_nsec),
            .changed_at = changed};
  const std::optional<std::string> text = read_file_if_exists(path);
  return {.text = text ? xxh3_128(*text) : "absent", .changed_at = changed};
}

// Takes what stands before the next line end off `text`.
std::optional<std::string_view> take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return line;
}

std::optional<std::size_t> number_in(std::string_view text) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<Printed> parse(std::string_view text) {
  if (text.size() < kHead.size() + kDigest || !text.starts_with(kHead)) return std::nullopt;
  if (xxh3_128(text.substr(0, text.size() - kDigest)) != text.substr(text.size() - kDigest)) return std::nullopt;
  text.remove_suffix(kDigest);
  text.remove_prefix(kHead.size());
  std::optional<std::string_view> line = take_line(text);
  for (; line && line->find(" \"") != std::string_view::npos; line = take_line(text)) {
    const std::size_t space = line->find(' ');
    const auto path = nlohmann::json::parse(line->substr(space + 1), nullptr, false);
    if (!path.is_string()) return std::nullopt;
    if (state_of(static_cast<By>(line->front()), path.get<std::string>()).text != line->substr(1, space - 1))
      return std::nullopt;
  }
  if (!line) return std::nullopt;
  const std::size_t space = line->find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const auto out = number_in(line->substr(0, space));
  const auto err = number_in(line->substr(space + 1));
  if (!out || !err || *out > text.size() || *err != text.size() - *out) return std::nullopt;
  return Printed{.out = std::string(text.substr(0, *out)), .err = std::string(text.substr(*out))};
}

// The oldest go when there are too many.
void prune(const fs::path& folder) {
  std::vector<std::pair<fs::file_time_type, fs::path>> entries;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    entries.emplace_back(entry.last_write_time(), entry.path());
  if (entries.size() <= kMostEntries) return;
  std::sort(entries.begin(), entries.end());
  entries.resize(entries.size() - kMostEntries);
  for (const auto& [time, path] : entries) fs::remove(path);
}

}  // namespace

PlanCache::PlanCache(fs::path folder, std::string_view question)
    : folder_(std::move(folder)), question_(xxh3_128(question)) {}

std::optional<Printed> PlanCache::find() const {
  try {
    const std::optional<std::string> text = read_file_if_exists(file());
    return text ? parse(*text) : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

void PlanCache::keep(const Printed& printed, const PlanInputs& inputs, double began) const {
  if (printed.out.size() + printed.err.size() > kLongest) return;
  try {
    std::string text(kHead);
    bool unchanged = true;
    const auto add = [&](By by, const std::string& path) {
      const InputState state = state_of(by, path);
      unchanged = unchanged && state.changed_at <= began - kClockStep;
      text += fmt::format("{}{} {}\n", static_cast<char>(by), state.text, json_string(path));
    };
    for (const std::string& path : inputs.texts) add(By::kContents, path);
    for (const std::string& path : inputs.stores) add(By::kTime, path);
    if (!unchanged) return;
    text += fmt::format("{} {}\n{}{}", printed.out.size(), printed.err.size(), printed.out, printed.err);
    text += xxh3_128(text);
    fs::create_directories(folder_);
    replace_file(file(), text);
    prune(folder_);
  } catch (const std::exception&) {
    return;  // the next time is as slow as this one was
  }
}

}  // namespace mestre
