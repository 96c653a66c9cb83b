#include "core/data/sentencepiece_spec.h"

#include <cstdint>

namespace mestre {
namespace {

// One field of a serialised protocol buffer: varints in `value`, all else as its bytes.
struct WireField {
  std::uint64_t number = 0;
  std::uint64_t value = 0;
  std::string_view bytes;
};

bool read_varint(std::string_view& rest, std::uint64_t& value) {
  value = 0;
  for (int shift = 0; shift < 64 && !rest.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(rest.front());
    rest.remove_prefix(1);
    value |= std::uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

// The next field of `rest`; false where it is broken.
bool read_field(std::string_view& rest, WireField& field) {
  std::uint64_t key = 0, size = 0;
  if (!read_varint(rest, key)) return false;
  field = {.number = key >> 3, .value = 0, .bytes = {}};
  switch (key & 7) {
    case 0:
      return read_varint(rest, field.value);
    case 1:
      size = 8;
      break;
    case 2:
      if (!read_varint(rest, size)) return false;
      break;
    case 5:
      size = 4;
      break;
    default:
      return false;
  }
  if (field.number == 0 || size > rest.size()) return false;
  field.bytes = rest.substr(0, size);
  rest.remove_prefix(size);
  return true;
}

template <typename Handle>
bool read_message(std::string_view bytes, const Handle& handle) {
  WireField field;
  while (!bytes.empty())
    if (!read_field(bytes, field) || !handle(field)) return false;
  return true;
}

}  // namespace

std::optional<SentencePieceSpec> read_sentencepiece_spec(std::string_view model) {
  SentencePieceSpec spec;
  const auto trainer = [&](const WireField& field) {
    if (field.number == 3) spec.model_type = static_cast<int>(field.value);
    if (field.number == 24) spec.treats_whitespace_as_suffix = field.value != 0;
    if (field.number == 35) spec.has_byte_fallback = field.value != 0;
    return true;
  };
  const auto normalizer = [&](const WireField& field) {
    if (field.number == 2) spec.has_character_map = !field.bytes.empty();
    if (field.number == 3) spec.adds_dummy_prefix = field.value != 0;
    if (field.number == 4) spec.removes_extra_whitespaces = field.value != 0;
    if (field.number == 5) spec.escapes_whitespaces = field.value != 0;
    return true;
  };
  const bool is_whole = !model.empty() && read_message(model, [&](const WireField& field) {
    if (field.number == 2) return read_message(field.bytes, trainer);
    if (field.number == 3) return read_message(field.bytes, normalizer);
    return true;
  });
  return is_whole ? std::optional(spec) : std::nullopt;
}

}  // namespace mestre
