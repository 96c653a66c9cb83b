#include "core/mixers/expanded_heads.h"

#include <cmath>

#include <fmt/format.h>

namespace mestre {
namespace {

constexpr double kRounding = 1e-9;  // of the product of a width and a decimal fraction such as 0.1

double product(const ModelShape& shape, double expansion) {
  return static_cast<double>(shape.width) * expansion;
}

bool check_one(const ModelShape& shape, std::int64_t heads, std::string_view what, double expansion,
               const Problem& problem) {
  const double exact = product(shape, expansion);
  const double whole = std::round(exact);
  if (whole < 1 || std::abs(exact - whole) > kRounding * exact) {
    problem(fmt::format("{}_expansion", what),
            fmt::format("{}s of {} x {} = {:.6g} elements", what, shortest(expansion), shape.width, exact),
            "expected an expansion that gives a whole number of them");
    return false;
  }
  if (std::fmod(whole, static_cast<double>(heads)) == 0) return true;
  problem(
      "heads",
      fmt::format("{} heads do not divide the {} elements of the {}s", heads, static_cast<std::int64_t>(whole), what),
      fmt::format("expected a divisor of {0}_expansion x width, so that each {0} is whole", what));
  return false;
}

}  // namespace

void describe_expanded_heads(OptionVisitor& visitor, std::int64_t& heads, double& key_expansion,
                             double& value_expansion) {
  visitor.visit({.name = "heads",
                 .doc = "heads, each with a state of its own",
                 .unit = Unit::kCount,
                 .min = 1,
                 .max = 4096,
                 .required = true},
                heads);
  visitor.visit({.name = "key_expansion",
                 .doc = "width of all queries, and of all keys, as a multiple of the model width",
                 .min = 0.001,
                 .max = 16},
                key_expansion);
  visitor.visit({.name = "value_expansion",
                 .doc = "width of all values as a multiple of the model width",
                 .min = 0.001,
                 .max = 16},
                value_expansion);
}

ExpandedHeads expanded_heads(const ModelShape& shape, std::int64_t heads, double key_expansion,
                             double value_expansion) {
  return {.heads = heads,
          .key_width = std::llround(product(shape, key_expansion)),
          .value_width = std::llround(product(shape, value_expansion))};
}

bool check_expanded_heads(const ModelShape& shape, std::int64_t heads, double key_expansion, double value_expansion,
                          const Problem& problem) {
  if (heads <= 0) return false;  // reported as missing or out of range already
  const bool keys = check_one(shape, heads, "key", key_expansion, problem);
  return check_one(shape, heads, "value", value_expansion, problem) && keys;
}

}  // namespace mestre
