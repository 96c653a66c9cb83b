// Gathers the points of one attempt's curves and writes them as chunks.
//
// A chunk holds up to kChunkPoints points. What is new extends the last chunk of its curve while it fits, so a living
// attempt that is read every second leaves no trail of tiny rows. For the sources of this room only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>

namespace mestre {

inline constexpr std::int64_t kChunkPoints = 256;

class CurveWriter {
 public:
  explicit CurveWriter(SQLite::Database& connection);

  /// From here on the points belong to this attempt. Nothing may be pending.
  void begin(std::int64_t attempt_id);
  /// `value` and `t` are JSON. A full chunk is written at once.
  void add(std::string_view name, std::int64_t step, std::string_view value, std::string_view t);
  /// Writes what is pending. Needs an open transaction, as add does.
  void flush();
  /// Forgets what is pending: the transaction was rolled back.
  void discard();

 private:
  struct Curve {
    std::string name;
    std::string points;  // "[1,2.5,3.5],[…" without the outer brackets
    std::int64_t count = 0;
    std::int64_t first_step = 0;
    std::int64_t last_step = 0;
    // The last chunk in the store, once it was looked up.
    bool known = false;
    std::int64_t chunk_id = 0;
    std::int64_t chunk_count = 0;
    std::int64_t next_number = 0;
  };

  Curve& curve(std::string_view name);
  void write(Curve& curve);
  void find_last_chunk(Curve& curve);

  SQLite::Database& connection_;
  SQLite::Statement last_;
  SQLite::Statement insert_;
  SQLite::Statement extend_;
  std::int64_t attempt_id_ = 0;
  std::vector<Curve> curves_;
  std::size_t used_ = 0;   // of curves_; the rest keep their memory for the next attempt
  std::size_t guess_ = 0;  // the curve that most likely comes next: lines repeat their names in one order
  std::unordered_map<std::string, std::size_t> by_name_;
};

}  // namespace mestre
