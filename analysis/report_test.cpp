#include "analysis/report.h"

#include <cmath>
#include <filesystem>
#include <map>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/journal/attempt.h"
#include "core/journal/writer.h"
#include "core/plan/plan.h"
#include "store/ingest.h"
#include "store/ledger.h"
#include "store/store_test.h"

namespace mestre {
namespace {

const std::vector<std::string> kArchitectures = {"Llama-2", "Samba", "Samba-NoPE"};
const std::vector<std::string> kSeeds = {"1", "2", "3"};
const std::vector<std::int64_t> kLengths = {256, 512, 1024};

/// Perplexity that the tests pretend to have measured: seeds lie 0.1 apart around a mean per architecture and length.
double perplexity_of(std::size_t architecture, std::size_t seed, std::size_t length) {
  constexpr double kMeans[3][3] = {{5.7, 5.7, 7.9}, {5.5, 5.4, 5.35}, {5.6, 29, 315}};
  return kMeans[architecture][length] + 0.1 * (static_cast<double>(seed) - 1);
}

class ReportTest : public ::testing::Test {
 protected:
  ReportTest() : workspace_{folder_.path()}, database_(Database::open_for_writing(workspace_.database())) {
    plan_ = make_plan();
    Ledger(database_).record_plan(plan_);
  }

  [[nodiscard]] static Plan make_plan() {
    Plan plan{.name = "miniature",
              .question = "Which mixer beside sliding-window attention gives the best perplexity?",
              .file = "experiments/miniature.toml",
              .baseline = {{"architecture", "Llama-2"}},
              .axes = {{.name = "architecture", .labels = kArchitectures},
                       {.name = "seed", .labels = kSeeds, .replicates = true}},
              .cells = {},
              .jobs = {},
              .data = {}};
    for (const std::string& architecture : kArchitectures)
      for (const std::string& seed : kSeeds) append_cell(plan, architecture, seed);
    return plan;
  }

  static void append_cell(Plan& plan, const std::string& architecture, const std::string& seed) {
    PlannedJob train;
    train.spec = R"({"format":1,"kind":"train","model":")" + architecture + R"(","seed":)" + seed + "}";
    train.id = xxh3_128(train.spec);
    train.kind = train.name = "train";
    train.estimate.parameters = 803328;
    PlannedJob evaluate;
    evaluate.spec =
        R"({"checkpoint":{"job":")" + train.id +
        R"("},"format":1,"kind":"evaluate","options":{"blocks":4,"lengths":[256,512,1024]},"task":"perplexity"})";
    evaluate.id = xxh3_128(evaluate.spec);
    evaluate.kind = "evaluate";
    evaluate.name = "perplexity";
    evaluate.needs = {plan.jobs.size()};
    plan.cells.push_back(
        {.labels = {architecture, seed},
         .name = "architecture=" + architecture + ",seed=" + seed,
         .jobs = {plan.jobs.size(), plan.jobs.size() + 1},
         .options = R"({"train":{"seed_data":)" + seed + R"(,"sequence_length":256,"sequences_per_step":16}})"});
    plan.jobs.push_back(std::move(train));
    plan.jobs.push_back(std::move(evaluate));
  }

  [[nodiscard]] fs::path begin(const std::string& job) const {
    const fs::path attempt = attempt_folder(workspace_.job(job), 1);
    fs::create_directories(attempt);
    AttemptRecord record;
    record.number = 1;
    record.token = std::string(32, '0');
    record.process.host = "node1";
    record.started_at = 1.7e9;
    record.devices = {"cpu"};
    record.versions = {{"mestre", "0.1.0"}, {"torch", "2.11.0"}};
    record.commit = std::string(40, commit_);
    record.dirty = true;
    replace_file(attempt / "attempt.json", to_json(record));
    return attempt / "journal.jsonl";
  }

  void train(std::size_t architecture, std::size_t seed, std::int64_t steps = 200) {
    const std::string& job = plan_.jobs[plan_.cells[architecture * kSeeds.size() + seed].jobs[0]].id;
    JournalWriter journal(begin(job));
    journal.started(job, 1, nullptr, steps);
    for (std::int64_t step = 1; step <= steps; ++step)
      journal.metrics(step, std::vector<Metric>{{"loss", 2 + 4 * std::exp(-static_cast<double>(step) / 20) +
                                                             0.01 * static_cast<double>(seed)}});
    journal.finished(
        std::vector<Metric>{{"loss", 2.0}, {"tokens_per_second", 20000 + 1000 * static_cast<double>(seed)}});
  }

  void evaluate(std::size_t architecture, std::size_t seed) {
    const std::string& job = plan_.jobs[plan_.cells[architecture * kSeeds.size() + seed].jobs[1]].id;
    JournalWriter journal(begin(job));
    journal.started(job, 1, nullptr, 0);
    Measurement measurement{.name = "perplexity",
                            .unit = "",
                            .axes = {{.name = "length", .unit = "tokens", .values = {}}},
                            .values = {},
                            .details = {{"blocks", 4}}};
    for (std::size_t length = 0; length < kLengths.size(); ++length) {
      measurement.axes[0].values.push_back(static_cast<double>(kLengths[length]));
      measurement.values.push_back(perplexity_of(architecture, seed, length));
    }
    journal.measurement(measurement);
    journal.finished({});
  }

  void ingest() { Ingester(database_).ingest(all_jobs(workspace_)); }

  void run_all() {
    for (std::size_t architecture = 0; architecture < kArchitectures.size(); ++architecture) {
      for (std::size_t seed = 0; seed < kSeeds.size(); ++seed) {
        train(architecture, seed);
        evaluate(architecture, seed);
      }
    }
    ingest();
  }

  TemporaryFolder folder_;
  Workspace workspace_;
  Database database_;
  char commit_ = 'a';  // forty times, the commit that attempts say
  Plan plan_;
};

TEST_F(ReportTest, MainTableHasARowPerArchitectureAveragedOverSeeds) {
  run_all();
  EXPECT_EQ(to_text(main_table(database_, "miniature")),
            R"(Perplexity: mean over seeds ± half the width of its 95 % t interval (n = 3).
                                             perplexity at context length
architecture   parameters      speed           256            512           1024
                            tokens/s
Llama-2*             803K     21,000   5.70 ± 0.25    5.70 ± 0.25    7.90 ± 0.25
Samba                803K     21,000   5.50 ± 0.25    5.40 ± 0.25    5.35 ± 0.25
Samba-NoPE           803K     21,000   5.60 ± 0.25   29.00 ± 0.25   315.0 ± 0.2
* baseline
)");
}

TEST_F(ReportTest, CsvEqualsTheMeasuredNumbers) {
  run_all();
  const auto rows = nlohmann::json::parse(to_json(main_table(database_, "miniature")));
  for (std::size_t architecture = 0; architecture < kArchitectures.size(); ++architecture) {
    for (std::size_t length = 0; length < kLengths.size(); ++length) {
      double sum = 0;
      for (std::size_t seed = 0; seed < kSeeds.size(); ++seed) sum += perplexity_of(architecture, seed, length);
      const auto& cell = rows[architecture]["perplexity_" + std::to_string(kLengths[length])];
      EXPECT_EQ(cell["mean"], sum / 3);
      EXPECT_NEAR(cell["half_width"].get<double>(), 4.30265273 * 0.1 / std::sqrt(3), 1e-8);
      EXPECT_EQ(cell["n"], 3);
    }
  }
}

TEST_F(ReportTest, WhatIsMissingIsMarkedAndNamed) {
  for (const std::size_t seed : {0, 1}) {
    train(0, seed);
    evaluate(0, seed);
  }
  train(1, 0);
  evaluate(1, 0);
  train(1, 1);  // not evaluated yet
  ingest();
  Ledger(database_).set_state(plan_.jobs[plan_.cells[2].jobs[0]].id, JobState::kFailed);
  EXPECT_EQ(to_text(main_table(database_, "miniature")),
            R"(Perplexity: mean over seeds ± half the width of its 95 % t interval (n = 3).
                                              perplexity at context length
architecture   parameters      speed            256            512           1024
                            tokens/s
Llama-2*             803K     20,500   5.65 ± 0.64†   5.65 ± 0.64†   7.85 ± 0.64†
Samba                803K     20,500   5.40†          5.30†          5.25†
Samba-NoPE           803K          –      –              –              –
* baseline
† fewer seeds than planned
missing: architecture=Llama-2,seed=3 is failed
missing: architecture=Samba,seed=2 is queued
missing: architecture=Samba,seed=3 is queued
missing: architecture=Samba-NoPE,seed=1 is queued
missing: architecture=Samba-NoPE,seed=2 is queued
missing: architecture=Samba-NoPE,seed=3 is queued
)");
}

TEST_F(ReportTest, WhatIsUnfairIsSaidUnderTheTable) {
  plan_.marks = {{"parameters +3.4 %", "train.learning_rate 0.001, baseline 0.0004"}};
  for (std::size_t seed = 0; seed < kSeeds.size(); ++seed) plan_.cells[2 * kSeeds.size() + seed].marks = 0;
  Ledger(database_).record_plan(plan_);
  for (std::size_t architecture = 0; architecture < kArchitectures.size(); ++architecture) {
    for (std::size_t seed = 0; seed < kSeeds.size(); ++seed) {
      commit_ = architecture == 1 && seed == 2 ? 'b' : 'a';
      train(architecture, seed);
      evaluate(architecture, seed);
    }
  }
  ingest();
  EXPECT_EQ(to_text(main_table(database_, "miniature")),
            R"(Perplexity: mean over seeds ± half the width of its 95 % t interval (n = 3).
                                             perplexity at context length
architecture   parameters      speed           256            512           1024
                            tokens/s
Llama-2*             803K     21,000   5.70 ± 0.25    5.70 ± 0.25    7.90 ± 0.25
Samba¹               803K     21,000   5.50 ± 0.25    5.40 ± 0.25    5.35 ± 0.25
Samba-NoPE²          803K     21,000   5.60 ± 0.25   29.00 ± 0.25   315.0 ± 0.2
* baseline
¹ against its baseline: trained by commit aaaaaaaaa with uncommitted changes and bbbbbbbbb with
uncommitted changes, baseline aaaaaaaaa with uncommitted changes
² against its baseline: parameters +3.4 %; train.learning_rate 0.001, baseline 0.0004
)");
}

TEST_F(ReportTest, AnUnknownSweepNamesTheKnownOnes) {
  try {
    (void)read_sweep(database_, "miniatur");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    ASSERT_EQ(error.hints().size(), 1U);
    EXPECT_NE(error.hints()[0].find("'miniature'"), std::string::npos);
  }
}

TEST_F(ReportTest, ASweepIsFoundByNameOrFile) {
  EXPECT_EQ(Ledger(database_).resolve_sweep("miniature"), "miniature");
  EXPECT_EQ(Ledger(database_).resolve_sweep("experiments/miniature.toml"), "miniature");
  EXPECT_EQ(Ledger(database_).resolve_sweep(fs::absolute("experiments/../experiments/miniature.toml")), "miniature");
  EXPECT_THROW((void)Ledger(database_).resolve_sweep("other.toml"), Error);
}

TEST_F(ReportTest, LossCurvesAreMeansOverSeedsAndThinned) {
  train(1, 0, 1000);
  train(1, 1, 1000);
  ingest();
  const SweepResults results = read_sweep(database_, "miniature");
  const Figure figure = loss_figure(results, read_curves(database_, "miniature", "loss"));
  ASSERT_EQ(figure.series.size(), 1U);
  const Series& series = figure.series[0];
  EXPECT_EQ(series.name, "Samba");
  EXPECT_LE(series.x.size(), kCurvePoints);
  EXPECT_GE(series.x.size(), kCurvePoints / 2);
  EXPECT_EQ(figure.x.title, "training tokens (millions)");
  // The last bin holds steps 997 to 1000; a step is 256 x 16 tokens.
  EXPECT_NEAR(series.x.back(), 998.5 * 256 * 16 / 1e6, 1e-9);
  EXPECT_NEAR(series.y.back(), 2.005, 1e-6);
  EXPECT_NEAR(series.high.back() - series.y.back(), 12.7062047 * 0.01 / 2, 1e-6);
  EXPECT_LT(figure.y.high, 5) << "the first steps would flatten the rest";
}

TEST_F(ReportTest, PerplexityFigureIsLogarithmicWhereItMustBe) {
  run_all();
  const auto figures = perplexity_figures(read_sweep(database_, "miniature"));
  ASSERT_EQ(figures.size(), 1U);
  EXPECT_TRUE(figures[0].second.y.logarithmic) << "5.35 to 315";
  ASSERT_EQ(figures[0].second.series.size(), 3U);
  EXPECT_NEAR(figures[0].second.series[2].y[2], 315, 1e-9);
  EXPECT_NEAR(figures[0].second.series[2].high[2], 315 + 4.30265273 * 0.1 / std::sqrt(3), 1e-8);
}

std::map<std::string, std::string> contents(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) files[fs::relative(entry.path(), folder)] = read_file(entry.path());
  return files;
}

TEST_F(ReportTest, TheSameStoreGivesTheSameBytes) {
  run_all();
  const Report first = write_report(database_, read_sweep(database_, "miniature"), folder_.path() / "first");
  const Report second = write_report(database_, read_sweep(database_, "miniature"), folder_.path() / "second");
  EXPECT_EQ(first.files.size(), contents(folder_.path() / "first").size());
  EXPECT_EQ(contents(folder_.path() / "first"), contents(folder_.path() / "second"));
  const std::string text = read_file(first.markdown);
  EXPECT_NE(text.find("# miniature\n\nWhich mixer"), std::string::npos);
  EXPECT_NE(text.find("(figures/loss.csv)"), std::string::npos);
  EXPECT_NE(text.find("| commit | aaaaaaaaaaaa, with uncommitted changes |"), std::string::npos) << text;
  EXPECT_NE(text.find("| versions | mestre 0.1.0, torch 2.11.0 |"), std::string::npos) << text;
}

}  // namespace
}  // namespace mestre
