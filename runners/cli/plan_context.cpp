#include "runners/cli/plan_context.h"

#include "core/base/error.h"
#include "store/database.h"
#include "store/ledger.h"

namespace mestre {

PlanContext plan_context(const Globals& globals) {
  PlanContext context;
  context.data_root = globals.data_root;
  try {
    Database database = Database::open_for_reading(globals.database_path());
    Ledger ledger(database);
    context.finished = ledger.finished();
    context.speeds = ledger.speeds();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) throw;  // no store yet: nothing is finished
  }
  return context;
}

}  // namespace mestre
