// The table of commands, in the order in which --help lists them. Adding one: its file, its line in command.h, its line
// in commands.cpp.
#pragma once

#include <span>

#include "runners/cli/command.h"

namespace mestre {

[[nodiscard]] std::span<const RegisterCommand> commands();

}  // namespace mestre
