#include "core/data/text_stream.h"

#include <fcntl.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "core/base/diagnostics.h"
#include "core/base/error.h"

namespace mestre {
namespace {

constexpr std::size_t kInput = std::size_t{1} << 18;

struct FreeDecompressor {
  void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
};

}  // namespace

struct TextStream::State {
  const SourceFile& source;
  FileDescriptor file;
  std::int64_t position = 0;
  bool is_at_end = false;  // of the file
  Problem problem = Problem::kNone;
  std::string reason;
  std::string input;  // compressed bytes; those from `used` on are not decompressed yet
  std::size_t used = 0;
  bool is_inside_frame = false;
  std::unique_ptr<ZSTD_DStream, FreeDecompressor> decompressor;

  // Appends up to `size` bytes of the file.
  void read_file(std::size_t size, std::string& out) {
    const std::size_t before = out.size();
    out.resize(before + size);
    ssize_t count = 0;
    do count = ::read(file.get(), out.data() + before, size);
    while (count < 0 && errno == EINTR);
    out.resize(before + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    if (count < 0 && position > 0) throw system_error(errno, "read", source.file.native());
    if (count < 0) fail(Problem::kUnreadable, std::strerror(errno));
    is_at_end = count == 0;
    position += std::max<ssize_t>(count, 0);
    if (is_at_end || position > source.bytes) require_unchanged();
  }

  void require_unchanged() const {
    if (position == source.bytes) return;
    throw Error(ErrorCode::kEnvironment, fmt::format("'{}' changed while it was read: it had {} bytes, then {}",
                                                     escaped(source.file.native()), source.bytes, position))
        .hint("nothing was written; run the same command again when nothing changes the sources");
  }

  void fail(Problem what, std::string why) {
    problem = what;
    reason = std::move(why);
  }

  // Appends what the next input gives, which may be nothing.
  void decompress(std::size_t size, std::string& out) {
    if (used == input.size()) {
      input.clear();
      used = 0;
      read_file(kInput, input);
      if (is_at_end && is_inside_frame) fail(Problem::kTorn, "it ends in the middle of a compressed frame");
      if (is_at_end || problem != Problem::kNone) return;
    }
    const std::size_t before = out.size();
    out.resize(before + size);
    ZSTD_inBuffer in{input.data(), input.size(), used};
    ZSTD_outBuffer written{out.data() + before, size, 0};
    const std::size_t result = ZSTD_decompressStream(decompressor.get(), &written, &in);
    out.resize(before + written.pos);
    used = in.pos;
    if (ZSTD_isError(result) != 0)
      fail(Problem::kTorn, fmt::format("its compression is damaged ({})", ZSTD_getErrorName(result)));
    is_inside_frame = result != 0;
  }
};

TextStream::TextStream(const SourceFile& source) : state_(new State{.source = source}) {
  State& state = *state_;
  state.file = FileDescriptor(::open(source.file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!state.file.is_open()) state.fail(Problem::kUnreadable, std::strerror(errno));
  if (!state.file.is_open() || !source.is_compressed) return;
  state.decompressor.reset(ZSTD_createDStream());
  if (!state.decompressor) throw std::bad_alloc();
}

TextStream::~TextStream() = default;
TextStream::TextStream(TextStream&&) noexcept = default;
TextStream& TextStream::operator=(TextStream&&) noexcept = default;

bool TextStream::read(std::size_t size, std::string& out) {
  State& state = *state_;
  const std::size_t before = out.size();
  while (out.size() - before < size && !state.is_at_end && state.problem == Problem::kNone) {
    const std::size_t missing = size - (out.size() - before);
    if (state.source.is_compressed)
      state.decompress(missing, out);
    else
      state.read_file(missing, out);
  }
  return out.size() > before;
}

void TextStream::skip(std::int64_t size) {
  State& state = *state_;
  if (!state.source.is_compressed && state.problem == Problem::kNone) {
    if (::lseek(state.file.get(), size, SEEK_CUR) < 0) throw system_error(errno, "read", state.source.file.native());
    state.position += size;
    return;
  }
  for (std::string passed; size > 0; passed.clear()) {
    const auto piece = static_cast<std::size_t>(std::min<std::int64_t>(size, std::int64_t{1} << 20));
    if (!read(piece, passed)) return;
    size -= static_cast<std::int64_t>(passed.size());
  }
}

std::int64_t TextStream::position() const {
  return state_->position;
}
TextStream::Problem TextStream::problem() const {
  return state_->problem;
}
const std::string& TextStream::reason() const {
  return state_->reason;
}

}  // namespace mestre
