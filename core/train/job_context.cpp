#include "core/train/job_context.h"

#include <fmt/format.h>

namespace mestre {

void JobContext::require_ownership() const {
  if (is_superseded(folder, attempt)) throw Superseded();
}

void JobContext::require_time(double seconds) const {
  if (asked_to_stop()) throw JobFailure(Cause::kPreempted, "told to stop by SIGTERM");
  if (launch.deadline > 0 && now_seconds() + seconds >= launch.deadline)
    throw JobFailure(Cause::kDeadline,
                     fmt::format("the deadline is {:.0f} s away, and the next piece of work takes {:.1f} s",
                                 launch.deadline - now_seconds(), seconds));
}

}  // namespace mestre
