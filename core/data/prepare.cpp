#include "core/data/prepare.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include <fmt/format.h>

#include "core/base/diagnostics.h"
#include "core/base/error.h"
#include "core/base/options.h"
#include "core/data/pack_writer.h"
#include "core/data/prepare_stamp.h"
#include "core/data/publish.h"
#include "core/data/tokenizer.h"

namespace mestre {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 20;
constexpr std::size_t kExamples = 5;  // skipped sources that the report names
constexpr std::array<std::string_view, 5> kOurFiles = {"prepare.json", "train.bin", "train.manifest", "validation.bin",
                                                       "validation.manifest"};

void check_options(const PrepareOptions& options) {
  if (options.inputs.empty())
    throw Error(ErrorCode::kBadInput, "there is nothing to prepare").hint("name files or folders");
  if (!(options.holdout >= 0 && options.holdout < 1))
    throw Error(ErrorCode::kBadInput, fmt::format("a holdout of {} is no share of the documents", options.holdout))
        .hint("expected a number from 0 to below 1, such as 0.02");
  const fs::path name = options.name;
  const bool plain =
      !options.name.empty() && name.is_relative() && name.has_filename() &&
      std::all_of(options.name.begin(), options.name.end(), [](unsigned char c) { return c >= 0x20 && c != 0x7F; }) &&
      std::all_of(name.begin(), name.end(), [](const fs::path& part) { return part.native().front() != '.'; });
  if (!plain)
    throw Error(ErrorCode::kBadInput, fmt::format("'{}' is no name for data", escaped(options.name)))
        .hint(
            "expected a folder below the data root, such as 'cpp-headers' or 'code/headers', without parts that begin "
            "with a dot");
}

// What decides the result besides the sources' contents.
std::string command_of(const PrepareOptions& options, const DataIdentity& tokenizer) {
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
  object.text("tokenizer", options.tokenizer);
  object.number("tokenizer_version", static_cast<std::int64_t>(tokenizer.tokenizer_version));
  return object.str();
}

// Reads documents one after the other into the writers of their splits.
class Packer {
 public:
  Packer(Tokenizer& tokenizer, PrepareReport& report, const PrepareProgress& progress)
      : tokenizer_(tokenizer), report_(report), progress_(progress), piece_(kPiece, '\0') {}

  void pack(const Document& document, PackWriter& writer) {
    const FileDescriptor file(::open(document.file.c_str(), O_RDONLY | O_CLOEXEC));
    std::string_view piece;
    // What fails here has written nothing yet, so the document can be left out.
    if (!file.is_open() || !read(file, document, piece)) {
      skip(document, errno);
      return;
    }
    tokenizer_.begin_document(writer.buffer());
    std::int64_t bytes = 0;
    bool has_nul = false;
    while (!piece.empty()) {
      bytes += static_cast<std::int64_t>(piece.size());
      has_nul = has_nul || piece.find('\0') != std::string_view::npos;
      tokenizer_.append(piece, writer.buffer());
      writer.flush_if_full();
      advance(piece.size());
      if (!read(file, document, piece)) throw system_error(errno, "read", document.file.native());
    }
    require_unchanged(document, bytes);
    tokenizer_.end_document(writer.buffer());
    writer.document_ended();
    report_.with_nul += has_nul ? 1 : 0;
  }

 private:
  bool read(const FileDescriptor& file, const Document& document, std::string_view& piece) {
    // One byte more than the listing promised is asked for, so that a file which grew is noticed.
    const std::size_t want = std::min(kPiece, static_cast<std::size_t>(document.bytes) + 1);
    ssize_t count = 0;
    do count = ::read(file.get(), piece_.data(), want);
    while (count < 0 && errno == EINTR);
    piece = std::string_view(piece_).substr(0, static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    return count >= 0;
  }

  static void require_unchanged(const Document& document, std::int64_t bytes) {
    if (bytes == document.bytes) return;
    throw Error(ErrorCode::kEnvironment, fmt::format("'{}' changed while it was read: it had {} bytes, then {}",
                                                     escaped(document.file.native()), document.bytes, bytes))
        .hint("nothing was written; run the same command again when nothing changes the sources");
  }

  void skip(const Document& document, int error_number) {
    ++report_.unreadable;
    if (report_.skipped.size() < kExamples)
      report_.skipped.push_back({document.file.native(), std::strerror(error_number)});
    advance(static_cast<std::size_t>(document.bytes));
  }

  void advance(std::size_t bytes) {
    done_ += static_cast<std::int64_t>(bytes);
    if (!progress_ || done_ - told_ < static_cast<std::int64_t>(kPiece)) return;
    told_ = done_;
    progress_(done_, report_.source_bytes);
  }

  Tokenizer& tokenizer_;
  PrepareReport& report_;
  const PrepareProgress& progress_;
  std::string piece_;
  std::int64_t done_ = 0;
  std::int64_t told_ = 0;
};

Error empty_split(std::string_view split, const PrepareOptions& options, std::size_t documents) {
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
void pack_all(const PrepareOptions& options, const DocumentList& list, Tokenizer& tokenizer, const fs::path& folder,
              PrepareReport& report, const PrepareProgress& progress) {
  PackWriter train(folder, "train");
  std::unique_ptr<PackWriter> validation;
  if (options.holdout > 0) validation = std::make_unique<PackWriter>(folder, "validation");
  Packer packer(tokenizer, report, progress);
  for (const Document& document : list.documents)
    packer.pack(document, document.fraction < options.holdout ? *validation : train);

  if (train.documents() == 0) throw empty_split("training", options, list.documents.size());
  if (validation && validation->documents() == 0) throw empty_split("validation", options, list.documents.size());
  report.train = train.finish(tokenizer.identity());
  if (validation) report.validation = validation->finish(tokenizer.identity());
}

PrepareReport report_of(const DocumentList& list) {
  PrepareReport report;
  report.source_bytes = list.bytes;
  report.empty = list.empty;
  report.unreadable = static_cast<std::int64_t>(list.skipped.size());
  report.skipped.assign(list.skipped.begin(),
                        list.skipped.begin() + static_cast<std::ptrdiff_t>(std::min(list.skipped.size(), kExamples)));
  return report;
}

// What is in the way: nothing, or a folder that prepare wrote. Throws where it is anything else.
void require_ours(const fs::path& target) {
  if (!fs::exists(fs::symlink_status(target))) return;
  if (!fs::is_directory(fs::symlink_status(target)))
    throw Error(ErrorCode::kBadInput, fmt::format("'{}' is there already and is no folder of data", target.native()))
        .hint("choose another name");
  for (const fs::directory_entry& entry : fs::directory_iterator(target)) {
    const std::string name = entry.path().filename().native();
    if (std::find(kOurFiles.begin(), kOurFiles.end(), name) == kOurFiles.end())
      throw Error(ErrorCode::kBadInput, fmt::format("'{}' holds '{}', which 'mestre data prepare' did not write",
                                                    target.native(), escaped(name)))
          .hint("choose another name, or move the file away: the folder would be replaced as a whole");
  }
}

std::optional<std::string> digest_if_there(const fs::path& manifest) {
  try {
    return read_manifest(manifest).identity.digest;
  } catch (const Error&) {
    return std::nullopt;
  }
}

// True where replacing `target` by what `report` tells of changes nothing for those who read it.
bool holds_the_same(const fs::path& target, const PrepareReport& report) {
  const std::optional<std::string> validation =
      report.validation ? std::optional(report.validation->identity.digest) : std::nullopt;
  return digest_if_there(target / "train.manifest") == report.train.identity.digest &&
         digest_if_there(target / "validation.manifest") == validation;
}

Error other_data(const fs::path& target, std::string_view why) {
  return Error(ErrorCode::kBadInput, fmt::format("'{}' holds other data: {}", target.native(), why))
      .hint(
          "choose another name, or replace them with --force; results that used them keep their digest, but cannot be "
          "run again");
}

}  // namespace

PrepareReport prepare(const PrepareOptions& options, const PrepareProgress& progress) {
  check_options(options);
  const std::unique_ptr<Tokenizer> tokenizer = open_tokenizer(options.tokenizer);
  const fs::path target = options.root / options.name;
  require_ours(target);

  PrepareStamp stamp;
  stamp.listed_at = static_cast<std::int64_t>(now_seconds() * 1e9);
  const DocumentList list =
      list_documents({.inputs = options.inputs, .include = options.include, .leave_out = options.root});
  if (list.documents.empty()) throw empty_split("training", options, 0);
  stamp.command = command_of(options, tokenizer->identity());
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
      report.unreadable = old->unreadable;
      report.with_nul = old->with_nul;
      report.skipped.clear();
      return report;
    }
  }

  PartialFolder partial(target);
  pack_all(options, list, *tokenizer, partial.path(), report, progress);
  stamp.outputs = signature_of_outputs(partial.path());
  stamp.unreadable = report.unreadable;
  stamp.with_nul = report.with_nul;
  write_file_atomically(partial.path() / kStampFile, to_json(stamp) + "\n");
  partial.publish([&] {
    require_ours(target);
    if (!options.force && !holds_the_same(target, report))
      throw other_data(target, "the sources changed since they were written");
  });
  return report;
}

}  // namespace mestre
