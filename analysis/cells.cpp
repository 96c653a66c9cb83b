#include "analysis/cells.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <fmt/format.h>

#include "core/base/units.h"

namespace mestre {
namespace {

constexpr int kSignificantDigits = 4;  // at most

/// A number rounded to kSignificantDigits, and the decimals that these digits reach to (negative where they end before
/// the point).
struct Rounded {
  double value = 0;
  int decimals = 0;
};

Rounded rounded_to_digits(double number, int digits) {
  const std::string text = fmt::format("{:.{}e}", number, digits - 1);
  return {.value = std::strtod(text.c_str(), nullptr),
          .decimals = digits - 1 - std::atoi(text.c_str() + text.find('e') + 1)};
}

/// The decimals that are needed to write `number` with kSignificantDigits, trailing zeros left out.
int needed_decimals(double number) {
  const auto [value, most] = rounded_to_digits(number, kSignificantDigits);
  for (int decimals = 0; decimals < most; ++decimals)
    if (std::strtod(fmt::format("{:.{}f}", value, decimals).c_str(), nullptr) == value) return decimals;
  return std::max(0, most);
}

/// Decimals that a half-width deserves: two significant digits while its first three are below 355, else one, as the
/// Particle Data Group rounds. More would pretend a precision that the interval itself denies.
int deserved_decimals(double half_width) {
  const int exponent = static_cast<int>(std::floor(std::log10(half_width)));
  return half_width / std::pow(10, exponent) < 3.55 ? 1 - exponent : -exponent;
}

std::string with_separators(std::string digits) {
  const std::size_t start = digits.starts_with('-') ? 1 : 0;
  std::size_t end = std::min(digits.find('.'), digits.size());
  while (end > start + 3) digits.insert(end -= 3, ",");
  return digits;
}

std::string not_finite(double number) {
  return std::isnan(number) ? "nan" : number > 0 ? "inf" : "-inf";
}

/// "4.129e-06": as many of the kSignificantDigits as it takes.
std::string with_exponent(double rounded) {
  std::string text;
  for (int decimals = 0; decimals < kSignificantDigits; ++decimals) {
    text = fmt::format("{:.{}e}", rounded, decimals);
    if (std::strtod(text.c_str(), nullptr) == rounded) break;
  }
  return text;
}

/// `decimals` at most, and not more than kSignificantDigits allow.
std::string fixed(double number, int decimals) {
  if (!std::isfinite(number)) return not_finite(number);
  if (number == 0) return "0";
  const Rounded rounded = rounded_to_digits(number, kSignificantDigits);
  if (std::abs(rounded.value) >= 1e15 || std::abs(rounded.value) < 1e-4) return with_exponent(rounded.value);
  return with_separators(fmt::format("{:.{}f}", rounded.value, std::clamp(rounded.decimals, 0, decimals)));
}

bool has_interval(const Interval& interval) {
  return std::isfinite(interval.half_width) && std::isfinite(interval.mean);
}

/// How many decimals the numbers of a column are given.
struct Decimals {
  int number = 0;
  int interval = 0;
  bool any_interval = false;
};

Decimals decimals_of(const Table& table, std::size_t column) {
  Decimals most;
  for (const auto& row : table.rows) {
    if (const auto* number = std::get_if<double>(&row[column].value)) {
      if (std::isfinite(*number) && *number != 0 && std::abs(*number) >= 1e-4)
        most.number = std::max(most.number, needed_decimals(*number));
    } else if (const auto* interval = std::get_if<Interval>(&row[column].value)) {
      if (has_interval(*interval) && interval->half_width > 0) {
        most.any_interval = true;
        most.interval = std::max(most.interval, deserved_decimals(interval->half_width));
      } else if (std::isfinite(interval->mean) && interval->mean != 0) {
        most.number = std::max(most.number, needed_decimals(interval->mean));
      }
    }
  }
  if (!most.any_interval) most.interval = most.number;
  return most;
}

/// Three or four significant digits of the mean, as the column's intervals deserve; of a wide interval at most one
/// decimal too many.
int interval_decimals(const Interval& interval, int column) {
  if (interval.mean == 0) return std::max(column, 0);
  const int most = rounded_to_digits(interval.mean, kSignificantDigits).decimals;
  const int own = interval.half_width > 0 ? deserved_decimals(interval.half_width) + 1 : most;
  return std::max(0, std::clamp(column, std::min(most - 1, own), std::min(most, own)));
}

void show_interval(const Interval& interval, const Decimals& column, ShownCell& shown) {
  const int decimals = std::isfinite(interval.mean) ? interval_decimals(interval, column.interval) : 0;
  shown.text = fixed(interval.mean, decimals);
  if (!has_interval(interval)) return;
  const std::string half = fmt::format("{:.{}f}", interval.half_width, decimals);
  // Where the mean's four digits end before the half-width begins, the half-width is shown all the same.
  const bool vanished = interval.half_width > 0 && std::strtod(half.c_str(), nullptr) == 0;
  shown.half_width = vanished ? fmt::format("{:.1g}", interval.half_width) : with_separators(half);
}

std::string show_number(double number, Show show, int decimals) {
  if (!std::isfinite(number)) return not_finite(number);
  const std::string sign = number < 0 ? "-" : "";
  switch (show) {
    case Show::kNumber:
      return fixed(number, decimals);
    case Show::kCount:
      return sign + short_count(std::abs(number));
    case Show::kBytes:
      return sign + short_bytes(std::abs(number));
    case Show::kDuration:
      return sign + short_duration(std::abs(number));
    case Show::kExact:
      return shortest(number);
  }
  return {};
}

ShownCell show_cell(const Cell& cell, const Column& column, const Decimals& decimals) {
  ShownCell shown{.text = std::string(kMissing), .half_width = {}, .mark = cell.mark};
  if (const auto* text = std::get_if<std::string>(&cell.value)) {
    shown.text = *text;
    shown.is_text = true;
  } else if (const auto* whole = std::get_if<std::int64_t>(&cell.value)) {
    if (column.show == Show::kNumber)
      shown.text = with_separators(std::to_string(*whole));
    else if (column.show == Show::kExact)
      shown.text = std::to_string(*whole);
    else
      shown.text = show_number(static_cast<double>(*whole), column.show, 0);
  } else if (const auto* number = std::get_if<double>(&cell.value)) {
    shown.text = show_number(*number, column.show, decimals.number);
  } else if (const auto* interval = std::get_if<Interval>(&cell.value)) {
    show_interval(*interval, decimals, shown);
  }
  return shown;
}

}  // namespace

std::vector<ShownCell> shown_column(const Table& table, std::size_t column) {
  const Decimals decimals = decimals_of(table, column);
  std::vector<ShownCell> cells;
  cells.reserve(table.rows.size());
  for (const auto& row : table.rows) cells.push_back(show_cell(row[column], table.columns[column], decimals));
  return cells;
}

bool is_right_aligned(const Table& table, std::size_t column) {
  if (table.columns[column].align != Align::kAuto) return table.columns[column].align == Align::kRight;
  bool any_number = false;
  for (const auto& row : table.rows) {
    const Cell::Value& value = row[column].value;
    if (std::holds_alternative<std::string>(value)) return false;
    any_number |= !std::holds_alternative<std::monostate>(value);
  }
  return any_number;
}

std::vector<GroupRun> group_runs(const Table& table) {
  std::vector<GroupRun> runs;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    if (runs.empty() || runs.back().name != table.columns[i].group)
      runs.push_back({.name = table.columns[i].group, .first = i});
    ++runs.back().count;
  }
  return runs;
}

std::string title_with_unit(const Column& column) {
  return column.unit.empty() ? column.title : fmt::format("{} ({})", column.title, column.unit);
}

std::string shown(double number) {
  return std::isfinite(number) && number != 0 ? fixed(number, needed_decimals(number)) : fixed(number, 0);
}

std::string shown(const Interval& interval) {
  const Table table{.columns = {{}}, .rows = {{interval}}};
  const ShownCell cell = shown_column(table, 0).front();
  return cell.half_width.empty() ? cell.text : cell.text + " ± " + cell.half_width;
}

}  // namespace mestre
