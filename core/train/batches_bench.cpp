// How long a step waits for its micro-batch of 8 x 4096 tokens: read when it is asked for, or ahead. The corpus has a
// gigabyte; `cold` has its pages on disk alone when the run begins, as a corpus larger than memory has. Between two
// batches stands what a step computes: on a GPU the processor is idle meanwhile (a pause), on the processor it is not.

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <thread>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "core/data/test_corpus.h"
#include "core/train/prefetch.h"
#include "core/train/resources.h"

namespace mestre {
namespace {

constexpr std::size_t kTokens = std::size_t{1} << 29;
constexpr double kStep = 0.02;  // s that a step computes
constexpr int kSteps = 150;

class Corpus {
 public:
  Corpus() : folder_(fs::temp_directory_path() / fmt::format("mestre-batches-bench-{}", ::getpid())) {
    std::vector<std::uint16_t> tokens(kTokens);
    for (std::size_t i = 0; i < kTokens; ++i) tokens[i] = static_cast<std::uint16_t>(i * 40503 % 257);
    write_corpus(folder_ / "text.manifest", tokens);
  }
  ~Corpus() { fs::remove_all(folder_); }
  Corpus(const Corpus&) = delete;
  Corpus& operator=(const Corpus&) = delete;
  [[nodiscard]] const fs::path& folder() const { return folder_; }
  /// Nobody may have it open.
  void evict() const {
    const int file = ::open((folder_ / "text.bin").c_str(), O_RDONLY | O_CLOEXEC);
    ::fsync(file);
    ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    ::close(file);
  }

 private:
  fs::path folder_;
};

void compute(bool on_processor) {
  if (!on_processor) return std::this_thread::sleep_for(std::chrono::duration<double>(kStep));
  static const at::Tensor kMatrix = at::ones({512, 512});
  for (const Stopwatch watch; watch.seconds() < kStep;) benchmark::DoNotOptimize(kMatrix.matmul(kMatrix));
}

template <class Reader>
void wait_for_batches(benchmark::State& state, bool is_cold, bool on_processor) {
  static const Corpus kCorpus;
  at::set_num_threads(1);
  if (is_cold) kCorpus.evict();
  TrainingText text(kCorpus.folder() / "text.manifest", kCorpus.folder());
  TrainOptions options;
  options.sequence_length = 4096;
  options.sequences_per_step = 8;
  options.tokens = options.tokens_per_step() * (kSteps + 10);
  Reader reader(std::move(text), options);
  const Stopwatch whole;
  std::int64_t first = 0;
  for (auto _ : state) {
    const Stopwatch watch;
    const Batch batch = reader.read(first, 8);
    state.SetIterationTime(watch.seconds());
    first += 8;
    compute(on_processor);
  }
  state.counters["step_ms"] = 1e3 * whole.seconds() / kSteps;
}

template <class Reader>
void offer(const std::string& name) {
  for (const bool is_cold : {false, true})
    for (const bool on_processor : {false, true})
      benchmark::RegisterBenchmark(
          fmt::format("{}/{}/{}", is_cold ? "cold" : "warm", on_processor ? "processor" : "gpu", name).c_str(),
          wait_for_batches<Reader>, is_cold, on_processor)
          ->UseManualTime()
          ->Iterations(kSteps)
          ->Unit(benchmark::kMicrosecond);
}

}  // namespace
}  // namespace mestre

int main(int argc, char** argv) {
  mestre::offer<mestre::Batches>("when_asked");
  mestre::offer<mestre::BatchReader>("ahead");
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
