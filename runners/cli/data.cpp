// mestre data: prepare packs files into corpora, inspect looks into one.

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "analysis/table.h"
#include "core/base/diagnostics.h"
#include "core/base/error.h"
#include "core/base/options.h"
#include "core/base/units.h"
#include "core/data/packed.h"
#include "core/data/prepare.h"
#include "core/data/tokenizer.h"
#include "runners/cli/command.h"
#include "runners/cli/output.h"

namespace mestre {
namespace {

struct PrepareArguments {
  PrepareOptions options;
  bool json = false;
};

struct InspectArguments {
  std::string manifest;
  bool verify = false;
  std::int64_t head = 0;  // tokens of the excerpt
  bool json = false;
};

// One line that updates on a terminal; silent elsewhere, where packing takes less time than anybody looks.
class ProgressLine {
 public:
  void update(std::int64_t done, std::int64_t total) {
    const auto now = std::chrono::steady_clock::now();
    if (!is_terminal_ || now - shown_ < std::chrono::milliseconds(100)) return;
    shown_ = now;
    const double share = total > 0 ? 100.0 * static_cast<double>(done) / static_cast<double>(total) : 100;
    print_note("\rpacking {:3.0f} % of {} ", share, short_bytes(static_cast<double>(total)));
    std::fflush(stderr);
  }
  ~ProgressLine() {
    if (shown_.time_since_epoch().count() > 0) put_note("\r\x1b[K");
  }
  ProgressLine() = default;
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

 private:
  bool is_terminal_ = ::isatty(STDERR_FILENO) == 1;
  std::chrono::steady_clock::time_point shown_;
};

std::string manifest_path(const PrepareArguments& arguments, std::string_view split) {
  return fmt::format("{}/{}.manifest", arguments.options.name, split);
}

std::string split_json(const PrepareArguments& arguments, std::string_view split, const Manifest& manifest) {
  JsonObject object;
  object.text("manifest", manifest_path(arguments, split)).text("digest", manifest.identity.digest);
  object.number("documents", manifest.documents).number("tokens", manifest.tokens);
  return object.str();
}

std::string report_json(const PrepareArguments& arguments, const PrepareReport& report) {
  JsonObject object;
  object.boolean("up_to_date", report.up_to_date).number("source_bytes", report.source_bytes);
  object.number("empty", report.empty).number("unreadable", report.unreadable).number("with_nul", report.with_nul);
  object.raw("train", split_json(arguments, "train", report.train));
  object.raw("validation",
             report.validation ? split_json(arguments, "validation", *report.validation) : std::string("null"));
  return object.str();
}

void print_report(const PrepareArguments& arguments, const PrepareReport& report) {
  const std::int64_t documents = report.train.documents + (report.validation ? report.validation->documents : 0);
  print_out("{}: {} {} documents, {}, as {}\n", arguments.options.name,
            report.up_to_date ? "up to date, with" : "packed", with_thousands(documents),
            short_bytes(static_cast<double>(report.source_bytes)), arguments.options.tokenizer);
  Table table{.columns = {{.title = "split"}, {.title = "documents"}, {.title = "tokens"}, {.title = "digest"}}};
  table.add({"train", report.train.documents, report.train.tokens, report.train.identity.digest});
  if (report.validation)
    table.add(
        {"validation", report.validation->documents, report.validation->tokens, report.validation->identity.digest});
  put_out(to_text(table));
  if (report.up_to_date) return;
  print_out("in a sweep file:\n   [data]\n   train = \"{}\"\n", manifest_path(arguments, "train"));
  if (report.validation) print_out("   validation = \"{}\"\n", manifest_path(arguments, "validation"));
}

void print_warnings(const PrepareReport& report) {
  if (report.empty > 0) print_note("{} empty files were left out\n", with_thousands(report.empty));
  if (report.with_nul > 0)
    print_note("{} documents hold a zero byte, so are hardly text; --include leaves them out\n",
               with_thousands(report.with_nul));
  if (report.unreadable == 0) return;
  print_note("warning: {} files or folders could not be read and were left out{}\n", with_thousands(report.unreadable),
             report.skipped.empty() ? "" : ", such as");
  for (const SkippedSource& source : report.skipped) print_note("   '{}': {}\n", escaped(source.path), source.reason);
}

int run_prepare(PrepareArguments& arguments, const Globals& globals) {
  arguments.options.root = globals.data_root;
  PrepareReport report;
  {
    ProgressLine line;
    report = prepare(arguments.options, [&](std::int64_t done, std::int64_t total) { line.update(done, total); });
  }
  print_warnings(report);
  if (arguments.json)
    print_out("{}\n", report_json(arguments, report));
  else
    print_report(arguments, report);
  return kExitOk;
}

// As it was named, else below the data root, as sweep files name it.
fs::path find_manifest(const std::string& name, const Globals& globals) {
  const fs::path below = fs::path(globals.data_root) / name;
  return !fs::exists(name) && fs::exists(below) ? below : fs::path(name);
}

std::string excerpt(const PackedCorpus& corpus, std::int64_t count) {
  std::vector<std::int64_t> read(static_cast<std::size_t>(std::clamp<std::int64_t>(count, 0, corpus.tokens())));
  corpus.read(0, read);
  const std::vector<Token> tokens(read.begin(), read.end());
  // Data of a foreign tokenizer can be read and trained on; only their text is not known here.
  for (const TokenizerType& type : tokenizer_types())
    if (type.name == corpus.manifest().identity.tokenizer) return type.open("")->decode(tokens);
  return fmt::format("{}", fmt::join(tokens, " "));
}

void print_excerpt(std::string_view text) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    print_out("   | {}\n", escaped(line));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
  }
}

void print_facts(const fs::path& path, const PackedCorpus& corpus, bool verified) {
  const Manifest& manifest = corpus.manifest();
  print_out("{}\n", escaped(path.native()));
  print_out("   tokens     {}\n   documents  {}\n", with_thousands(manifest.tokens),
            with_thousands(manifest.documents));
  print_out("   tokenizer  {}, version {}, vocabulary {}\n", escaped(manifest.identity.tokenizer),
            manifest.identity.tokenizer_version, with_thousands(manifest.identity.vocabulary));
  print_out("   digest     {}{}\n", manifest.identity.digest,
            verified ? ", verified" : " (not compared with the data; --verify does)");
  for (const PackedFile& file : manifest.files)
    print_out("   file       {}, {}\n", escaped(file.path), short_bytes(static_cast<double>(file.bytes)));
}

int run_inspect(const InspectArguments& arguments, const Globals& globals) {
  const fs::path path = find_manifest(arguments.manifest, globals);
  const PackedCorpus corpus(path);
  if (arguments.verify) corpus.verify();
  if (arguments.json) {
    JsonObject object;
    object.raw("manifest", to_json(corpus.manifest()))
        .text("path", path.native())
        .boolean("verified", arguments.verify);
    if (arguments.head > 0) object.text("head", excerpt(corpus, arguments.head));
    print_out("{}\n", object.str());
    return kExitOk;
  }
  print_facts(path, corpus, arguments.verify);
  if (arguments.head > 0) print_excerpt(excerpt(corpus, arguments.head));
  return kExitOk;
}

void register_prepare(CLI::App& data, const Globals& globals, Action& chosen) {
  auto arguments = std::make_shared<PrepareArguments>();
  CLI::App* command = data.add_subcommand("prepare", "pack files into a corpus below the data root");
  command->add_option("NAME", arguments->options.name, "of the corpus: the folder that is made below the data root")
      ->required();
  command
      ->add_option("INPUT", arguments->options.inputs, "files, each a document, or folders to walk (no symbolic links)")
      ->required();
  command
      ->add_option("--include", arguments->options.include,
                   "in folders only names that match, such as '*.h'; with a '/' the path below the folder; repeatable")
      ->allow_extra_args(false);
  command
      ->add_option("--holdout", arguments->options.holdout,
                   "share of the documents that goes to NAME/validation.manifest, by the hash of their path")
      ->capture_default_str();
  command->add_option("--tokenizer", arguments->options.tokenizer, "NAME or NAME:MODEL-FILE")->capture_default_str();
  command->add_flag("--force", arguments->options.force, "replace other data of the same name");
  command->add_flag("--json", arguments->json, "for scripts");
  command->footer("Example: mestre data prepare headers /usr/include --include '*.h' --holdout 0.02");
  command->callback(
      [arguments, &globals, &chosen] { chosen = [arguments, &globals] { return run_prepare(*arguments, globals); }; });
}

void register_inspect(CLI::App& data, const Globals& globals, Action& chosen) {
  auto arguments = std::make_shared<InspectArguments>();
  CLI::App* command = data.add_subcommand("inspect", "what a packed corpus holds");
  command->add_option("MANIFEST", arguments->manifest, "its path, also relative to the data root")->required();
  command->add_flag("--verify", arguments->verify, "read all of it and compare the digests");
  command->add_option("--head", arguments->head, "show the text of so many tokens from its begin")
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--json", arguments->json, "for scripts");
  command->footer("Example: mestre data inspect headers/train.manifest --verify --head 200");
  command->callback(
      [arguments, &globals, &chosen] { chosen = [arguments, &globals] { return run_inspect(*arguments, globals); }; });
}

}  // namespace

void register_data(CLI::App& app, const Globals& globals, Action& chosen) {
  CLI::App* command = app.add_subcommand("data", "text into packed corpora, and a look into them");
  command->require_subcommand(1);
  command->footer("Example: mestre data prepare headers /usr/include --include '*.h' --holdout 0.02");
  register_prepare(*command, globals, chosen);
  register_inspect(*command, globals, chosen);
}

}  // namespace mestre
