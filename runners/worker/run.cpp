#include "runners/worker/run.h"

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <optional>
#include <variant>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/version.h>

#include "core/base/build_info.h"
#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/train/device.h"
#include "core/train/evaluate.h"
#include "core/train/trainer.h"
#include "runners/worker/catalog.h"
#include "runners/worker/failure.h"

namespace mestre {
namespace {

volatile std::sig_atomic_t stop_requested = 0;

void request_stop(int) {
  stop_requested = 1;
}

// The first SIGTERM (or SIGINT, of an attempt in the foreground) asks for a checkpoint and an end.
void catch_signals() {
  struct sigaction action {};
  action.sa_handler = request_stop;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

void log_line(const std::string& text) {
  const std::time_t now = std::time(nullptr);
  char clock[32] = {};
  std::tm parts{};
  std::strftime(clock, sizeof clock, "%F %T", ::localtime_r(&now, &parts));
  fmt::print(stderr, "{} {}\n", clock, text);
  std::fflush(stderr);
}

/// stderr as it was before it became the log, for what cannot be written there.
class ConsoleBeforeLog {
 public:
  explicit ConsoleBeforeLog(const fs::path& log) : console_(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)) {
    const FileDescriptor file(::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (!file.is_open()) throw system_error(errno, "create", log.native());
    for (const int stream : {STDOUT_FILENO, STDERR_FILENO})
      if (::dup2(file.get(), stream) < 0) throw system_error(errno, "redirect to", log.native());
  }
  void say(const std::string& text) const {
    // Nothing is left to do where even this fails.
    if (console_.is_open()) [[maybe_unused]]
      const auto written = ::write(console_.get(), text.data(), text.size());
  }

 private:
  FileDescriptor console_;
};

void write_attempt_record(const Attempt& attempt, const Launch& launch) {
  const BuildInfo& build = build_info();
  const AttemptRecord record = {.number = attempt.number,
                                .token = launch.token,
                                .process = this_process(),
                                .started_at = now_seconds(),
                                .devices = {name_of_device(launch.options.gpus > 0 ? at::kCUDA : at::kCPU)},
                                .threads = launch.options.threads,
                                .micro_batch = launch.options.micro_batch,
                                .versions = {{"mestre", std::string(build.version)},
                                             {"torch", TORCH_VERSION},
                                             {"compiler", std::string(build.compiler)}},
                                .commit = std::string(build.commit),
                                .dirty = build.dirty};
  write_file_atomically(attempt.folder / "attempt.json", to_json(record));
}

// The tensors of one step are those of the next: memory that was given back to the system would be mapped and cleared
// anew each time (a tenth of a small model's step).
void keep_freed_memory() {
  constexpr int kMapAlone = 32 << 20, kGrowBy = 64 << 20,
                kGiveBack = 1 << 30;  // bytes; the first is the largest there is
  ::mallopt(M_MMAP_THRESHOLD, kMapAlone);
  ::mallopt(M_TOP_PAD, kGrowBy);
  ::mallopt(M_TRIM_THRESHOLD, kGiveBack);
}

// Everything that lets a run give the same bits again.
void prepare_torch(const Launch& launch) {
  keep_freed_memory();
  // Read when the library of products starts: without it, a sum's order may change from run to run.
  ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
  at::Context& context = at::globalContext();
  context.setFlushDenormal(true);  // before the threads start: they inherit it
  at::set_num_threads(static_cast<int>(launch.options.threads));
  context.setDeterministicAlgorithms(true, false);
  context.setDeterministicFillUninitializedMemory(
      false);  // it would write every tensor twice; nothing reads what it did not write
}

std::string read_spec(const fs::path& job_folder, std::string& id) {
  std::string spec = read_file(job_folder / "job.json");
  while (spec.ends_with('\n')) spec.pop_back();
  id = job_id(spec);
  const std::string name = fs::weakly_canonical(job_folder).filename().native();
  if (id == name) return spec;
  throw Error(ErrorCode::kBadInput,
              fmt::format("'{}' is not the spec of job {}", (job_folder / "job.json").native(), name))
      .hint(fmt::format("expected the folder to bear the digest of its spec, which is {}", id));
}

void carry_out(JobContext& context) {
  const Job job = parse_job(read_spec(context.folder, context.id));
  require_features(job);
  prepare_torch(context.launch);
  log_line(fmt::format("attempt {} of job {}: {}", context.attempt, context.id, kind_of(job)));
  if (const auto* training = std::get_if<TrainJob>(&job)) return train(*training, context);
  evaluate(std::get<EvaluateJob>(job), context);
}

// Something of the machine: nobody's arguments were wrong.
int exit_status_without_journal(ErrorCode code) {
  return code == ErrorCode::kDiskFull ? kExitNoSpace : kExitEnvironment;
}

/// The journal gets its last line whatever happens, unless the job is no longer ours or the disk takes nothing.
int carry_out_and_report(JobContext& context, const ConsoleBeforeLog& console) {
  Failure failure;
  try {
    carry_out(context);
    return kExitOk;
  } catch (const Superseded& superseded) {
    log_line(fmt::format("stopping: {}", superseded.what()));
    return kExitOk;
  } catch (...) {
    failure = diagnose(std::current_exception());
  }
  log_line(fmt::format("failed ({}): {}", name_of(failure.cause), failure.message));
  try {
    // Whoever owns the job now may have moved files under us: then this failure is not the job's.
    context.require_ownership();
    context.journal->failed(failure.cause, failure.message);
    return kExitJobFailed;
  } catch (const Superseded&) {
    return kExitOk;
  } catch (const Error& problem) {
    console.say(fmt::format("error: attempt {} of job {} failed ({}): {}\n   and its journal cannot be written: {}\n",
                            context.attempt, context.id, name_of(failure.cause), failure.message, problem.what()));
    return exit_status_without_journal(problem.code());
  }
}

int claim_and_run(const fs::path& job_folder, const std::string& token) {
  catch_signals();
  Claim claim = claim_attempt(job_folder, token);
  if (!claim.attempt) {
    const bool finished = claim.refusal == Refusal::kFinished;
    fmt::print(stderr, "nothing to do in '{}': {}\n", job_folder.native(),
               finished ? "the job has finished" : "launch.json holds another token");
    return kExitOk;
  }
  const Attempt& attempt = *claim.attempt;
  const ConsoleBeforeLog console(attempt.folder / "log.txt");
  JobContext context = {.folder = job_folder,
                        .id = job_folder.filename().native(),
                        .attempt = attempt.number,
                        .launch = std::move(claim.launch),
                        .journal = nullptr,
                        .asked_to_stop = [] { return stop_requested != 0; },
                        .log = log_line};
  try {
    write_attempt_record(attempt, context.launch);
    JournalWriter journal(attempt.folder / "journal.jsonl");
    context.journal = &journal;
    return carry_out_and_report(context, console);
  } catch (const Error& error) {
    console.say(render(error));
    return exit_status_without_journal(error.code());
  }
}

}  // namespace

int run_attempt(const fs::path& job_folder, const std::string& token) {
  try {
    return claim_and_run(job_folder, token);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kDiskFull) throw;
    fmt::print(stderr, "{}", render(error));
    return kExitNoSpace;
  }
}

}  // namespace mestre
