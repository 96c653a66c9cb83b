#include "store/curve_writer.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace mestre {

CurveWriter::CurveWriter(SQLite::Database& connection)
    : connection_(connection),
      last_(connection,
            "SELECT chunk_id, count, number FROM curve_chunk WHERE attempt_id = ? AND name = ? "
            "ORDER BY number DESC LIMIT 1"),
      insert_(connection,
              "INSERT INTO curve_chunk (attempt_id, name, number, count, first_step, last_step, points) "
              "VALUES (?, ?, ?, ?, ?, ?, '[' || ? || ']')"),
      extend_(connection,
              "UPDATE curve_chunk SET count = count + ?2, first_step = min(first_step, ?3), "
              "last_step = max(last_step, ?4), points = substr(points, 1, length(points) - 1) || ',' || ?5 || ']' "
              "WHERE chunk_id = ?1") {}

void CurveWriter::begin(std::int64_t attempt_id) {
  attempt_id_ = attempt_id;
  used_ = 0;
  guess_ = 0;
  by_name_.clear();
}

void CurveWriter::discard() {
  begin(0);
}

CurveWriter::Curve& CurveWriter::curve(std::string_view name) {
  if (guess_ < used_ && curves_[guess_].name == name) return curves_[guess_];
  const auto found = by_name_.find(std::string(name));
  if (found != by_name_.end()) {
    guess_ = found->second;
    return curves_[guess_];
  }
  guess_ = used_;
  if (used_ == curves_.size()) curves_.emplace_back();
  Curve& curve = curves_[used_++];
  curve.name = name;
  curve.points.clear();
  curve.count = 0;
  curve.known = false;
  by_name_.emplace(curve.name, guess_);
  return curve;
}

void CurveWriter::add(std::string_view name, std::int64_t step, std::string_view value, std::string_view t) {
  Curve& curve = this->curve(name);
  guess_ = guess_ + 1 < used_ ? guess_ + 1 : 0;
  std::array<char, 24> digits{};
  char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), step).ptr;
  std::string& points = curve.points;
  points.append(curve.count > 0 ? ",[" : "[").append(digits.data(), end).push_back(',');
  points.append(value).push_back(',');
  points.append(t).push_back(']');
  curve.first_step = curve.count > 0 ? std::min(curve.first_step, step) : step;
  curve.last_step = curve.count > 0 ? std::max(curve.last_step, step) : step;
  if (++curve.count >= kChunkPoints) write(curve);
}

void CurveWriter::find_last_chunk(Curve& curve) {
  last_.tryReset();
  last_.bind(1, attempt_id_);
  last_.bindNoCopy(2, curve.name);
  curve.known = true;
  curve.next_number = 0;
  curve.chunk_count = kChunkPoints;
  if (last_.executeStep()) {
    curve.chunk_id = last_.getColumn(0).getInt64();
    curve.chunk_count = last_.getColumn(1).getInt64();
    curve.next_number = last_.getColumn(2).getInt64() + 1;
  }
  last_.tryReset();
}

void CurveWriter::write(Curve& curve) {
  if (!curve.known) find_last_chunk(curve);
  if (curve.chunk_count + curve.count <= kChunkPoints) {
    extend_.tryReset();
    extend_.bind(1, curve.chunk_id);
    extend_.bind(2, curve.count);
    extend_.bind(3, curve.first_step);
    extend_.bind(4, curve.last_step);
    extend_.bindNoCopy(5, curve.points);
    extend_.exec();
    curve.chunk_count += curve.count;
  } else {
    insert_.tryReset();
    insert_.bind(1, attempt_id_);
    insert_.bindNoCopy(2, curve.name);
    insert_.bind(3, curve.next_number++);
    insert_.bind(4, curve.count);
    insert_.bind(5, curve.first_step);
    insert_.bind(6, curve.last_step);
    insert_.bindNoCopy(7, curve.points);
    insert_.exec();
    curve.chunk_id = connection_.getLastInsertRowid();
    curve.chunk_count = curve.count;
  }
  curve.points.clear();
  curve.count = 0;
}

void CurveWriter::flush() {
  for (std::size_t i = 0; i < used_; ++i)
    if (curves_[i].count > 0) write(curves_[i]);
}

}  // namespace mestre
