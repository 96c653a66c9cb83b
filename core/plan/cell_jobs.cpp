#include "core/plan/cell_jobs.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/units.h"
#include "core/spec/job.h"

namespace mestre {
namespace {

// Whether this is the first time that `index` is seen.
bool note(std::vector<bool>& seen, std::int32_t index) {
  const auto at = static_cast<std::size_t>(index);
  if (at >= seen.size()) seen.resize(at + 1, false);
  if (seen[at]) return false;
  seen[at] = true;
  return true;
}

}  // namespace

CellJobs::CellJobs(const Sweep& sweep, const PlanContext& context, Resolver& resolver, Plan& plan,
                   Diagnostics& diagnostics)
    : sweep_(sweep),
      context_(context),
      resolver_(resolver),
      plan_(plan),
      diagnostics_(diagnostics),
      worker_(sweep.worker ? fmt::format(R"({{"version":{}}})", sweep.worker->version) : ""),
      stage_uses_(sweep.stages.size(), 0),
      request_uses_(sweep.requests.size(), 0) {
  for (const Stage& stage : sweep.stages) stage_from_.push_back(position_of(stage.from));
  for (const Request& request : sweep.requests) request_from_.push_back(position_of(request.checkpoint));
}

// Of a checkpoint's name in trainings_; every name that was read is known.
std::size_t CellJobs::position_of(const std::string& checkpoint) const {
  const auto found = std::find_if(sweep_.stages.begin(), sweep_.stages.end(),
                                  [&](const Stage& stage) { return stage.name == checkpoint; });
  return found == sweep_.stages.end() ? 0 : 1 + static_cast<std::size_t>(found - sweep_.stages.begin());
}

void CellJobs::reserve(std::size_t cells) {
  plan_.jobs.reserve(cells * (1 + sweep_.stages.size() + sweep_.requests.size()));
  by_id_.reserve(plan_.jobs.capacity());
}

std::vector<std::size_t> CellJobs::add(CellIndex cell, const CellParts& parts, const std::string& name,
                                       std::int64_t priority) {
  priority_ = priority;
  name_ = &name;
  std::vector<std::size_t> jobs;
  jobs.reserve(1 + sweep_.stages.size() + sweep_.requests.size());
  trainings_.assign(1 + sweep_.stages.size(), kNone);
  training_parts_.assign(trainings_.size(), parts);
  if (parts.trains) jobs.push_back(trainings_[0] = add_training(parts, kTrainName, {}));
  for (std::size_t s = 0; s < sweep_.stages.size(); ++s) add_stage(s, cell, parts, jobs);
  for (std::size_t r = 0; r < sweep_.requests.size(); ++r) add_request(r, cell, parts, jobs);
  if (jobs.empty() && !diagnostics_.has_errors()) {
    const auto& checkpoint = resolver_.model(parts.model).checkpoint;
    diagnostics_.error(checkpoint ? checkpoint->place : Position{.file = sweep_.files.front()},
                       fmt::format("nothing is asked of cell '{}'", escaped(name)),
                       {"expected an [[evaluate]] or a [[measure]] for it"});
  }
  return jobs;
}

void CellJobs::check(CellIndex cell, const CellParts& parts) {
  if (parts.data < 0) return;
  for (std::size_t r = 0; r < sweep_.requests.size(); ++r) {
    const Request& asked = sweep_.requests[r];
    if (asked.options == nullptr || !matches(asked.where, cell)) continue;
    const CellParts own = resolver_.resolve_layer(layer_of_request(sweep_, r), cell, parts);
    if (own.data >= 0) (void)text_of(r, own.data);
  }
}

void CellJobs::check_all_used() {
  if (diagnostics_.has_errors()) return;
  const auto complain = [&](Position place, const std::string& who, const std::string& from) {
    if (from == kTrainName) {
      diagnostics_.error(place, fmt::format("{} needs a training, and none of its cells is trained", who),
                         {"expected cells without model.checkpoint, whose weights are only evaluated and measured"});
    } else {
      diagnostics_.error(place, fmt::format("{} needs stage '{}', which none of its cells has", who, escaped(from)),
                         {"expected a where that leaves cells of that stage"});
    }
  };
  for (std::size_t s = 0; s < sweep_.stages.size(); ++s)
    if (stage_uses_[s] == 0)
      complain(sweep_.stages[s].place, fmt::format("stage '{}'", escaped(sweep_.stages[s].name)),
               sweep_.stages[s].from);
  for (std::size_t r = 0; r < sweep_.requests.size(); ++r) {
    const Request& asked = sweep_.requests[r];
    if (request_uses_[r] == 0)
      complain(asked.checkpoint_place, fmt::format("'{}'", escaped(asked.name)), asked.checkpoint);
  }
}

void CellJobs::add_once(std::vector<std::size_t>& jobs, std::size_t job) {
  if (std::find(jobs.begin(), jobs.end(), job) == jobs.end()) jobs.push_back(job);
}

// Index of the job with this spec; new where no cell wanted it before.
std::pair<std::size_t, bool> CellJobs::find_or_add(std::string spec) {
  std::string id = job_id(spec);
  const auto [index, is_new] = by_id_.try_emplace(id, plan_.jobs.size());
  if (is_new) {
    PlannedJob& job = plan_.jobs.emplace_back();
    job.finished = context_.finished.contains(id);
    job.id = std::move(id);
    job.spec = std::move(spec);
    job.priority = priority_;
  } else {
    PlannedJob& job = plan_.jobs[index];
    job.priority = std::min(job.priority, priority_);
  }
  return {index, is_new};
}

PlannedJob& CellJobs::describe(std::size_t job, const char* kind, const std::string& name, const CellParts& parts) {
  PlannedJob& planned = plan_.jobs[job];
  planned.kind = kind;
  planned.name = name;
  planned.launch = resolver_.launch(parts.launch).options;
  return planned;
}

std::size_t CellJobs::add_training(const CellParts& parts, const std::string& name, const From& from) {
  const ResolvedTrain& train = resolver_.train(parts.train);
  const ResolvedModel& model = resolver_.model(parts.model);
  const PlannedCorpus& text = resolver_.data(parts.data).training_text();
  const auto [index, is_new] =
      find_or_add(canonical_train_spec({.model = model.json,
                                        .train = train.json,
                                        .data = text.json,
                                        .versions = model.versions,
                                        .from = from.job == kNone ? std::string_view() : plan_.jobs[from.job].id,
                                        .continues = from.continues,
                                        .worker = worker_}));
  if (!is_new) return index;
  check_length(text, train.options.sequence_length + 1, "a training block");
  PlannedJob& job = describe(index, "train", name, parts);
  read_data(job, text);
  note_mixture(text, train.options.tokens);
  if (job.launch.validation_interval > 0) read_validation(job, parts);
  if (from.job != kNone) {
    job.needs = {from.job};
    job.provisional = job.provisional || plan_.jobs[from.job].provisional;
    note_features(job, {from.continues ? kContinuesFeature : kStagesFeature});
  }
  const bool bfloat16 = train.options.is_bfloat16();
  job.estimate = estimate_training(cost_at(parts.model, train.options.sequence_length, bfloat16), train.options,
                                   job.launch, from.tokens);
  job.speed_key = speed_key(job.kind, parts, train.options.sequence_length, bfloat16);
  price(job.estimate, job.speed_key, job.launch, bfloat16, context_);
  note_model(job, parts);
  if (note(noted_trains_, parts.train)) note_features(job, {feature_of_precision(train.options.precision)});
  return index;
}

void CellJobs::add_stage(std::size_t stage, CellIndex cell, const CellParts& own, std::vector<std::size_t>& jobs) {
  const Stage& asked = sweep_.stages[stage];
  const std::size_t from = trainings_[stage_from_[stage]];
  if (from == kNone || !matches(asked.where, cell)) return;
  ++stage_uses_[stage];
  const CellParts parts = resolver_.resolve_layer(layer_of_stage(stage), cell, own);
  if (!parts.sound()) return;
  if (parts.data != own.data) check_tokenizer(*resolver_.data(parts.data).train, &*resolver_.data(own.data).train);
  const From start = from_of(asked, from, parts, training_parts_[stage_from_[stage]]);
  training_parts_[1 + stage] = parts;
  add_once(jobs, trainings_[1 + stage] = add_training(parts, asked.name, start));
}

// A stage that continues reads on where the one before it stopped: that place must mean the same to both.
CellJobs::From CellJobs::from_of(const Stage& stage, std::size_t job, const CellParts& parts, const CellParts& before) {
  if (!stage.continues) return {.job = job};
  const TrainOptions &now = train_options(parts), &then = train_options(before);
  const auto refuse = [&](std::string message, std::string expectation) {
    if (checked_stages_.insert({stage.name, message}).second)
      diagnostics_.error(stage.place, std::move(message), {std::move(expectation)});
  };
  const std::string who = fmt::format("stage '{}' continues '{}'", escaped(stage.name), escaped(stage.from));
  if (now.sequence_length != then.sequence_length || now.sequences_per_step != then.sequences_per_step)
    refuse(fmt::format("{} in steps of another size", who),
           fmt::format("expected {} sequences of {} tokens", then.sequences_per_step, then.sequence_length));
  if (now.seed_data != then.seed_data ||
      resolver_.data(parts.data).training_text().json != resolver_.data(before.data).training_text().json)
    refuse(fmt::format("{} on another text or in another order", who),
           "expected the same data.train and train.seed_data, or a stage without continues");
  if (now.steps() <= then.steps())
    refuse(fmt::format("{}, which has trained {} tokens already", who, with_thousands(then.tokens)),
           "expected more train.tokens: they count from the beginning");
  if (now.on_spike == "roll_back" && then.steps() % now.roll_back_interval != 0)
    refuse(fmt::format("{} and has no checkpoint to roll back to", who),
           fmt::format("expected a train.roll_back_interval that divides its {} steps", then.steps()));
  return {.job = job, .continues = true, .tokens = then.steps() * then.tokens_per_step()};
}

void CellJobs::read_data(PlannedJob& job, const PlannedCorpus& corpus) {
  job.data = corpus.path;
  job.provisional = job.provisional || corpus.missing;
  if (!corpus.missing && !corpus.identity.digest.empty()) plan_.data.emplace(corpus.identity.digest, corpus.path);
  if (!corpus.identity.task.empty()) note_features(job, {kMadeTextFeature});
}

void CellJobs::read_validation(PlannedJob& job, const CellParts& parts) {
  const ResolvedData& data = resolver_.data(parts.data);
  if (!data.validation)
    return diagnostics_.error(Position{.file = sweep_.files.front()},
                              fmt::format("'{}' is to be validated, and there is no text for it", escaped(job.name)),
                              {"expected validation = \"….manifest\" in [data] beside resources.validation_interval"});
  const PlannedCorpus& text = *data.validation;
  const auto& lengths = job.launch.validation_lengths;
  const std::int64_t longest = lengths.empty() ? train_options(parts).sequence_length : lengths.back();
  check_length(text, (longest + 1) * job.launch.validation_blocks, "the blocks of a validation",
               "one token more than the longest context, for each block");
  check_tokenizer(text, data.tokenizer());
  job.validation = text.path;
  job.validation_digest = text.identity.digest;
}

void CellJobs::note_mixture(const PlannedCorpus& corpus, std::int64_t tokens) {
  if (corpus.components.empty()) return;
  std::vector<PlannedComponent>& mixture = plan_.mixtures[corpus.path];
  mixture.resize(corpus.components.size());
  for (std::size_t i = 0; i < mixture.size(); ++i) {
    const MixtureComponent& component = corpus.components[i];
    const double read = static_cast<double>(tokens) * component.share() / static_cast<double>(component.tokens);
    mixture[i] = {
        .path = component.path, .share = component.share(), .times_read = std::max(mixture[i].times_read, read)};
  }
}

void CellJobs::check_length(const PlannedCorpus& corpus, std::int64_t needed, const std::string& reader,
                            std::string_view reason) {
  if (corpus.missing) return;
  const auto check = [&](const std::string& path, std::int64_t tokens) {
    if (tokens >= needed) return;
    diagnostics_.error(corpus.place,
                       fmt::format("'{}' has {} tokens, too few for {}", escaped(path), with_thousands(tokens), reader),
                       {fmt::format("expected at least {}: {}", with_thousands(needed), reason)});
  };
  if (corpus.components.empty()) check(corpus.path, corpus.tokens);
  for (const MixtureComponent& component : corpus.components) check(component.path, component.tokens);
}

// A model reads the tokens that it was trained on.
void CellJobs::check_tokenizer(const PlannedCorpus& corpus, const PlannedCorpus* expected) {
  if (expected == nullptr || corpus.missing || expected->missing) return;
  const DataIdentity& is = corpus.identity;
  const DataIdentity& wanted = expected->identity;
  if (is.tokenizer == wanted.tokenizer && is.tokenizer_version == wanted.tokenizer_version &&
      is.vocabulary == wanted.vocabulary)
    return;
  diagnostics_.error(corpus.place,
                     fmt::format("'{}' is in the tokenizer '{}', and the model is trained on '{}'",
                                 escaped(corpus.path), escaped(is.tokenizer), escaped(wanted.tokenizer)),
                     {fmt::format("expected the tokenizer of '{}'", escaped(expected->path))});
}

void CellJobs::note_features(const PlannedJob& job, const std::vector<std::string>& features) {
  if (job.finished || sweep_.worker) return;
  for (const std::string& feature : features) plan_.features.try_emplace(feature, *name_);
}

void CellJobs::note_model(const PlannedJob& job, const CellParts& parts) {
  if (!job.finished && note(noted_models_, parts.model))
    note_features(job, features_of(resolver_.model(parts.model).spec));
}

const ModelCost& CellJobs::cost_at(std::int32_t model, std::int64_t length, bool bfloat16) {
  auto [found, is_new] = costs_.try_emplace({model, length, bfloat16});
  if (is_new) found->second = cost_of(resolver_.model(model).spec, length, bfloat16);
  return found->second;
}

const std::string& CellJobs::speed_key(const std::string& kind, const CellParts& parts, std::int64_t length,
                                       bool bfloat16) {
  auto [found, is_new] = speed_keys_.try_emplace({kind, parts.model, length, bfloat16, parts.launch});
  if (is_new)
    found->second =
        speed_key_of(kind, resolver_.model(parts.model).json, length, bfloat16, resolver_.launch(parts.launch).options);
  return found->second;
}

}  // namespace mestre
