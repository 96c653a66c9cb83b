// Evaluations and measurements of a cell.

#include <algorithm>

#include <fmt/format.h>

#include "core/base/build_info.h"
#include "core/plan/cell_jobs.h"
#include "core/spec/job.h"

namespace mestre {
namespace {

bool sets(const Request& request, std::string_view dotted) {
  return std::any_of(request.settings.begin(), request.settings.end(),
                     [&](const Setting& setting) { return setting.dotted == dotted; });
}

}  // namespace

void CellJobs::add_request(std::size_t request, CellIndex cell, const CellParts& own, std::vector<std::size_t>& jobs) {
  const Request& asked = sweep_.requests[request];
  if (asked.options == nullptr || !matches(asked.where, cell)) return;
  const std::size_t training = trainings_[request_from_[request]];
  const bool from_folder = resolver_.model(own.model).checkpoint && request_from_[request] == 0;
  if (asked.type->needs_checkpoint && training == kNone && !from_folder) return;
  ++request_uses_[request];
  const CellParts parts = resolver_.resolve_layer(layer_of_request(sweep_, request), cell, own);
  if (!parts.sound()) return;
  const RequestText& text = text_of(request, parts.data);
  if (!text.sound) return;
  const bool on_training = asked.type->needs_checkpoint && training != kNone;
  add_once(jobs, on_training ? add_on_checkpoint(request, parts, text, training) : add_alone(request, parts, text));
}

// All specs of one request over one text differ only in the id of the training: it is written into a copy of the first.
std::size_t CellJobs::add_on_checkpoint(std::size_t request, const CellParts& parts, const RequestText& text,
                                        std::size_t training) {
  static const std::string kPlaceholder(32, '?');
  auto [found, is_new_text] = templates_.try_emplace({request, parts.data, shape_of(parts)});
  if (is_new_text) {
    found->second.text = canonical_evaluate_spec({.task = options_of(request, parts),
                                                  .data = text.corpus ? text.corpus->json : "",
                                                  .checkpoint_job = kPlaceholder,
                                                  .checkpoint_digest = {},
                                                  .setup = {},
                                                  .worker = worker_});
    found->second.hole = found->second.text.find(kPlaceholder);
  }
  std::string spec = found->second.text;
  spec.replace(found->second.hole, kPlaceholder.size(), plan_.jobs[training].id);
  const auto [index, is_new] = find_or_add(std::move(spec));
  if (!is_new) return index;
  plan_.jobs[index].needs = {training};
  plan_.jobs[index].provisional = plan_.jobs[training].provisional;
  complete_request(index, request, parts, text);
  return index;
}

// What reads no checkpoint of ours: a speed, or weights from a folder. Many cells can share it.
std::size_t CellJobs::add_alone(std::size_t request, const CellParts& parts, const RequestText& text) {
  const Request& asked = sweep_.requests[request];
  const ResolvedModel& model = resolver_.model(parts.model);
  const bool is_speed = !asked.type->needs_checkpoint;
  const std::string setup = is_speed ? setup_of(parts) : "";
  auto [found, is_new_key] = alone_.try_emplace({request, parts.data, parts.model, shape_of(parts), setup}, kNone);
  if (!is_new_key) {
    PlannedJob& job = plan_.jobs[found->second];
    job.priority = std::min(job.priority, priority_);
    return found->second;
  }
  const auto [index, is_new] =
      find_or_add(canonical_evaluate_spec({.task = options_of(request, parts),
                                           .data = text.corpus ? text.corpus->json : "",
                                           .checkpoint_job = {},
                                           .checkpoint_digest = is_speed ? "" : model.checkpoint->digest,
                                           .model = &model.spec,
                                           .setup = setup,
                                           .worker = worker_}));
  found->second = index;
  if (!is_new) return index;
  PlannedJob& job = plan_.jobs[index];
  if (!is_speed) {
    job.provisional = model.checkpoint->missing;
    note_features(job, {kFolderFeature});
  }
  note_model(job, parts);
  complete_request(index, request, parts, text);
  return index;
}

void CellJobs::complete_request(std::size_t job, std::size_t request, const CellParts& parts, const RequestText& text) {
  const Request& asked = sweep_.requests[request];
  const TaskOptions& options = options_of(request, parts);
  const bool measures = asked.type->kind == TaskKind::kMeasurement;
  const std::string reader = fmt::format("{} '{}'", measures ? "measurement" : "evaluation", escaped(asked.name));
  PlannedJob& planned = describe(job, measures ? "measure" : "evaluate", asked.name, parts);
  if (const std::string why = sweep_.worker ? "" : options.misfit(resolver_.model(parts.model).spec); !why.empty())
    diagnostics_.error(asked.place, fmt::format("{} finds nothing: {}", reader, why),
                       {"expected a where that leaves such cells out"});
  const std::int64_t longest = options.longest();
  std::int64_t tokens = 0;
  if (text.corpus) {
    read_data(planned, *text.corpus);
    const bool is_packed = asked.type->text == TaskText::kCorpus && text.corpus->identity.task.empty();
    const std::int64_t least = options.least_text();
    if (is_packed)
      check_length(*text.corpus, least, reader, least == longest + 1 ? kOneTokenMore : "it reads no text twice");
    if (asked.type->needs_text() && text.corpus->identity.task.empty()) tokens = text.corpus->tokens;
  }
  const bool bfloat16 = train_options(parts).is_bfloat16();
  planned.estimate = estimate_evaluation(cost_at(parts.model, longest, bfloat16), options.tokens(tokens), longest,
                                         planned.launch, bfloat16);
  planned.speed_key = speed_key(planned.kind, parts, longest, bfloat16);
  price(planned.estimate, planned.speed_key, planned.launch, bfloat16, context_);
  note_features(planned, features_of(options));
}

const CellJobs::RequestText& CellJobs::text_of(std::size_t request, std::int32_t data) {
  auto [found, is_new] = texts_.try_emplace({request, data});
  if (is_new) found->second = find_text(sweep_.requests[request], resolver_.data(data));
  return found->second;
}

CellJobs::RequestText CellJobs::find_text(const Request& asked, const ResolvedData& data) {
  const PlannedCorpus* tokenizer = data.tokenizer();
  if (!asked.type->needs_checkpoint && !asked.type->needs_text()) return {.sound = true, .corpus = {}};
  RequestText text;
  if (asked.type->needs_text() && sets(asked, "data.task")) {
    text.corpus = data.made;
  } else if (asked.type->text == TaskText::kCorpus || (asked.type->needs_text() && sets(asked, "data.validation"))) {
    text.corpus = data.validation;
  } else if (asked.type->text == TaskText::kItems) {
    text.corpus = resolver_.corpora().find(asked.options->items(), TextUse::kScoring, "", asked.place, asked.place);
    text.sound = text.corpus.has_value();
    return text;
  } else if (tokenizer != nullptr) {
    text.corpus = tokenizer_of(*tokenizer);
  }
  text.sound = text.corpus.has_value();
  if (text.sound && asked.type->text == TaskText::kCorpus) check_tokenizer(*text.corpus, tokenizer);
  if (!text.sound) {
    const bool measures = asked.type->kind == TaskKind::kMeasurement;
    diagnostics_.error(
        asked.place,
        fmt::format("{} '{}' has no text to read", measures ? "measurement" : "evaluation", escaped(asked.name)),
        {asked.type->needs_text() ? "expected validation = \"….manifest\" in [data]"
                                  : "expected train or validation = \"….manifest\" in [data], for the tokenizer"});
  }
  return text;
}

// The options of a request for cells that train in one shape, checked and with nothing left open.
const TaskOptions& CellJobs::options_of(std::size_t request, const CellParts& parts) {
  std::unique_ptr<TaskOptions>& slot = options_[{request, shape_of(parts)}];
  if (slot != nullptr) return *slot;
  const Request& asked = sweep_.requests[request];
  slot = asked.options->clone();
  slot->resolve(train_options(parts));
  if (!asked.type->needs_checkpoint) slot->check(problem_reporter(asked, diagnostics_));
  return *slot;
}

const TrainOptions& CellJobs::train_options(const CellParts& parts) const {
  static const TrainOptions kUntrained;
  return parts.train >= 0 ? resolver_.train(parts.train).options : kUntrained;
}

CellJobs::TrainShape CellJobs::shape_of(const CellParts& parts) const {
  const TrainOptions& train = train_options(parts);
  return {train.sequence_length, train.sequences_per_step};
}

// What a speed depends on besides the model.
std::string CellJobs::setup_of(const CellParts& parts) const {
  const LaunchOptions& launch = resolver_.launch(parts.launch).options;
  return canonical_json(SpeedSetup{.build = std::string(build_info().version),
                                   .gpu = launch.gpus > 0 ? launch.gpu : "",
                                   .gpus = launch.gpus,
                                   .threads = launch.threads,
                                   .micro_batch = launch.micro_batch,
                                   .precision = train_options(parts).precision});
}

}  // namespace mestre
