#include <algorithm>

#include <fmt/format.h>

#include "core/base/options.h"
#include "core/plan/plan.h"

namespace mestre {
namespace {

// One line for each axis, cell and job, so that two plans can be compared with any tool.
template <class T, class Write>
void append_list(std::string& out, std::string_view key, const std::vector<T>& values, Write write) {
  out += fmt::format(",\n\"{}\":[", key);
  const char* separator = "\n";
  for (const T& value : values) {
    out += separator;
    out += write(value);
    separator = ",\n";
  }
  out += "]";
}

template <class T, class Write>
std::string list_of(const std::vector<T>& values, Write write) {
  std::string text = "[";
  for (const T& value : values) {
    if (text.size() > 1) text += ',';
    text += write(value);
  }
  return text + "]";
}

std::string axis_json(const PlannedAxis& axis) {
  JsonObject object;
  object.text("name", axis.name)
      .raw("labels", list_of(axis.labels, json_string))
      .boolean("replicates", axis.replicates);
  return object.str();
}

std::string solution_json(const Solution& solution) {
  JsonObject object;
  object.text("option", solution.option)
      .number("value", solution.value)
      .text("quantity", solution.quantity)
      .boolean("of_baseline", solution.of_baseline)
      .number("target", solution.target)
      .number("reached", solution.reached)
      .number("residual", solution.residual)
      .number("tolerance", solution.tolerance);
  return object.str();
}

std::string cell_json(const Plan& plan, const PlannedCell& cell) {
  JsonObject labels;
  for (std::size_t a = 0; a < cell.labels.size(); ++a)
    if (!cell.labels[a].empty()) labels.text(plan.axes[a].name, cell.labels[a]);
  JsonObject object;
  object.text("name", cell.name).raw("labels", labels.str());
  object.raw("jobs", list_of(cell.jobs, [&](std::size_t job) { return json_string(plan.jobs[job].id); }));
  if (cell.solution >= 0) object.raw("solved", solution_json(plan.solutions[static_cast<std::size_t>(cell.solution)]));
  if (cell.marks >= 0) object.raw("marks", list_of(plan.marks[static_cast<std::size_t>(cell.marks)], json_string));
  return object.str();
}

std::string job_json(const Plan& plan, const PlannedJob& job) {
  JsonObject object;
  object.text("id", job.id).text("kind", job.kind).text("name", job.name).raw("spec", job.spec);
  object.raw("needs", list_of(job.needs, [&](std::size_t other) { return json_string(plan.jobs[other].id); }));
  object.raw("launch", canonical_json(static_cast<const Options&>(job.launch)))
      .raw("estimate", estimate_json(job.estimate));
  object.text("speed_key", job.speed_key).number("priority", job.priority).text("data", job.data);
  object.boolean("finished", job.finished).boolean("provisional", job.provisional);
  return object.str();
}

std::string missing_json(const MissingData& missing) {
  JsonObject object;
  return object.text("path", missing.path).text("place", missing.place).text("remedy", missing.remedy).str();
}

std::string mixtures_json(const Plan& plan) {
  JsonObject mixtures;
  for (const auto& [path, components] : plan.mixtures)
    mixtures.raw(
        path, list_of(components, [](const PlannedComponent& one) {
          JsonObject object;
          return object.text("path", one.path).number("share", one.share).number("times_read", one.times_read).str();
        }));
  return mixtures.str();
}

std::string totals_json(const Plan& plan) {
  std::int64_t finished = 0;
  double seconds = 0;
  double gpu_hours = 0;
  double gpu_hours_low = 0;
  double gpu_hours_high = 0;
  double flops = 0;
  double disk = 0;
  for (const PlannedJob& job : plan.jobs) {
    finished += job.finished ? 1 : 0;
    if (job.finished) continue;
    seconds += job.estimate.seconds;
    const double gpu_hours_a_second = static_cast<double>(job.launch.gpus) / 3600;
    gpu_hours += job.estimate.seconds * gpu_hours_a_second;
    gpu_hours_low += job.estimate.seconds_low * gpu_hours_a_second;
    gpu_hours_high += job.estimate.seconds_high * gpu_hours_a_second;
    flops += job.estimate.flops;
    disk += job.estimate.disk_bytes;
  }
  JsonObject object;
  object.number("cells", static_cast<std::int64_t>(plan.cells.size()))
      .number("jobs", static_cast<std::int64_t>(plan.jobs.size()));
  object.number("jobs_finished", finished).number("seconds_left", seconds).number("gpu_hours_left", gpu_hours);
  object.number("gpu_hours_left_low", gpu_hours_low).number("gpu_hours_left_high", gpu_hours_high);
  object.number("flops_left", flops).number("disk_bytes_left", disk);
  return object.str();
}

}  // namespace

std::string plan_json(const Plan& plan) {
  JsonObject baseline;
  for (const auto& [axis, label] : plan.baseline) baseline.text(axis, label);
  JsonObject data;
  for (const auto& [digest, path] : plan.data) data.text(digest, path);
  std::string out = fmt::format(
      "{{\"format\":1,\n\"name\":{},\n\"question\":{},\n\"file\":{},\n\"baseline\":{},\n\"data\":{},\n\"totals\":{}",
      json_string(plan.name), json_string(plan.question), json_string(plan.file), baseline.str(), data.str(),
      totals_json(plan));
  out += fmt::format(",\n\"slurm\":{},\n\"worker\":{}", canonical_json(plan.slurm),
                     list_of(plan.worker_command, json_string));
  if (!plan.mixtures.empty()) out += fmt::format(",\n\"mixtures\":{}", mixtures_json(plan));
  append_list(out, "missing", plan.missing, missing_json);
  append_list(out, "axes", plan.axes, axis_json);
  append_list(out, "cells", plan.cells, [&](const PlannedCell& cell) { return cell_json(plan, cell); });
  append_list(out, "jobs", plan.jobs, [&](const PlannedJob& job) { return job_json(plan, job); });
  return out + "}\n";
}

}  // namespace mestre
