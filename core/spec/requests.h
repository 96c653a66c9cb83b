// [[stage]], [[evaluate]] and [[measure]]: what is done with a cell after its training.
#pragma once

#include "core/spec/sweep.h"

namespace mestre {

/// Reads the tables of [[stage]] into sweep.stages.
void read_stages(const TomlValue& list, Sweep& sweep, Diagnostics& diagnostics);

/// Reads the tables of [[evaluate]] or [[measure]] into sweep.requests; the stages must have been read.
void read_requests(const TomlValue& list, TaskKind kind, Sweep& sweep, Diagnostics& diagnostics);

}  // namespace mestre
