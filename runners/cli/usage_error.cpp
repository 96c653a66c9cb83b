// CLI11 says what is wrong in sentences of its own, one kind of exception for each; here they become ours. A word that
// nothing takes comes first: it is most often a typing error, and whatever else is missing follows from it.
#include "runners/cli/usage_error.h"

#include <algorithm>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "core/base/diagnostics.h"

namespace mestre {
namespace {

/// The command that was being parsed, with those above it: mestre, data, prepare.
std::vector<const CLI::App*> chain_of(const CLI::App& app) {
  std::vector<const CLI::App*> chain = {&app};
  while (!chain.back()->get_subcommands().empty()) chain.push_back(chain.back()->get_subcommands().front());
  return chain;
}

std::string name_of(const std::vector<const CLI::App*>& chain) {
  std::string name;
  for (const CLI::App* app : chain) name += (name.empty() ? "" : " ") + app->get_name();
  return name;
}

std::vector<std::string> commands_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

std::vector<std::string> options_of(const std::vector<const CLI::App*>& chain) {
  std::vector<std::string> names;
  for (auto app = chain.rbegin(); app != chain.rend(); ++app)
    for (const CLI::Option* option : (*app)->get_options())
      for (const std::string& name : option->get_lnames())
        if (std::find(names.begin(), names.end(), "--" + name) == names.end()) names.push_back("--" + name);
  return names;
}

std::vector<std::string> positionals_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    if (option->get_positional()) names.push_back(option->get_name());
  return names;
}

Error bad_input(std::string message) {
  return Error(ErrorCode::kBadInput, std::move(message));
}

Error unknown_command(const std::string& word, const CLI::App& app, const std::string& name) {
  Error error = bad_input(fmt::format("{} has no command '{}'", name, escaped(word)));
  if (word.ends_with(".toml"))
    return std::move(error).hint(fmt::format("to look at a sweep: {0} plan {1}; to run it: {0} run {1}", name, word));
  return std::move(error).hint(expected_one_of(word, commands_of(app)));
}

/// Of a word that nothing takes.
Error unknown_word(const std::string& word, const std::vector<const CLI::App*>& chain) {
  const CLI::App& app = *chain.back();
  const std::string name = name_of(chain);
  if (word.starts_with('-')) {
    const std::string option = word.substr(0, word.find('='));
    return bad_input(fmt::format("{} has no option '{}'", name, escaped(option)))
        .hint(expected_one_of(option, options_of(chain)));
  }
  if (!commands_of(app).empty()) return unknown_command(word, app, name);
  const std::vector<std::string> takes = positionals_of(app);
  return bad_input(fmt::format("'{}' is one word too many for {}", escaped(word), name))
      .hint(takes.empty() ? "it takes none but its options" : fmt::format("it takes {}", fmt::join(takes, " ")));
}

Error missing(const std::string& what, const std::vector<const CLI::App*>& chain) {
  constexpr std::string_view kIsRequired = " is required";
  const CLI::App& app = *chain.back();
  const std::string name = name_of(chain);
  if (!commands_of(app).empty())
    return bad_input(fmt::format("{} needs a command", name))
        .hint(fmt::format("expected one of {}", fmt::join(commands_of(app), ", ")));
  const std::string option = what.substr(0, what.find(kIsRequired));
  Error error = bad_input(fmt::format("{} needs {}", name, option));
  if (const CLI::Option* known = app.get_option_no_throw(option))
    error.hint(fmt::format("expected {}: {}", option, known->get_description()));
  return error;
}

/// What the option takes, from its type and from what its validator says.
std::string expectation_of(const CLI::Option& option, const std::string& what, const std::string& value) {
  constexpr std::string_view kNotInSet = " not in {";
  constexpr std::string_view kNotInRange = " not in range ";
  if (const std::size_t set = what.find(kNotInSet); set != std::string::npos) {
    const std::size_t begin = set + kNotInSet.size();
    return expected_one_of(value, CLI::detail::split(what.substr(begin, what.rfind('}') - begin), ','));
  }
  const std::string type = option.get_type_name();  // "INT:POSITIVE"
  std::string expected = type.find("INT") == 0 ? "expected a whole number" : "expected a number";
  if (type.find("NONNEGATIVE") != std::string::npos) return expected + ", 0 or more";
  if (type.find("POSITIVE") != std::string::npos) return expected + " above 0";
  if (const std::size_t range = what.find(kNotInRange); range != std::string::npos)
    return fmt::format("{} from {}", expected, what.substr(range + kNotInRange.size()));
  return expected;
}

Error bad_value(const CLI::Option& option, const std::string& what) {
  const std::string value = option.results().empty() ? std::string() : option.results().back();
  return bad_input(fmt::format("{} cannot be '{}'", option.get_name(), escaped(value)))
      .hint(expectation_of(option, what, value));
}

/// The option that CLI11's sentence begins with, or names behind `before`.
const CLI::Option* option_in(const std::string& what, std::string_view before,
                             const std::vector<const CLI::App*>& chain) {
  const std::size_t at = before.empty() ? 0 : what.find(before);
  if (at == std::string::npos) return nullptr;
  const std::size_t begin = at + before.size();
  const std::string name = what.substr(begin, what.find_first_of(": ", begin) - begin);
  for (const CLI::App* app : chain)
    if (const CLI::Option* option = app->get_option_no_throw(name)) return option;
  return nullptr;
}

Error explained(const CLI::ParseError& mistake, const std::vector<const CLI::App*>& chain) {
  const std::string what = mistake.what();
  const std::string kind = mistake.get_name();
  if (kind == "RequiredError") return missing(what, chain);
  if (kind == "ValidationError")
    if (const CLI::Option* option = option_in(what, "", chain)) return bad_value(*option, what);
  if (kind == "ConversionError")
    if (const CLI::Option* option = option_in(what, "Could not convert: ", chain)) return bad_value(*option, what);
  if (kind == "ArgumentMismatch") {
    if (const CLI::Option* option = option_in(what, "", chain)) {
      if (option->results().size() > 1)
        return bad_input(fmt::format("{} is given {} times", option->get_name(), option->results().size()))
            .hint("expected it once");
      return bad_input(fmt::format("{} needs a value", option->get_name()))
          .hint(fmt::format("expected {}", option->get_description()));
    }
  }
  if (const std::size_t excludes = what.find(" excludes "); kind == "ExcludesError" && excludes != std::string::npos)
    return bad_input(fmt::format("{} and {} cannot go together", what.substr(0, excludes),
                                 what.substr(excludes + std::string_view(" excludes ").size())));
  return bad_input(what);
}

}  // namespace

Error usage_error(const CLI::ParseError& mistake, const CLI::App& app) {
  const std::vector<const CLI::App*> chain = chain_of(app);
  const std::vector<std::string> unknown = app.remaining(true);
  // An option first: the word behind it may be its value.
  auto word = std::find_if(unknown.begin(), unknown.end(), [](const auto& each) { return each.starts_with('-'); });
  if (word == unknown.end()) word = unknown.begin();
  return (word != unknown.end() ? unknown_word(*word, chain) : explained(mistake, chain))
      .hint(fmt::format("more: {} --help", name_of(chain)));
}

}  // namespace mestre
