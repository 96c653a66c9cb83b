// The texts that cells name: packed corpora by their manifests, and text that a task makes.
//
// Each manifest is read once. One that is not there is no mistake: a stand-in takes its place and the plan says what is
// missing. Refers to context and diagnostics, which outlive it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/data/manifest.h"
#include "core/plan/plan.h"

namespace mestre {

/// A text as the plan knows it.
struct PlannedCorpus {
  std::string path;  // of the manifest, relative to the data root
  DataIdentity identity;
  std::int64_t tokens = 0;
  std::vector<MixtureComponent> components;  // of a mixture
  std::string json;                          // canonical JSON of the identity
  Position place;                            // of the option that names it
  bool missing = false;                      // there is no manifest: identity and tokens are stand-ins
};

/// What a text is for: only a training can read a mixture.
enum class TextUse { kTraining, kScoring };

class Corpora {
 public:
  Corpora(const PlanContext& context, Diagnostics& diagnostics) : context_(context), diagnostics_(diagnostics) {}

  /// The corpus of a manifest; `pin`, where not empty, is the digest that it must have. Nothing where a mistake was
  /// reported.
  [[nodiscard]] std::optional<PlannedCorpus> find(const std::string& path, TextUse use, const std::string& pin,
                                                  Position place, Position pin_place);
  /// Text without end that `task` makes, in the tokenizer of `like`. Nothing where no task makes text by that name.
  [[nodiscard]] std::optional<PlannedCorpus> made_by(const std::string& task, const PlannedCorpus& like,
                                                     Position place);

  /// What is not there, in the order in which it was first asked for.
  [[nodiscard]] const std::vector<MissingData>& missing() const { return missing_; }
  void add_missing(MissingData missing) { missing_.push_back(std::move(missing)); }

 private:
  struct Found {
    std::optional<Manifest> manifest;
    bool missing = false;  // else, without a manifest, it has a mistake
  };
  const Found& manifest(const std::string& path, Position place);
  bool has_its_components(const Manifest& mixture, const fs::path& path, Position place);

  const PlanContext& context_;
  Diagnostics& diagnostics_;
  std::map<std::string, Found> manifests_;
  std::vector<MissingData> missing_;
};

/// Whether a path stays below the folder that it is relative to.
[[nodiscard]] bool stays_below(const std::string& path);

/// The tokenizer of a corpus without its text: what a task reads that makes up its own.
[[nodiscard]] PlannedCorpus tokenizer_of(const PlannedCorpus& corpus);

}  // namespace mestre
