#include "core/plan/cell_jobs.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/units.h"
#include "core/spec/job.h"

namespace mestre {

CellJobs::CellJobs(const Sweep& sweep, const PlanContext& context, Resolver& resolver, Plan& plan,
                   Diagnostics& diagnostics)
    : sweep_(sweep), context_(context), resolver_(resolver), plan_(plan), diagnostics_(diagnostics) {}

void CellJobs::reserve(std::size_t cells) {
  plan_.jobs.reserve(cells * (1 + sweep_.evaluations.size()));
  by_id_.reserve(plan_.jobs.capacity());
}

std::vector<std::size_t> CellJobs::add(CellIndex cell, const CellParts& parts, std::int64_t priority) {
  priority_ = priority;
  const std::size_t training = add_training(parts);
  std::vector<std::size_t> jobs = {training};
  for (std::size_t e = 0; e < sweep_.evaluations.size(); ++e) {
    if (!needs_validation(e, cell, parts)) continue;
    const std::size_t job = add_evaluation(e, parts, training);
    if (std::find(jobs.begin(), jobs.end(), job) == jobs.end()) jobs.push_back(job);
  }
  return jobs;
}

void CellJobs::check(CellIndex cell, const CellParts& parts) {
  for (std::size_t e = 0; e < sweep_.evaluations.size(); ++e) (void)needs_validation(e, cell, parts);
}

// Index of the job with this spec; new where no cell wanted it before.
std::pair<std::size_t, bool> CellJobs::find_or_add(std::string spec) {
  std::string id = job_id(spec);
  const auto [found, is_new] = by_id_.try_emplace(id, plan_.jobs.size());
  if (is_new) {
    PlannedJob& job = plan_.jobs.emplace_back();
    job.finished = context_.finished.contains(id);
    job.id = std::move(id);
    job.spec = std::move(spec);
    job.priority = priority_;
  } else {
    PlannedJob& job = plan_.jobs[found->second];
    job.priority = std::min(job.priority, priority_);
  }
  return {found->second, is_new};
}

std::size_t CellJobs::add_training(const CellParts& parts) {
  const ResolvedTrain& train = resolver_.train(parts.train);
  const ResolvedModel& model = resolver_.model(parts.model);
  const ResolvedData& data = resolver_.data(parts.data);
  const LaunchOptions& launch = resolver_.launch(parts.launch).options;
  const auto [index, is_new] = find_or_add(canonical_train_spec({.model = model.json,
                                                                 .train = train.json,
                                                                 .data = data.train.json,
                                                                 .versions = model.versions,
                                                                 .from = {},
                                                                 .worker = {}}));
  if (!is_new) return index;
  check_length(data.train, train.options.sequence_length + 1, "a training block");
  PlannedJob& job = plan_.jobs[index];
  job.kind = job.name = "train";
  job.launch = launch;
  job.estimate = estimate_training(cost_at(parts.model, train.options.sequence_length), train.options, launch);
  job.speed_key = speed_key("train", parts, train.options.sequence_length);
  price(job.estimate, job.speed_key, launch, context_);
  read_data(job, data.train);
  return index;
}

// Whether the cell is to be evaluated by this; false too where it has no text for it, which is reported.
bool CellJobs::needs_validation(std::size_t evaluation, CellIndex cell, const CellParts& parts) {
  const EvaluationRequest& asked = sweep_.evaluations[evaluation];
  if (asked.options == nullptr || !matches(asked.where, cell) || parts.data < 0) return false;
  if (resolver_.data(parts.data).validation) return true;
  diagnostics_.error(asked.place, fmt::format("evaluation '{}' has no text to read", escaped(asked.name)),
                     {"expected validation = \"….manifest\" in [data]"});
  return false;
}

std::size_t CellJobs::add_evaluation(std::size_t evaluation, const CellParts& parts, std::size_t training) {
  const EvaluationRequest& asked = sweep_.evaluations[evaluation];
  const PlannedCorpus& corpus = *resolver_.data(parts.data).validation;
  const LaunchOptions& launch = resolver_.launch(parts.launch).options;
  const auto [index, is_new] = find_or_add(evaluation_spec(evaluation, parts.data, plan_.jobs[training].id));
  if (!is_new) return index;
  const std::int64_t longest = asked.options->longest();
  check_length(corpus, longest + 1, fmt::format("evaluation '{}'", escaped(asked.name)));
  PlannedJob& job = plan_.jobs[index];
  job.kind = "evaluate";
  job.name = asked.name;
  job.needs = {training};
  job.launch = launch;
  job.estimate = estimate_evaluation(cost_at(parts.model, longest), resolver_.model(parts.model).spec,
                                     asked.options->tokens(corpus.tokens), longest);
  job.speed_key = speed_key("evaluate", parts, longest);
  price(job.estimate, job.speed_key, launch, context_);
  read_data(job, corpus);
  job.provisional = job.provisional || plan_.jobs[training].provisional;
  return index;
}

// All specs of one evaluation differ only in the id of the training: it is written into a copy of the first.
std::string CellJobs::evaluation_spec(std::size_t evaluation, std::int32_t data, const std::string& training) {
  static const std::string kPlaceholder(32, '?');
  auto [found, is_new] = evaluation_specs_.try_emplace({evaluation, data});
  if (is_new) {
    found->second.text = canonical_evaluate_spec({.task = *sweep_.evaluations[evaluation].options,
                                                  .data = resolver_.data(data).validation->json,
                                                  .checkpoint_job = kPlaceholder,
                                                  .checkpoint_digest = {},
                                                  .setup = {},
                                                  .worker = {}});
    found->second.hole = found->second.text.find(kPlaceholder);
  }
  std::string spec = found->second.text;
  spec.replace(found->second.hole, kPlaceholder.size(), training);
  return spec;
}

void CellJobs::read_data(PlannedJob& job, const PlannedCorpus& corpus) {
  job.data = corpus.path;
  job.provisional = corpus.missing;
  if (!corpus.missing) plan_.data.emplace(corpus.identity.digest, corpus.path);
}

void CellJobs::check_length(const PlannedCorpus& corpus, std::int64_t needed, const std::string& reader) {
  if (corpus.missing || corpus.tokens >= needed) return;
  diagnostics_.error(
      corpus.place,
      fmt::format("'{}' has {} tokens, too few for {}", escaped(corpus.path), with_thousands(corpus.tokens), reader),
      {fmt::format("expected at least {}: one token more than the longest context", with_thousands(needed))});
}

const ModelCost& CellJobs::cost_at(std::int32_t model, std::int64_t length) {
  auto [found, is_new] = costs_.try_emplace({model, length});
  if (is_new) found->second = cost_of(resolver_.model(model).spec, length);
  return found->second;
}

const std::string& CellJobs::speed_key(const char* kind, const CellParts& parts, std::int64_t length) {
  auto [found, is_new] = speed_keys_.try_emplace({kind[0], parts.model, length, parts.launch});
  if (is_new)
    found->second =
        speed_key_of(kind, resolver_.model(parts.model).json, length, resolver_.launch(parts.launch).options);
  return found->second;
}

}  // namespace mestre
