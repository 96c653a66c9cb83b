#include "core/journal/folders.h"

#include <fmt/format.h>

namespace mestre {

std::string checkpoint_name(std::int64_t step) {
  return fmt::format("step-{:08}", step);
}

}  // namespace mestre
