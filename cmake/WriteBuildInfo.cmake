# Writes build_info.cpp with the commit of the checkout, and only when it changed, so that an unchanged commit recompiles nothing.

set(commit "unknown")
set(dirty "false")
execute_process(COMMAND git -C "${SOURCE_DIR}" rev-parse HEAD OUTPUT_VARIABLE head OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(NOT failed)
  set(commit "${head}")
  execute_process(COMMAND git -C "${SOURCE_DIR}" diff-index --quiet HEAD -- RESULT_VARIABLE differs ERROR_QUIET)
  if(differs)
    set(dirty "true")
  endif()
endif()
file(CONFIGURE OUTPUT "${OUTPUT}.new" CONTENT [=[
#include "core/base/build_info.h"

namespace mestre {

const BuildInfo& build_info() {
  static constexpr BuildInfo kInfo{.version = "@VERSION@", .commit = "@commit@", .dirty = @dirty@, .compiler = "@COMPILER@"};
  return kInfo;
}

}  // namespace mestre
]=] @ONLY)
file(COPY_FILE "${OUTPUT}.new" "${OUTPUT}" ONLY_IF_DIFFERENT)
