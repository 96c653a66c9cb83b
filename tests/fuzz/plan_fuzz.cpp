// One input of the fuzzer: files in one text, planned. See README.md.

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/plan/explain.h"
#include "core/plan/plan.h"

namespace mestre {
namespace {

constexpr std::string_view kMark = "#### ";
constexpr const char* kManifest =
    R"({"digest":"00000000000000000000000000000000","documents":1,"files":[{"bytes":200000,"digest":"00000000000000000000000000000000",)"
    R"("path":"text.bin","tokens":100000}],"format":1,"tokenizer":"bytes","tokenizer_version":1,"tokens":100000,"vocabulary":257})";
constexpr const char* kModel =
    "[model]\nwidth = 64\nlayers = [\"mamba\", \"mlp\", \"swa\", \"mlp\"]\nmlp.intermediate = 128\n"
    "swa = { type = \"attention\", heads = 2, window = 16 }\n";

// Where the files of an input lie; made once, in memory where that can be.
const fs::path& folder() {
  static const fs::path kFolder = [] {
    std::string name =
        (fs::path(::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") / "mestre-fuzz-XXXXXX").native();
    if (::mkdtemp(name.data()) == nullptr) throw system_error(errno, "create folder", name);
    fs::create_directories(fs::path(name) / "models");
    std::atexit([] {
      std::error_code ignored;
      fs::remove_all(folder(), ignored);
    });
    return fs::path(name);
  }();
  return kFolder;
}

// Names that an input may give its files; others are ignored.
bool is_name(std::string_view name) {
  static const std::vector<std::string_view> kNames = {"sweep.toml", "base.toml", "models/a.toml", "models/b.toml",
                                                       "text.manifest"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

void write_files(std::string_view input) {
  for (const char* name : {"base.toml", "models/b.toml"}) fs::remove(folder() / name);
  replace_file(folder() / "models" / "a.toml", kModel);
  replace_file(folder() / "text.manifest", kManifest);
  std::string_view name = "sweep.toml";
  while (true) {
    const std::size_t mark = input.starts_with(kMark) ? 0 : input.find("\n" + std::string(kMark));
    const std::string_view text = input.substr(0, mark);
    if (is_name(name)) replace_file(folder() / name, text);
    if (mark == std::string_view::npos) return;
    input.remove_prefix(mark + kMark.size() + (input.starts_with(kMark) ? 0 : 1));
    const std::size_t end = std::min(input.find('\n'), input.size());
    name = input.substr(0, end);
    input.remove_prefix(std::min(end + 1, input.size()));
  }
}

}  // namespace

// Planned twice, the second time by another path, a plan must be the same; and what has errors says so.
void plan_input(std::string_view input) {
  write_files(input);
  const std::string file = (folder() / "sweep.toml").native();
  PlanContext context;
  context.data_root = folder().native();
  Diagnostics diagnostics;
  const std::optional<Plan> plan = plan_sweep(file, context, diagnostics);
  if (plan.has_value() == diagnostics.has_errors()) std::abort();
  (void)diagnostics.render();
  if (!plan) return;
  (void)plan_json(*plan);
  if (plan->cells.empty() || plan->cells.size() > 100) return;
  const auto explained = explain_cell(file, plan->cells.back().name, context, diagnostics);
  if (!explained || explained->name != plan->cells.back().name) std::abort();
}

}  // namespace mestre

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer looks for this name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  mestre::plan_input({reinterpret_cast<const char*>(data), size});
  return 0;
}
