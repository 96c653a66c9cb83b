// mestre catalog: what a sweep can be made of, from the descriptions that the options give of themselves.

#include <array>
#include <cmath>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "analysis/table.h"
#include "core/base/error.h"
#include "core/base/units.h"
#include "core/data/tokenizer.h"
#include "core/mixers/registry.h"
#include "core/spec/model_reader.h"
#include "core/spec/option_schema.h"
#include "core/spec/sweep.h"
#include "core/spec/train.h"
#include "core/tasks/task.h"
#include "runners/cli/command.h"
#include "runners/cli/output.h"

namespace mestre {
namespace {

constexpr std::array<const char*, 6> kKinds = {"models", "mixers", "tasks", "measurements", "sections", "commands"};

struct CatalogArguments {
  std::string kind;         // empty: all
  std::string models;       // empty: where model.use looks first
  std::int64_t length = 0;  // 0: each model's own
  bool json = false;
};

// Something with options: a mixer, a task, a section of a sweep file.
struct Described {
  std::string name;
  std::string doc;
  OptionSchema schema;
};

std::vector<Described> describe_mixers() {
  std::vector<Described> all;
  for (const MixerType& type : mixer_types())
    all.push_back({std::string(type.name), std::string(type.doc), OptionSchema(*type.make())});
  return all;
}

std::vector<Described> describe_tasks(TaskKind kind) {
  std::vector<Described> all;
  for (const TaskType& type : task_types())
    if (type.kind == kind) all.push_back({std::string(type.name), std::string(type.doc), OptionSchema(*type.make())});
  return all;
}

std::vector<Described> describe_sections() {
  SweepOptions sweep;
  TrainSettings train;
  DataOptions data;
  ModelOptions model;
  LaunchOptions resources;
  SlurmOptions slurm;
  WorkerOptions worker;
  return {{"sweep", "the sweep itself", OptionSchema(sweep)},
          {"train", "how a cell is trained; part of a job's identity", OptionSchema(train)},
          {"data", "where the text comes from; it enters the identity by its digest", OptionSchema(data)},
          {"model",
           "the model around its mixers, or use = \"NAME\" of a file below models/; [model.blocks] replaces layers of "
           "single blocks",
           OptionSchema(model)},
          {"resources", "what a job is given; changes no result", OptionSchema(resources)},
          {"slurm", "what sbatch is told besides; changes no result", OptionSchema(slurm)},
          {"worker", "a program of the sweep's own in the place of mestre-worker", OptionSchema(worker)}};
}

std::string finite_or_null(double number) {
  return std::isfinite(number) ? shortest(number) : "null";
}

std::string field_json(const OptionField& field) {
  std::string choices = "[";
  for (const std::string_view choice : field.field.choices) {
    if (choices.size() > 1) choices += ',';
    append_json_string(choices, choice);
  }
  JsonObject object;
  object.text("name", field.field.name)
      .text("type", field.type())
      .text("doc", field.field.doc)
      .text("unit", symbol_of(field.field.unit));
  object.boolean("required", field.field.required).raw("default", field.field.required ? "null" : field.default_json());
  object.raw("min", finite_or_null(field.field.min))
      .raw("max", finite_or_null(field.field.max))
      .raw("choices", choices + "]");
  return object.str();
}

void print_described_json(const std::vector<Described>& all) {
  std::string out = "[";
  for (const Described& one : all) {
    std::string options = "[";
    for (const OptionField& field : one.schema.fields())
      options += (options.size() > 1 ? ",\n   " : "\n   ") + field_json(field);
    JsonObject object;
    object.text("name", one.name).text("doc", one.doc).raw("options", options + "]");
    out += (out.size() > 1 ? ",\n " : "\n ") + object.str();
  }
  print_out("{}\n]\n", out);
}

void print_described(const std::vector<Described>& all) {
  const char* separator = "";
  for (const Described& one : all) {
    Table table{.columns = {{.title = "option"},
                            {.title = "type"},
                            {.title = "default", .align = Align::kLeft},
                            {.title = "allowed"},
                            {.title = "what it is"}}};
    for (const OptionField& field : one.schema.fields())
      table.add({field.field.name, field.type(), field.field.required ? std::string("required") : field.default_json(),
                 field.range(), field.field.doc});
    print_out("{}{}: {}\n{}", separator, one.name, one.doc, to_text(table, 140));
    separator = "\n";
  }
}

// Where a sweep in experiments/ of the working directory, or in that itself, looks first; empty: nowhere.
fs::path folder_of_models(const CatalogArguments& arguments) {
  if (!arguments.models.empty()) return arguments.models;
  std::error_code ignored;
  const std::vector<fs::path> folders = model_folders(fs::is_directory("experiments", ignored) ? "experiments" : "");
  return folders.empty() ? fs::path() : folders.front();
}

int show_models(const CatalogArguments& arguments) {
  const fs::path folder = folder_of_models(arguments);
  if (!fs::is_directory(folder))
    throw Error(ErrorCode::kNotFound, folder.empty() ? std::string("no folder 'models' here or above")
                                                     : fmt::format("no folder '{}'", escaped(folder.native())))
        .hint("expected a folder of model files; --models names it");
  Diagnostics diagnostics;
  const std::int64_t vocabulary = open_tokenizer("bytes")->identity().vocabulary;  // where a model leaves it open
  const std::vector<ListedModel> models = list_models(folder, vocabulary, diagnostics);
  if (diagnostics.has_errors()) {
    put_note(diagnostics.render());
    return kExitBadInput;
  }
  Table table{
      .columns = {{.title = "model", .key = "name"},
                  {.title = "parameters", .key = "parameters", .show = arguments.json ? Show::kExact : Show::kCount},
                  {.title = "without emb.",
                   .key = "parameters_without_embeddings",
                   .show = arguments.json ? Show::kExact : Show::kCount},
                  {.title = "forward", .unit = "FLOP/token", .key = "flops_per_token_forward", .show = Show::kCount},
                  {.title = "training", .unit = "FLOP/token", .key = "flops_per_token_training", .show = Show::kCount},
                  {.title = "at length", .unit = "tokens", .key = "sequence_length", .show = Show::kExact}}};
  for (const ListedModel& model : models) {
    const std::int64_t length = arguments.length > 0 ? arguments.length : model.sequence_length;
    const double forward = model.spec.forward_flops(length);
    table.add({model.name, model.spec.parameters(), model.spec.parameters_without_embeddings(), forward, 3 * forward,
               length});
  }
  put_out(arguments.json ? to_json(table) : to_text(table));
  return kExitOk;
}

int show_commands(const CLI::App& app, bool json) {
  Table table{.columns = {{.title = "command", .key = "name"}, {.title = "what it does", .key = "doc"}}};
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    table.add({command->get_name(), command->get_description()});
  put_out(json ? to_json(table) : to_text(table));
  return kExitOk;
}

int show_kind(const CatalogArguments& arguments, const CLI::App& app) {
  if (arguments.kind == "models") return show_models(arguments);
  if (arguments.kind == "commands") return show_commands(app, arguments.json);
  const std::vector<Described> all = arguments.kind == "mixers"         ? describe_mixers()
                                     : arguments.kind == "tasks"        ? describe_tasks(TaskKind::kEvaluation)
                                     : arguments.kind == "measurements" ? describe_tasks(TaskKind::kMeasurement)
                                                                        : describe_sections();
  if (arguments.json) {
    print_described_json(all);
  } else {
    print_described(all);
  }
  return kExitOk;
}

// One kind below the other; in JSON an object with a member for each. Models are shown where there are any.
int show_all(CatalogArguments arguments, const CLI::App& app) {
  std::string_view before = arguments.json ? "{" : "";
  for (const char* kind : kKinds) {
    arguments.kind = kind;
    if (arguments.kind == "models" && !fs::is_directory(folder_of_models(arguments))) continue;
    put_out(before);
    if (arguments.json) print_out("\"{}\":", kind);
    if (const int status = show_kind(arguments, app); status != kExitOk) return status;
    before = arguments.json ? "," : "\n";
  }
  put_out(arguments.json ? "}\n" : "");
  return kExitOk;
}

int run(const CatalogArguments& arguments, const CLI::App& app) {
  return arguments.kind.empty() ? show_all(arguments, app) : show_kind(arguments, app);
}

}  // namespace

void register_catalog(CLI::App& app, const Globals&, Action& chosen) {
  auto arguments = std::make_shared<CatalogArguments>();
  CLI::App* command =
      app.add_subcommand("catalog", "what a sweep can be made of: options with types, defaults and ranges");
  command->add_option("KIND", arguments->kind, fmt::format("{}; default: all", fmt::join(kKinds, ", ")))
      ->check(CLI::IsMember(std::vector<std::string>(kKinds.begin(), kKinds.end())));
  command->add_option("--models", arguments->models,
                      "folder of model files; default: models/ in experiments/, here, or above, the nearest");
  command
      ->add_option("--length", arguments->length,
                   "tokens of context at which FLOPs are counted; default: each model's own")
      ->check(CLI::Range(1, 1 << 26));
  command->add_flag("--json", arguments->json, "for scripts");
  command->footer("Example: mestre catalog mixers");
  command->callback([arguments, &app, &chosen] { chosen = [arguments, &app] { return run(*arguments, app); }; });
}

}  // namespace mestre
