#include "core/tasks/phonebook/options.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace mestre {
namespace {

// The study has 400 tokens at 20 pairs and 8400 at 480: a line through both.
constexpr double kTokensPerPair = 8000.0 / 460;
constexpr double kTokensAround = 400 - 20 * kTokensPerPair;  // of the instruction and the question

double tokens_of_book(std::int64_t pairs) {
  return std::ceil(kTokensAround + kTokensPerPair * static_cast<double>(pairs));
}

}  // namespace

void PhonebookOptions::describe(OptionVisitor& visitor) {
  visitor.visit({.name = "pairs",
                 .doc = "names with their numbers in a book, ascending",
                 .unit = Unit::kCount,
                 .min = 1,
                 .max = 1e6,
                 .required = true},
                pairs);
  visitor.visit(
      {.name = "books", .doc = "books of each size, one question each", .unit = Unit::kCount, .min = 1, .max = 1e6},
      books);
  visitor.visit(
      {.name = "shots", .doc = "answered questions before the one asked", .unit = Unit::kCount, .min = 0, .max = 100},
      shots);
  visitor.visit({.name = "seed", .doc = "seed of names and numbers", .min = 0, .max = 9007199254740992.0}, seed);
}

void PhonebookOptions::check(const Problem& problem) const {
  for (std::size_t i = 1; i < pairs.size(); ++i)
    if (pairs[i] <= pairs[i - 1])
      problem("pairs", fmt::format("a book of {} pairs follows one of {}", pairs[i], pairs[i - 1]),
              "expected ascending sizes, each once");
  if (!pairs.empty() && shots >= pairs.front())
    problem("shots", fmt::format("{} answered questions about a book of {} pairs", shots, pairs.front()),
            "expected fewer than the smallest book has pairs");
}

double PhonebookOptions::tokens(std::int64_t) const {
  double a_book_of_each = 0;
  for (const std::int64_t size : pairs) a_book_of_each += tokens_of_book(size);
  return a_book_of_each * static_cast<double>(books);
}

std::int64_t PhonebookOptions::longest() const {
  return pairs.empty() ? 0 : static_cast<std::int64_t>(tokens_of_book(*std::max_element(pairs.begin(), pairs.end())));
}

}  // namespace mestre
