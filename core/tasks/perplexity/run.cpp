#include "core/tasks/perplexity/run.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/train/resources.h"
#include "core/train/scoring.h"

namespace mestre {
namespace {

constexpr double kReportInterval = 1;  // s

std::int64_t count_blocks(const PerplexityOptions& options, std::int64_t tokens) {
  if (options.lengths.empty()) throw Error(ErrorCode::kBadInput, "perplexity at no length: expected at least one");
  const std::int64_t there = tokens / (options.longest() + 1);
  if (there == 0 || options.blocks > there) {
    throw Error(ErrorCode::kBadInput, fmt::format("the text has {} blocks of {} tokens, expected at least {}", there,
                                                  options.longest() + 1, std::max<std::int64_t>(options.blocks, 1)));
  }
  return options.blocks > 0 ? options.blocks : there;
}

Measurement measurement(const PerplexityOptions& options, std::string name, std::string unit,
                        std::vector<double> values, std::int64_t blocks) {
  return {.name = std::move(name),
          .unit = std::move(unit),
          .axes = {{.name = "length", .unit = "tokens", .values = {options.lengths.begin(), options.lengths.end()}}},
          .values = std::move(values),
          .details = {{"blocks", static_cast<double>(blocks)},
                      {"tokens", static_cast<double>(blocks * options.longest())}}};
}

}  // namespace

void run_perplexity(const TaskOptions& task, Evaluation& evaluation) {
  const auto& options = dynamic_cast<const PerplexityOptions&>(task);
  const JobContext& context = evaluation.context;
  const std::int64_t length = options.longest(), blocks = count_blocks(options, evaluation.corpus.tokens());
  const std::int64_t pass = blocks_per_pass(length);
  std::vector<double> sums(options.lengths.size());
  const Stopwatch whole;
  Stopwatch since_report;
  double pass_seconds = 0;
  for (std::int64_t block = 0; block < blocks; block += pass) {
    context.require_time(pass_seconds);
    const Stopwatch watch;
    const std::int64_t count = std::min(pass, blocks - block);
    const std::vector<double> more =
        summed_losses(evaluation.model, evaluation.corpus, evaluation.device, options.lengths, block, count);
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += more[i];
    evaluation.tokens += count * length;
    pass_seconds = watch.seconds();
    if (since_report.seconds() < kReportInterval) continue;
    context.require_ownership();
    context.journal->progress(evaluation.tokens, blocks * length,
                              static_cast<double>(evaluation.tokens) / whole.seconds());
    since_report.restart();
  }

  std::vector<double> means, perplexities;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    means.push_back(sums[i] / static_cast<double>(blocks * options.lengths[i]));
    perplexities.push_back(std::exp(means.back()));
    context.log(fmt::format("perplexity at {} tokens: {:.4f}", options.lengths[i], perplexities.back()));
  }
  context.require_ownership();
  context.journal->measurement(measurement(options, "perplexity", "", std::move(perplexities), blocks));
  context.journal->measurement(measurement(options, "negative_log_likelihood", "nats/token", std::move(means), blocks));
}

}  // namespace mestre
