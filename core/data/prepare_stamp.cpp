#include "core/data/prepare_stamp.h"

#include <sys/stat.h>

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/options.h"

namespace mestre {
namespace {

constexpr int kStampFormat = 1;

// The coarsest times that file systems in use keep (FAT's two seconds), with the kernel's tick.
constexpr std::int64_t kTimeGranularity = 2'100'000'000;

}  // namespace

bool PrepareStamp::is_conclusive() const {
  return newest + kTimeGranularity < listed_at;
}

std::string digest_of_sources(const SourceList& list) {
  Digester digester;
  for (const SourceFile& source : list.files) {
    // Lengths before texts, so that no two lists read alike.
    digester.update(
        fmt::format("{} {} {} {} ", source.file.native().size(), source.key.size(), source.bytes, source.changed));
    digester.update(source.file.native());
    digester.update(source.key);
  }
  return digester.hex();
}

std::int64_t newest_change(const SourceList& list) {
  std::int64_t newest = 0;
  for (const SourceFile& source : list.files) newest = std::max(newest, source.changed);
  return newest;
}

std::string signature_of_outputs(const fs::path& folder) {
  std::vector<std::string> lines;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().native();
    struct stat status {};
    if (name == kStampFile || ::stat(entry.path().c_str(), &status) != 0) continue;
    lines.push_back(fmt::format("{} {} {}.{:09}", name, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec));
  }
  std::sort(lines.begin(), lines.end());
  return fmt::format("{}", fmt::join(lines, ", "));
}

std::string to_json(const PrepareStamp& stamp) {
  JsonObject object;
  object.number("format", static_cast<std::int64_t>(kStampFormat)).raw("command", stamp.command);
  object.text("sources", stamp.sources).number("newest", stamp.newest).number("listed_at", stamp.listed_at);
  object.text("outputs", stamp.outputs);
  for (const auto& [name, member] : kTallyMembers) object.number(name, stamp.tally.*member);
  return object.str();
}

std::optional<PrepareStamp> read_prepare_stamp(const fs::path& folder) {
  const std::optional<std::string> text = read_file_if_exists(folder / kStampFile);
  if (!text) return std::nullopt;
  const nlohmann::json json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  try {
    if (json.at("format").get<int>() != kStampFormat) return std::nullopt;
    PrepareStamp stamp;
    stamp.command = json.at("command").dump();
    json.at("sources").get_to(stamp.sources);
    json.at("newest").get_to(stamp.newest);
    json.at("listed_at").get_to(stamp.listed_at);
    json.at("outputs").get_to(stamp.outputs);
    for (const auto& [name, member] : kTallyMembers) stamp.tally.*member = json.value(name, std::int64_t{0});
    return stamp;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

}  // namespace mestre
