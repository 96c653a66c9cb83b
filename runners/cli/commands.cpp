#include "runners/cli/commands.h"

#include <array>

namespace mestre {
namespace {

constexpr std::array<RegisterCommand, 12> kCommands = {
    register_plan,   register_run,     register_exec, register_status, register_logs,   register_query,
    register_report, register_catalog, register_data, register_db,     register_doctor, register_completion,
};

}  // namespace

std::span<const RegisterCommand> commands() {
  return kCommands;
}

}  // namespace mestre
