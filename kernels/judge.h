// How the tests and benches of all operations judge a result: by its error against fp64, as a multiple of what the
// plain fp32 composition errs. No Torch.
#pragma once

#include <string>
#include <vector>

#include "kernels/element.h"

namespace mestre::kernels::testing {

/// One tensor of a result under its name, in the type that the schema returns.
struct NamedValues {
  std::string name;
  Element element;
  std::vector<double> values;
};

double round_to(Element element, double value);

/// Judges `result` against fp64 `truth`: its greatest and its root-mean-square error may each be at most twice those of
/// `plain`, the fp32 composition, plus a floor relative to the truth's magnitude. Returns what is wrong, or an empty
/// string.
std::string judge(const NamedValues& result, const NamedValues& plain, const NamedValues& truth);

/// Judges a `result` computed in fp64: within 1e-12 of the truth's greatest magnitude. What is wrong, or an empty
/// string.
std::string judge_double(const NamedValues& result, const NamedValues& truth);

}  // namespace mestre::kernels::testing
