#include "runners/worker/failure.h"

#include <cerrno>
#include <filesystem>
#include <new>
#include <string_view>

#include <c10/util/Exception.h>

#include "core/base/error.h"
#include "core/train/job_context.h"

namespace mestre {
namespace {

Cause cause_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kBadInput:
    case ErrorCode::kNotFound:
    case ErrorCode::kNewerVersion:
      return Cause::kBadInput;
    case ErrorCode::kDataCorrupt:
    case ErrorCode::kCheckpointCorrupt:
    case ErrorCode::kJournalCorrupt:
      return Cause::kData;
    case ErrorCode::kDiskFull:
      return Cause::kDiskFull;
    case ErrorCode::kEnvironment:
    case ErrorCode::kIo:
    case ErrorCode::kBusy:
      return Cause::kNode;
    case ErrorCode::kBug:
      return Cause::kBug;
  }
  return Cause::kBug;
}

std::string with_hints(const Error& error) {
  std::string text = error.message();
  for (const std::string& hint : error.hints()) text += "\n" + hint;
  return text;
}

// Torch's CPU allocator has no exception type of its own.
bool is_host_allocation(std::string_view message) {
  return message.find("DefaultCPUAllocator") != std::string_view::npos;
}

}  // namespace

Failure diagnose(const std::exception_ptr& problem) noexcept {
  try {
    std::rethrow_exception(problem);
  } catch (const JobFailure& failure) {
    return {failure.cause(), failure.what()};
  } catch (const Error& error) {
    return {cause_of(error.code()), with_hints(error)};
  } catch (const std::bad_alloc&) {
    return {Cause::kOutOfMemoryHost, "out of host memory"};
  } catch (const c10::OutOfMemoryError& error) {
    return {Cause::kOutOfMemoryGpu, error.what_without_backtrace()};
  } catch (const c10::Error& error) {
    const std::string message = error.what_without_backtrace();
    return {is_host_allocation(message) ? Cause::kOutOfMemoryHost : Cause::kBug, message};
  } catch (const std::filesystem::filesystem_error& error) {
    const int number = error.code().value();
    return {number == ENOSPC || number == EDQUOT ? Cause::kDiskFull : Cause::kNode, error.what()};
  } catch (const std::exception& error) {
    return {Cause::kBug, error.what()};
  } catch (...) {
    return {Cause::kBug, "an exception of unknown type"};
  }
}

}  // namespace mestre
