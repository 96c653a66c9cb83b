#include "core/data/pack_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>

#include "core/base/error.h"

namespace mestre {
namespace {

constexpr std::size_t kFlushTokens = std::size_t{1} << 19;

}  // namespace

PackWriter::PackWriter(const fs::path& folder, std::string name)
    : folder_(folder), name_(std::move(name)), path_(folder_ / (name_ + ".bin")) {
  file_ = FileDescriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!file_.is_open()) throw system_error(errno, "create", path_.native());
}

void PackWriter::flush_if_full() {
  if (buffer_.size() >= kFlushTokens) flush();
}

void PackWriter::flush() {
  const std::string_view bytes(reinterpret_cast<const char*>(buffer_.data()), buffer_.size() * sizeof(Token));
  write_all(file_.get(), bytes, path_);
  digester_.update(bytes);
  tokens_ += static_cast<std::int64_t>(buffer_.size());
  buffer_.clear();
}

Manifest PackWriter::finish(const DataIdentity& tokenizer) {
  if (documents_ == 0) throw Error(ErrorCode::kBug, fmt::format("no document was written into '{}'", path_.native()));
  flush();
  if (::fsync(file_.get()) != 0) throw system_error(errno, "sync", path_.native());
  file_.close();

  Manifest manifest;
  manifest.identity = tokenizer;
  manifest.identity.digest = digester_.hex();
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
