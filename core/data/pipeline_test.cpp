#include "core/data/pipeline.h"

#include <atomic>
#include <stdexcept>
#include <thread>

#include <gtest/gtest.h>

namespace mestre {
namespace {

// Units of `bytes` each, numbered by their position.
std::function<std::optional<TextUnit>()> units(int count, std::size_t bytes) {
  return [count, bytes, i = 0]() mutable -> std::optional<TextUnit> {
    if (i == count) return std::nullopt;
    TextUnit unit;
    unit.text.assign(bytes, 'x');
    unit.next.offset = i++;
    return unit;
  };
}

EncodedUnit encoded(const TextUnit& unit) {
  EncodedUnit out;
  out.next = unit.next;
  // The later a unit, the sooner it is done, so that they come out of order.
  if (unit.next.offset % 4 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  return out;
}

TEST(Pipeline, WritesInTheOrderOfReading) {
  std::int64_t next = 0;
  run({.read = units(200, 10),
       .make_encoder = [] { return encoded; },
       .write = [&](const EncodedUnit& unit) { EXPECT_EQ(unit.next.offset, next++); },
       .threads = 8,
       .read_ahead = 1000});
  EXPECT_EQ(next, 200);
  run({.read = units(0, 1),
       .make_encoder = [] { return encoded; },
       .write = [&](const EncodedUnit&) { FAIL(); },
       .threads = 2,
       .read_ahead = 1000});
}

TEST(Pipeline, HoldsNoMoreThanItMay) {
  std::atomic<int> under_way = 0, most = 0;
  const auto read = units(100, 10);
  run({.read =
           [&] {
             auto unit = read();
             if (unit) most = std::max<int>(most, ++under_way);
             return unit;
           },
       .make_encoder = [] { return encoded; },
       .write = [&](const EncodedUnit&) { --under_way; },
       .threads = 4,
       .read_ahead = 35});
  EXPECT_GE(most, 2);
  EXPECT_LE(most, 5) << "three under way, one read, and one that is written but not yet counted out";
}

TEST(Pipeline, ThrowsWhatAnyThreadThrows) {
  const auto fail = [](const EncodedUnit&) { throw std::runtime_error("write"); };
  const auto failing = [](const TextUnit& unit) -> EncodedUnit {
    if (unit.next.offset == 50) throw std::runtime_error("encode");
    return encoded(unit);
  };
  const auto reading = []() -> std::optional<TextUnit> { throw std::runtime_error("read"); };
  const auto message = [](const Pipeline& pipeline) -> std::string {
    try {
      run(pipeline);
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "none";
  };
  const auto make = [] { return encoded; };
  const auto ignore = [](const EncodedUnit&) {};
  EXPECT_EQ(message({.read = units(100, 1), .make_encoder = make, .write = fail, .threads = 3, .read_ahead = 10}),
            "write");
  EXPECT_EQ(message({.read = units(100, 1),
                     .make_encoder = [&] { return failing; },
                     .write = ignore,
                     .threads = 3,
                     .read_ahead = 10}),
            "encode");
  EXPECT_EQ(message({.read = reading, .make_encoder = make, .write = ignore, .threads = 3, .read_ahead = 10}), "read");
}

}  // namespace
}  // namespace mestre
