// The jobs of a cell: its training and its evaluations. Each is in the plan once, however many cells want it.
//
// What many cells share (the text of a spec, the cost of a model, a speed key) is computed once and kept here. Refers
// to all that it is given, which outlives it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/plan/estimate.h"
#include "core/plan/resolver.h"

namespace mestre {

class CellJobs {
 public:
  CellJobs(const Sweep& sweep, const PlanContext& context, Resolver& resolver, Plan& plan, Diagnostics& diagnostics);

  /// Makes room for the jobs of this many cells.
  void reserve(std::size_t cells);
  /// Adds what the cell wants to the plan's jobs. Returns their indices, the training job first.
  [[nodiscard]] std::vector<std::size_t> add(CellIndex cell, const CellParts& parts, std::int64_t priority);
  /// Reports what `add` would report of a cell whose settings have mistakes.
  void check(CellIndex cell, const CellParts& parts);

 private:
  // A spec with a hole for the id of the job that it builds on.
  struct SpecTemplate {
    std::string text;
    std::size_t hole = 0;
  };

  std::pair<std::size_t, bool> find_or_add(std::string spec);
  std::size_t add_training(const CellParts& parts);
  std::size_t add_evaluation(std::size_t evaluation, const CellParts& parts, std::size_t training);
  bool needs_validation(std::size_t evaluation, CellIndex cell, const CellParts& parts);
  std::string evaluation_spec(std::size_t evaluation, std::int32_t data, const std::string& training);
  void read_data(PlannedJob& job, const PlannedCorpus& corpus);
  void check_length(const PlannedCorpus& corpus, std::int64_t needed, const std::string& reader);
  const ModelCost& cost_at(std::int32_t model, std::int64_t length);
  const std::string& speed_key(const char* kind, const CellParts& parts, std::int64_t length);

  const Sweep& sweep_;
  const PlanContext& context_;
  Resolver& resolver_;
  Plan& plan_;
  Diagnostics& diagnostics_;
  std::int64_t priority_ = 0;  // of the cell whose jobs are being added
  std::unordered_map<std::string, std::size_t> by_id_;
  std::map<std::pair<std::size_t, std::int32_t>, SpecTemplate> evaluation_specs_;
  std::map<std::pair<std::int32_t, std::int64_t>, ModelCost> costs_;
  std::map<std::tuple<char, std::int32_t, std::int64_t, std::int32_t>, std::string> speed_keys_;
};

}  // namespace mestre
