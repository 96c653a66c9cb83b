// mestre data prepare: packs files into a corpus.

#include <unistd.h>

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
#include "core/data/prepare.h"
#include "runners/cli/data.h"
#include "runners/cli/output.h"

namespace mestre {
namespace {

struct PrepareArguments {
  PrepareOptions options;
  bool json = false;
};

// One line that updates on a terminal, one line a minute elsewhere.
class ProgressLine {
 public:
  void update(const PackProgress& progress) {
    const auto now = Clock::now();
    if (now - shown_ < (is_terminal_ ? std::chrono::milliseconds(100) : std::chrono::minutes(1))) return;
    shown_ = now;
    if (first_done_ < 0) first_done_ = progress.done;  // what an earlier attempt packed took no time
    const std::string text = line(progress, std::chrono::duration<double>(now - begun_).count());
    if (is_terminal_)
      put_note("\r" + text + "\x1b[K");
    else
      put_note(text + "\n");
    is_drawn_ = is_terminal_;
    std::fflush(stderr);
  }
  ~ProgressLine() {
    if (is_drawn_) put_note("\r\x1b[K");
  }
  ProgressLine() = default;
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] std::string line(const PackProgress& progress, double seconds) const {
    const auto done = static_cast<double>(progress.done), total = static_cast<double>(progress.total);
    std::string text = fmt::format("packing {:3.0f} % of {}", total > 0 ? 100 * done / total : 100, short_bytes(total));
    const double fresh = done - static_cast<double>(first_done_);
    if (seconds < 1 || fresh <= 0) return text;
    text += fmt::format(", {} of text a second", short_bytes(static_cast<double>(progress.text) / seconds));
    return text + fmt::format(", {} left", short_duration((total - done) / fresh * seconds));
  }

  bool is_terminal_ = ::isatty(STDERR_FILENO) == 1;
  bool is_drawn_ = false;
  std::int64_t first_done_ = -1;
  Clock::time_point begun_ = Clock::now();
  Clock::time_point shown_ = is_terminal_ ? Clock::time_point() : begun_;
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
  for (const auto& [name, member] : kTallyMembers) object.number(name, report.tally.*member);
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

void print_examples(std::string_view count, const std::vector<SkippedSource>& examples) {
  print_note("warning: {}{}\n", count, examples.empty() ? "" : ", such as");
  for (const SkippedSource& each : examples) print_note("   '{}': {}\n", escaped(each.path), escaped(each.reason));
}

void print_warnings(const PrepareReport& report) {
  const PackTally& tally = report.tally;
  if (report.carried_on > 0)
    print_note("carried on from {} of text that an earlier run had packed\n",
               short_bytes(static_cast<double>(report.carried_on)));
  if (tally.empty > 0) print_note("{} empty documents were left out\n", with_thousands(tally.empty));
  if (tally.with_nul > 0)
    print_note("{} documents hold a zero byte, so are hardly text; --include leaves files out\n",
               with_thousands(tally.with_nul));
  if (tally.invalid_utf8 > 0) print_note("{} documents are not UTF-8\n", with_thousands(tally.invalid_utf8));
  if (tally.bad_lines > 0)
    print_examples(with_thousands(tally.bad_lines) + " lines could not be read and were left out", report.bad);
  if (tally.unreadable + tally.torn > 0)
    print_examples(with_thousands(tally.unreadable + tally.torn) +
                       " files or folders could not be read, or not to their end, and the rest was left out",
                   report.skipped);
}

int run_prepare(PrepareArguments& arguments, const Globals& globals) {
  arguments.options.root = globals.data_root;
  PrepareReport report;
  {
    ProgressLine line;
    report = prepare(arguments.options, [&](const PackProgress& progress) { line.update(progress); });
  }
  print_warnings(report);
  if (arguments.json)
    print_out("{}\n", report_json(arguments, report));
  else
    print_report(arguments, report);
  return kExitOk;
}

}  // namespace

void register_data_prepare(CLI::App& data, const Globals& globals, Action& chosen) {
  auto arguments = std::make_shared<PrepareArguments>();
  CLI::App* command = data.add_subcommand("prepare", "pack files into a corpus below the data root");
  command->add_option("NAME", arguments->options.name, "of the corpus: the folder that is made below the data root")
      ->required();
  command
      ->add_option(
          "INPUT", arguments->options.inputs,
          "files, or folders to walk (no symbolic links); a file is a document, or in .jsonl each line; also as .zst")
      ->required();
  command
      ->add_option("--include", arguments->options.include,
                   "in folders only names that match, such as '*.h'; with a '/' the path below the folder; repeatable")
      ->allow_extra_args(false);
  command
      ->add_option("--holdout", arguments->options.holdout,
                   "share of the documents that goes to NAME/validation.manifest, by the hash of their path (and line)")
      ->capture_default_str();
  command->add_option("--tokenizer", arguments->options.tokenizer, "bytes, or sentencepiece:MODEL-FILE")
      ->capture_default_str();
  command->add_option("--text-key", arguments->options.text_key, "the member of a line of .jsonl that holds its text")
      ->capture_default_str();
  command->add_option("--threads", arguments->options.pace.threads, "that encode; 0: one for each core")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_flag("--force", arguments->options.force, "replace other data of the same name");
  command->add_flag("--json", arguments->json, "for scripts");
  command->footer("Example: mestre data prepare headers /usr/include --include '*.h' --holdout 0.02");
  command->callback(
      [arguments, &globals, &chosen] { chosen = [arguments, &globals] { return run_prepare(*arguments, globals); }; });
}

}  // namespace mestre
