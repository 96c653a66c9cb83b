#include "runners/cli/plan_context.h"

#include "store/database.h"
#include "store/ledger.h"

namespace mestre {

PlanContext plan_context(const Globals& globals) {
  PlanContext context;
  context.data_root = globals.data_root;
  if (!fs::exists(globals.database_path())) return context;
  Database database = Database::open_for_reading(globals.database_path());
  Ledger ledger(database);
  context.finished = ledger.finished();
  context.tokens_per_second = ledger.tokens_per_second();
  return context;
}

}  // namespace mestre
