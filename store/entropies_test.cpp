// The view `entropies` over journals as the measurement writes them (core/tasks/entropy).

#include <gtest/gtest.h>

#include "core/plan/plan.h"
#include "store/ingest.h"
#include "store/ledger.h"
#include "store/store_test.h"

namespace mestre {
namespace {

class EntropiesTest : public ::testing::Test {
 protected:
  EntropiesTest() {
    Plan plan{.name = "small",
              .question = "",
              .file = "small.toml",
              .baseline = {},
              .axes = {},
              .cells = {},
              .jobs = {},
              .data = {}};
    PlannedJob measure;
    measure.spec = R"({"kind":"measure","quantity":"entropy"})";
    measure.id = job_ = xxh3_128(measure.spec);
    measure.kind = "measure";
    measure.name = "looks";
    plan.jobs = {measure};
    plan.cells = {{.labels = {}, .name = "a", .jobs = {0}, .options = "{}"},
                  {.labels = {}, .name = "b", .jobs = {0}, .options = "{}"}};
    Ledger(database_).record_plan(plan);
  }

  [[nodiscard]] fs::path journal(int attempt) const {
    fs::create_directories(attempt_folder(workspace_.job(job_), attempt));
    return attempt_folder(workspace_.job(job_), attempt) / "journal.jsonl";
  }
  void start(JournalWriter& journal, int attempt) const {
    const Restored restored{.file = "elsewhere", .digest = "d", .step = 6};
    journal.started(job_, attempt, &restored, 0);
  }
  /// A quantity over blocks 1 and 3, with `heads` heads (0: none), and its standard error.
  static void write(JournalWriter& journal, const std::string& name, std::size_t heads, std::vector<double> values,
                    std::vector<double> errors) {
    Measurement measurement{
        .name = name,
        .unit = "nats",
        .axes = {{.name = "layer", .unit = "", .values = {1, 3}}},
        .values = std::move(values),
        .details = {{"samples", 8}, {"estimator_version", 1}, {"new_tokens", 32}, {"context", 256}}};
    if (heads > 0) measurement.axes.push_back({.name = "head", .unit = "", .values = {}});
    for (std::size_t head = 0; head < heads; ++head) measurement.axes[1].values.push_back(static_cast<double>(head));
    journal.measurement(measurement);
    measurement.name += "_standard_error";
    measurement.values = std::move(errors);
    journal.measurement(measurement);
  }
  std::string ingested(std::string_view sql) {
    EXPECT_TRUE(Ingester(database_).ingest(all_jobs(workspace_)).problems.empty());
    return rows(database_, sql);
  }

  TemporaryFolder folder_;
  Workspace workspace_{folder_.path()};
  Database database_ = Database::open_for_writing(workspace_.database());
  std::string job_;
};

TEST_F(EntropiesTest, GiveEachValueItsPlaceAndItsStandardError) {
  {
    JournalWriter writer(journal(1));
    start(writer, 1);
    write(writer, "attention_entropy", 2, {1, 2, 3, 4}, {.1, .2, .3, kNan});
    write(writer, "selection_entropy", 0, {5, kNan}, {.5, .6});
    write(writer, "perplexity", 0, {7, 8}, {.7, .8});
    writer.finished({});
  }
  EXPECT_EQ(ingested("SELECT name, quantity, layer, head, value, non_finite, standard_error, unit FROM entropies "
                     "WHERE sweep = 'small' AND cell = 'b' ORDER BY quantity, layer, head"),
            "looks|attention_entropy|1|0|1||0.1|nats\n"
            "looks|attention_entropy|1|1|2||0.2|nats\n"
            "looks|attention_entropy|3|0|3||0.3|nats\n"
            "looks|attention_entropy|3|1|4|||nats\n"
            "looks|selection_entropy|1||5||0.5|nats\n"
            "looks|selection_entropy|3|||nan|0.6|nats\n");
  EXPECT_EQ(ingested("SELECT count(*), count(DISTINCT job) FROM entropies"), "12|1\n") << "two cells share the job";
  EXPECT_EQ(ingested("SELECT DISTINCT samples, estimator_version, new_tokens, context FROM entropies"), "8|1|32|256\n");
}

TEST_F(EntropiesTest, OfAnAttemptThatWasCutOffAreHidden) {
  {
    JournalWriter writer(journal(1));
    start(writer, 1);
    write(writer, "selection_entropy", 0, {5, 6}, {.5, .6});
  }
  EXPECT_EQ(ingested("SELECT count(*) FROM entropies"), "4\n");
  {
    JournalWriter writer(journal(2));
    start(writer, 2);
    write(writer, "selection_entropy", 0, {5, 6}, {.5, .6});
    writer.finished({});
  }
  EXPECT_EQ(ingested("SELECT attempt, count(*) FROM entropies GROUP BY 1"), "2|4\n");
}

// An array without its error, as one of another program may be.
TEST_F(EntropiesTest, NeedNoStandardError) {
  {
    JournalWriter writer(journal(1));
    start(writer, 1);
    writer.measurement({.name = "delta_mean",
                        .unit = "",
                        .axes = {{.name = "layer", .unit = "", .values = {0}}},
                        .values = {0.02},
                        .details = {}});
    writer.finished({});
  }
  EXPECT_EQ(ingested("SELECT quantity, layer, value, standard_error, samples FROM entropies WHERE cell = 'a'"),
            "delta_mean|0|0.02||\n");
}

}  // namespace
}  // namespace mestre
