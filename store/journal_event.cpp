#include "store/journal_event.h"

#include <simdjson.h>

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/options.h"

namespace mestre {
namespace {

namespace ondemand = simdjson::ondemand;
namespace dom = simdjson::dom;

// simdjson throws its errors here (simdjson_error); parse() turns them, and these, into text.
struct Malformed {
  std::string what;
};

std::string_view trimmed(std::string_view token) {
  while (!token.empty() && (token.back() == ' ' || token.back() == '\t' || token.back() == '\r'))
    token.remove_suffix(1);
  return token;
}

bool is_non_finite(std::string_view text) {
  return text == "nan" || text == "inf" || text == "-inf";
}

// The characters of a number, or of the text that stands for one which is not finite.
std::string_view value_text(ondemand::value value, std::string_view name) {
  const std::string_view token = trimmed(value.raw_json_token());
  if (value.type() == ondemand::json_type::number) {
    static_cast<void>(static_cast<double>(value.get_double()));
    return token;
  }
  if (value.type() == ondemand::json_type::string && token.size() >= 2 &&
      is_non_finite(token.substr(1, token.size() - 2)))
    return token;
  throw Malformed{fmt::format("the value of '{}' is neither a number nor \"nan\", \"inf\" or \"-inf\"", name)};
}

EventType type_of(std::string_view name) {
  if (name == "metrics") return EventType::kMetrics;
  if (name == "started") return EventType::kStarted;
  if (name == "measurement") return EventType::kMeasurement;
  if (name == "checkpoint") return EventType::kCheckpoint;
  if (name == "progress") return EventType::kProgress;
  if (name == "failed") return EventType::kFailed;
  if (name == "finished") return EventType::kFinished;
  return EventType::kOther;
}

void read_metrics(ondemand::object& line, JournalEvent& event) {
  event.step = line.find_field_unordered("step").get_int64();
  event.metrics.clear();
  for (auto member : line.find_field_unordered("values").get_object()) {
    const std::string_view name = member.unescaped_key();
    event.metrics.push_back({name, value_text(member.value(), name)});
  }
}

std::string text_member(const dom::object& object, const char* name) {
  return std::string(object[name].get_string().value());
}

std::string optional_text(const dom::object& object, const char* name) {
  std::string_view text;
  return object[name].get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

std::optional<double> optional_number(const dom::object& object, const char* name) {
  double number = 0;
  if (object[name].get(number) != simdjson::SUCCESS) return std::nullopt;
  return number;
}

std::string minified(const dom::element& element) {
  return simdjson::minify(element);
}

void require_numbers(const dom::array& values, std::string_view what) {
  for (const dom::element value : values) {
    std::string_view text;
    if (value.is_number() || (value.get(text) == simdjson::SUCCESS && is_non_finite(text))) continue;
    throw Malformed{fmt::format("{} holds something that is not a number", what)};
  }
}

// The axes with the distance between neighbours in the row-major values: the store's views find coordinates by it.
std::string axes_with_strides(const dom::array& axes, std::size_t expected_values) {
  std::vector<std::size_t> strides(axes.size());
  std::size_t stride = 1;
  for (std::size_t i = strides.size(); i-- > 0;) {
    strides[i] = stride;
    const dom::array coordinates = axes.at(i)["values"].get_array();
    stride *= coordinates.size();
  }
  if (stride != expected_values)
    throw Malformed{fmt::format("the axes span {} values, but there are {}", stride, expected_values)};
  std::string text = "[";
  for (std::size_t i = 0; i < strides.size(); ++i) {
    const dom::object axis = axes.at(i).get_object();
    require_numbers(axis["values"].get_array(), "an axis");
    text += fmt::format(R"({}{{"name":{},"unit":{},"values":{},"stride":{}}})", i > 0 ? "," : "",
                        json_string(text_member(axis, "name")), json_string(optional_text(axis, "unit")),
                        minified(axis["values"]), strides[i]);
  }
  return text + "]";
}

void read_measurement(const dom::object& line, JournalEvent& event) {
  event.name = text_member(line, "name");
  event.unit = optional_text(line, "unit");
  event.dtype = optional_text(line, "dtype");
  const dom::array values = line["values"].get_array();
  require_numbers(values, fmt::format("measurement '{}'", event.name));
  event.values = minified(line["values"]);
  // dom::array::size saturates at 2^24 - 1; larger arrays are counted.
  const auto count = static_cast<std::size_t>(std::distance(values.begin(), values.end()));
  event.axes = axes_with_strides(line["axes"].get_array(), count);
  dom::object details;
  event.details = line["details"].get(details) == simdjson::SUCCESS ? minified(line["details"]) : "{}";
}

void read_started(const dom::object& line, JournalEvent& event) {
  event.job = text_member(line, "job");
  event.attempt = line["attempt"].get_int64();
  if (line["steps"].get(event.steps) != simdjson::SUCCESS) event.steps = 0;
  event.restored_step.reset();
  event.restored_file.clear();
  event.restored_digest.clear();
  dom::object restored;
  if (line["restored"].get(restored) != simdjson::SUCCESS) return;
  event.restored_step = static_cast<std::int64_t>(restored["step"].get_int64());
  event.restored_file = text_member(restored, "file");
  event.restored_digest = optional_text(restored, "digest");
}

void read_rare(const dom::object& line, JournalEvent& event) {
  switch (event.type) {
    case EventType::kStarted:
      return read_started(line, event);
    case EventType::kMeasurement:
      return read_measurement(line, event);
    case EventType::kCheckpoint:
      event.step = line["step"].get_int64();
      static_cast<void>(text_member(line, "file"));
      return;
    case EventType::kProgress:
      event.done = line["done"].get_double();
      event.total = line["total"].get_double();
      event.tokens_per_second = optional_number(line, "tokens_per_second");
      return;
    case EventType::kFailed:
      event.cause = text_member(line, "cause");
      event.message = optional_text(line, "message");
      return;
    case EventType::kFinished: {
      const dom::object summary = line["summary"].get_object();
      event.summary = minified(line["summary"]);
      event.tokens_per_second = optional_number(summary, "tokens_per_second");
      return;
    }
    case EventType::kMetrics:
    case EventType::kOther:
      return;
  }
}

std::string other_members(const dom::object& line) {
  std::string text = "{";
  for (const auto member : line) {
    if (member.key == "seq" || member.key == "t" || member.key == "type" || member.key == "crc") continue;
    if (text.size() > 1) text += ',';
    append_json_string(text, member.key);
    text += ':';
    text += minified(member.value);
  }
  return text + "}";
}

}  // namespace

struct EventParser::State {
  ondemand::parser fast;
  dom::parser whole;
  std::string padded;  // simdjson reads a few bytes beyond the end

  std::size_t load(std::string_view line) {
    if (padded.size() < line.size() + simdjson::SIMDJSON_PADDING)
      padded.resize(2 * line.size() + simdjson::SIMDJSON_PADDING);
    std::memcpy(padded.data(), line.data(), line.size());
    return line.size();
  }
};

EventParser::EventParser() : state_(std::make_unique<State>()) {}
EventParser::~EventParser() = default;

std::string EventParser::parse(std::string_view line) {
  try {
    const std::size_t size = state_->load(line);
    ondemand::document document = state_->fast.iterate(state_->padded.data(), size, state_->padded.size());
    ondemand::object object = document.get_object();
    ondemand::value t = object.find_field_unordered("t");
    event_.t_text = trimmed(t.raw_json_token());
    event_.t = t.get_double();
    const std::string_view type = object.find_field_unordered("type").get_string();
    event_.type_name.assign(type);
    event_.type = type_of(type);
    if (event_.type == EventType::kMetrics) {
      read_metrics(object, event_);
      return {};
    }
    const dom::object whole = state_->whole.parse(state_->padded.data(), size, false).get_object();
    read_rare(whole, event_);
    if (event_.type != EventType::kProgress && event_.type != EventType::kMeasurement)
      event_.data = other_members(whole);
    return {};
  } catch (const simdjson::simdjson_error& problem) {
    return fmt::format("is no event of a journal: {}", problem.what());
  } catch (const Malformed& problem) {
    return fmt::format("is no event of a journal: {}", problem.what);
  }
}

JobFacts read_job_facts(std::string_view spec) {
  try {
    dom::parser parser;
    const dom::object job = parser.parse(spec.data(), spec.size()).get_object();
    JobFacts facts{.kind = text_member(job, "kind"), .needs = {}};
    for (const char* member : {"checkpoint", "from"}) {
      dom::object other;
      if (job[member].get(other) != simdjson::SUCCESS) continue;
      std::string id = optional_text(other, "job");
      if (!id.empty()) facts.needs.push_back(std::move(id));
    }
    return facts;
  } catch (const simdjson::simdjson_error& problem) {
    throw Error(ErrorCode::kBadInput, fmt::format("the spec of the job cannot be read: {}", problem.what()));
  }
}

}  // namespace mestre
