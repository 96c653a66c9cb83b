// From an exception to the cause that a journal names.
#pragma once

#include <exception>
#include <string>

#include "core/journal/writer.h"

namespace mestre {

struct Failure {
  Cause cause = Cause::kBug;
  std::string message;  // one line, or several where hints follow
};

/// What an exception that stopped a job means to whoever runs it again. Never throws.
[[nodiscard]] Failure diagnose(const std::exception_ptr& problem) noexcept;

}  // namespace mestre
