#include "core/data/packed.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/hash.h"

namespace mestre {
namespace {

static_assert(std::endian::native == std::endian::little,
              "packed files hold little-endian tokens and are read in place");

// Bytes that verify() digests and checks between two looks at memory.
constexpr std::size_t kVerifyPiece = std::size_t{1} << 20;

// One file of the corpus in memory. Move only.
class Mapping {
 public:
  Mapping(fs::path path, const PackedFile& file)
      : path_(std::move(path)), bytes_(static_cast<std::size_t>(file.bytes)) {
    FileDescriptor descriptor(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    if (!descriptor.is_open()) throw system_error(errno, "open", path_.native());
    struct stat status {};
    if (::fstat(descriptor.get(), &status) != 0) throw system_error(errno, "look at", path_.native());
    if (status.st_size != file.bytes)
      throw Error(ErrorCode::kDataCorrupt, fmt::format("'{}' has {} bytes, its manifest says {}", path_.native(),
                                                       static_cast<std::int64_t>(status.st_size), file.bytes))
          .hint("write the data again with 'mestre data prepare --force'");
    address_ = ::mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, descriptor.get(), 0);
    if (address_ == MAP_FAILED) throw system_error(errno, "map", path_.native());
  }
  ~Mapping() {
    if (address_ != MAP_FAILED) ::munmap(address_, bytes_);
  }
  Mapping(Mapping&& other) noexcept
      : path_(std::move(other.path_)), bytes_(other.bytes_), address_(std::exchange(other.address_, MAP_FAILED)) {}
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  Mapping& operator=(Mapping&&) = delete;

  [[nodiscard]] const fs::path& path() const { return path_; }
  [[nodiscard]] std::span<const std::uint16_t> tokens() const {
    return {static_cast<const std::uint16_t*>(address_), bytes_ / sizeof(std::uint16_t)};
  }

 private:
  fs::path path_;
  std::size_t bytes_;
  void* address_ = MAP_FAILED;
};

void require_known_tokens(std::span<const std::uint16_t> piece, const Mapping& mapping, std::int64_t vocabulary) {
  const std::uint16_t largest = *std::max_element(piece.begin(), piece.end());
  if (largest < vocabulary) return;
  throw Error(ErrorCode::kDataCorrupt, fmt::format("'{}' holds token {}, but its tokenizer has {}",
                                                   mapping.path().native(), largest, vocabulary));
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
  std::vector<Mapping> mappings;
  std::vector<std::int64_t> ends;  // tokens up to and with each file
};

PackedCorpus::PackedCorpus(const fs::path& manifest) : state_(std::make_unique<State>()) {
  state_->path = manifest;
  state_->manifest = read_manifest(manifest);
  std::int64_t end = 0;
  for (const PackedFile& file : state_->manifest.files) {
    state_->mappings.emplace_back(manifest.parent_path() / file.path, file);
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
        state_->mappings[file].tokens().subspan(static_cast<std::size_t>(begin - file_begin));
    const std::size_t count = std::min(rest.size(), out.size());
    std::copy_n(rest.begin(), count, out.begin());
    out = out.subspan(count);
    begin += static_cast<std::int64_t>(count);
    ++file;
  }
}

void PackedCorpus::verify() const {
  Digester whole;
  for (std::size_t i = 0; i < state_->mappings.size(); ++i) {
    const Mapping& mapping = state_->mappings[i];
    Digester own;
    for (std::span<const std::uint16_t> rest = mapping.tokens(); !rest.empty();) {
      const std::span<const std::uint16_t> piece =
          rest.first(std::min(rest.size(), kVerifyPiece / sizeof(std::uint16_t)));
      const std::string_view bytes(reinterpret_cast<const char*>(piece.data()), piece.size_bytes());
      own.update(bytes);
      whole.update(bytes);
      require_known_tokens(piece, mapping, state_->manifest.identity.vocabulary);
      rest = rest.subspan(piece.size());
    }
    require_digest(own.hex(), state_->manifest.files[i].digest, mapping.path());
  }
  require_digest(whole.hex(), state_->manifest.identity.digest, state_->path);
}

}  // namespace mestre
