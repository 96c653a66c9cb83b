#include "core/train/resources.h"

#include <sys/resource.h>

namespace mestre {

double peak_memory_bytes() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

}  // namespace mestre
