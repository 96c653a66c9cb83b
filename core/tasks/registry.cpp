#include <array>

#include "core/tasks/entropy/options.h"
#include "core/tasks/generation/options.h"
#include "core/tasks/lambada/options.h"
#include "core/tasks/multiple_choice/options.h"
#include "core/tasks/passkey/options.h"
#include "core/tasks/perplexity/options.h"
#include "core/tasks/phonebook/options.h"
#include "core/tasks/sliding_perplexity/options.h"
#include "core/tasks/task.h"
#include "core/tasks/throughput/options.h"

namespace mestre {
namespace {

template <class T>
std::unique_ptr<TaskOptions> make() {
  return std::make_unique<T>();
}

template <const ChoiceBenchmark& kBenchmark>
constexpr TaskType choice() {
  return {.name = kBenchmark.name, .doc = kBenchmark.doc, .text = TaskText::kItems, .make = [] {
            return std::unique_ptr<TaskOptions>(std::make_unique<MultipleChoiceOptions>(kBenchmark));
          }};
}

template <const GenerationBenchmark& kBenchmark>
constexpr TaskType generation() {
  return {.name = kBenchmark.name, .doc = kBenchmark.doc, .text = TaskText::kItems, .gives_text = true, .make = [] {
            return std::unique_ptr<TaskOptions>(std::make_unique<GenerationOptions>(kBenchmark));
          }};
}

template <class T>
constexpr TaskType speed(std::string_view name, std::string_view doc) {
  return {.name = name,
          .doc = doc,
          .kind = TaskKind::kMeasurement,
          .needs_checkpoint = false,
          .text = TaskText::kNone,
          .make = make<T>};
}

constexpr auto kTypes = std::to_array<TaskType>({
    {.name = "perplexity",
     .doc = "perplexity on held-out text at several context lengths",
     .make = make<PerplexityOptions>},
    {.name = "sliding_perplexity",
     .doc = "perplexity of long text under a context that slides",
     .make = make<SlidingPerplexityOptions>},
    {.name = "passkey",
     .doc = "a number hidden in filler text, by length and depth",
     .text = TaskText::kNone,
     .gives_text = true,
     .make = make<PasskeyOptions>},
    {.name = "phonebook",
     .doc = "one number recalled from a list of names with numbers",
     .text = TaskText::kNone,
     .gives_text = true,
     .make = make<PhonebookOptions>},
    {.name = "lambada",
     .doc = "LAMBADA: the last word of a passage",
     .text = TaskText::kItems,
     .make = make<LambadaOptions>},
    choice<kArcEasy>(),
    choice<kArcChallenge>(),
    choice<kPiqa>(),
    choice<kWinogrande>(),
    choice<kSiqa>(),
    choice<kHellaswag>(),
    choice<kBoolq>(),
    choice<kOpenbookqa>(),
    choice<kMmlu>(),
    choice<kTruthfulqaMc1>(),
    choice<kTruthfulqaMc2>(),
    generation<kSquad>(),
    generation<kGsm8k>(),
    generation<kMbpp>(),
    generation<kHumaneval>(),
    generation<kGovreport>(),
    generation<kSquality>(),
    {.name = "entropy",
     .doc = "how widely each layer's attention and selection spread",
     .kind = TaskKind::kMeasurement,
     .make = make<EntropyOptions>},
    speed<TrainingThroughputOptions>("training_throughput", "tokens a second of whole optimizer steps"),
    speed<PromptThroughputOptions>("prompt_throughput", "tokens a second of reading prompts"),
    speed<DecodingThroughputOptions>("decoding_throughput", "tokens a second of writing, token by token"),
});

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
