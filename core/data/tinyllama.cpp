#include "core/data/tinyllama.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <span>

#include <fmt/format.h>

#include "core/base/diagnostics.h"
#include "core/base/error.h"
#include "core/base/mapped_file.h"
#include "core/data/corpus_folder.h"
#include "core/data/pack_writer.h"
#include "core/data/publish.h"
#include "core/data/tokenizer.h"

namespace mestre {
namespace {

constexpr std::string_view kMagic = "LITPKDS";
constexpr std::size_t kHeader = 24;
constexpr std::uint64_t kFormatVersion = 1;
constexpr std::uint8_t kInt32 = 4, kUint16 = 8;
constexpr std::size_t kPieceTokens = std::size_t{1} << 20;

std::string header_of(std::int64_t tokens) {
  std::string header(kMagic);
  const auto append = [&](const auto& value) { header.append(reinterpret_cast<const char*>(&value), sizeof value); };
  append(kFormatVersion);
  append(kUint16);
  append(static_cast<std::uint64_t>(tokens));
  return header;
}

// One file of a corpus: `count` of its tokens from `begin` on, and `filler` up to `chunk`.
void write_chunk(const fs::path& path, const PackedCorpus& corpus, std::int64_t begin, std::int64_t chunk,
                 Token filler) {
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!file.is_open()) throw system_error(errno, "create", path.native());
  write_all(file.get(), header_of(chunk), path);
  std::vector<std::int64_t> read;
  std::vector<Token> tokens;
  for (std::int64_t written = 0; written < chunk; written += static_cast<std::int64_t>(tokens.size())) {
    tokens.assign(std::min(kPieceTokens, static_cast<std::size_t>(chunk - written)), filler);
    read.resize(std::min(tokens.size(),
                         static_cast<std::size_t>(std::max<std::int64_t>(0, corpus.tokens() - begin - written))));
    if (!read.empty()) corpus.read(begin + written, read);
    std::copy(read.begin(), read.end(), tokens.begin());
    write_all(file.get(), {reinterpret_cast<const char*>(tokens.data()), tokens.size() * sizeof(Token)}, path);
  }
  if (::fsync(file.get()) != 0) throw system_error(errno, "sync", path.native());
}

Error no_packed_file(const fs::path& path, std::string_view why) {
  return Error(ErrorCode::kBadInput,
               fmt::format("'{}' is no packed file of TinyLlama: {}", escaped(path.native()), why))
      .hint("expected 'LITPKDS', version 1, tokens of uint16 or int32, and as many of them as the header says");
}

// A packed file, mapped; its tokens are read in pieces.
class PackedChunk {
 public:
  explicit PackedChunk(const fs::path& path) : file_(path) {
    const auto is = [&](auto& value, std::size_t offset) { std::memcpy(&value, file_.data() + offset, sizeof value); };
    if (file_.size() < kHeader || std::string_view(file_.data(), kMagic.size()) != kMagic)
      throw no_packed_file(path, "it begins otherwise");
    std::uint64_t version = 0, tokens = 0;
    is(version, 7);
    is(type_, 15);
    is(tokens, 16);
    if (version != kFormatVersion) throw no_packed_file(path, fmt::format("it has version {}", version));
    if (type_ != kInt32 && type_ != kUint16)
      throw no_packed_file(path, fmt::format("its tokens are of type {}", type_));
    const std::size_t bytes = file_.size() - kHeader;
    if (bytes % width() != 0 || bytes / width() != tokens)
      throw no_packed_file(path, fmt::format("it has {} bytes for {} tokens", bytes, tokens));
    tokens_ = tokens;
  }

  [[nodiscard]] std::size_t size() const { return tokens_; }
  [[nodiscard]] std::int64_t token(std::size_t i) const {
    return type_ == kUint16 ? read_as<std::uint16_t>(i) : read_as<std::int32_t>(i);
  }
  [[nodiscard]] const fs::path& path() const { return file_.path(); }

 private:
  [[nodiscard]] std::size_t width() const { return type_ == kUint16 ? 2 : 4; }
  template <typename Value>
  [[nodiscard]] std::int64_t read_as(std::size_t i) const {
    Value value;
    std::memcpy(&value, file_.data() + kHeader + i * sizeof value, sizeof value);
    return value;
  }

  MappedFile file_;
  std::uint8_t type_ = 0;
  std::size_t tokens_ = 0;
};

void copy_tokens(const PackedChunk& chunk, std::size_t count, const DataIdentity& identity, Token begin,
                 PackWriter& writer) {
  std::vector<Token> tokens;
  for (std::size_t at = 0; at < count; at += tokens.size()) {
    tokens.resize(std::min(kPieceTokens, count - at));
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const std::int64_t token = chunk.token(at + i);
      if (token < 0 || token >= identity.vocabulary)
        throw Error(ErrorCode::kBadInput, fmt::format("'{}' holds token {}, but the tokenizer has {}",
                                                      escaped(chunk.path().native()), token, identity.vocabulary))
            .hint("name the tokenizer whose tokens they are with --tokenizer");
      tokens[i] = static_cast<Token>(token);
    }
    writer.write(tokens, std::count(tokens.begin(), tokens.end(), begin));
  }
}

std::vector<fs::path> files_of(const std::vector<fs::path>& inputs) {
  std::vector<fs::path> files;
  for (const fs::path& input : inputs) {
    if (!fs::is_directory(input)) {
      files.push_back(input);
      continue;
    }
    std::vector<fs::path> inside;
    for (const fs::directory_entry& entry : fs::directory_iterator(input))
      if (entry.is_regular_file() && entry.path().extension() == ".bin") inside.push_back(entry.path());
    std::sort(inside.begin(), inside.end());
    files.insert(files.end(), inside.begin(), inside.end());
  }
  if (files.empty()) throw Error(ErrorCode::kBadInput, "there is no *.bin to import");
  return files;
}

// Files of one corpus differ in the number behind the last '_'.
std::string series_of(const fs::path& file) {
  return file.native().substr(0, file.native().rfind('_'));
}

}  // namespace

TinyLlamaExport export_tinyllama(const PackedCorpus& corpus, const fs::path& folder, const std::string& prefix,
                                 std::int64_t chunk) {
  if (chunk < 1) throw Error(ErrorCode::kBadInput, fmt::format("a file cannot hold {} tokens", chunk));
  fs::path target = fs::absolute(folder).lexically_normal();
  if (!target.has_filename()) target = target.parent_path();
  const auto refuse = [&] {
    throw Error(ErrorCode::kBadInput, fmt::format("'{}' is there already", escaped(folder.native())))
        .hint("choose a folder that is not there, or an empty one");
  };
  if (fs::exists(target) && !fs::is_empty(target)) refuse();
  std::vector<std::int64_t> first(1);
  corpus.read(0, first);  // each document begins with the same token, the first one too
  PartialFolder partial(target);
  TinyLlamaExport report{.tokens = corpus.tokens()};
  for (std::int64_t begin = 0; begin < corpus.tokens(); begin += chunk, ++report.files)
    write_chunk(partial.path() / fmt::format("{}_{:010}.bin", prefix, report.files), corpus, begin, chunk,
                static_cast<Token>(first.front()));
  partial.publish(refuse);
  report.filling = report.files * chunk - report.tokens;
  return report;
}

Manifest import_tinyllama(const TinyLlamaImport& options) {
  check_corpus_name(options.name);
  const std::unique_ptr<Tokenizer> tokenizer = open_tokenizer(options.tokenizer);
  const std::vector<fs::path> files = files_of(options.inputs);
  const fs::path target = options.root / options.name;
  require_ours(target);

  PartialFolder partial(target);
  PackWriter writer(partial.path(), "train");
  const Token begin = tokenizer->begin_token();
  for (std::size_t i = 0; i < files.size(); ++i) {
    const PackedChunk chunk(files[i]);
    std::size_t count = chunk.size();
    const bool is_last = i + 1 == files.size() || series_of(files[i + 1]) != series_of(files[i]);
    while (is_last && count > 0 && chunk.token(count - 1) == begin) --count;
    if (i == 0 && count > 0 && chunk.token(0) != begin) writer.write({}, 1);
    copy_tokens(chunk, count, tokenizer->identity(), begin, writer);
  }
  if (writer.documents() == 0) throw Error(ErrorCode::kBadInput, "the files hold no tokens");
  Manifest manifest = writer.finish(tokenizer->identity());
  if (!tokenizer->model().empty()) write_file_atomically(partial.path() / kTokenizerFile, tokenizer->model());
  partial.publish([&] {
    require_ours(target);
    if (!options.force && !holds_the_same(target, manifest, std::nullopt))
      throw other_data(target, "what is imported differs");
  });
  return manifest;
}

}  // namespace mestre
