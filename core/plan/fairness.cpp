#include "core/plan/fairness.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/base/units.h"

namespace mestre {
namespace {

// Said by a phrase of their own.
bool is_budget(const std::string& option) {
  return option == "train.tokens" || option == "data.digest" || option == "data.tokenizer";
}

// Where the models differ as a whole, their layers are what is compared; but they should still be read, started and
// normalised alike.
bool is_layer_of_model(const std::string& option) {
  static const std::set<std::string> kAroundTheLayers = {"model.vocabulary", "model.tied_head", "model.norm_epsilon",
                                                         "model.initialization"};
  return option.starts_with("model.") && !kAroundTheLayers.contains(option);
}

std::string signed_percent(double share) {
  return fmt::format("{:+.{}f} %", 100 * share, std::abs(share) < 0.0995 ? 1 : 0);
}

void compare_size(std::vector<std::string>& marks, const std::string& what, std::int64_t cell, std::int64_t baseline,
                  double tolerance) {
  if (baseline <= 0) return;
  const double off = (static_cast<double>(cell) - static_cast<double>(baseline)) / static_cast<double>(baseline);
  if (std::abs(off) > tolerance) marks.push_back(fmt::format("{} {}", what, signed_percent(off)));
}

void compare_options(std::vector<std::string>& marks, const FairnessFacts& cell, const FairnessFacts& baseline,
                     const Declared& declared) {
  const auto report = [&](const std::string& option, const std::string& here, const std::string& there) {
    if (is_budget(option) || declared.covers(option)) return;
    if (declared.model && is_layer_of_model(option) && !declared.only_one_has.contains(option)) return;
    marks.push_back(fmt::format("{} {}, baseline {}", option, here, there));
  };
  auto one = cell.options.begin();
  auto other = baseline.options.begin();
  while (one != cell.options.end() || other != baseline.options.end()) {
    if (other == baseline.options.end() || (one != cell.options.end() && one->first < other->first)) {
      report(one->first, one->second, "none");
      ++one;
    } else if (one == cell.options.end() || other->first < one->first) {
      report(other->first, "none", other->second);
      ++other;
    } else {
      if (one->second != other->second) report(one->first, one->second, other->second);
      ++one;
      ++other;
    }
  }
}

}  // namespace

bool Declared::touches_model() const {
  return model || std::any_of(options.begin(), options.end(),
                              [](const std::string& option) { return option.starts_with("model."); });
}

std::vector<std::string> unfair(const FairnessFacts& cell, const FairnessFacts& baseline, const Declared& declared,
                                double tolerance) {
  std::vector<std::string> marks;
  const bool strict = declared.touches_model();
  if (cell.tokens != baseline.tokens && (strict || !declared.covers("train.tokens")))
    marks.push_back(fmt::format("{} training tokens, baseline {}", short_count(static_cast<double>(cell.tokens)),
                                short_count(static_cast<double>(baseline.tokens))));
  const bool declares_data = !strict && declared.covers("data.train");
  if (cell.data != baseline.data && !declares_data) marks.emplace_back("other training text");
  if (cell.tokenizer != baseline.tokenizer && !declares_data)
    marks.push_back(fmt::format("tokenizer {}, baseline {}", cell.tokenizer, baseline.tokenizer));
  const std::size_t before = marks.size();
  compare_size(marks, "parameters", cell.parameters, baseline.parameters, tolerance);
  // Where embeddings are all the difference or none of it, one number says it.
  if (cell.parameters - cell.parameters_without_embeddings !=
          baseline.parameters - baseline.parameters_without_embeddings ||
      marks.size() == before)
    compare_size(marks, "parameters without embeddings", cell.parameters_without_embeddings,
                 baseline.parameters_without_embeddings, tolerance);
  compare_options(marks, cell, baseline, declared);
  return marks;
}

}  // namespace mestre
