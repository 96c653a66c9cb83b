#include "core/plan/checkpoint_folder.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>
#include <vector>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/hash.h"

namespace mestre {
namespace {

std::string digest_of_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(ErrorCode::kIo, fmt::format("cannot read '{}'", path.native()));
  std::string piece(std::size_t{1} << 20, '\0');
  Digester digester;
  while (file.read(piece.data(), static_cast<std::streamsize>(piece.size())) || file.gcount() > 0)
    digester.update({piece.data(), static_cast<std::size_t>(file.gcount())});
  if (file.bad()) throw Error(ErrorCode::kIo, fmt::format("cannot read '{}'", path.native()));
  return digester.hex();
}

// One line a file, "DIGEST SIZE TIME PATH": what is not such a line is forgotten.
class Remembered {
 public:
  explicit Remembered(const fs::path& folder) : file_(folder.empty() ? fs::path() : folder / "checkpoint-digests") {
    if (file_.empty()) return;
    std::istringstream lines(read_file_if_exists(file_).value_or(""));
    for (std::string line; std::getline(lines, line);)
      if (line.size() > 33) digests_[line.substr(33)] = line.substr(0, 32);
  }

  std::string digest_of(const fs::path& path) {
    const std::string key =
        fmt::format("{} {} {}", fs::file_size(path), fs::last_write_time(path).time_since_epoch().count(),
                    fs::absolute(path).native());
    const auto [slot, is_new] = digests_.try_emplace(key);
    if (is_new) {
      slot->second = digest_of_file(path);
      changed_ = true;
    }
    return slot->second;
  }

  void keep() const {
    if (file_.empty() || !changed_) return;
    std::string text;
    for (const auto& [key, digest] : digests_) text += fmt::format("{} {}\n", digest, key);
    try {
      fs::create_directories(file_.parent_path());
      replace_file(file_, text);
    } catch (const std::exception&) {
      return;  // it is only slower next time
    }
  }

 private:
  fs::path file_;
  std::map<std::string, std::string> digests_;
  bool changed_ = false;
};

std::vector<fs::path> weights_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code problem;
  for (fs::directory_iterator it(folder, problem), end; !problem && it != end; it.increment(problem))
    if (it->path().extension() == ".safetensors") files.push_back(it->path());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

std::optional<CheckpointFolder> read_checkpoint_folder(const fs::path& folder, const fs::path& cache) {
  const std::optional<std::string> config = read_file_if_exists(folder / "config.json");
  const std::vector<fs::path> files = weights_in(folder);
  if (!config || files.empty()) return std::nullopt;
  Remembered remembered(cache);
  std::string contents = fmt::format("config.json {}\n", xxh3_128(*config));
  for (const fs::path& file : files)
    contents += fmt::format("{} {} {}\n", file.filename().native(), fs::file_size(file), remembered.digest_of(file));
  remembered.keep();
  return CheckpointFolder{.digest = xxh3_128(contents), .config = *config};
}

}  // namespace mestre
