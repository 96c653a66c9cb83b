#include "tests/worker_jobs.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <thread>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/hash.h"
#include "core/data/packed.h"
#include "core/journal/folders.h"
#include "core/journal/scanner.h"
#include "core/mixers/attention/options.h"
#include "core/mixers/mamba/options.h"
#include "core/mixers/mlp/options.h"

namespace mestre {
namespace {

using Json = nlohmann::json;

constexpr auto kSlice = std::chrono::milliseconds(5);  // that a held worker runs at a time
constexpr auto kPatience = std::chrono::seconds(120);  // far more than anything that is waited for takes

// Letters that follow each other by a rule with some noise, so that a model has something to learn.
std::vector<std::uint16_t> made_up_tokens(std::int64_t count) {
  std::vector<std::uint16_t> tokens;
  std::uint32_t state = 1, letter = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    state = state * 1664525 + 1013904223;
    letter = (state >> 28) == 0 ? (state >> 8) % 26 : (letter * 5 + 7) % 26;
    tokens.push_back(static_cast<std::uint16_t>('a' + letter));
  }
  return tokens;
}

double number(const Json& json) {
  if (!json.is_string()) return json.get<double>();
  return json == "nan" ? std::nan("") : json == "inf" ? INFINITY : -INFINITY;
}

Values numbers(const Json& json) {
  Values values;
  for (const auto& [name, value] : json.items()) values.emplace_back(name, number(value));
  return values;
}

JournalLine parse(std::string_view text) {
  const Json json = Json::parse(text);
  JournalLine line{.type = json.at("type"), .text = std::string(text)};
  line.step = json.value("step", std::int64_t{0});
  line.cause = json.value("cause", "");
  line.message = json.value("message", "");
  line.name = json.value("name", "");
  line.digest = json.value("digest", "");
  line.file = json.value("file", "");
  if (line.type == "metrics") line.values = numbers(json.at("values"));
  if (line.type == "finished") line.values = numbers(json.at("summary"));
  if (line.type == "measurement") {
    for (const Json& value : json.at("values")) line.measured.push_back(number(value));
    for (const Json& axis : json.at("axes")) line.axes.emplace_back(axis.at("name"), axis.at("values"));
  }
  if (line.type == "started") {
    line.fresh = json.at("restored").is_null();
    if (!line.fresh) line.restored_step = json.at("restored").at("step");
  }
  return line;
}

}  // namespace

WorkerJobs::WorkerJobs(std::int64_t count) : tokens_(count) {
  const std::vector<std::uint16_t> tokens = made_up_tokens(tokens_);
  const std::string bytes(reinterpret_cast<const char*>(tokens.data()), tokens.size() * sizeof(std::uint16_t));
  folder_.write("data/words.bin", bytes);
  Manifest manifest;
  data_ = {.digest = xxh3_128(bytes), .tokenizer = "bytes", .tokenizer_version = 1, .vocabulary = 257};
  manifest.identity = data_;
  manifest.tokens = tokens_;
  manifest.documents = 1;
  manifest.files = {{.path = "words.bin",
                     .bytes = static_cast<std::int64_t>(bytes.size()),
                     .tokens = tokens_,
                     .digest = data_.digest}};
  folder_.write("data/words.manifest", to_json(manifest));
}

TrainJob WorkerJobs::small_training() const {
  AttentionOptions attention;
  attention.heads = 2;
  attention.window = 8;
  MlpOptions mlp;
  mlp.intermediate = 24;
  MambaOptions mamba;
  mamba.state = 4;
  TrainJob job;
  job.model.options.width = 16;
  job.model.options.layers = {"mamba", "mlp", "attention", "mlp"};
  job.model.instances.emplace("attention", attention.clone());
  job.model.instances.emplace("mamba", mamba.clone());
  job.model.instances.emplace("mlp", mlp.clone());
  job.model.resolve(data_.vocabulary);
  job.train.tokens = 6L * 2 * 16;
  job.train.sequence_length = 16;
  job.train.sequences_per_step = 2;
  job.train.learning_rate = 3e-3;
  job.data = data_;
  return job;
}

fs::path WorkerJobs::add(const Job& job) const {
  const std::string spec = canonical_spec(job);
  fs::path folder = Workspace{folder_.path()}.job(job_id(spec));
  fs::create_directories(folder);
  replace_file(folder / "job.json", spec + "\n");
  launch(folder, default_launch());
  return folder;
}

void WorkerJobs::launch(const fs::path& job, const Launch& launch) const {
  replace_file(job / "launch.json", to_json(launch));
}

Launch WorkerJobs::default_launch() const {
  Launch launch;
  launch.token = "token";
  launch.data_root = (folder_.path() / "data").native();
  launch.data = "words.manifest";
  launch.options.checkpoint_interval = 0;
  launch.options.log_interval = 1;
  return launch;
}

EvaluateJob WorkerJobs::evaluation_of(const fs::path& training, std::vector<std::int64_t> lengths) const {
  auto task = std::make_unique<PerplexityOptions>();
  task->lengths = std::move(lengths);
  return evaluation_of(training, std::move(task));
}

EvaluateJob WorkerJobs::evaluation_of(const fs::path& training, std::unique_ptr<TaskOptions> task) const {
  return {.checkpoint_job = training.filename().native(), .task = std::move(task), .data = data_};
}

std::vector<std::int64_t> WorkerJobs::tokens() const {
  std::vector<std::int64_t> tokens(static_cast<std::size_t>(tokens_));
  PackedCorpus(folder_.path() / "data/words.manifest").read(0, tokens);
  return tokens;
}

pid_t start(const std::vector<std::string>& command, const fs::path& log) {
  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const pid_t child = ::fork();
  if (child != 0) return child;
  const int output = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  ::execvp(arguments[0], arguments.data());
  ::_exit(127);
}

namespace {

int result_of(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace

int wait_for(pid_t process) {
  int status = 0;
  return ::waitpid(process, &status, 0) == process ? result_of(status) : 127;
}

HeldWorker::HeldWorker(pid_t process) : process_(process) {
  hold();
}

HeldWorker::~HeldWorker() {
  kill();
}

// Comes back when it does stand still.
void HeldWorker::hold() {
  if (status_) return;
  ::kill(process_, SIGSTOP);
  int status = 0;
  if (::waitpid(process_, &status, WUNTRACED) == process_ && !WIFSTOPPED(status)) status_ = result_of(status);
}

bool HeldWorker::run_until(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (status_ || std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << (status_ ? "the worker ended before, with " + std::to_string(*status_) : "it does not happen");
      return false;
    }
    run_for(kSlice);
  }
  return true;
}

void HeldWorker::run_for(std::chrono::milliseconds time) {
  if (status_) return;
  ::kill(process_, SIGCONT);
  std::this_thread::sleep_for(time);
  hold();
}

void HeldWorker::kill() {
  if (!status_) finish(SIGKILL);
}

int HeldWorker::finish(int signal) {
  if (!status_) {
    if (signal != 0) ::kill(process_, signal);
    ::kill(process_, SIGCONT);
    status_ = wait_for(process_);
  }
  return *status_;
}

namespace {

pid_t start_worker_with(const fs::path& job, const std::string& token) {
  const std::string program = (fs::path(std::getenv("MESTRE_BIN")) / "mestre-worker").native();
  return start({program, "run", job.native(), "--token", token}, job / "console.txt");
}

}  // namespace

pid_t start_worker(const fs::path& job) {
  return start_worker_with(job, "token");
}

int run_worker(const fs::path& job, const std::string& token) {
  return wait_for(start_worker_with(job, token));
}

double JournalLine::value(const std::string& wanted) const {
  for (const auto& [key, value] : values)
    if (key == wanted) return value;
  ADD_FAILURE() << "no value '" << wanted << "' in " << text;
  return std::nan("");
}

std::vector<double> JournalLine::axis(const std::string& wanted) const {
  for (const auto& [key, coordinates] : axes)
    if (key == wanted) return coordinates;
  ADD_FAILURE() << "no axis '" << wanted << "' in " << text;
  return {};
}

std::vector<JournalLine> journal_of(const fs::path& job, int attempt) {
  JournalScanner scanner(attempt_folder(job, attempt) / "journal.jsonl", {});
  std::vector<JournalLine> lines;
  while (const auto line = scanner.next()) lines.push_back(parse(*line));
  EXPECT_EQ(scanner.corrupt(), "") << job;
  return lines;
}

std::vector<JournalLine> lines_of(const fs::path& job, int attempt, const std::string& type) {
  std::vector<JournalLine> wanted;
  for (JournalLine& line : journal_of(job, attempt))
    if (line.type == type) wanted.push_back(std::move(line));
  return wanted;
}

}  // namespace mestre
