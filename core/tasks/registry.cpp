#include <array>

#include "core/tasks/perplexity/options.h"
#include "core/tasks/task.h"

namespace mestre {
namespace {

template <class T>
std::unique_ptr<TaskOptions> make() {
  return std::make_unique<T>();
}

constexpr std::array<TaskType, 1> kTypes = {{
    {.name = "perplexity",
     .doc = "perplexity on held-out text at several context lengths",
     .make = make<PerplexityOptions>},
}};

}  // namespace

std::span<const TaskType> task_types() {
  return kTypes;
}

const TaskType* find_task_type(std::string_view name) {
  for (const TaskType& type : kTypes)
    if (type.name == name) return &type;
  return nullptr;
}

std::vector<std::string> task_type_names(TaskKind kind) {
  std::vector<std::string> names;
  for (const TaskType& type : kTypes)
    if (type.kind == kind) names.emplace_back(type.name);
  return names;
}

}  // namespace mestre
