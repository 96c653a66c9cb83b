// What the commands say: results on stdout, the rest on stderr.
//
// Results are written here alone, so that none is lost in silence: a failed write is an Error. Only a reader who has
// seen enough, as `head` has, is no failure: what comes after him is dropped, and the command goes on with its work.
// Words on stderr are never worth stopping for.
#pragma once

#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace mestre {

/// Adds to stdout. Throws Error (disk_full, io) where it cannot be written.
void put_out(std::string_view text);
/// Brings everything to where stdout leads, and throws as put_out. main does it before it ends.
void flush_out();
/// True once whoever read stdout has gone: who would write without an end may stop.
[[nodiscard]] bool reader_left();

template <class... Values>
void print_out(fmt::format_string<Values...> format, Values&&... values) {
  put_out(fmt::format(format, std::forward<Values>(values)...));
}

/// A line or more on stderr.
void put_note(std::string_view text);

template <class... Values>
void print_note(fmt::format_string<Values...> format, Values&&... values) {
  put_note(fmt::format(format, std::forward<Values>(values)...));
}

/// Opens what of stdin, stdout and stderr is closed, so that no file of ours gets its number and its text.
void keep_standard_streams();

}  // namespace mestre
