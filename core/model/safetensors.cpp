#include "core/model/safetensors.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/mapped_file.h"
#include "core/base/options.h"

namespace mestre {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kLargestHeader = 100'000'000;  // bytes; the limit that the format's own library sets
constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kDataAlignment = 64;
constexpr const char* kMetadataKey = "__metadata__";

constexpr std::array<std::pair<std::string_view, at::ScalarType>, 10> kDataTypes = {{
    {"F64", at::kDouble},
    {"F32", at::kFloat},
    {"F16", at::kHalf},
    {"BF16", at::kBFloat16},
    {"I64", at::kLong},
    {"I32", at::kInt},
    {"I16", at::kShort},
    {"I8", at::kChar},
    {"U8", at::kByte},
    {"BOOL", at::kBool},
}};

struct Entry {
  std::string name;
  at::ScalarType type;
  std::vector<std::int64_t> shape;
  std::uint64_t begin;  // bytes from the start of the data
  std::uint64_t end;
};

class HeaderReader {
 public:
  HeaderReader(std::string_view file, std::uint64_t data_bytes) : file_(file), data_bytes_(data_bytes) {}

  [[noreturn]] void corrupt(const std::string& what) const {
    throw Error(ErrorCode::kCheckpointCorrupt, fmt::format("'{}' is not a sound safetensors file: {}", file_, what));
  }

  [[nodiscard]] Json parse(std::string_view text) const {
    // The library keeps the last of two equal keys; here that is corruption. Keys of one object come between its start
    // and end.
    std::vector<std::set<std::string>> open_objects;
    const auto watch = [&](int, Json::parse_event_t event, Json& parsed) {
      if (event == Json::parse_event_t::object_start) open_objects.emplace_back();
      if (event == Json::parse_event_t::object_end) open_objects.pop_back();
      if (event == Json::parse_event_t::key && !open_objects.back().insert(parsed.get<std::string>()).second)
        corrupt("the header names '" + parsed.get<std::string>() + "' twice");
      return true;
    };
    try {
      Json header = Json::parse(text, watch);
      if (!header.is_object()) corrupt("the header is not a JSON object");
      return header;
    } catch (const Json::exception& problem) {
      corrupt(fmt::format("the header is not JSON: {}", problem.what()));
    }
  }

  [[nodiscard]] std::map<std::string, std::string> metadata(const Json& header) const {
    const auto found = header.find(kMetadataKey);
    if (found == header.end()) return {};
    try {
      return found->get<std::map<std::string, std::string>>();
    } catch (const Json::exception&) {
      corrupt("the metadata are not texts by name");
    }
  }

  [[nodiscard]] std::vector<Entry> entries(const Json& header) const {
    std::vector<Entry> entries;
    for (const auto& [name, json] : header.items())
      if (name != kMetadataKey) entries.push_back(entry(name, json));
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
    std::uint64_t expected = 0;
    for (const Entry& each : entries) {
      if (each.begin != expected)
        corrupt(fmt::format("tensor '{}' starts at byte {} of the data, expected {}", each.name, each.begin, expected));
      expected = each.end;
    }
    if (expected != data_bytes_)
      corrupt(fmt::format("the tensors take {} bytes, but the file holds {}", expected, data_bytes_));
    return entries;
  }

 private:
  [[nodiscard]] Entry entry(const std::string& name, const Json& json) const {
    Entry entry{.name = name, .type = {}, .shape = {}, .begin = 0, .end = 0};
    try {
      entry.type = type_named(name, json.at("dtype").get<std::string>());
      for (const Json& size : json.at("shape")) {
        if (!size.is_number_unsigned()) corrupt(fmt::format("tensor '{}' has a size that is no natural number", name));
        entry.shape.push_back(size.get<std::int64_t>());
      }
      const Json& offsets = json.at("data_offsets");
      if (offsets.size() != 2 || !offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned())
        corrupt(fmt::format("tensor '{}' has no pair of offsets", name));
      entry.begin = offsets[0].get<std::uint64_t>();
      entry.end = offsets[1].get<std::uint64_t>();
    } catch (const Json::exception&) {
      corrupt(fmt::format("tensor '{}' lacks dtype, shape or data_offsets, or they are of the wrong type", name));
    }
    std::uint64_t bytes = c10::elementSize(entry.type);
    for (const std::int64_t size : entry.shape)
      if (size < 0 || __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(size), &bytes))
        corrupt(fmt::format("tensor '{}' has an impossible shape", name));
    if (entry.begin > entry.end || entry.end > data_bytes_ || entry.end - entry.begin != bytes)
      corrupt(fmt::format("tensor '{}' needs {} bytes but stands at {} to {} of {}", name, bytes, entry.begin,
                          entry.end, data_bytes_));
    return entry;
  }

  [[nodiscard]] at::ScalarType type_named(const std::string& tensor, std::string_view name) const {
    for (const auto& [known, type] : kDataTypes)
      if (known == name) return type;
    corrupt(fmt::format("tensor '{}' has the unknown type '{}'", tensor, name));
  }

  std::string_view file_;
  std::uint64_t data_bytes_;
};

std::string_view type_name(at::ScalarType type) {
  for (const auto& [name, known] : kDataTypes)
    if (known == type) return name;
  throw Error(ErrorCode::kBug, fmt::format("safetensors has no name for the type {}", c10::toString(type)));
}

std::string header_text(const std::vector<NamedTensor>& tensors, const std::map<std::string, std::string>& metadata) {
  JsonObject header;
  if (!metadata.empty()) {
    JsonObject texts;
    for (const auto& [key, value] : metadata) texts.text(key, value);
    header.raw(kMetadataKey, texts.str());
  }
  std::size_t offset = 0;
  for (const auto& [name, value] : tensors) {
    const std::size_t end = offset + value.nbytes();
    std::string shape;
    for (const std::int64_t size : value.sizes()) {
      if (!shape.empty()) shape += ',';
      shape += std::to_string(size);
    }
    header.raw(name, fmt::format(R"({{"data_offsets":[{},{}],"dtype":"{}","shape":[{}]}})", offset, end,
                                 type_name(value.scalar_type()), shape));
    offset = end;
  }
  std::string text = header.str();
  const std::size_t past = (kLengthBytes + text.size()) % kDataAlignment;
  if (past != 0) text.append(kDataAlignment - past, ' ');
  return text;
}

}  // namespace

const at::Tensor& Safetensors::at(const std::string& name) const {
  const auto found = tensors.find(name);
  if (found == tensors.end())
    throw Error(ErrorCode::kCheckpointCorrupt, fmt::format("'{}' lacks the tensor '{}'", file, name));
  return found->second;
}

Safetensors read_safetensors(const fs::path& path) {
  // Writable: a tensor may be changed in place without the file knowing.
  const auto mapping = std::make_shared<const MappedFile>(path, MappedFile::Access::kPrivate);
  const std::string& file = path.native();
  const HeaderReader prefix(file, 0);
  std::uint64_t header_bytes = 0;
  if (mapping->size() < kLengthBytes)
    prefix.corrupt(fmt::format("it has {} bytes, less than the length of its header takes", mapping->size()));
  std::memcpy(&header_bytes, mapping->data(), kLengthBytes);
  if (header_bytes > kLargestHeader || header_bytes > mapping->size() - kLengthBytes)
    prefix.corrupt(fmt::format("its header claims {} bytes of {}", header_bytes, mapping->size()));

  const std::size_t data_start = kLengthBytes + header_bytes;
  const HeaderReader reader(file, mapping->size() - data_start);
  const Json header = reader.parse({mapping->data() + kLengthBytes, header_bytes});
  Safetensors result{.tensors = {}, .metadata = reader.metadata(header), .file = file};
  for (const Entry& entry : reader.entries(header)) {
    char* address = mapping->data() + data_start + entry.begin;
    at::Tensor view = at::from_blob(
        address, entry.shape, [mapping](void*) {}, at::TensorOptions(entry.type));
    const bool aligned = reinterpret_cast<std::uintptr_t>(address) % c10::elementSize(entry.type) == 0;
    if (!aligned) {
      at::Tensor copy = at::empty(entry.shape, at::TensorOptions(entry.type));
      std::memcpy(copy.mutable_data_ptr(), address, entry.end - entry.begin);
      view = std::move(copy);
    }
    result.tensors.emplace(entry.name, std::move(view));
  }
  return result;
}

FileRecord write_safetensors(const fs::path& path, std::span<const NamedTensor> tensors,
                             const std::map<std::string, std::string>& metadata) {
  std::vector<NamedTensor> sorted(tensors.begin(), tensors.end());
  std::sort(sorted.begin(), sorted.end(), [](const NamedTensor& a, const NamedTensor& b) {
    return std::pair(-static_cast<std::int64_t>(a.value.element_size()), std::string_view(a.name)) <
           std::pair(-static_cast<std::int64_t>(b.value.element_size()), std::string_view(b.name));
  });
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!file.is_open()) throw system_error(errno, "create", path.native());

  FileRecord record;
  Digester digester;
  const auto put = [&](std::string_view bytes) {
    write_all(file.get(), bytes, path);
    digester.update(bytes);
    record.bytes += static_cast<std::int64_t>(bytes.size());
  };
  const std::string header = header_text(sorted, metadata);
  const std::uint64_t header_bytes = header.size();
  put({reinterpret_cast<const char*>(&header_bytes), kLengthBytes});
  put(header);
  for (const NamedTensor& tensor : sorted) {
    const at::Tensor plain = tensor.value.detach().cpu().contiguous();
    put({static_cast<const char*>(plain.const_data_ptr()), plain.nbytes()});
  }
  if (::fsync(file.get()) != 0) throw system_error(errno, "sync", path.native());
  record.digest = digester.hex();
  return record;
}

}  // namespace mestre
