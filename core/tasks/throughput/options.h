// How many tokens a second a model trains on, reads and writes. Weights do not matter, so no checkpoint is needed; the
// machine, the build, precision and micro-batch are part of a result's identity (SpeedSetup).
#pragma once

#include "core/tasks/task.h"

namespace mestre {

/// Training: whole optimizer steps.
struct TrainingThroughputOptions final : TaskOptions {
  std::int64_t sequence_length = 0;     // 0: as the cell is trained
  std::int64_t sequences_per_step = 0;  // 0: as the cell is trained
  std::int64_t steps = 10;
  std::int64_t warmup_steps = 2;

  [[nodiscard]] std::string_view type() const override { return "training_throughput"; }
  [[nodiscard]] int version() const override { return 1; }
  [[nodiscard]] std::unique_ptr<TaskOptions> clone() const override {
    return std::make_unique<TrainingThroughputOptions>(*this);
  }
  void describe(OptionVisitor& visitor) override;
  void resolve(const TrainOptions& train) override;
  void check(const Problem&) const override {}
  [[nodiscard]] double tokens(std::int64_t corpus) const override;
  [[nodiscard]] std::int64_t longest() const override { return sequence_length; }
};

/// Reading: a prompt's forward pass up to its last logits.
struct PromptThroughputOptions final : TaskOptions {
  std::vector<std::int64_t> lengths;
  std::int64_t tokens_per_pass = 128 * 1024;
  std::int64_t repeats = 10;

  [[nodiscard]] std::string_view type() const override { return "prompt_throughput"; }
  [[nodiscard]] int version() const override { return 1; }
  [[nodiscard]] std::unique_ptr<TaskOptions> clone() const override {
    return std::make_unique<PromptThroughputOptions>(*this);
  }
  void describe(OptionVisitor& visitor) override;
  void check(const Problem& problem) const override;
  [[nodiscard]] double tokens(std::int64_t corpus) const override;
  [[nodiscard]] std::int64_t longest() const override;
};

/// Writing: token by token, from a cached state.
struct DecodingThroughputOptions final : TaskOptions {
  std::vector<std::int64_t> lengths;
  std::int64_t batch = 16;
  std::int64_t prompt = 1;
  std::int64_t repeats = 3;

  [[nodiscard]] std::string_view type() const override { return "decoding_throughput"; }
  [[nodiscard]] int version() const override { return 1; }
  [[nodiscard]] std::unique_ptr<TaskOptions> clone() const override {
    return std::make_unique<DecodingThroughputOptions>(*this);
  }
  void describe(OptionVisitor& visitor) override;
  void check(const Problem& problem) const override;
  [[nodiscard]] double tokens(std::int64_t corpus) const override;
  [[nodiscard]] std::int64_t longest() const override;
};

}  // namespace mestre
