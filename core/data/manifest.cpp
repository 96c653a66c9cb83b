#include "core/data/manifest.h"

#include <algorithm>
#include <initializer_list>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/diagnostics.h"
#include "core/base/error.h"
#include "core/base/options.h"

namespace mestre {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kLargestVocabulary = 65536;  // tokens are uint16
constexpr std::int64_t kLargestCount = std::numeric_limits<std::int64_t>::max() / 4;

// Reads the members of one JSON object; every complaint names the file and the member.
class MemberReader {
 public:
  MemberReader(const fs::path& file, std::string prefix, const Json& object)
      : file_(file), prefix_(std::move(prefix)), object_(object) {
    if (!object.is_object()) fail(prefix_.empty() ? "the manifest" : prefix_, "a JSON object");
  }

  void refuse_unknown(std::initializer_list<std::string_view> known) const {
    for (const auto& [key, value] : object_.items())
      if (std::find(known.begin(), known.end(), key) == known.end())
        throw Error(ErrorCode::kDataCorrupt,
                    fmt::format("'{}' has an unknown member '{}'", file_.native(), escaped(prefix_ + key)));
  }

  [[nodiscard]] const Json& member(const std::string& key) const {
    const auto found = object_.find(key);
    if (found == object_.end())
      throw Error(ErrorCode::kDataCorrupt, fmt::format("'{}' lacks the member '{}'", file_.native(), prefix_ + key))
          .hint("write the data again with 'mestre data prepare'");
    return *found;
  }

  [[nodiscard]] std::int64_t integer(const std::string& key, std::int64_t least, std::int64_t most) const {
    const Json& value = member(key);
    const bool fits = value.is_number_integer() &&
                      (!value.is_number_unsigned() || value.get<std::uint64_t>() <= std::uint64_t{kLargestCount});
    if (!fits || value.get<std::int64_t>() < least || value.get<std::int64_t>() > most)
      fail(prefix_ + key, most == kLargestCount ? fmt::format("a whole number of at least {}", least)
                                                : fmt::format("a whole number from {} to {}", least, most));
    return value.get<std::int64_t>();
  }

  [[nodiscard]] std::string text(const std::string& key, const char* expected) const {
    const Json& value = member(key);
    if (!value.is_string() || value.get_ref<const std::string&>().empty()) fail(prefix_ + key, expected);
    return value.get<std::string>();
  }

  [[nodiscard]] std::string digest(const std::string& key) const {
    static constexpr const char* kExpected = "a digest of 32 lower-case hexadecimal digits";
    std::string value = text(key, kExpected);
    if (value.size() != 32 || value.find_first_not_of("0123456789abcdef") != std::string::npos)
      fail(prefix_ + key, kExpected);
    return value;
  }

  [[noreturn]] void fail(const std::string& what, const std::string& expected) const {
    throw Error(ErrorCode::kDataCorrupt, fmt::format("'{}': {} is not {}", file_.native(), escaped(what), expected))
        .hint("write the data again with 'mestre data prepare'");
  }

 private:
  const fs::path& file_;
  std::string prefix_;
  const Json& object_;
};

// A manifest that was copied from elsewhere must not make us read files elsewhere.
bool stays_inside(const fs::path& path) {
  return path.is_relative() && path.native().find('\0') == std::string::npos &&
         std::none_of(path.begin(), path.end(), [](const fs::path& part) { return part == ".."; });
}

PackedFile read_packed_file(const fs::path& name, const std::string& prefix, const Json& json) {
  const MemberReader reader(name, prefix, json);
  reader.refuse_unknown({"bytes", "digest", "path", "tokens"});
  PackedFile file;
  file.path = reader.text("path", "a path");
  if (!stays_inside(file.path)) reader.fail(prefix + "path", "a relative path inside the manifest's folder");
  file.tokens = reader.integer("tokens", 1, kLargestCount);
  file.bytes = reader.integer("bytes", 1, kLargestCount);
  if (file.bytes != 2 * file.tokens) reader.fail(prefix + "bytes", "twice the number of tokens");
  file.digest = reader.digest("digest");
  return file;
}

// Later formats may have other members, so the number is looked at before anything else.
void require_known_format(const MemberReader& reader, const fs::path& name) {
  const std::int64_t format = reader.integer("format", 1, kLargestCount);
  if (format > kManifestFormat)
    throw Error(ErrorCode::kNewerVersion,
                fmt::format("'{}' has format {}, this build reads up to {}", name.native(), format, kManifestFormat))
        .hint("use the version of mestre that wrote it, or a later one");
}

}  // namespace

std::string to_json(const Manifest& manifest) {
  std::string files = "[";
  for (const PackedFile& file : manifest.files) {
    JsonObject object;
    object.number("bytes", file.bytes)
        .text("digest", file.digest)
        .text("path", file.path)
        .number("tokens", file.tokens);
    if (files.size() > 1) files += ',';
    files += object.str();
  }
  JsonObject object;
  object.text("digest", manifest.identity.digest).number("documents", manifest.documents).raw("files", files + "]");
  object.number("format", static_cast<std::int64_t>(kManifestFormat)).text("tokenizer", manifest.identity.tokenizer);
  object.number("tokenizer_version", static_cast<std::int64_t>(manifest.identity.tokenizer_version));
  object.number("tokens", manifest.tokens).number("vocabulary", manifest.identity.vocabulary);
  return object.str();
}

namespace {

Json parsed(std::string_view json, const fs::path& name) {
  std::string why;
  try {
    return Json::parse(json);
  } catch (const Json::parse_error& error) {
    why = fmt::format("it breaks at byte {}", error.byte);
  } catch (const Json::out_of_range&) {
    why = "a number in it is too large";
  }
  throw Error(ErrorCode::kDataCorrupt, fmt::format("'{}' is not JSON: {}", name.native(), why))
      .hint("expected the manifest of a packed corpus, as 'mestre data prepare' writes it");
}

}  // namespace

Manifest parse_manifest(std::string_view json, const fs::path& name) {
  const Json root = parsed(json, name);
  const MemberReader reader(name, "", root);
  require_known_format(reader, name);
  reader.refuse_unknown(
      {"digest", "documents", "files", "format", "tokenizer", "tokenizer_version", "tokens", "vocabulary"});

  Manifest manifest;
  manifest.identity.digest = reader.digest("digest");
  manifest.identity.tokenizer = reader.text("tokenizer", "the name of a tokenizer");
  manifest.identity.tokenizer_version =
      static_cast<int>(reader.integer("tokenizer_version", 1, std::numeric_limits<int>::max()));
  manifest.identity.vocabulary = reader.integer("vocabulary", 1, kLargestVocabulary);
  manifest.documents = reader.integer("documents", 1, kLargestCount);
  manifest.tokens = reader.integer("tokens", 1, kLargestCount);

  const Json& files = reader.member("files");
  if (!files.is_array() || files.empty()) reader.fail("files", "a list of at least one file");
  std::int64_t total = 0;
  for (std::size_t i = 0; i < files.size(); ++i) {
    manifest.files.push_back(read_packed_file(name, fmt::format("files[{}].", i), files[i]));
    if (manifest.files.back().tokens > kLargestCount - total)
      reader.fail("files", "a list whose tokens can be counted");
    total += manifest.files.back().tokens;
  }
  if (total != manifest.tokens) reader.fail("tokens", fmt::format("{}, the sum over the files", total));
  if (manifest.files.size() == 1 && manifest.files.front().digest != manifest.identity.digest)
    reader.fail("digest", "that of the only file");
  return manifest;
}

Manifest read_manifest(const fs::path& path) {
  const std::optional<std::string> json = read_file_if_exists(path);
  if (!json)
    throw Error(ErrorCode::kNotFound, fmt::format("no manifest at '{}'", path.native()))
        .hint("write one with 'mestre data prepare', or name another data root with --data or MESTRE_DATA");
  return parse_manifest(*json, path);
}

}  // namespace mestre
