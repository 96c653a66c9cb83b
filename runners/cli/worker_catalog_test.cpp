#include "runners/cli/worker_catalog.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/mixers/registry.h"
#include "core/spec/job.h"

namespace mestre {
namespace {

nlohmann::json agreeing() {
  nlohmann::json catalog = {
      {"build", {{"version", "0.1.0"}, {"commit", "0123456789abcdef"}, {"dirty", true}, {"torch", "2.11.0"}}},
      {"job_format", kJobFormat}};
  catalog["versions"] = {
      {"initialization", kInitializationVersion}, {"optimizer", kOptimizerVersion}, {"sampler", kSamplerVersion}};
  for (const MixerType& type : mixer_types())
    catalog["versions"]["mixers"][std::string(type.name)] = type.make()->version();
  for (const TaskType& type : task_types())
    catalog["versions"]["tasks"][std::string(type.name)] = type.make()->version();
  return catalog;
}

TEST(WorkerCatalog, OfTheSameCommitAgrees) {
  const WorkerCatalog catalog = read_worker_catalog(agreeing().dump());
  EXPECT_EQ(catalog.disagreement, "");
  EXPECT_EQ(catalog.build, "0.1.0 (01234567, changed), torch 2.11.0");
}

TEST(WorkerCatalog, ThatKnowsMoreAgrees) {
  nlohmann::json catalog = agreeing();
  catalog["versions"]["mixers"]["brand_new"] = 1;
  EXPECT_EQ(read_worker_catalog(catalog.dump()).disagreement, "");
}

TEST(WorkerCatalog, NamesTheVersionThatDiffers) {
  nlohmann::json other = agreeing();
  other["versions"]["sampler"] = 7;
  EXPECT_EQ(read_worker_catalog(other.dump()).disagreement, "sampler is 7 there, 1 here");
  nlohmann::json lacking = agreeing();
  lacking["versions"].erase("sampler");
  EXPECT_EQ(read_worker_catalog(lacking.dump()).disagreement, "sampler is missing there");
  nlohmann::json later = agreeing();
  later["job_format"] = 9;
  EXPECT_EQ(read_worker_catalog(later.dump()).disagreement, "job_format is 9 there, 1 here");
}

std::string refusal(const WorkerCatalog& catalog, const Plan& plan) {
  try {
    require_worker_can(catalog, {plan});
    return "";
  } catch (const Error& error) {
    return error.message() + (error.hints().empty() ? "" : ": " + error.hints().front());
  }
}

TEST(WorkerCatalog, MustHaveWhatThePlanNeeds) {
  nlohmann::json lacking = agreeing();
  lacking["versions"]["mixers"].erase("mamba");
  lacking["features"] = {"mixer attention", "precision float32"};
  const WorkerCatalog catalog = read_worker_catalog(lacking.dump());
  EXPECT_EQ(catalog.disagreement, "");
  Plan plan{.name = "small"};
  plan.features = {{"mixer attention", "seed=1"}, {"precision float32", "seed=1"}};
  EXPECT_EQ(refusal(catalog, plan), "");
  plan.features.emplace("mixer mamba", "seed=2");
  EXPECT_EQ(refusal(catalog, plan),
            "this build of mestre-worker lacks what the sweep needs: mixer mamba (for small/seed=2)");
}

TEST(WorkerCatalog, ThatIsNoneIsRefused) {
  for (const char* text : {"", "hello", "[]", "{}", R"({"job_format":1,"versions":7})"})
    EXPECT_NE(
        [&]() -> std::string {
          try {
            return read_worker_catalog(text).disagreement;
          } catch (const Error& error) {
            return error.message();
          }
        }(),
        "")
        << text;
}

}  // namespace
}  // namespace mestre
