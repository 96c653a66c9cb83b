#include "core/plan/plan.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include <fmt/format.h>

#include "core/base/units.h"
#include "core/plan/estimate.h"
#include "core/plan/grid.h"
#include "core/plan/resolver.h"
#include "core/spec/job.h"
#include "core/spec/sweep.h"

namespace mestre {
namespace {

constexpr int kEnoughErrors = 200;  // a grid whose every cell is wrong says the same thing often

// Every option that an axis sets is a seed.
bool replicates(const Axis& axis) {
  bool any = false;
  for (const AxisPoint& point : axis.points) {
    for (const Setting& setting : point.settings) {
      if (setting.dotted != "train.seed_init" && setting.dotted != "train.seed_data") return false;
      any = true;
    }
  }
  return any;
}

// Builds the plan of one sweep, cell by cell. What many cells share is computed once and kept here.
class Planner {
 public:
  Planner(const Sweep& sweep, int file, const PlanContext& context, Diagnostics& diagnostics)
      : sweep_(sweep),
        file_(file),
        context_(context),
        diagnostics_(diagnostics),
        resolver_(sweep, file, context, diagnostics) {}

  std::optional<Plan> run() {
    describe();
    if (!sweep_.axes_are_sound || !grid_fits()) return std::nullopt;
    std::vector<std::int64_t> hits;
    const Grid grid = expand(sweep_.axes, sweep_.exclusions, hits);
    check_conditions(grid, hits);
    plan_.cells.reserve(grid.count);
    plan_.jobs.reserve(grid.count * (1 + sweep_.evaluations.size()));
    jobs_by_id_.reserve(plan_.jobs.capacity());
    for (std::size_t i = 0; i < grid.count && diagnostics_.error_count() < kEnoughErrors; ++i) add_cell(grid[i]);
    check_budget();
    if (diagnostics_.has_errors()) return std::nullopt;
    return std::move(plan_);
  }

 private:
  void describe() {
    plan_.name = sweep_.options.name;
    plan_.question = sweep_.options.question;
    plan_.file = diagnostics_.file_name(file_);
    plan_.baseline = sweep_.baseline;
    for (const Axis& axis : sweep_.axes) {
      PlannedAxis planned{.name = axis.name, .labels = {}, .replicates = replicates(axis)};
      for (const AxisPoint& point : axis.points) planned.labels.push_back(point.label);
      plan_.axes.push_back(std::move(planned));
    }
  }

  // Before anything is expanded: a grid can have more cells than there is memory.
  bool grid_fits() {
    const std::int64_t cells = grid_size(sweep_.axes);
    const std::int64_t limit = sweep_.options.max_jobs;
    if (cells <= limit) return true;
    std::string sizes;
    for (const Axis& axis : sweep_.axes)
      sizes += fmt::format("{}{} {}", sizes.empty() ? "" : " x ", escaped(axis.name),
                           with_thousands(static_cast<std::int64_t>(axis.points.size())));
    const bool overflow = cells == std::numeric_limits<std::int64_t>::max();
    Position place = sweep_.axes.front().place;
    place.length = 0;
    diagnostics_.error(place,
                       fmt::format("the grid has {} cells, more than max_jobs = {}",
                                   overflow ? "more than 9.2e18" : with_thousands(cells), with_thousands(limit)),
                       {sizes, "raise sweep.max_jobs, or drop an axis"});
    return false;
  }

  void check_conditions(const Grid& grid, const std::vector<std::int64_t>& hits) {
    for (std::size_t i = 0; i < hits.size(); ++i)
      if (hits[i] == 0) complain_of_no_match(sweep_.exclusions[i].where, "[[exclude]]");
    if (grid.count == 0)
      return diagnostics_.error({.file = file_}, "every cell is excluded",
                                {"expected a cell that no [[exclude]] matches"});
    const auto check = [&](const Where& where, const std::string& owner) {
      if (where.conditions.empty()) return;
      for (std::size_t i = 0; i < grid.count; ++i)
        if (matches(where, grid[i])) return;
      complain_of_no_match(where, owner);
    };
    for (const Override& over : sweep_.overrides) check(over.where, "[[when]]");
    for (const EvaluationRequest& evaluation : sweep_.evaluations) check(evaluation.where, "[[evaluate]]");
    for (const Axis& axis : sweep_.axes) check(axis.where, "[[axis]]");
    check_overrides_apart(grid);
  }

  void complain_of_no_match(const Where& where, const std::string& owner) {
    if (!where.is_sound) return;
    diagnostics_.error(where.place, fmt::format("this where of {} matches no cell", owner),
                       {"expected labels that some cell has together; is the cell excluded already?"});
  }

  // Two overrides that set one option must not meet in a cell.
  void check_overrides_apart(const Grid& grid) {
    for (std::size_t i = 0; i < sweep_.overrides.size(); ++i) {
      for (std::size_t j = i + 1; j < sweep_.overrides.size(); ++j) {
        const Override& first = sweep_.overrides[i];
        const Override& second = sweep_.overrides[j];
        for (const Setting& setting : second.settings) {
          const auto same = std::find_if(first.settings.begin(), first.settings.end(),
                                         [&](const Setting& other) { return other.dotted == setting.dotted; });
          if (same == first.settings.end() || !meet(grid, first.where, second.where)) continue;
          diagnostics_.add({.severity = Severity::kError,
                            .where = setting.key_place(),
                            .message = fmt::format("two [[when]] set '{}' for one cell", setting.dotted),
                            .notes = {"expected conditions that no cell meets together"},
                            .also = {same->key_place()}});
        }
      }
    }
  }

  static bool meet(const Grid& grid, const Where& a, const Where& b) {
    for (std::size_t i = 0; i < grid.count; ++i)
      if (matches(a, grid[i]) && matches(b, grid[i])) return true;
    return false;
  }

  void add_cell(CellIndex index) {
    const CellParts parts = resolver_.resolve(index);
    if (!parts.sound()) {
      for (std::size_t e = 0; e < sweep_.evaluations.size(); ++e) (void)needs_validation(e, index, parts);
      return;
    }
    const ResolvedTrain& train = resolver_.train(parts.train);
    const ResolvedModel& model = resolver_.model(parts.model);
    const ResolvedData& data = resolver_.data(parts.data);
    const std::int64_t number = static_cast<std::int64_t>(plan_.cells.size());
    priority_ = repetition(index) * (std::int64_t{1} << 32) + number;

    PlannedCell cell;
    name_cell(index, cell);
    cell.options = fmt::format(R"({{"data":{},"model":{},"train":{}}})", data.train.json, model.json, train.json);
    const std::size_t training = add_training(parts);
    cell.jobs.push_back(training);
    for (std::size_t e = 0; e < sweep_.evaluations.size(); ++e) {
      if (!needs_validation(e, index, parts)) continue;
      const std::size_t job = add_evaluation(e, parts, training);
      if (std::find(cell.jobs.begin(), cell.jobs.end(), job) == cell.jobs.end()) cell.jobs.push_back(job);
    }
    plan_.cells.push_back(std::move(cell));
  }

  // Which repetition of its experiment a cell is: its index on the axes that vary seeds only.
  [[nodiscard]] std::int64_t repetition(CellIndex index) const {
    std::int64_t number = 0;
    for (std::size_t a = 0; a < index.size(); ++a)
      if (plan_.axes[a].replicates && index[a] >= 0)
        number = number * static_cast<std::int64_t>(plan_.axes[a].labels.size()) + index[a];
    return number;
  }

  void name_cell(CellIndex index, PlannedCell& cell) const {
    cell.labels.reserve(index.size());
    for (std::size_t a = 0; a < index.size(); ++a) {
      if (index[a] < 0) {
        cell.labels.emplace_back();
        continue;
      }
      const std::string& label = plan_.axes[a].labels[static_cast<std::size_t>(index[a])];
      cell.labels.push_back(label);
      if (!cell.name.empty()) cell.name += ',';
      cell.name.append(plan_.axes[a].name).append("=").append(label);
    }
    if (cell.name.empty()) cell.name = plan_.name;
  }

  // Index of the job with this spec; new where no cell wanted it before.
  std::pair<std::size_t, bool> find_or_add(std::string spec) {
    std::string id = job_id(spec);
    const auto [found, is_new] = jobs_by_id_.try_emplace(id, plan_.jobs.size());
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

  std::size_t add_training(const CellParts& parts) {
    const ResolvedTrain& train = resolver_.train(parts.train);
    const ResolvedModel& model = resolver_.model(parts.model);
    const ResolvedData& data = resolver_.data(parts.data);
    const LaunchOptions& launch = resolver_.launch(parts.launch).options;
    const auto [index, is_new] =
        find_or_add(canonical_train_spec(model.json, train.json, data.train.json, model.versions));
    if (!is_new) return index;
    check_length(data.train, train.options.sequence_length + 1, "a training block");
    PlannedJob& job = plan_.jobs[index];
    job.kind = job.name = "train";
    job.launch = launch;
    job.estimate = estimate_training(cost_at(parts.model, train.options.sequence_length), train.options, launch);
    job.speed_key = speed_key("train", parts, train.options.sequence_length);
    price(job.estimate, job.speed_key, launch, context_);
    plan_.data.emplace(data.train.identity.digest, data.train.path);
    return index;
  }

  // Whether the cell is to be evaluated by this; false too where it has no text for it, which is reported.
  bool needs_validation(std::size_t evaluation, CellIndex index, const CellParts& parts) {
    const EvaluationRequest& asked = sweep_.evaluations[evaluation];
    if (asked.options == nullptr || !matches(asked.where, index) || parts.data < 0) return false;
    if (resolver_.data(parts.data).validation) return true;
    diagnostics_.error(asked.place, fmt::format("evaluation '{}' has no text to read", escaped(asked.name)),
                       {"expected validation = \"….manifest\" in [data]"});
    return false;
  }

  std::size_t add_evaluation(std::size_t evaluation, const CellParts& parts, std::size_t training) {
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
    plan_.data.emplace(corpus.identity.digest, corpus.path);
    return index;
  }

  // All specs of one evaluation differ only in the id of the training: it is written into a copy of the first.
  std::string evaluation_spec(std::size_t evaluation, std::int32_t data, const std::string& training) {
    static const std::string kPlaceholder(32, '?');
    auto [found, is_new] = evaluation_specs_.try_emplace({evaluation, data});
    if (is_new) {
      found->second.text = canonical_evaluate_spec(kPlaceholder, *sweep_.evaluations[evaluation].options,
                                                   resolver_.data(data).validation->json);
      found->second.at = found->second.text.find(kPlaceholder);
    }
    std::string spec = found->second.text;
    spec.replace(found->second.at, kPlaceholder.size(), training);
    return spec;
  }

  void check_length(const PlannedCorpus& corpus, std::int64_t needed, const std::string& reader) {
    if (corpus.tokens >= needed) return;
    diagnostics_.error(
        corpus.place,
        fmt::format("'{}' has {} tokens, too few for {}", escaped(corpus.path), with_thousands(corpus.tokens), reader),
        {fmt::format("expected at least {}: one token more than the longest context", with_thousands(needed))});
  }

  const ModelCost& cost_at(std::int32_t model, std::int64_t length) {
    auto [found, is_new] = costs_.try_emplace({model, length});
    if (is_new) found->second = cost_of(resolver_.model(model).spec, length);
    return found->second;
  }

  const std::string& speed_key(const char* kind, const CellParts& parts, std::int64_t length) {
    auto [found, is_new] = speed_keys_.try_emplace({kind[0], parts.model, length, parts.launch});
    if (is_new)
      found->second =
          speed_key_of(kind, resolver_.model(parts.model).json, length, resolver_.launch(parts.launch).options);
    return found->second;
  }

  void check_budget() {
    if (sweep_.options.budget <= 0) return;
    double hours = 0;
    for (const PlannedJob& job : plan_.jobs)
      if (!job.finished) hours += job.estimate.seconds / 3600 * static_cast<double>(job.launch.gpus);
    if (hours <= sweep_.options.budget) return;
    const TomlEntry* header = sweep_.root->find("sweep");
    diagnostics_.error(header->value.find("budget")->value.where,
                       fmt::format("the sweep is estimated at {} GPU-hours, more than its budget of {}", rounded(hours),
                                   rounded(sweep_.options.budget)),
                       {"raise sweep.budget, or drop cells or tokens"});
  }

  struct EvaluationSpec {
    std::string text;
    std::size_t at = 0;
  };

  const Sweep& sweep_;
  int file_;
  const PlanContext& context_;
  Diagnostics& diagnostics_;
  Resolver resolver_;
  Plan plan_;
  std::int64_t priority_ = 0;
  std::unordered_map<std::string, std::size_t> jobs_by_id_;
  std::map<std::pair<std::size_t, std::int32_t>, EvaluationSpec> evaluation_specs_;
  std::map<std::pair<std::int32_t, std::int64_t>, ModelCost> costs_;
  std::map<std::tuple<char, std::int32_t, std::int64_t, std::int32_t>, std::string> speed_keys_;
};

}  // namespace

std::optional<Plan> plan_sweep(const std::string& file, const PlanContext& context, Diagnostics& diagnostics) {
  const int before = diagnostics.error_count();
  const int index = load_file(file, file, diagnostics);
  const std::optional<Sweep> sweep = read_sweep(index, diagnostics);
  if (!sweep) return std::nullopt;
  std::optional<Plan> plan = Planner(*sweep, index, context, diagnostics).run();
  if (diagnostics.error_count() > before) return std::nullopt;
  return plan;
}

}  // namespace mestre
