// The meaning of one journal line: parsed with simdjson, checked, and handed on as text where the store keeps text.
//
// Lines come from the scanner, which has checked number and checksum; what is wrong here was written wrong (by a
// foreign worker, say). Numbers stay the characters that the worker wrote. For the sources of this room only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mestre {

/// Views into the parser's buffers, valid until its next line.
struct MetricValue {
  std::string_view name;
  std::string_view value;  // JSON: a number, or "nan", "inf", "-inf" with its quotes
};

enum class EventType { kStarted, kMetrics, kMeasurement, kCheckpoint, kProgress, kFailed, kFinished, kOther };

/// One line. Which members are set depends on the type; the others keep what an earlier line left there.
struct JournalEvent {
  EventType type = EventType::kOther;
  std::string type_name;
  double t = 0;             // s since the epoch
  std::string_view t_text;  // the same as it was written

  std::int64_t step = 0;             // metrics, checkpoint
  std::vector<MetricValue> metrics;  // metrics

  std::string job;  // started
  std::int64_t attempt = 0;
  std::int64_t steps = 0;
  std::optional<std::int64_t> restored_step;
  std::string restored_file;
  std::string restored_digest;

  std::string name, unit, dtype, axes, values,
      details;  // measurement; the last three are JSON, axes with their strides

  double done = 0;  // progress
  double total = 0;
  std::optional<double> tokens_per_second;  // progress, and finished where its summary has one

  std::string cause, message;  // failed
  std::string summary;         // finished; JSON

  std::string data;  // all but metrics, measurement, progress: JSON object of the members but seq, t, type and crc
};

class EventParser {
 public:
  EventParser();
  ~EventParser();
  EventParser(const EventParser&) = delete;
  EventParser& operator=(const EventParser&) = delete;

  /// Parses `line` into event(). Returns what is wrong with it, or an empty string.
  [[nodiscard]] std::string parse(std::string_view line);
  [[nodiscard]] const JournalEvent& event() const { return event_; }

 private:
  struct State;
  std::unique_ptr<State> state_;
  JournalEvent event_;
};

/// What the store needs of a job.json.
struct JobFacts {
  std::string kind;
  std::vector<std::string> needs;  // ids
};
/// Throws Error (bad_input) where the spec is not a JSON object with a kind.
[[nodiscard]] JobFacts read_job_facts(std::string_view spec);

}  // namespace mestre
