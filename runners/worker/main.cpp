// mestre-worker: carries out one attempt of one job. Started by a runner; what it keeps to is in worker_contract.md.
// Beside that, two commands for people who bring or take models.

#include <cstdio>
#include <map>
#include <string>

#include <CLI/CLI.hpp>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include "core/base/build_info.h"
#include "core/base/error.h"
#include "core/spec/model_config.h"
#include "runners/worker/catalog.h"
#include "runners/worker/export.h"
#include "runners/worker/forward.h"
#include "runners/worker/run.h"

namespace {

constexpr const char* kRunExample =
    "example:\n"
    "  mestre-worker run mestre-work/jobs/3f/3f0c…  --token 8d1e…\n"
    "  carries out the next attempt of that job, if launch.json in its folder holds the token;\n"
    "  the journal, the log and the checkpoints are in attempt-N beside it";

constexpr const char* kForwardExample =
    "FOLDER holds config.json and *.safetensors, as Hugging Face's library writes them (llama, mistral, mamba) or\n"
    "`mestre-worker export` does; or it is a checkpoint of a training, or a training's job folder.\n"
    "\n"
    "OUTPUT gets logits [B, L, V], loss [], hidden.<i> [B, L, d], and what the options add: grad.<tensor>;\n"
    "attention_entropy, attention_entropy_per_head, selection_entropy, delta_mean, delta.<i>; greedy [B, N].\n"
    "It is float32, or float64 where that was asked; bfloat16 is the type of products alone, as in training.\n"
    "\n"
    "example:\n"
    "  mestre-worker forward Mistral-7B ids.safetensors ours.safetensors --dtype float64 --gradients --entropy\n"
    "  compares a conversion: the same tensors from another implementation should differ by rounding alone";

constexpr const char* kExportExample =
    "FOLDER is as in `mestre-worker forward --help`. OUT-FOLDER, which must not exist, gets config.json and\n"
    "model.safetensors with the same values under the names of the layout:\n"
    "  huggingface  llama, mistral (window attention) or mamba\n"
    "  study        the public code of the Samba study\n"
    "  mestre       our own names, for every model\n"
    "\n"
    "example:\n"
    "  mestre-worker export mestre-work/jobs/3f/3f0c… my-model --layout huggingface\n"
    "  python -c 'from transformers import AutoModelForCausalLM as M; M.from_pretrained(\"my-model\")'";

struct Commands {
  CLI::App app{"Carries out one attempt of one job: trains or evaluates, as its job.json says.", "mestre-worker"};
  bool catalog = false;
  CLI::App *run = nullptr, *forward = nullptr, *export_model = nullptr;
  std::string job_folder, token;
  mestre::ForwardRequest forward_request;
  mestre::ExportRequest export_request;

  Commands() {
    app.footer(kRunExample);
    app.set_version_flag(
        "--version", std::string(mestre::build_info().version) + " (" + std::string(mestre::build_info().commit) + ")");
    app.add_flag("--catalog", catalog, "print as JSON what this build can do, and in which versions");
    add_run();
    add_forward();
    add_export();
  }

 private:
  void add_run() {
    run = app.add_subcommand("run", "one attempt of the job in a folder");
    run->footer(kRunExample);
    run->add_option("JOB-FOLDER", job_folder, "the folder that holds job.json and launch.json")->required();
    run->add_option("--token", token, "of the submission that started this worker")->required();
  }

  void add_forward() {
    mestre::ForwardRequest& request = forward_request;
    forward = app.add_subcommand("forward", "what a model on disk computes for given tokens, to check a conversion");
    forward->footer(kForwardExample);
    forward->add_option("FOLDER", request.folder, "the model")->required();
    forward->add_option("INPUT", request.input, "safetensors file with input_ids [B, L], int64")->required();
    forward->add_option("OUTPUT", request.output, "safetensors file to write")->required();
    const std::map<std::string, at::ScalarType> types = {
        {"float32", at::kFloat}, {"float64", at::kDouble}, {"bfloat16", at::kBFloat16}};
    forward->add_option("--dtype", request.type, "float32 (default), float64 or bfloat16")
        ->transform(CLI::Transformer(types))
        ->type_name("TYPE");
    forward->add_flag("--gradients", request.gradients, "the loss's gradient in each tensor of the checkpoint");
    forward->add_flag("--entropy", request.entropy, "entropies of attention and of Mamba's selection, layer by layer");
    forward->add_option("--greedy", request.greedy, "continue each row's prompt by N tokens, the likeliest each")
        ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 20))
        ->type_name("N");
    forward
        ->add_option("--prompt", request.prompt,
                     "tokens of each row that --greedy continues and --entropy leaves out (default 8)")
        ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40))
        ->type_name("P");
  }

  void add_export() {
    export_model = app.add_subcommand("export", "write a model in another layout");
    export_model->footer(kExportExample);
    export_model->add_option("FOLDER", export_request.folder, "the model")->required();
    export_model->add_option("OUT-FOLDER", export_request.output, "the folder to make")->required();
    export_model->add_option("--layout", export_request.layout, "huggingface, study or mestre")
        ->required()
        ->check(CLI::IsMember(mestre::layout_names()))
        ->type_name("LAYOUT");
  }
};

int run(int argc, char** argv) {
  Commands commands;
  try {
    commands.app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    return commands.app.exit(problem) == 0 ? mestre::kExitOk : mestre::kExitBadInput;
  }
  if (commands.catalog) {
    fmt::print("{}\n", mestre::catalog_json());
    return mestre::kExitOk;
  }
  if (commands.run->parsed()) return mestre::run_attempt(commands.job_folder, commands.token);
  if (commands.forward->parsed()) {
    mestre::run_forward(commands.forward_request);
    return mestre::kExitOk;
  }
  if (commands.export_model->parsed()) {
    mestre::run_export(commands.export_request);
    return mestre::kExitOk;
  }
  fmt::print(stderr, "{}", commands.app.help());
  return mestre::kExitBadInput;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const mestre::Error& error) {
    fmt::print(stderr, "{}", mestre::render(error));
    return mestre::exit_status_of(error.code());
  } catch (const c10::Error& error) {
    fmt::print(stderr, "error: {}\n", error.what_without_backtrace());
    return mestre::kExitBug;
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return mestre::kExitBug;
  }
}
