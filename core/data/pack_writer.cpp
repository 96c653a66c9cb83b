#include "core/data/pack_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "core/base/error.h"

namespace mestre {
namespace {

constexpr std::size_t kReadBack = std::size_t{1} << 22;

}  // namespace

PackWriter::PackWriter(const fs::path& folder, std::string name)
    : folder_(folder), name_(std::move(name)), path_(folder_ / (name_ + ".bin")) {
  file_ = FileDescriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!file_.is_open()) throw system_error(errno, "create", path_.native());
}

PackWriter::PackWriter(const fs::path& folder, std::string name, const PackState& state)
    : folder_(folder),
      name_(std::move(name)),
      path_(folder_ / (name_ + ".bin")),
      tokens_(state.tokens),
      documents_(state.documents) {
  file_ = FileDescriptor(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
  if (!file_.is_open()) throw system_error(errno, "open", path_.native());
  const std::int64_t bytes = tokens_ * static_cast<std::int64_t>(sizeof(Token));
  // Read, not mapped, so that it takes no memory; the descriptor then stands where writing goes on.
  std::string piece(kReadBack, '\0');
  for (std::int64_t rest = bytes; rest > 0;) {
    const ssize_t count = ::read(file_.get(), piece.data(), std::min(kReadBack, static_cast<std::size_t>(rest)));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw system_error(errno, "read", path_.native());
    if (count == 0) break;
    digester_.update(std::string_view(piece).substr(0, static_cast<std::size_t>(count)));
    rest -= count;
  }
  if (digester_.hex() != state.digest)
    throw Error(ErrorCode::kDataCorrupt, fmt::format("'{}' is not as it was written", path_.native()));
  if (::ftruncate(file_.get(), bytes) != 0) throw system_error(errno, "shorten", path_.native());
}

void PackWriter::write(std::span<const Token> tokens, std::int64_t documents) {
  const std::string_view bytes(reinterpret_cast<const char*>(tokens.data()), tokens.size_bytes());
  write_all(file_.get(), bytes, path_);
  digester_.update(bytes);
  tokens_ += static_cast<std::int64_t>(tokens.size());
  documents_ += documents;
}

PackState PackWriter::sync() {
  if (::fdatasync(file_.get()) != 0) throw system_error(errno, "sync", path_.native());
  return {.tokens = tokens_, .documents = documents_, .digest = digester_.hex()};
}

Manifest PackWriter::finish(const DataIdentity& tokenizer) {
  if (tokens_ == 0) throw Error(ErrorCode::kBug, fmt::format("no document was written into '{}'", path_.native()));
  const PackState state = sync();
  file_.close();

  Manifest manifest;
  manifest.identity = tokenizer;
  manifest.identity.digest = state.digest;
  manifest.tokens = tokens_;
  manifest.documents = documents_;
  manifest.files.push_back({.path = path_.filename().native(),
                            .bytes = tokens_ * static_cast<std::int64_t>(sizeof(Token)),
                            .tokens = tokens_,
                            .digest = manifest.identity.digest});
  write_file_atomically(folder_ / (name_ + ".manifest"), to_json(manifest) + "\n");
  return manifest;
}

}  // namespace mestre
