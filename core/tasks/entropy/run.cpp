// Each text is read twice: once to be continued, a token at a time, and once as a whole, to be observed. A second
// reading costs little beside the writing, and shows the queries in blocks, which is what the kernel of the entropy is
// made for.
#include "core/tasks/entropy/run.h"

#include <algorithm>
#include <vector>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/data/sampler.h"
#include "core/model/generate.h"
#include "core/tasks/entropy/run_blocks.h"
#include "core/train/batches.h"
#include "core/train/resources.h"

namespace mestre {
namespace {

constexpr std::int64_t kTokensTogether = 16384;  // of the texts that are continued together: their states all stand
constexpr std::int64_t kTokensPerPass = 4096;    // of a forward pass, over these texts
constexpr double kReportInterval = 1;            // s

/// Stands between the passes of the model: whether the job may go on, and how far it is.
class Pace {
 public:
  Pace(Evaluation& evaluation, double total) : evaluation_(evaluation), total_(static_cast<std::int64_t>(total)) {}

  /// Before a pass that reads so many tokens.
  void next(std::int64_t tokens) {
    const JobContext& context = evaluation_.context;
    context.require_time(since_last_.seconds());
    since_last_.restart();
    if (since_report_.seconds() >= kReportInterval) {
      context.require_ownership();
      const auto read = static_cast<double>(evaluation_.tokens);
      context.journal->progress(evaluation_.tokens, total_, read / whole_.seconds());
      since_report_.restart();
    }
    evaluation_.tokens += tokens;
  }

 private:
  Evaluation& evaluation_;
  std::int64_t total_;
  Stopwatch whole_, since_report_, since_last_;
};

void require_sound(const EntropyOptions& options, const Evaluation& evaluation) {
  const std::string why = options.misfit(evaluation.model.spec());
  if (!why.empty()) throw Error(ErrorCode::kBadInput, why);
  if (options.new_tokens >= options.context)
    throw Error(ErrorCode::kBadInput,
                fmt::format("{} new tokens leave no room for a text in {}", options.new_tokens, options.context));
  const std::int64_t there = evaluation.corpus.tokens() / options.text_tokens();
  if (there < options.samples)
    throw Error(ErrorCode::kBadInput, fmt::format("the text has {} pieces of {} tokens, expected at least {}", there,
                                                  options.text_tokens(), options.samples));
}

/// Texts [first, first + count) of those that the seed draws, [count, length].
at::Tensor draw(const EntropyOptions& options, const PackedCorpus& corpus, std::int64_t first, std::int64_t count) {
  const std::int64_t length = options.text_tokens();
  const auto pieces = static_cast<std::uint64_t>(corpus.tokens() / length),
             seed = static_cast<std::uint64_t>(options.seed);
  std::vector<std::int64_t> begins;
  for (std::int64_t text = first; text < first + count; ++text)
    begins.push_back(static_cast<std::int64_t>(permuted(static_cast<std::uint64_t>(text), pieces, seed, 0)) * length);
  return read_rows(corpus, begins, length);
}

void log(const JobContext& context, const std::vector<Measurement>& measured) {
  for (const Measurement& each : measured) {
    if (each.unit != "nats" || each.name.ends_with("_standard_error")) continue;
    const std::size_t blocks = each.axes[0].values.size(), heads = each.values.size() / blocks;
    for (std::size_t i = 0; i < blocks; ++i) {
      double sum = 0;
      for (std::size_t head = 0; head < heads; ++head) sum += each.values[i * heads + head];
      context.log(fmt::format("{} of layer {}: {:.4f} nats", each.name, each.axes[0].values[i],
                              sum / static_cast<double>(heads)));
    }
  }
}

}  // namespace

void run_entropy(const TaskOptions& task, Evaluation& evaluation) {
  const auto& options = dynamic_cast<const EntropyOptions&>(task);
  require_sound(options, evaluation);
  const JobContext& context = evaluation.context;
  LanguageModel& model = evaluation.model;
  const std::size_t layers = model.spec().stack().size();
  const std::int64_t together = std::clamp<std::int64_t>(kTokensTogether / options.context, 1, options.samples);
  BlockEntropies blocks(model.spec());
  Pace pace(evaluation, options.tokens(evaluation.corpus.tokens()));
  for (std::int64_t first = 0; first < options.samples; first += together) {
    const std::int64_t count = std::min(together, options.samples - first);
    const Reading reading = {.piece = std::max<std::int64_t>(1, kTokensPerPass / count),
                             .before_pass = [&](std::int64_t tokens) { pace.next(count * tokens); }};
    const at::Tensor texts = draw(options, evaluation.corpus, first, count).to(evaluation.device);
    const at::Tensor answers = continue_greedily(model, texts, options.new_tokens, reading);
    std::vector<EntropyEstimator> seen(layers, EntropyEstimator(options.text_tokens()));
    ModelState state = model.start();
    (void)read_in_pieces(model, at::cat({texts, answers}, 1),
                         {.state = &state, .observer = [&](std::size_t layer) { return &seen[layer]; }}, reading);
    blocks.add(seen);
  }
  const std::vector<Measurement> measured = blocks.measurements(options);
  log(context, measured);
  context.require_ownership();
  for (const Measurement& each : measured) context.journal->measurement(each);
}

}  // namespace mestre
