// mestre completion: a script that lets bash or zsh complete commands and options.

#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "core/base/error.h"
#include "runners/cli/command.h"
#include "runners/cli/output.h"

namespace mestre {
namespace {

// How the shell walks from word to word, and what may stand at each command. Where nothing fits it offers files.
constexpr const char* kScript = R"(_mestre() {{
  local at=mestre word words=
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$at $word" in
      {paths}) at="$at $word" ;;
    esac
  done
  case "$at" in
{words}  esac
  COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _mestre mestre
)";
constexpr const char* kForZsh = "autoload -U +X compinit bashcompinit && compinit && bashcompinit\n";

struct Tree {
  std::string paths;  // "mestre plan"|"mestre data prepare"
  std::string words;  // a line of the case for each command
};

void add(const CLI::App& app, const std::string& path, const std::string& globals, Tree& tree) {
  std::string words;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    const std::string name = path + " " + command->get_name();
    words += command->get_name() + " ";
    tree.paths += fmt::format("{}\"{}\"", tree.paths.empty() ? "" : "|", name);
    add(*command, name, globals, tree);
  }
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames())
      if (globals.find("--" + name + " ") == std::string::npos) words += "--" + name + " ";
  tree.words += fmt::format("    \"{}\") words=\"{}{}\" ;;\n", path, words, globals);
}

int completion(const std::string& shell, const CLI::App& app) {
  std::string globals;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) globals += "--" + name + " ";
  Tree tree;
  add(app, app.get_name(), globals, tree);
  if (shell == "zsh") put_out(kForZsh);
  put_out(fmt::format(kScript, fmt::arg("paths", tree.paths), fmt::arg("words", tree.words)));
  return kExitOk;
}

}  // namespace

void register_completion(CLI::App& app, const Globals&, Action& chosen) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("completion", "a script that completes commands and options in a shell");
  command->add_option("SHELL", *shell, "bash or zsh")->required()->check(CLI::IsMember({"bash", "zsh"}));
  command->footer("Example: source <(mestre completion bash)");
  command->callback([shell, &app, &chosen] { chosen = [shell, &app] { return completion(*shell, app); }; });
}

}  // namespace mestre
