// Ids of finished work: see frozen/README.md.

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/files.h"
#include "core/plan/plan.h"

namespace mestre {
namespace {

fs::path folder() {
  const char* source = std::getenv("MESTRE_SOURCE");
  return fs::path(source != nullptr ? source : ".") / "core" / "plan" / "frozen";
}

// "training.toml <tab> model=attention,training=plain <tab> train <tab> id", in the order of the plans.
std::string ids_now() {
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder()))
    if (entry.path().extension() == ".toml") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  PlanContext context;
  context.data_root = (folder() / "data").native();
  std::string text;
  for (const fs::path& file : files) {
    Diagnostics diagnostics;
    const std::optional<Plan> plan = plan_sweep(file.native(), context, diagnostics);
    EXPECT_TRUE(plan) << diagnostics.render();
    if (!plan) continue;
    for (const PlannedCell& cell : plan->cells)
      for (const std::size_t job : cell.jobs)
        text += fmt::format("{}\t{}\t{}\t{}\n", file.filename().native(), cell.name, plan->jobs[job].name,
                            plan->jobs[job].id);
  }
  return text;
}

TEST(FrozenIds, StayAsTheyWere) {
  const fs::path accepted = folder() / "ids.tsv";
  const std::string now = ids_now();
  if (const char* accept = std::getenv("MESTRE_ACCEPT"); accept != nullptr && std::string_view(accept) == "1") {
    replace_file(accepted, now);
    GTEST_SKIP() << "accepted the ids as they are now";
  }
  EXPECT_EQ(now, read_file(accepted)) << "finished work would be done again: see core/plan/frozen/README.md";
}

}  // namespace
}  // namespace mestre
