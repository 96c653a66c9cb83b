#include "core/data/packed.h"

#include <algorithm>
#include <bit>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/mapped_file.h"

namespace mestre {
namespace {

static_assert(std::endian::native == std::endian::little,
              "packed files hold little-endian tokens and are read in place");

// Bytes that verify() digests and checks between two looks at memory.
constexpr std::size_t kVerifyPiece = std::size_t{1} << 20;

MappedFile open_packed(const fs::path& path, const PackedFile& file) {
  MappedFile mapped(path);
  if (std::cmp_equal(mapped.size(), file.bytes)) return mapped;
  throw Error(ErrorCode::kDataCorrupt,
              fmt::format("'{}' has {} bytes, its manifest says {}", path.native(), mapped.size(), file.bytes))
      .hint("write the data again with 'mestre data prepare --force'");
}

std::span<const std::uint16_t> tokens_of(const MappedFile& file) {
  return {reinterpret_cast<const std::uint16_t*>(file.data()), file.size() / sizeof(std::uint16_t)};
}

void require_known_tokens(std::span<const std::uint16_t> piece, const MappedFile& file, std::int64_t vocabulary) {
  const std::uint16_t largest = *std::max_element(piece.begin(), piece.end());
  if (largest < vocabulary) return;
  throw Error(ErrorCode::kDataCorrupt,
              fmt::format("'{}' holds token {}, but its tokenizer has {}", file.path().native(), largest, vocabulary));
}

void require_digest(const std::string& found, const std::string& expected, const fs::path& path) {
  if (found == expected) return;
  throw Error(ErrorCode::kDataCorrupt,
              fmt::format("'{}' has the digest {}, its manifest says {}", path.native(), found, expected))
      .hint("the file was changed after it was written; write it again with 'mestre data prepare --force'");
}

}  // namespace

struct PackedCorpus::State {
  fs::path path;
  Manifest manifest;
  std::vector<MappedFile> files;
  std::vector<std::int64_t> ends;  // tokens up to and with each file
};

PackedCorpus::PackedCorpus(const fs::path& manifest) : state_(std::make_unique<State>()) {
  state_->path = manifest;
  state_->manifest = read_manifest(manifest);
  if (state_->manifest.is_mixture())
    throw Error(ErrorCode::kBadInput, fmt::format("'{}' is a mixture, which only training reads", manifest.native()))
        .hint(fmt::format("expected one corpus, such as '{}'", state_->manifest.components.front().path));
  std::int64_t end = 0;
  for (const PackedFile& file : state_->manifest.files) {
    state_->files.push_back(open_packed(manifest.parent_path() / file.path, file));
    state_->ends.push_back(end += file.tokens);
  }
}

PackedCorpus::~PackedCorpus() = default;
PackedCorpus::PackedCorpus(PackedCorpus&&) noexcept = default;
PackedCorpus& PackedCorpus::operator=(PackedCorpus&&) noexcept = default;

const Manifest& PackedCorpus::manifest() const {
  return state_->manifest;
}
std::int64_t PackedCorpus::tokens() const {
  return state_->manifest.tokens;
}

void PackedCorpus::read(std::int64_t begin, std::span<std::int64_t> out) const {
  if (begin < 0 || begin > tokens() || std::cmp_greater(out.size(), tokens() - begin))
    throw Error(ErrorCode::kBug,
                fmt::format("tokens {} to {} of '{}' were asked for, which has {}", begin,
                            begin + static_cast<std::int64_t>(out.size()), state_->path.native(), tokens()));
  const std::vector<std::int64_t>& ends = state_->ends;
  auto file = static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), begin) - ends.begin());
  while (!out.empty()) {
    const std::int64_t file_begin = file == 0 ? 0 : ends[file - 1];
    const std::span<const std::uint16_t> rest =
        tokens_of(state_->files[file]).subspan(static_cast<std::size_t>(begin - file_begin));
    const std::size_t count = std::min(rest.size(), out.size());
    std::copy_n(rest.begin(), count, out.begin());
    out = out.subspan(count);
    begin += static_cast<std::int64_t>(count);
    ++file;
  }
}

void PackedCorpus::verify() const {
  Digester whole;
  for (std::size_t i = 0; i < state_->files.size(); ++i) {
    const MappedFile& file = state_->files[i];
    Digester own;
    for (std::span<const std::uint16_t> rest = tokens_of(file); !rest.empty();) {
      const std::span<const std::uint16_t> piece =
          rest.first(std::min(rest.size(), kVerifyPiece / sizeof(std::uint16_t)));
      const std::string_view bytes(reinterpret_cast<const char*>(piece.data()), piece.size_bytes());
      own.update(bytes);
      whole.update(bytes);
      require_known_tokens(piece, file, state_->manifest.identity.vocabulary);
      rest = rest.subspan(piece.size());
    }
    require_digest(own.hex(), state_->manifest.files[i].digest, file.path());
  }
  require_digest(whole.hex(), state_->manifest.identity.digest, state_->path);
}

}  // namespace mestre
