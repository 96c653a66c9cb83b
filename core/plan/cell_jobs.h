// The jobs of a cell: its training, its stages, its evaluations and measurements. Each is in the plan once, however
// many cells want it.
//
// What many cells share (the text of a spec, the cost of a model, a speed key) is computed once and kept here. Refers
// to all that it is given, which outlives it.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/base/id_table.h"
#include "core/plan/estimate.h"
#include "core/plan/resolver.h"

namespace mestre {

class CellJobs {
 public:
  CellJobs(const Sweep& sweep, const PlanContext& context, Resolver& resolver, Plan& plan, Diagnostics& diagnostics);

  /// Makes room for the jobs of this many cells.
  void reserve(std::size_t cells);
  /// Adds what the cell wants to the plan's jobs. Returns their indices, the training job first.
  [[nodiscard]] std::vector<std::size_t> add(CellIndex cell, const CellParts& parts, const std::string& name,
                                             std::int64_t priority);
  /// Reports what `add` would report of a cell whose settings have mistakes.
  void check(CellIndex cell, const CellParts& parts);
  /// After the last cell: reports stages and requests for which no cell has the checkpoint that they read.
  void check_all_used();

 private:
  static constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
  static constexpr std::string_view kOneTokenMore = "one token more than the longest context";

  // A spec with a hole for the id of the job that it builds on.
  struct SpecTemplate {
    std::string text;
    std::size_t hole = 0;
  };
  // What the jobs of a request have in common that read the same text.
  struct RequestText {
    bool sound = false;
    std::optional<PlannedCorpus> corpus;  // nothing where no text is read at all
  };
  // What options may take over from the training (TaskOptions::resolve): sequence length, sequences a step.
  using TrainShape = std::pair<std::int64_t, std::int64_t>;

  static void add_once(std::vector<std::size_t>& jobs, std::size_t job);
  std::pair<std::size_t, bool> find_or_add(std::string spec);
  PlannedJob& describe(std::size_t job, const char* kind, const std::string& name, const CellParts& parts);
  // What a stage goes on from; nothing for the training itself.
  struct From {
    std::size_t job = kNone;
    bool continues = false;
    std::int64_t tokens = 0;  // that a stage which continues finds trained
  };
  std::size_t add_training(const CellParts& parts, const std::string& name, const From& from);
  [[nodiscard]] From from_of(const Stage& stage, std::size_t job, const CellParts& parts, const CellParts& before);
  void add_stage(std::size_t stage, CellIndex cell, const CellParts& own, std::vector<std::size_t>& jobs);
  void add_request(std::size_t request, CellIndex cell, const CellParts& own, std::vector<std::size_t>& jobs);
  std::size_t add_on_checkpoint(std::size_t request, const CellParts& parts, const RequestText& text,
                                std::size_t training);
  std::size_t add_alone(std::size_t request, const CellParts& parts, const RequestText& text);
  void complete_request(std::size_t job, std::size_t request, const CellParts& parts, const RequestText& text);

  const RequestText& text_of(std::size_t request, std::int32_t data);
  RequestText find_text(const Request& asked, const ResolvedData& data);
  const TaskOptions& options_of(std::size_t request, const CellParts& parts);
  [[nodiscard]] TrainShape shape_of(const CellParts& parts) const;
  [[nodiscard]] const TrainOptions& train_options(const CellParts& parts) const;
  std::string setup_of(const CellParts& parts) const;
  std::size_t position_of(const std::string& checkpoint) const;

  void read_data(PlannedJob& job, const PlannedCorpus& corpus);
  void read_validation(PlannedJob& job, const CellParts& parts);
  void note_mixture(const PlannedCorpus& corpus, std::int64_t tokens);
  void check_length(const PlannedCorpus& corpus, std::int64_t needed, const std::string& reader,
                    std::string_view reason = kOneTokenMore);
  void check_tokenizer(const PlannedCorpus& corpus, const PlannedCorpus* expected);
  void note_features(const PlannedJob& job, const std::vector<std::string>& features);
  void note_model(const PlannedJob& job, const CellParts& parts);
  const ModelCost& cost_at(std::int32_t model, std::int64_t length, bool bfloat16);
  const std::string& speed_key(const std::string& kind, const CellParts& parts, std::int64_t length, bool bfloat16);

  const Sweep& sweep_;
  const PlanContext& context_;
  Resolver& resolver_;
  Plan& plan_;
  Diagnostics& diagnostics_;
  std::string worker_;                   // canonical JSON of a foreign worker
  std::vector<std::size_t> stage_from_;  // per stage, per request: position in trainings_ of what it reads
  std::vector<std::size_t> request_from_;
  std::vector<std::int64_t> stage_uses_, request_uses_;

  // Of the cell whose jobs are being added.
  std::int64_t priority_ = 0;
  const std::string* name_ = nullptr;
  std::vector<std::size_t> trainings_;     // its training and its stages; kNone where it has none
  std::vector<CellParts> training_parts_;  // of these

  IdTable by_id_;  // index of the job
  std::map<std::pair<std::size_t, std::int32_t>, RequestText> texts_;
  std::map<std::pair<std::size_t, TrainShape>, std::unique_ptr<TaskOptions>> options_;
  std::map<std::tuple<std::size_t, std::int32_t, TrainShape>, SpecTemplate> templates_;
  std::map<std::tuple<std::size_t, std::int32_t, std::int32_t, TrainShape, std::string>, std::size_t> alone_;
  std::map<std::tuple<std::int32_t, std::int64_t, bool>, ModelCost> costs_;
  std::map<std::tuple<std::string, std::int32_t, std::int64_t, bool, std::int32_t>, std::string> speed_keys_;
  std::vector<bool> noted_models_, noted_trains_;
  std::set<std::pair<std::string, std::string>> checked_stages_;  // by name: what was said of them
};

}  // namespace mestre
