#include "analysis/entropies.h"

#include <cmath>

#include <gtest/gtest.h>

#include "analysis/report.h"
#include "core/plan/plan.h"
#include "store/ingest.h"
#include "store/ledger.h"
#include "store/store_test.h"

namespace mestre {
namespace {

// Two architectures and two seeds; each cell is measured by one job and trained by none.
class EntropyFigures : public ::testing::Test {
 protected:
  EntropyFigures() {
    plan_ = {.name = "small",
             .question = "",
             .file = "small.toml",
             .baseline = {},
             .axes = {{.name = "architecture", .labels = {"Llama-2", "Samba"}},
                      {.name = "seed", .labels = {"1", "2"}, .replicates = true}},
             .cells = {},
             .jobs = {},
             .data = {}};
    for (const char* architecture : {"Llama-2", "Samba"})
      for (const char* seed : {"1", "2"}) add_cell(architecture, seed);
  }

  void add_cell(const std::string& architecture, const std::string& seed) {
    PlannedJob job;
    job.spec = fmt::format(R"({{"kind":"measure","quantity":"entropy","x":"{} {}"}})", architecture, seed);
    job.id = xxh3_128(job.spec);
    job.kind = "measure";
    job.name = "entropy";
    plan_.cells.push_back({.labels = {architecture, seed},
                           .name = fmt::format("architecture={},seed={}", architecture, seed),
                           .jobs = {plan_.jobs.size()},
                           .options = "{}"});
    plan_.jobs.push_back(std::move(job));
  }

  void measure(std::size_t cell, const std::vector<Measurement>& measurements, bool finishes = true) {
    const fs::path attempt = attempt_folder(workspace_.job(plan_.jobs[cell].id), 1);
    fs::create_directories(attempt);
    JournalWriter journal(attempt / "journal.jsonl");
    journal.started(plan_.jobs[cell].id, 1, nullptr, 0);
    for (const Measurement& measurement : measurements) journal.measurement(measurement);
    if (finishes) journal.finished({});
  }
  static Measurement attention(std::vector<double> layers, std::vector<double> values) {
    return {.name = "attention_entropy",
            .unit = "nats",
            .axes = {{.name = "layer", .unit = "", .values = std::move(layers)},
                     {.name = "head", .unit = "", .values = {0, 1}}},
            .values = std::move(values),
            .details = {}};
  }
  static Measurement selection(std::vector<double> layers, std::vector<double> values) {
    return {.name = "selection_entropy",
            .unit = "nats",
            .axes = {{.name = "layer", .unit = "", .values = std::move(layers)}},
            .values = std::move(values),
            .details = {}};
  }
  void run_all() {
    measure(0, {attention({0, 1}, {1, 3, 2, 2})});
    measure(1, {attention({0, 1}, {2, 4, 2, 2})});
    measure(2, {attention({1}, {1, 2}), selection({0}, {5})});
    measure(3, {attention({1}, {1, 4}), selection({0}, {6})});
  }
  void ingest() {
    Ledger(database_).record_plan(plan_);
    Ingester(database_).ingest(all_jobs(workspace_));
  }
  std::vector<EntropyFigure> figures() {
    ingest();
    return entropy_figures(read_sweep(database_, "small"), read_entropies(database_, "small"));
  }

  TemporaryFolder folder_;
  Workspace workspace_{folder_.path()};
  Database database_ = Database::open_for_writing(workspace_.database());
  Plan plan_;
};

TEST_F(EntropyFigures, AttentionIsTheMeanOverSeedsAndHeadsWithTheSpreadOverHeads) {
  run_all();
  const std::vector<EntropyFigure> all = figures();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].name, "attention_entropy");
  EXPECT_EQ(to_csv(all[0].figure),
            "series,x,y,low,high\r\n"
            "Llama-2,0,2.5,1.5,3.5\r\n"
            "Llama-2,1,2,2,2\r\n"
            "Samba,1,2,1,3\r\n");
  EXPECT_EQ(all[0].figure.x.ticks, (std::vector<double>{0, 1}));
  EXPECT_NE(all[0].caption.find("heads"), std::string::npos);
}

TEST_F(EntropyFigures, SelectionHasTheIntervalOverSeeds) {
  run_all();
  const std::vector<EntropyFigure> all = figures();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[1].name, "selection_entropy");
  ASSERT_EQ(all[1].figure.series.size(), 1U) << "Llama-2 has no selection";
  const Series& samba = all[1].figure.series[0];
  EXPECT_EQ(samba.name, "Samba");
  EXPECT_EQ(samba.y, std::vector<double>{5.5});
  EXPECT_NEAR(samba.high[0], 5.5 + 12.7062047 * 0.5, 1e-6);
}

TEST_F(EntropyFigures, AreThereOnlyWhereSomethingWasMeasured) {
  fs::create_directories(workspace_.jobs());
  EXPECT_TRUE(figures().empty());
  measure(0, {attention({0}, {1, 2})}, false);
  EXPECT_TRUE(figures().empty()) << "the job has not finished";
}

TEST_F(EntropyFigures, AValueThatIsNotFiniteStaysOne) {
  measure(0, {attention({0, 1}, {1, NAN, 2, 2})});
  const std::vector<EntropyFigure> all = figures();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_TRUE(std::isnan(all[0].figure.series[0].y[0]));
  EXPECT_EQ(all[0].figure.series[0].y[1], 2);
}

TEST_F(EntropyFigures, AreCalledAfterTheirMeasurement) {
  for (PlannedJob& job : plan_.jobs) job.name = "gsm8k";
  run_all();
  const std::vector<EntropyFigure> all = figures();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].name, "attention_entropy-gsm8k");
  EXPECT_NE(all[0].figure.title.find("(gsm8k)"), std::string::npos);
}

TEST_F(EntropyFigures, StandInTheReportWithTheirData) {
  run_all();
  ingest();
  const Report report = write_report(database_, read_sweep(database_, "small"), folder_.path() / "report");
  for (const char* name : {"attention_entropy", "selection_entropy"})
    for (const char* extension : {".csv", ".gnuplot"})
      EXPECT_TRUE(fs::exists(folder_.path() / "report/figures" / (std::string(name) + extension))) << name << extension;
  EXPECT_NE(read_file(report.markdown).find("(figures/selection_entropy.csv)"), std::string::npos);
}

}  // namespace
}  // namespace mestre
