// Runs the fuzzer's function over files, for compilers without libFuzzer: run_corpus FILE-OR-FOLDER…

#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>

#include "core/base/files.h"

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer looks for this name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace mestre {
namespace {

// In a golden case, the sweep; in a corpus, every file.
int run(const fs::path& path) {
  if (!fs::is_directory(path)) {
    const std::string text = read_file(path);
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
    return 1;
  }
  int count = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(path)) {
    const bool is_wanted = entry.is_directory() || path.filename() == "corpus" || entry.path().extension() == ".toml";
    if (is_wanted) count += run(entry.path());
  }
  return count;
}

}  // namespace
}  // namespace mestre

int main(int count, char** arguments) {
  try {
    int files = 0;
    for (int i = 1; i < count; ++i) files += mestre::run(arguments[i]);
    std::printf("%d files planned\n", files);
    return files > 0 ? 0 : 1;
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "%s\n", problem.what());
    return 1;
  }
}
