#include "core/data/unit_encoder.h"

#include <simdjson.h>

#include <algorithm>

#include <fmt/format.h>

#include "core/data/unit_reader.h"

namespace mestre {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

// The parser of lines. A line is parsed to its end, so that one that was cut off is noticed.
struct UnitEncoder::Lines {
  simdjson::dom::parser parser{kLongestLine};

  // The text of a line, valid until the next call; else what is wrong with it. The bytes behind the line must be
  // readable.
  [[nodiscard]] std::string_view text_of(std::string_view line, const std::string& key, std::string& wrong) {
    simdjson::dom::element element;
    simdjson::dom::object object;
    std::string_view text;
    const simdjson::error_code code = parser.parse(line.data(), line.size(), false).get(element);
    if (code == simdjson::UTF8_ERROR)
      wrong = "it is not UTF-8";
    else if (code != simdjson::SUCCESS)
      wrong = "it is not JSON";
    else if (element.get(object) != simdjson::SUCCESS)
      wrong = "it is no object";
    else if (const auto member = object.at_key(key); member.error() != simdjson::SUCCESS)
      wrong = fmt::format("it has no member '{}'", key);
    else if (member.get(text) != simdjson::SUCCESS)
      wrong = fmt::format("its member '{}' is no string", key);
    return text;
  }
};

UnitEncoder::UnitEncoder(const SourceList& sources, std::unique_ptr<Tokenizer> tokenizer, std::string text_key,
                         double holdout)
    : sources_(sources), tokenizer_(std::move(tokenizer)), text_key_(std::move(text_key)), holdout_(holdout) {}
UnitEncoder::~UnitEncoder() = default;
UnitEncoder::UnitEncoder(UnitEncoder&&) noexcept = default;

EncodedUnit::Split& UnitEncoder::split_of(EncodedUnit& out, double fraction) const {
  return fraction < holdout_ ? out.validation : out.train;
}

EncodedUnit UnitEncoder::encode(TextUnit unit) {
  EncodedUnit out;
  out.next = unit.next;
  out.source_bytes = unit.source_bytes;
  out.tally = unit.tally;
  out.skipped = std::move(unit.skipped);
  out.bad = std::move(unit.bad);
  if (!unit.parts.empty())
    encode_parts(unit, out);
  else if (!unit.text.empty())
    encode_lines(unit, out);
  return out;
}

void UnitEncoder::encode_parts(const TextUnit& unit, EncodedUnit& out) {
  std::string_view rest = unit.text;
  for (const TextUnit::Part& part : unit.parts) {
    EncodedUnit::Split& split = split_of(out, sources_.files[static_cast<std::size_t>(part.file)].fraction);
    tokenizer_->encode(rest.substr(0, part.size), part.begins, split.tokens);
    split.documents += part.begins ? 1 : 0;
    rest.remove_prefix(part.size);
  }
}

void UnitEncoder::encode_lines(TextUnit& unit, EncodedUnit& out) {
  if (!lines_) lines_ = std::make_unique<Lines>();
  const SourceFile& source = sources_.files[static_cast<std::size_t>(unit.file)];
  const std::size_t size = unit.text.size();
  unit.text.append(simdjson::SIMDJSON_PADDING, ' ');
  std::string_view rest = std::string_view(unit.text).substr(0, size);
  if (unit.first_line == 1 && rest.starts_with(kByteOrderMark)) rest.remove_prefix(kByteOrderMark.size());
  for (std::int64_t number = unit.first_line; !rest.empty(); ++number) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) encode_line(line, source, number, out);
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  }
}

void UnitEncoder::encode_line(std::string_view line, const SourceFile& source, std::int64_t number, EncodedUnit& out) {
  std::string wrong;
  const std::string_view text = lines_->text_of(line, text_key_, wrong);
  if (!wrong.empty()) {
    ++out.tally.bad_lines;
    if (out.bad.size() < kMostExamples)
      out.bad.push_back({fmt::format("{}:{}", source.file.native(), number), std::move(wrong)});
    return;
  }
  if (text.empty()) {
    ++out.tally.empty;
    return;
  }
  const double fraction = holdout_ > 0 ? fraction_of(fmt::format("{}:{}", source.key, number)) : 1;
  EncodedUnit::Split& split = split_of(out, fraction);
  encode_document(*tokenizer_, text, split.tokens);
  ++split.documents;
  out.tally.text_bytes += static_cast<std::int64_t>(text.size());
  out.tally.with_nul += text.find('\0') != std::string_view::npos ? 1 : 0;
}

}  // namespace mestre
