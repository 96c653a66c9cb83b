// mestre data import, export: corpora in TinyLlama's packed format.

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/options.h"
#include "core/base/units.h"
#include "core/data/packed.h"
#include "core/data/tinyllama.h"
#include "runners/cli/data.h"
#include "runners/cli/output.h"

namespace mestre {
namespace {

struct ExportArguments {
  std::string manifest;
  std::string folder;
  std::string prefix = "train";
  std::int64_t chunk = kTinyLlamaChunk;
  bool json = false;
};

struct ImportArguments {
  TinyLlamaImport options;
  bool json = false;
};

int run_export(const ExportArguments& arguments, const Globals& globals) {
  const PackedCorpus corpus(find_manifest(arguments.manifest, globals));
  const TinyLlamaExport report = export_tinyllama(corpus, arguments.folder, arguments.prefix, arguments.chunk);
  if (arguments.json) {
    JsonObject object;
    object.number("files", report.files).number("tokens", report.tokens).number("filling", report.filling);
    print_out("{}\n", object.str());
    return kExitOk;
  }
  print_out("{}: {} tokens in {} files, and {} behind them to fill up the last\n", arguments.folder,
            with_thousands(report.tokens), with_thousands(report.files), with_thousands(report.filling));
  return kExitOk;
}

int run_import(ImportArguments& arguments, const Globals& globals) {
  arguments.options.root = globals.data_root;
  const Manifest manifest = import_tinyllama(arguments.options);
  if (arguments.json) {
    print_out("{}\n", to_json(manifest));
    return kExitOk;
  }
  print_out("{}: imported {} documents, {} tokens, digest {}\n", arguments.options.name,
            with_thousands(manifest.documents), with_thousands(manifest.tokens), manifest.identity.digest);
  print_out("in a sweep file:\n   [data]\n   train = \"{}/train.manifest\"\n", arguments.options.name);
  return kExitOk;
}

}  // namespace

void register_data_export(CLI::App& data, const Globals& globals, Action& chosen) {
  auto arguments = std::make_shared<ExportArguments>();
  CLI::App* command = data.add_subcommand("export", "write a corpus as TinyLlama's packed files");
  command->add_option("MANIFEST", arguments->manifest, "its path, also relative to the data root")->required();
  command->add_option("FOLDER", arguments->folder, "that is made")->required();
  command->add_option("--prefix", arguments->prefix, "of the files: PREFIX_0000000000.bin and so on")
      ->capture_default_str();
  command->add_option("--chunk", arguments->chunk, "tokens of each file")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_flag("--json", arguments->json, "for scripts");
  command->footer("Example: mestre data export headers/train.manifest headers-packed");
  command->callback(
      [arguments, &globals, &chosen] { chosen = [arguments, &globals] { return run_export(*arguments, globals); }; });
}

void register_data_import(CLI::App& data, const Globals& globals, Action& chosen) {
  auto arguments = std::make_shared<ImportArguments>();
  CLI::App* command = data.add_subcommand("import", "make a corpus of TinyLlama's packed files");
  command->add_option("NAME", arguments->options.name, "of the corpus: the folder that is made below the data root")
      ->required();
  command->add_option("INPUT", arguments->options.inputs, "packed files in order, or folders with their *.bin by name")
      ->required();
  command
      ->add_option("--tokenizer", arguments->options.tokenizer,
                   "whose tokens they are: bytes, or sentencepiece:MODEL-FILE")
      ->required();
  command->add_flag("--force", arguments->options.force, "replace other data of the same name");
  command->add_flag("--json", arguments->json, "for scripts");
  command->footer("Example: mestre data import slimpajama packed/ --tokenizer sentencepiece:tokenizer.model");
  command->callback(
      [arguments, &globals, &chosen] { chosen = [arguments, &globals] { return run_import(*arguments, globals); }; });
}

}  // namespace mestre
