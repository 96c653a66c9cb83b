// How long a plan takes per cell, from 1,000 to 1,000,000 cells: the cost per cell must not grow.

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

// The sweep stands beside the models of this checkout.
void plan_cells(benchmark::State& state) {
  const char* source = std::getenv("MESTRE_SOURCE");
  const fs::path experiments = fs::path(source != nullptr ? source : ".") / "experiments";
  const fs::path folder = fs::temp_directory_path() / fmt::format("mestre-plan-bench-{}", ::getpid());
  fs::create_directories(folder);
  fs::remove(folder / "models");
  fs::create_directory_symlink(fs::absolute(experiments / "models"), folder / "models");
  replace_file(folder / "sweep.toml", sweep_of(static_cast<int>(state.range(0))));
  replace_file(
      folder / "text.manifest",
      R"({"digest":"00000000000000000000000000000000","documents":1,"files":[{"bytes":20000000,"digest":"00000000000000000000000000000000",)"
      R"("path":"text.bin","tokens":10000000}],"format":1,"tokenizer":"bytes","tokenizer_version":1,"tokens":10000000,"vocabulary":257})");
  PlanContext context;
  context.data_root = folder.string();
  const auto plan = [&](Diagnostics& diagnostics) {
    return plan_sweep((folder / "sweep.toml").string(), context, diagnostics);
  };
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
  fs::remove_all(folder);
  state.counters["cells"] = cells;
  state.counters["a cell"] =
      benchmark::Counter(cells, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

BENCHMARK(plan_cells)
    ->ArgNames({"cells", "done"})
    ->Args({1000, 0})
    ->Args({10000, 0})
    ->Args({100000, 0})
    ->Args({100000, 1})
    ->Args({1000000, 0})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace mestre

BENCHMARK_MAIN();
