#include "core/data/manifest.h"

#include <algorithm>
#include <initializer_list>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/diagnostics.h"
#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/options.h"
#include "core/data/tokenizer.h"

namespace mestre {
namespace {

using Json = nlohmann::json;

constexpr const char* kPrepare = "mestre data prepare";
constexpr const char* kMix = "mestre data mix";
constexpr std::int64_t kLargestCount = std::numeric_limits<std::int64_t>::max() / 4;

// Reads the members of one JSON object; every complaint names the file and the member.
class MemberReader {
 public:
  /// `command` writes such files.
  MemberReader(const fs::path& file, std::string prefix, const Json& object, const char* command = kPrepare)
      : file_(file), prefix_(std::move(prefix)), object_(object), command_(command) {
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
          .hint(remedy());
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
        .hint(remedy());
  }

 private:
  [[nodiscard]] std::string remedy() const { return fmt::format("write the data again with '{}'", command_); }

  const fs::path& file_;
  std::string prefix_;
  const Json& object_;
  const char* command_;
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
int read_format(const MemberReader& reader, const fs::path& name) {
  const std::int64_t format = reader.integer("format", 1, kLargestCount);
  if (format > kMixtureFormat)
    throw Error(ErrorCode::kNewerVersion,
                fmt::format("'{}' has format {}, this build reads up to {}", name.native(), format, kMixtureFormat))
        .hint("use the version of mestre that wrote it, or a later one");
  return static_cast<int>(format);
}

// Tokens of all items of a list, with the list's own checks left to the caller.
template <class Item>
std::int64_t total_tokens(const MemberReader& reader, const char* list, const std::vector<Item>& items) {
  std::int64_t total = 0;
  for (const Item& item : items) {
    if (item.tokens > kLargestCount - total) reader.fail(list, "a list whose tokens can be counted");
    total += item.tokens;
  }
  return total;
}

void read_files(const MemberReader& reader, const fs::path& name, Manifest& manifest) {
  const Json& files = reader.member("files");
  if (!files.is_array() || files.empty()) reader.fail("files", "a list of at least one file");
  for (std::size_t i = 0; i < files.size(); ++i)
    manifest.files.push_back(read_packed_file(name, fmt::format("files[{}].", i), files[i]));
  const std::int64_t total = total_tokens(reader, "files", manifest.files);
  if (total != manifest.tokens) reader.fail("tokens", fmt::format("{}, the sum over the files", total));
  if (manifest.files.size() == 1 && manifest.files.front().digest != manifest.identity.digest)
    reader.fail("digest", "that of the only file");
}

MixtureComponent read_component(const fs::path& name, const std::string& prefix, const Json& json) {
  const MemberReader reader(name, prefix, json, kMix);
  reader.refuse_unknown({"digest", "path", "slots", "tokens"});
  MixtureComponent component;
  component.path = reader.text("path", "a path");
  if (!stays_inside(component.path)) reader.fail(prefix + "path", "a relative path inside the data root");
  component.digest = reader.digest("digest");
  component.tokens = reader.integer("tokens", 1, kLargestCount);
  component.slots = reader.integer("slots", 1, kMixtureSlots - 1);
  return component;
}

void read_components(const MemberReader& reader, const fs::path& name, Manifest& manifest) {
  const Json& components = reader.member("components");
  if (!components.is_array() || components.size() < 2) reader.fail("components", "a list of at least two corpora");
  std::int64_t slots = 0;
  for (std::size_t i = 0; i < components.size(); ++i) {
    manifest.components.push_back(read_component(name, fmt::format("components[{}].", i), components[i]));
    slots += manifest.components.back().slots;
    if (i > 0 && manifest.components[i - 1].digest >= manifest.components[i].digest)
      reader.fail("components", "a list in the order of digests, each of them once");
  }
  if (slots != kMixtureSlots) reader.fail("components", fmt::format("a list whose slots add up to {}", kMixtureSlots));
  const std::int64_t total = total_tokens(reader, "components", manifest.components);
  if (total != manifest.tokens) reader.fail("tokens", fmt::format("{}, the sum over the components", total));
  const std::string digest = mixture_digest(manifest.components);
  if (digest != manifest.identity.digest) reader.fail("digest", fmt::format("{}, that of the components", digest));
}

std::string files_json(const Manifest& manifest) {
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
  return files + "]";
}

std::string components_json(const Manifest& manifest) {
  std::string components = "[";
  for (const MixtureComponent& component : manifest.components) {
    JsonObject object;
    object.text("digest", component.digest).text("path", component.path).number("slots", component.slots);
    object.number("tokens", component.tokens);
    if (components.size() > 1) components += ',';
    components += object.str();
  }
  return components + "]";
}

}  // namespace

std::string mixture_digest(const std::vector<MixtureComponent>& components) {
  std::string text = "mixture 1\n";
  for (const MixtureComponent& component : components)
    text += fmt::format("{} {}\n", component.digest, component.slots);
  return xxh3_128(text);
}

std::string to_json(const Manifest& manifest) {
  const bool is_mixture = manifest.is_mixture();
  JsonObject object;
  if (is_mixture) object.raw("components", components_json(manifest));
  object.text("digest", manifest.identity.digest).number("documents", manifest.documents);
  if (!is_mixture) object.raw("files", files_json(manifest));
  object.number("format", static_cast<std::int64_t>(is_mixture ? kMixtureFormat : kCorpusFormat));
  object.text("tokenizer", manifest.identity.tokenizer);
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
  const bool is_mixture = read_format(MemberReader(name, "", root), name) == kMixtureFormat;
  const MemberReader reader(name, "", root, is_mixture ? kMix : kPrepare);
  reader.refuse_unknown({is_mixture ? "components" : "files", "digest", "documents", "format", "tokenizer",
                         "tokenizer_version", "tokens", "vocabulary"});

  Manifest manifest;
  manifest.identity.digest = reader.digest("digest");
  manifest.identity.tokenizer = reader.text("tokenizer", "the name of a tokenizer");
  manifest.identity.tokenizer_version =
      static_cast<int>(reader.integer("tokenizer_version", 1, std::numeric_limits<int>::max()));
  manifest.identity.vocabulary = reader.integer("vocabulary", 1, kLargestVocabulary);
  manifest.documents = reader.integer("documents", 1, kLargestCount);
  manifest.tokens = reader.integer("tokens", 1, kLargestCount);
  if (is_mixture)
    read_components(reader, name, manifest);
  else
    read_files(reader, name, manifest);
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
