#include "core/train/resources.h"

#include <sys/resource.h>

#include <fstream>
#include <string>

namespace mestre {

double available_memory_bytes() {
  std::ifstream lines("/proc/meminfo");
  for (std::string name, unit; lines >> name;) {
    double kibibytes = 0;
    lines >> kibibytes;
    if (name == "MemAvailable:") return kibibytes * 1024;
    std::getline(lines, unit);
  }
  return 0;
}

double peak_memory_bytes() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

}  // namespace mestre
