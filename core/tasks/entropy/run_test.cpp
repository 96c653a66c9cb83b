// The measurement against the definitions, written with whole matrices in fp64, on a model whose attention and S6 are
// driven by their modules.

#include "core/tasks/entropy/run.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/data/sampler.h"
#include "core/journal/folders.h"
#include "core/mixers/attention/options.h"
#include "core/mixers/mamba/options.h"
#include "core/mixers/mlp/options.h"
#include "core/model/generate.h"
#include "tests/tolerances.h"
#include "tests/worker_jobs.h"

namespace mestre {
namespace {

constexpr std::int64_t kVocabulary = 257;

ModelSpec make_spec(std::vector<std::string> layers) {
  ModelSpec spec;
  spec.options.width = 32;
  spec.options.layers = std::move(layers);
  spec.options.layers_per_block = 2;
  AttentionOptions window, full;
  window.heads = 2;
  window.window = 19;
  full.heads = 4;
  full.kv_heads = 2;
  MambaOptions mamba;
  mamba.state = 4;
  MlpOptions mlp;
  mlp.intermediate = 24;
  const auto add_if_used = [&](const char* name, const MixerOptions& options) {
    if (std::count(spec.options.layers.begin(), spec.options.layers.end(), name) > 0)
      spec.instances.emplace(name, options.clone());
  };
  add_if_used("window", window);
  add_if_used("full", full);
  add_if_used("mamba", mamba);
  add_if_used("mlp", mlp);
  spec.resolve(kVocabulary);
  return spec;
}

// Layers of two, four and six heads, the last in two layers of one block.
const std::vector<std::string> kLayers = {"mamba", "mlp", "window", "mlp", "mamba", "full", "window", "full"};

/// Sharper than drawn, so that neither attention nor selection is all but even.
void sharpen(LanguageModel& model) {
  const at::NoGradGuard no_gradient;
  for (const auto& parameter : model.named_parameters())
    if (parameter.value().dim() == 2 && parameter.key().find("mixer") != std::string::npos) parameter.value().mul_(2);
}

/// What a layer computed over a whole text, in fp64.
struct Recorder final : MixerObserver {
  void saw_attention(const at::Tensor& queries, const at::Tensor& keys, std::int64_t visible, double factor) override {
    q = queries;
    k = keys;
    window = visible;
    scale = factor;
  }
  void saw_delta(const at::Tensor& seen) override { delta = seen; }

  /// A = softmax over the visible keys; the mean over the last rows of -sum_k A log A, [h].
  [[nodiscard]] at::Tensor attention(std::int64_t rows) const {
    const std::int64_t length = q.size(1), shared = q.size(2) / k.size(2);
    const at::Tensor t = at::arange(length).unsqueeze(1), s = at::arange(length);
    at::Tensor hidden = s > t;
    if (window > 0) hidden = hidden | (s <= t - window);
    std::vector<at::Tensor> heads;
    for (std::int64_t head = 0; head < q.size(2); ++head) {
      const at::Tensor scores = at::matmul(q[0].select(1, head), k[0].select(1, head / shared).t()) * scale;
      const at::Tensor a = at::softmax(scores.masked_fill(hidden, -INFINITY), -1);
      heads.push_back(-at::xlogy(a, a).sum(-1).narrow(0, length - rows, rows).mean());
    }
    return at::stack(heads);
  }
  [[nodiscard]] at::Tensor selection() const {
    const at::Tensor share = delta / delta.sum(1, true);
    return -at::xlogy(share, share).sum(1).mean(-1);
  }

  at::Tensor q, k, delta;
  std::int64_t window = 0;
  double scale = 0;
};

/// Values by the name of the measurement and the axis `layer`: [texts, values of that block].
using ByLayer = std::map<std::pair<std::string, std::int64_t>, std::vector<at::Tensor>>;

class EntropyRun : public testing::Test {
 protected:
  EntropyRun() : model_(make_spec(kLayers)), exact_(make_spec(kLayers)) {
    model_.initialize(5);
    sharpen(model_);
    for (const auto& parameter : exact_.named_parameters())
      parameter.value().copy_(model_.named_parameters()[parameter.key()]);
    exact_.to(at::kDouble);
    fs::create_directories(attempt_folder(folder_, 1));
  }

  [[nodiscard]] JobContext context(JournalWriter& journal) const {
    JobContext context;
    context.folder = folder_;
    context.attempt = 1;
    context.journal = &journal;
    context.asked_to_stop = [this] { return stop_; };
    context.log = [](const std::string&) {};
    return context;
  }

  /// Runs the measurement and returns what it journalled.
  std::vector<JournalLine> measured(const EntropyOptions& options, LanguageModel& model) {
    fs::remove(attempt_folder(folder_, 1) / "journal.jsonl");
    {
      JournalWriter journal(attempt_folder(folder_, 1) / "journal.jsonl");
      const JobContext lent = context(journal);
      Evaluation evaluation = {.model = model, .corpus = corpus_, .context = lent};
      run_entropy(options, evaluation);
      EXPECT_EQ(static_cast<double>(evaluation.tokens), options.tokens(0));
    }
    return lines_of(folder_, 1, "measurement");
  }

  /// A text that the seed draws, with what the model answers, which must be the likeliest tokens of the whole.
  at::Tensor text_with_answer(const EntropyOptions& options, LanguageModel& model, std::int64_t number) const {
    const std::int64_t length = options.text_tokens();
    const auto piece =
        permuted(static_cast<std::uint64_t>(number), static_cast<std::uint64_t>(corpus_.tokens() / length),
                 static_cast<std::uint64_t>(options.seed), 0);
    at::Tensor text = at::empty({1, length}, at::kLong);
    corpus_.read(static_cast<std::int64_t>(piece) * length,
                 {text.mutable_data_ptr<std::int64_t>(), static_cast<std::size_t>(length)});
    text = at::cat({text, continue_greedily(model, text, options.new_tokens)}, 1);
    const at::Tensor likeliest = model.forward(text).argmax(-1).narrow(1, length - 1, options.new_tokens);
    EXPECT_TRUE(likeliest.equal(text.narrow(1, length, options.new_tokens)));
    return text;
  }

  /// By the definitions, a row a text.
  ByLayer expected(const EntropyOptions& options, LanguageModel& model) {
    ByLayer values;
    for (std::int64_t number = 0; number < options.samples; ++number) {
      std::vector<Recorder> seen(kLayers.size());
      (void)exact_.forward(text_with_answer(options, model, number),
                           {.observer = [&](std::size_t layer) { return &seen[layer]; }});
      std::map<std::int64_t, std::vector<at::Tensor>> heads;
      for (std::size_t i = 0; i < seen.size(); ++i) {
        const auto block = static_cast<std::int64_t>(i / 2);
        if (seen[i].q.defined()) heads[block].push_back(seen[i].attention(options.new_tokens));
        if (!seen[i].delta.defined()) continue;
        values[{"selection_entropy", block}].push_back(seen[i].selection());
        values[{"delta_mean", block}].push_back(seen[i].delta.mean({1, 2}));
      }
      for (const auto& [block, each] : heads) values[{"attention_entropy", block}].push_back(at::cat(each));
    }
    return values;
  }

  static void expect_near(double ours, double exact, double tolerance, const std::string& what) {
    EXPECT_NEAR(ours, exact, tolerance * std::abs(exact)) << what;
  }

  /// Lines come in pairs: a quantity and its standard error.
  void expect_as_defined(const EntropyOptions& options, LanguageModel& model, double tolerance) {
    const std::vector<JournalLine> lines = measured(options, model);
    ByLayer wanted = expected(options, model);
    for (std::size_t i = 0; i < lines.size(); i += 2) {
      const std::vector<double> layers = lines[i].axis("layer");
      const std::size_t each = lines[i].measured.size() / layers.size();
      ASSERT_EQ(lines[i + 1].name, lines[i].name + "_standard_error");
      for (std::size_t k = 0; k < lines[i].measured.size(); ++k) {
        const std::pair key = {lines[i].name, static_cast<std::int64_t>(layers[k / each])};
        const at::Tensor texts = at::stack(wanted.at(key)).select(1, static_cast<std::int64_t>(k % each));
        const std::string what = lines[i].name + " of layer " + std::to_string(key.second);
        expect_near(lines[i].measured[k], texts.mean().item<double>(), tolerance, what);
        // A standard error is a difference between texts: rounding counts against the values, not against it.
        EXPECT_NEAR(lines[i + 1].measured[k],
                    texts.std().item<double>() / std::sqrt(static_cast<double>(options.samples)),
                    tolerance * texts.mean().item<double>())
            << what;
        if (k % each == each - 1) wanted.erase(key);
      }
    }
    EXPECT_TRUE(wanted.empty()) << "missing: " << wanted.begin()->first.first;
  }

  WorkerJobs jobs_{21000};
  PackedCorpus corpus_{jobs_.path() / "data/words.manifest"};
  fs::path folder_ = jobs_.path() / "job";
  const at::NoGradGuard no_gradient_;
  LanguageModel model_;
  LanguageModel exact_;  // the same weights in fp64
  bool stop_ = false;
};

EntropyOptions make_options(std::int64_t samples, std::int64_t context, std::int64_t new_tokens) {
  EntropyOptions options;
  options.samples = samples;
  options.context = context;
  options.new_tokens = new_tokens;
  return options;
}

TEST_F(EntropyRun, IsAsDefined) {
  const EntropyOptions options = make_options(6, 60, 7);
  expect_as_defined(options, model_, tolerance::kEntropyFloat);
  expect_as_defined(options, exact_, tolerance::kEntropyDouble);
}

TEST_F(EntropyRun, IsAsDefinedAtLength2048) {
  expect_as_defined(make_options(3, 2048, 9), model_, tolerance::kEntropyFloat);
}

// More than is read at a time, and more texts than are read together.
TEST_F(EntropyRun, IsAsDefinedInPieces) {
  expect_as_defined(make_options(40, 512, 4), model_, tolerance::kEntropyFloat);
}

TEST_F(EntropyRun, JournalsBlocksWithEquallyManyHeadsTogether) {
  const EntropyOptions options = make_options(2, 30, 3);
  const std::vector<JournalLine> lines = measured(options, model_);
  std::vector<std::string> names;
  for (const JournalLine& line : lines) names.push_back(line.name);
  EXPECT_EQ(names,
            (std::vector<std::string>{"attention_entropy", "attention_entropy_standard_error", "attention_entropy",
                                      "attention_entropy_standard_error", "attention_entropy",
                                      "attention_entropy_standard_error", "selection_entropy",
                                      "selection_entropy_standard_error", "delta_mean", "delta_mean_standard_error"}));
  ASSERT_EQ(lines.size(), 10U);
  EXPECT_EQ(lines[0].axis("layer"), std::vector<double>{1});
  EXPECT_EQ(lines[0].axis("head"), (std::vector<double>{0, 1}));
  EXPECT_EQ(lines[4].axis("layer"), std::vector<double>{3});
  EXPECT_EQ(lines[4].axis("head"), (std::vector<double>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(lines[6].axis("layer"), (std::vector<double>{0, 2}));
  EXPECT_NE(lines[0].text.find(R"("unit":"nats")"), std::string::npos) << lines[0].text;
  EXPECT_NE(lines[0].text.find(R"("details":{"samples":2,"estimator_version":1,"new_tokens":3,"context":30})"),
            std::string::npos)
      << lines[0].text;
}

TEST_F(EntropyRun, GivesTheSameBytesAgain) {
  const EntropyOptions options = make_options(5, 50, 6);
  const std::vector<JournalLine> once = measured(options, model_), again = measured(options, model_);
  ASSERT_EQ(once.size(), again.size());
  for (std::size_t i = 0; i < once.size(); ++i) EXPECT_EQ(once[i].measured, again[i].measured);
  EntropyOptions other = options;
  other.seed = 1;
  EXPECT_NE(measured(other, model_)[0].measured, once[0].measured);
}

TEST_F(EntropyRun, OfOneTextHasNoStandardError) {
  const std::vector<JournalLine> lines = measured(make_options(1, 30, 3), model_);
  for (const double error : lines.at(1).measured) EXPECT_TRUE(std::isnan(error));
  for (const double value : lines.at(0).measured) EXPECT_TRUE(std::isfinite(value));
}

TEST_F(EntropyRun, RefusesWhatItCannotMeasure) {
  const auto refusal = [&](const EntropyOptions& options, LanguageModel& model) {
    try {
      (void)measured(options, model);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      return error.message();
    }
    return std::string();
  };
  EXPECT_EQ(refusal(make_options(100, 1024, 4), model_),
            "the text has 20 pieces of 1020 tokens, expected at least 100");
  LanguageModel blind(make_spec({"mlp", "mlp"}));
  EXPECT_EQ(refusal(make_options(2, 30, 3), blind), "a model of mlp has neither attention nor selection");
}

TEST_F(EntropyRun, StopsWhenItIsTold) {
  stop_ = true;
  EXPECT_THROW((void)measured(make_options(2, 30, 3), model_), JobFailure);
  EXPECT_TRUE(lines_of(folder_, 1, "measurement").empty());
  stop_ = false;
  fs::create_directories(attempt_folder(folder_, 2));
  EXPECT_THROW((void)measured(make_options(2, 30, 3), model_), Superseded);
  EXPECT_TRUE(lines_of(folder_, 1, "measurement").empty());
}

}  // namespace
}  // namespace mestre
