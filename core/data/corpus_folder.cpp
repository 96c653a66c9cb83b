#include "core/data/corpus_folder.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/base/diagnostics.h"
#include "core/data/prepare_stamp.h"
#include "core/data/tokenizer.h"

namespace mestre {
namespace {

constexpr std::array<std::string_view, 6> kOurFiles = {kStampFile,       kTokenizerFile,   "train.bin",
                                                       "train.manifest", "validation.bin", "validation.manifest"};

std::optional<std::string> digest_if_there(const fs::path& manifest) {
  try {
    return read_manifest(manifest).identity.digest;
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

void check_corpus_name(const std::string& name) {
  const fs::path path = name;
  const bool plain =
      !name.empty() && path.is_relative() && path.has_filename() &&
      std::all_of(name.begin(), name.end(), [](unsigned char c) { return c >= 0x20 && c != 0x7F; }) &&
      std::all_of(path.begin(), path.end(), [](const fs::path& part) { return part.native().front() != '.'; });
  if (!plain)
    throw Error(ErrorCode::kBadInput, fmt::format("'{}' is no name for data", escaped(name)))
        .hint(
            "expected a folder below the data root, such as 'cpp-headers' or 'code/headers', without parts that begin "
            "with a dot");
}

void require_ours(const fs::path& target) {
  if (!fs::exists(fs::symlink_status(target))) return;
  if (!fs::is_directory(fs::symlink_status(target)))
    throw Error(ErrorCode::kBadInput, fmt::format("'{}' is there already and is no folder of data", target.native()))
        .hint("choose another name");
  for (const fs::directory_entry& entry : fs::directory_iterator(target)) {
    const std::string name = entry.path().filename().native();
    if (std::find(kOurFiles.begin(), kOurFiles.end(), name) == kOurFiles.end())
      throw Error(ErrorCode::kBadInput, fmt::format("'{}' holds '{}', which 'mestre data prepare' did not write",
                                                    target.native(), escaped(name)))
          .hint("choose another name, or move the file away: the folder would be replaced as a whole");
  }
}

bool holds_the_same(const fs::path& target, const Manifest& train, const std::optional<Manifest>& validation) {
  const std::optional<std::string> held_out = validation ? std::optional(validation->identity.digest) : std::nullopt;
  return digest_if_there(target / "train.manifest") == train.identity.digest &&
         digest_if_there(target / "validation.manifest") == held_out;
}

Error other_data(const fs::path& target, std::string_view why) {
  return Error(ErrorCode::kBadInput, fmt::format("'{}' holds other data: {}", target.native(), why))
      .hint(
          "choose another name, or replace them with --force; results that used them keep their digest, but cannot be "
          "run again");
}

}  // namespace mestre
