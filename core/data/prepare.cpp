#include "core/data/prepare.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "core/base/diagnostics.h"
#include "core/base/error.h"
#include "core/base/options.h"
#include "core/data/corpus_folder.h"
#include "core/data/prepare_stamp.h"
#include "core/data/publish.h"
#include "core/data/tokenizer.h"

namespace mestre {
namespace {

void check_options(const PrepareOptions& options) {
  if (options.inputs.empty())
    throw Error(ErrorCode::kBadInput, "there is nothing to prepare").hint("name files or folders");
  if (!(options.holdout >= 0 && options.holdout < 1))
    throw Error(ErrorCode::kBadInput, fmt::format("a holdout of {} is no share of the documents", options.holdout))
        .hint("expected a number from 0 to below 1, such as 0.02");
  check_corpus_name(options.name);
}

// What decides the result besides the sources' contents.
std::string command_of(const PrepareOptions& options, const SourceList& sources, const DataIdentity& tokenizer) {
  const auto list = [](const auto& items, const auto& text) {
    std::string json = "[";
    for (const auto& item : items) {
      if (json.size() > 1) json += ',';
      append_json_string(json, text(item));
    }
    return json + "]";
  };
  JsonObject object;
  object.raw("include", list(options.include, [](const std::string& glob) { return glob; }));
  object.raw("inputs", list(options.inputs, [](const fs::path& input) { return fs::canonical(input).native(); }));
  object.number("holdout", options.holdout).number("order_version", static_cast<std::int64_t>(kDocumentOrderVersion));
  object.text("tokenizer", tokenizer.tokenizer);
  // Left out where it decides nothing, so that corpora of plain files stay those of the same command.
  const auto is_plain = [](const SourceFile& file) { return !file.has_lines && !file.is_compressed; };
  if (!std::all_of(sources.files.begin(), sources.files.end(), is_plain)) object.text("text_key", options.text_key);
  object.number("tokenizer_version", static_cast<std::int64_t>(tokenizer.tokenizer_version));
  return object.str();
}

Error empty_split(std::string_view split, const PrepareOptions& options, std::int64_t documents) {
  if (documents == 0) {
    Error error(ErrorCode::kBadInput, "no document was found");
    error.hint("empty files, names that begin with a dot and symbolic links are passed over");
    if (!options.include.empty())
      error.hint(fmt::format("only names that match {} were taken", fmt::join(options.include, ", ")));
    return error;
  }
  return Error(ErrorCode::kBadInput, fmt::format("the {} split would be empty: a holdout of {} of {} documents", split,
                                                 options.holdout, documents))
      .hint("choose another --holdout, or give more documents");
}

// Writes both splits into `folder` and tells of it in `report`.
void pack_all(const PrepareOptions& options, const SourceList& list, const Tokenizer& tokenizer,
              const PrepareStamp& stamp, const fs::path& folder, PrepareReport& report,
              const PrepareProgress& progress) {
  const PackSettings settings{.text_key = options.text_key, .holdout = options.holdout, .pace = options.pace};
  SourcePacker packer(list, tokenizer, settings, stamp, folder);
  report.carried_on = packer.state().tally.text_bytes;
  packer.run(progress);
  add(report.tally, packer.state().tally);
  add(report.skipped, packer.state().skipped);
  add(report.bad, packer.state().bad);

  const std::int64_t documents = packer.train_documents() + packer.validation_documents();
  if (documents == 0) {
    Error error = empty_split("training", options, documents);
    for (const auto* examples : {&report.bad, &report.skipped})
      for (const SkippedSource& each : *examples) error.hint(fmt::format("'{}': {}", escaped(each.path), each.reason));
    throw error;
  }
  if (packer.train_documents() == 0) throw empty_split("training", options, documents);
  if (options.holdout > 0 && packer.validation_documents() == 0) throw empty_split("validation", options, documents);
  report.train = packer.finish_train();
  if (options.holdout > 0) report.validation = packer.finish_validation();
  if (!tokenizer.model().empty()) write_file_atomically(folder / kTokenizerFile, tokenizer.model());
  fs::remove(folder / kJournalFile);
}

PrepareReport report_of(const SourceList& list) {
  PrepareReport report;
  report.source_bytes = list.bytes;
  report.tally.empty = list.empty;
  report.tally.unreadable = static_cast<std::int64_t>(list.skipped.size());
  add(report.skipped, list.skipped);
  return report;
}

}  // namespace

PrepareReport prepare(const PrepareOptions& options, const PrepareProgress& progress) {
  check_options(options);
  const std::unique_ptr<Tokenizer> tokenizer = open_tokenizer(options.tokenizer);
  const fs::path target = options.root / options.name;
  require_ours(target);

  PrepareStamp stamp;
  stamp.listed_at = static_cast<std::int64_t>(now_seconds() * 1e9);
  const SourceList list =
      list_sources({.inputs = options.inputs, .include = options.include, .leave_out = options.root});
  if (list.files.empty()) throw empty_split("training", options, 0);
  stamp.command = command_of(options, list, tokenizer->identity());
  stamp.sources = digest_of_sources(list);
  stamp.newest = newest_change(list);

  PrepareReport report = report_of(list);
  if (fs::exists(target)) {
    const std::optional<PrepareStamp> old = read_prepare_stamp(target);
    const bool same_command = old && old->command == stamp.command;
    if (!same_command && !options.force) throw other_data(target, "another command wrote them");
    if (same_command && old->sources == stamp.sources && old->is_conclusive() &&
        old->outputs == signature_of_outputs(target)) {
      report.up_to_date = true;
      report.train = read_manifest(target / "train.manifest");
      if (options.holdout > 0) report.validation = read_manifest(target / "validation.manifest");
      report.tally = old->tally;
      report.skipped.clear();
      return report;
    }
  }

  PartialFolder partial(target, [&](const fs::path& folder) { return may_carry_on(folder, stamp); });
  try {
    pack_all(options, list, *tokenizer, stamp, partial.path(), report, progress);
  } catch (const Error& error) {
    // What is durable serves the next run, once there is room; before the first checkpoint it would only fill the disk.
    if (error.code() == ErrorCode::kDiskFull && may_carry_on(partial.path(), stamp) &&
        PackJournal(partial.path(), stamp).last())
      partial.keep();
    throw;
  }
  stamp.outputs = signature_of_outputs(partial.path());
  stamp.tally = report.tally;
  write_file_atomically(partial.path() / kStampFile, to_json(stamp) + "\n");
  partial.publish([&] {
    require_ours(target);
    if (!options.force && !holds_the_same(target, report.train, report.validation))
      throw other_data(target, "the sources changed since they were written");
  });
  return report;
}

}  // namespace mestre
