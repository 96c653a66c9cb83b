// mestre data mix: corpora as one training text, each with its share of the sequences.

#include <charconv>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "analysis/table.h"
#include "core/base/diagnostics.h"
#include "core/base/error.h"
#include "core/base/options.h"
#include "core/base/units.h"
#include "core/data/mix.h"
#include "runners/cli/data.h"
#include "runners/cli/output.h"

namespace mestre {
namespace {

struct MixArguments {
  std::string name;
  std::vector<std::string> parts;
  bool force = false;
  bool json = false;
};

MixPart read_part(const std::string& text) {
  const std::size_t equals = text.rfind('=');
  MixPart part = {.manifest = text.substr(0, equals)};
  const char* const end = text.data() + text.size();
  const char* const begin = equals == std::string::npos ? end : text.data() + equals + 1;
  const auto [stop, problem] = std::from_chars(begin, end, part.weight);
  if (problem != std::errc() || stop != end || begin == end)
    throw Error(ErrorCode::kBadInput, fmt::format("'{}' is no corpus with its weight", escaped(text)))
        .hint("expected MANIFEST=WEIGHT, such as 'web/train.manifest=0.7'");
  return part;
}

int run_mix(const MixArguments& arguments, const Globals& globals) {
  MixOptions options = {.root = globals.data_root, .name = arguments.name, .parts = {}, .force = arguments.force};
  for (const std::string& part : arguments.parts) options.parts.push_back(read_part(part));
  const Manifest mixture = mix(options);
  if (arguments.json) {
    print_out("{}\n", to_json(mixture));
    return kExitOk;
  }
  print_out("{}: a mixture of {} corpora, {} tokens, digest {}\n", arguments.name, mixture.components.size(),
            with_thousands(mixture.tokens), mixture.identity.digest);
  put_out(to_text(table_of_components(mixture)));
  print_out("in a sweep file:\n   [data]\n   train = \"{}/train.manifest\"\n", arguments.name);
  return kExitOk;
}

}  // namespace

Table table_of_components(const Manifest& mixture) {
  Table table{.columns = {{.title = "corpus"},
                          {.title = "share", .unit = "%"},
                          {.title = "tokens"},
                          {.title = "read once in", .unit = "training tokens", .show = Show::kCount}}};
  for (const MixtureComponent& component : mixture.components)
    table.add({component.path, 100 * component.share(), component.tokens,
               static_cast<double>(component.tokens) / component.share()});
  return table;
}

void register_data_mix(CLI::App& data, const Globals& globals, Action& chosen) {
  auto arguments = std::make_shared<MixArguments>();
  CLI::App* command = data.add_subcommand("mix", "corpora as one training text, each with its share");
  command->add_option("NAME", arguments->name, "of the mixture: the folder that is made below the data root")
      ->required();
  command
      ->add_option("MANIFEST=WEIGHT", arguments->parts,
                   "a corpus below the data root, and how many of the training sequences are read from it beside the "
                   "others; weights need not add up to 1")
      ->required();
  command->add_flag("--force", arguments->force, "replace other data of the same name");
  command->add_flag("--json", arguments->json, "for scripts");
  command->footer("Example: mestre data mix web-and-code web/train.manifest=0.7 code/train.manifest=0.3");
  command->callback(
      [arguments, &globals, &chosen] { chosen = [arguments, &globals] { return run_mix(*arguments, globals); }; });
}

}  // namespace mestre
