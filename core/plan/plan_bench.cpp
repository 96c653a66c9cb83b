// How long a plan takes per cell, from 1,000 to 1,000,000 cells, fresh and with all of it done: the cost per cell must
// not grow. And how long the program takes, the second time with nothing changed.

#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "core/base/files.h"
#include "core/plan/plan.h"

namespace mestre {
namespace {

std::string list(int count, double step) {
  std::string text;
  for (int i = 1; i <= count; ++i) text += fmt::format("{}{:.6f}", i > 1 ? ", " : "", i * step);
  return text;
}

// Five architectures x rates x decays x seeds, each cell with one evaluation.
std::string sweep_of(int cells) {
  const int rates = cells >= 100000 ? 20 : 10;
  const int decays = 10;
  const int seeds = cells / (5 * rates * decays);
  std::string text =
      "[sweep]\nname = \"bench\"\nmax_jobs = \"10M\"\n[train]\ntokens = \"256Ki\"\nsequence_length = "
      "256\nsequences_per_step = 8\n"
      "[data]\ntrain = \"text.manifest\"\nvalidation = \"text.manifest\"\n[[axis]]\nname = \"architecture\"\n";
  for (const char* name : {"llama2-0.8m", "llama2-swa-0.8m", "mamba-0.8m", "samba-0.8m", "samba-nope-0.8m"})
    text += fmt::format("[[axis.cell]]\nlabel = \"{0}\"\nmodel.use = \"{0}\"\n", name);
  text +=
      fmt::format("[[axis]]\ntrain.learning_rate = [{}]\n[[axis]]\ntrain.weight_decay = [{}]\n[[axis]]\ntrain.seed = [",
                  list(rates, 1e-4), list(decays, 0.01));
  for (int seed = 0; seed < seeds; ++seed) text += fmt::format("{}{}", seed > 0 ? ", " : "", seed);
  return text + "]\n[[evaluate]]\nname = \"perplexity\"\nlengths = [256, 512, 1024]\nblocks = 64\n";
}

// A folder with the sweep, its data's manifest, and a link to the models of this checkout; removed in the end.
class BenchFolder {
 public:
  explicit BenchFolder(int cells) : path_(fs::temp_directory_path() / fmt::format("mestre-plan-bench-{}", ::getpid())) {
    const char* source = std::getenv("MESTRE_SOURCE");
    const fs::path experiments = fs::path(source != nullptr ? source : ".") / "experiments";
    fs::remove_all(path_);
    fs::create_directories(path_);
    fs::create_directory_symlink(fs::absolute(experiments / "models"), path_ / "models");
    replace_file(sweep(), sweep_of(cells));
    replace_file(
        path_ / "text.manifest",
        R"({"digest":"00000000000000000000000000000000","documents":1,"files":[{"bytes":20000000,"digest":"00000000000000000000000000000000",)"
        R"("path":"text.bin","tokens":10000000}],"format":1,"tokenizer":"bytes","tokenizer_version":1,"tokens":10000000,"vocabulary":257})");
  }
  ~BenchFolder() { fs::remove_all(path_); }
  BenchFolder(const BenchFolder&) = delete;
  BenchFolder& operator=(const BenchFolder&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }
  [[nodiscard]] fs::path sweep() const { return path_ / "sweep.toml"; }

 private:
  fs::path path_;
};

double peak_megabytes() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

// The second argument: whether all of it is finished.
void plan_cells(benchmark::State& state) {
  const BenchFolder folder(static_cast<int>(state.range(0)));
  PlanContext context;
  context.data_root = folder.path().string();
  const auto plan = [&](Diagnostics& diagnostics) { return plan_sweep(folder.sweep().string(), context, diagnostics); };
  double cells = 0;
  {
    Diagnostics diagnostics;
    const std::optional<Plan> known = plan(diagnostics);
    if (!known) return state.SkipWithError(diagnostics.render().c_str());
    cells = static_cast<double>(known->cells.size());
    if (state.range(1) == 1)
      for (const PlannedJob& job : known->jobs) context.finished.insert(job.id);
  }
  for (auto _ : state) {
    Diagnostics diagnostics;
    benchmark::DoNotOptimize(plan(diagnostics));
  }
  state.counters["cells"] = cells;
  state.counters["peak MB so far"] = peak_megabytes();
  state.counters["a cell"] =
      benchmark::Counter(cells, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

// `mestre plan` as a process, with what it prints: the first time, and again with nothing changed. Needs the program.
void plan_as_process(benchmark::State& state) {
  const fs::path program = fs::read_symlink("/proc/self/exe").parent_path().parent_path() / "bin" / "mestre";
  if (!fs::exists(program)) return state.SkipWithError("build the target mestre first");
  const BenchFolder folder(static_cast<int>(state.range(0)));
  const std::string command = fmt::format("{} --workspace {}/work --data {} plan {} >/dev/null", program.native(),
                                          folder.path().native(), folder.path().native(), folder.sweep().native());
  const bool again = state.range(1) == 1;
  ::usleep(200'000);  // files that were written a moment ago are not kept
  if (again && std::system(command.c_str()) != 0) return state.SkipWithError("mestre plan failed");
  for (auto _ : state) {
    if (!again) fs::remove_all(folder.path() / "work");
    if (std::system(command.c_str()) != 0) return state.SkipWithError("mestre plan failed");
  }
}

BENCHMARK(plan_cells)
    ->ArgNames({"cells", "done"})
    ->ArgsProduct({{1000, 10000, 100000}, {0, 1}})
    ->Args({1000000, 0})
    ->Args({1000000, 1})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(plan_as_process)
    ->ArgNames({"cells", "again"})
    ->Args({100000, 0})
    ->Args({100000, 1})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace mestre

BENCHMARK_MAIN();
