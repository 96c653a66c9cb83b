#include "core/data/documents.h"

#include <dirent.h>
#include <fnmatch.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <tuple>

#include <fmt/format.h>

#include "core/base/diagnostics.h"
#include "core/base/error.h"
#include "core/base/hash.h"

namespace mestre {
namespace {

constexpr std::string_view kCompressed = ".zst";

std::int64_t nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

std::uint64_t from_hex(std::string_view digits) {
  std::uint64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  return value;
}

class Walker {
 public:
  explicit Walker(const SourceSelection& selection) : selection_(selection) {
    std::error_code ignored;
    leave_out_ = selection.leave_out.empty() ? fs::path() : fs::weakly_canonical(selection.leave_out, ignored);
  }

  void input(const fs::path& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) throw system_error(errno, "read", path.native());
    if (S_ISDIR(status.st_mode))
      folder(path, "");
    else if (S_ISREG(status.st_mode))
      file(path, path.filename().native(), status);
    else
      throw Error(ErrorCode::kBadInput, fmt::format("'{}' is neither a file nor a folder", escaped(path.native())));
  }

  [[nodiscard]] SourceList take() { return std::move(list_); }

 private:
  void folder(const fs::path& path, const std::string& prefix) {
    std::error_code problem;
    if (!leave_out_.empty() && fs::equivalent(path, leave_out_, problem)) return;
    const std::optional<std::vector<std::string>> names = names_in(path);
    if (!names) return;
    for (const std::string& name : *names) {
      const fs::path below = path / name;
      struct stat status {};
      if (::lstat(below.c_str(), &status) != 0)
        skip(below, errno);
      else if (S_ISDIR(status.st_mode))
        folder(below, prefix + name + "/");
      else if (S_ISREG(status.st_mode) && is_included(name, prefix + name))
        file(below, prefix + name, status);
    }
  }

  std::optional<std::vector<std::string>> names_in(const fs::path& path) {
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(path.c_str()), ::closedir);
    if (!stream) {
      skip(path, errno);
      return std::nullopt;
    }
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(stream.get()))
      if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
    if (errno != 0) skip(path, errno);
    std::sort(names.begin(), names.end());
    return names;
  }

  [[nodiscard]] bool is_included(const std::string& name, const std::string& key) const {
    const auto matches = [&](const std::string& pattern) {
      const std::string& text = pattern.find('/') == std::string::npos ? name : key;
      return ::fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
    };
    return selection_.include.empty() || std::any_of(selection_.include.begin(), selection_.include.end(), matches);
  }

  void file(const fs::path& path, const std::string& key, const struct stat& status) {
    if (status.st_size == 0) {
      ++list_.empty;
      return;
    }
    SourceFile source;
    source.file = path;
    source.bytes = status.st_size;
    source.changed = std::max(nanoseconds(status.st_mtim), nanoseconds(status.st_ctim));
    place_source(source, key);
    list_.bytes += source.bytes;
    list_.files.push_back(std::move(source));
  }

  void skip(const fs::path& path, int error_number) {
    list_.skipped.push_back({path.native(), std::strerror(error_number)});
  }

  const SourceSelection& selection_;
  fs::path leave_out_;
  SourceList list_;
};

bool lies_inside(const fs::path& inner, const fs::path& outer) {
  return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

// A document that two inputs reach would be packed twice, and leak from one split's text into the other's.
void refuse_overlap(const std::vector<fs::path>& inputs) {
  std::vector<fs::path> real;
  for (const fs::path& input : inputs) {
    std::error_code problem;
    real.push_back(fs::canonical(input, problem));
    if (problem) throw system_error(problem.value(), "read", input.native());
  }
  for (std::size_t i = 0; i < real.size(); ++i)
    for (std::size_t j = 0; j < real.size(); ++j)
      if (i != j && lies_inside(real[i], real[j]))
        throw Error(ErrorCode::kBadInput, fmt::format("the inputs overlap: '{}' lies inside '{}'",
                                                      escaped(inputs[i].native()), escaped(inputs[j].native())))
            .hint("name each file or folder once");
}

}  // namespace

double fraction_of(std::string_view key) {
  return static_cast<double>(from_hex(std::string_view(xxh3_128(key)).substr(0, 16)) >> 11) * 0x1p-53;
}

void place_source(SourceFile& source, std::string_view path) {
  source.is_compressed = path.ends_with(kCompressed);
  if (source.is_compressed) path.remove_suffix(kCompressed.size());
  source.has_lines = path.ends_with(".jsonl");
  source.key = path;
  source.fraction = fraction_of(path);
  source.place = from_hex(std::string_view(xxh3_128(path)).substr(16));
}

SourceList list_sources(const SourceSelection& selection) {
  refuse_overlap(selection.inputs);
  Walker walker(selection);
  for (const fs::path& input : selection.inputs) walker.input(input);
  SourceList list = walker.take();
  // Two inputs may hold the same key; those stay in the order of the inputs.
  std::stable_sort(list.files.begin(), list.files.end(), [](const SourceFile& a, const SourceFile& b) {
    return std::tie(a.place, a.key) < std::tie(b.place, b.key);
  });
  return list;
}

}  // namespace mestre
