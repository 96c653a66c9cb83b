// What a job costs, as planner, store and reports pass it around; and how fast jobs of its kind have run.
#pragma once

#include <cstdint>
#include <string>

namespace mestre {

/// Peak memory of one GPU, or of the process where there is none; bytes.
struct MemoryEstimate {
  double weights = 0;
  double gradients = 0;
  double optimizer = 0;    // its moments
  double activations = 0;  // of one micro-batch
  double logits = 0;       // of one micro-batch, with their gradient
  double context = 0;      // what the driver and the libraries take
  [[nodiscard]] double total() const { return weights + gradients + optimizer + activations + logits + context; }
};

/// What a job costs, known before it runs.
struct Estimate {
  std::int64_t parameters = 0;
  std::int64_t parameters_without_embeddings = 0;
  double forward_flops_per_token = 0;  // at the training length; for an evaluation at its longest
  double flops = 0;                    // of the whole job
  double tokens = 0;                   // that the model reads
  MemoryEstimate memory;
  double disk_bytes = 0;
  double seconds = 0;  // wall time, expected
  double seconds_low = 0;
  double seconds_high = 0;
  std::int64_t measured_runs =
      0;  // behind the time: runs of the same architecture on the same devices; 0: it is assumed

  [[nodiscard]] bool measured() const { return measured_runs > 0; }
};

/// {"disk_bytes":…,"memory":{…},…}: in plans and in the store.
[[nodiscard]] std::string estimate_json(const Estimate& estimate);

/// How fast jobs of one speed key have run: what the store tells the planner.
struct MeasuredSpeed {
  double tokens_per_second = 0;  // mean over the runs
  double deviation = 0;          // tokens/s; standard deviation between them, 0 for a single one
  std::int64_t runs = 0;         // attempts that finished
  friend bool operator==(const MeasuredSpeed&, const MeasuredSpeed&) = default;
};

}  // namespace mestre
