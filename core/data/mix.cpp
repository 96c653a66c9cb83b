#include "core/data/mix.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "core/base/diagnostics.h"
#include "core/base/error.h"
#include "core/base/units.h"
#include "core/data/corpus_folder.h"
#include "core/data/mixture.h"
#include "core/data/publish.h"
#include "core/data/tokenizer.h"

namespace mestre {
namespace {

struct Part {
  std::string path;
  double weight = 0;
  Manifest manifest;
};

void require_below_root(const std::string& path) {
  const fs::path parts = path;
  if (!path.empty() && parts.is_relative() && std::find(parts.begin(), parts.end(), "..") == parts.end()) return;
  throw Error(ErrorCode::kBadInput, fmt::format("'{}' is outside the data root", escaped(path)))
      .hint("expected a manifest below it, such as 'web/train.manifest'; --data names another root");
}

Part read_part(const MixOptions& options, const MixPart& asked) {
  require_below_root(asked.manifest);
  if (!(asked.weight > 0) || !std::isfinite(asked.weight))
    throw Error(ErrorCode::kBadInput,
                fmt::format("the weight of '{}' is {}", escaped(asked.manifest), shortest(asked.weight)))
        .hint("expected a positive number: weights are shares of the sequences, and need not add up to 1");
  Part part = {.path = fs::path(asked.manifest).lexically_normal().generic_string(), .weight = asked.weight};
  part.manifest = read_manifest(options.root / part.path);
  if (part.manifest.is_mixture())
    throw Error(ErrorCode::kBadInput, fmt::format("'{}' is itself a mixture", escaped(part.path)))
        .hint("mix the corpora that it names: 'mestre data inspect' lists them with their shares");
  if (fs::path(part.path).parent_path() == fs::path(options.name).lexically_normal())
    throw Error(ErrorCode::kBadInput, fmt::format("the mixture would take the place of '{}'", escaped(part.path)))
        .hint("choose another name for it");
  return part;
}

void require_one_tokenizer(const std::vector<Part>& parts) {
  const Part& first = parts.front();
  const DataIdentity& expected = first.manifest.identity;
  for (const Part& part : parts) {
    const DataIdentity& found = part.manifest.identity;
    if (found.tokenizer != expected.tokenizer || found.tokenizer_version != expected.tokenizer_version ||
        found.vocabulary != expected.vocabulary)
      throw Error(ErrorCode::kBadInput,
                  fmt::format("'{}' is in the tokenizer '{}', version {}, and '{}' in '{}', {}", escaped(part.path),
                              escaped(found.tokenizer), found.tokenizer_version, escaped(first.path),
                              escaped(expected.tokenizer), expected.tokenizer_version))
          .hint("one model reads all of them: prepare them with the same --tokenizer");
  }
}

void require_distinct(const std::vector<Part>& parts) {
  const auto same = std::adjacent_find(parts.begin(), parts.end(), [](const Part& a, const Part& b) {
    return a.manifest.identity.digest == b.manifest.identity.digest;
  });
  if (same == parts.end()) return;
  const Part& other = *std::next(same);
  Error error(ErrorCode::kBadInput, same->path == other.path ? fmt::format("'{}' is named twice", escaped(same->path))
                                                             : fmt::format("'{}' and '{}' hold the same text",
                                                                           escaped(same->path), escaped(other.path)));
  throw error.hint("name each text once, with its whole weight");
}

void require_share(const std::string& path, double weight, std::int64_t slots) {
  if (slots > 0) return;
  throw Error(ErrorCode::kBadInput,
              fmt::format("the weight of '{}' is too small beside the others: {}", escaped(path), shortest(weight)))
      .hint(fmt::format("expected a share of about one in {} sequences or more", with_thousands(kMixtureSlots)));
}

Manifest mixture_of(const std::vector<Part>& parts) {
  std::vector<double> weights;
  for (const Part& part : parts) weights.push_back(part.weight);
  const std::vector<std::int64_t> slots = slots_of(weights);
  Manifest mixture;
  mixture.identity = parts.front().manifest.identity;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Manifest& corpus = parts[i].manifest;
    require_share(parts[i].path, parts[i].weight, slots[i]);
    mixture.components.push_back(
        {.path = parts[i].path, .digest = corpus.identity.digest, .tokens = corpus.tokens, .slots = slots[i]});
    mixture.tokens += corpus.tokens;
    mixture.documents += corpus.documents;
  }
  mixture.identity.digest = mixture_digest(mixture.components);
  return mixture;
}

}  // namespace

std::vector<std::int64_t> slots_of(std::span<const double> weights) {
  const double largest = *std::max_element(weights.begin(), weights.end());
  double sum = 0;  // of parts of the largest: weights near the end of the range have a sum beyond it
  for (const double weight : weights) sum += weight / largest;

  std::vector<std::int64_t> slots;
  std::vector<double> remainders;
  for (const double weight : weights) {
    const double exact = weight / largest / sum * static_cast<double>(kMixtureSlots);
    slots.push_back(static_cast<std::int64_t>(exact));
    remainders.push_back(exact - std::floor(exact));
  }
  std::vector<std::size_t> by_remainder(weights.size());
  std::iota(by_remainder.begin(), by_remainder.end(), 0);
  std::stable_sort(by_remainder.begin(), by_remainder.end(),
                   [&](std::size_t a, std::size_t b) { return remainders[a] > remainders[b]; });
  const std::int64_t left = kMixtureSlots - std::accumulate(slots.begin(), slots.end(), std::int64_t{0});
  for (std::size_t i = 0; std::cmp_less(i, left); ++i) ++slots[by_remainder[i]];
  return slots;
}

Manifest mix(const MixOptions& options) {
  check_corpus_name(options.name);
  if (options.parts.size() < 2)
    throw Error(ErrorCode::kBadInput, "a mixture needs at least two corpora")
        .hint("a sweep names a single one by its own manifest");
  const fs::path target = options.root / options.name;
  require_ours(target);
  std::vector<Part> parts;
  for (const MixPart& asked : options.parts) parts.push_back(read_part(options, asked));
  require_one_tokenizer(parts);
  std::sort(parts.begin(), parts.end(),
            [](const Part& a, const Part& b) { return a.manifest.identity.digest < b.manifest.identity.digest; });
  require_distinct(parts);
  Manifest mixture = mixture_of(parts);

  PartialFolder partial(target);
  const std::unique_ptr<Tokenizer> tokenizer =
      find_tokenizer(mixture.identity, (options.root / parts.front().path).parent_path());
  if (tokenizer && !tokenizer->model().empty())
    write_file_atomically(partial.path() / kTokenizerFile, tokenizer->model());
  write_file_atomically(partial.path() / "train.manifest", to_json(mixture) + "\n");
  partial.publish([&] {
    require_ours(target);
    if (!options.force && !holds_the_same(target, mixture, std::nullopt))
      throw other_data(target, "this mixture differs from them");
  });
  return mixture;
}

}  // namespace mestre
