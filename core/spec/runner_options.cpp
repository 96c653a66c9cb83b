#include "core/spec/runner_options.h"

#include <algorithm>

#include <fmt/format.h>

namespace mestre {
namespace {

// They become arguments of sbatch and lines of a script.
bool is_one_word(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > ' ' && c != 0x7F && c != '\''; });
}

}  // namespace

void SlurmOptions::describe(OptionVisitor& visitor) {
  visitor.visit({.name = "partition", .doc = "to submit to, or several with commas"}, partition);
  visitor.visit({.name = "account", .doc = "that the time is charged to"}, account);
  visitor.visit({.name = "qos", .doc = "quality of service"}, qos);
  visitor.visit({.name = "constraint", .doc = "features that nodes must have"}, constraint);
  visitor.visit({.name = "reservation", .doc = "to run in"}, reservation);
  visitor.visit({.name = "nodes_exclude", .doc = "nodes to stay away from, as Slurm lists them"}, nodes_exclude);
}

void SlurmOptions::check(const Problem& problem) const {
  const std::pair<const char*, const std::string*> fields[] = {
      {"partition", &partition},   {"account", &account},         {"qos", &qos},
      {"constraint", &constraint}, {"reservation", &reservation}, {"nodes_exclude", &nodes_exclude}};
  for (const auto& [name, value] : fields)
    if (!is_one_word(*value))
      problem(name, fmt::format("slurm.{} has a space, a quote or a control character", name),
              "expected one word, as sbatch takes it");
}

void WorkerOptions::describe(OptionVisitor& visitor) {
  visitor.visit({.name = "command",
                 .doc = "program and arguments that carry out a job; 'run FOLDER --token T' is appended",
                 .required = true},
                command);
  visitor.visit({.name = "version",
                 .doc = "raise it whenever the program computes something else; part of the identity",
                 .min = 1,
                 .max = 1e9,
                 .required = true},
                version);
}

void WorkerOptions::check(const Problem& problem) const {
  if (!command.empty() && command.front().empty())
    problem("command", "the command of [worker] begins with an empty text",
            "expected a program, such as command = [\"python\", \"train.py\"]");
}

}  // namespace mestre
