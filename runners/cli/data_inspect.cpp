// mestre data inspect: what a packed corpus or a mixture holds.

#include <algorithm>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "core/base/diagnostics.h"
#include "core/base/error.h"
#include "core/base/options.h"
#include "core/base/units.h"
#include "core/data/tokenizer.h"
#include "core/data/training_text.h"
#include "runners/cli/data.h"
#include "runners/cli/output.h"

namespace mestre {
namespace {

struct InspectArguments {
  std::string manifest;
  bool verify = false;
  std::int64_t head = 0;  // tokens of the excerpt
  bool json = false;
};

std::string excerpt(const fs::path& manifest, const PackedCorpus& corpus, std::int64_t count) {
  std::vector<std::int64_t> read(static_cast<std::size_t>(std::clamp<std::int64_t>(count, 0, corpus.tokens())));
  corpus.read(0, read);
  const std::vector<Token> tokens(read.begin(), read.end());
  // Data of a foreign tokenizer can be read and trained on; only their text is not known here.
  if (const auto tokenizer = find_tokenizer(corpus.manifest().identity, manifest.parent_path()))
    return tokenizer->decode(tokens);
  return fmt::format("{}", fmt::join(tokens, " "));
}

void print_excerpt(std::string_view text) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    print_out("   | {}\n", escaped(line));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
  }
}

void print_facts(const fs::path& path, const Manifest& manifest, bool verified) {
  print_out("{}\n", escaped(path.native()));
  print_out("   tokens     {}\n   documents  {}\n", with_thousands(manifest.tokens),
            with_thousands(manifest.documents));
  print_out("   tokenizer  {}, version {}, vocabulary {}\n", escaped(manifest.identity.tokenizer),
            manifest.identity.tokenizer_version, with_thousands(manifest.identity.vocabulary));
  print_out("   digest     {}{}\n", manifest.identity.digest,
            verified ? ", verified" : " (not compared with the data; --verify does)");
  for (const PackedFile& file : manifest.files)
    print_out("   file       {}, {}\n", escaped(file.path), short_bytes(static_cast<double>(file.bytes)));
  if (manifest.is_mixture()) put_out("\n" + to_text(table_of_components(manifest)));
}

std::string head_of(const fs::path& path, const TrainingText& text, std::int64_t count) {
  if (!text.manifest().is_mixture()) return excerpt(path, text.corpora().front(), count);
  throw Error(ErrorCode::kBadInput, fmt::format("'{}' is a mixture, which has no text of its own", path.native()))
      .hint(fmt::format("expected one of its corpora, such as '{}'", text.manifest().components.front().path));
}

int run_inspect(const InspectArguments& arguments, const Globals& globals) {
  const fs::path path = find_manifest(arguments.manifest, globals);
  const TrainingText text(path, globals.data_root);
  if (arguments.verify)
    for (const PackedCorpus& corpus : text.corpora()) corpus.verify();
  const std::string head = arguments.head > 0 ? head_of(path, text, arguments.head) : "";
  if (arguments.json) {
    JsonObject object;
    object.raw("manifest", to_json(text.manifest())).text("path", path.native()).boolean("verified", arguments.verify);
    if (arguments.head > 0) object.text("head", head);
    print_out("{}\n", object.str());
    return kExitOk;
  }
  print_facts(path, text.manifest(), arguments.verify);
  print_excerpt(head);
  return kExitOk;
}

}  // namespace

void register_data_inspect(CLI::App& data, const Globals& globals, Action& chosen) {
  auto arguments = std::make_shared<InspectArguments>();
  CLI::App* command = data.add_subcommand("inspect", "what a packed corpus or a mixture holds");
  command->add_option("MANIFEST", arguments->manifest, "its path, also relative to the data root")->required();
  command->add_flag("--verify", arguments->verify, "read all of it and compare the digests");
  command->add_option("--head", arguments->head, "show the text of so many tokens from its begin")
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--json", arguments->json, "for scripts");
  command->footer("Example: mestre data inspect headers/train.manifest --verify --head 200");
  command->callback(
      [arguments, &globals, &chosen] { chosen = [arguments, &globals] { return run_inspect(*arguments, globals); }; });
}

}  // namespace mestre
