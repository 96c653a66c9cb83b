// The safetensors file: what is written reads back, and whatever is not sound is refused.

#include "core/model/safetensors.h"

#include <cstdint>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/base/error.h"

namespace mestre {
namespace {

class SafetensorsFile : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("safetensors-" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  [[nodiscard]] fs::path path() const { return folder_ / "some.safetensors"; }

  /// A file with this header and so many bytes of data.
  void put(const std::string& header, std::size_t data) const {
    const std::uint64_t length = header.size();
    replace_file(path(), std::string(reinterpret_cast<const char*>(&length), 8) + header + std::string(data, '\0'));
  }

  void expect_corrupt(const std::string& part) const {
    try {
      (void)read_safetensors(path());
      ADD_FAILURE() << "accepted; expected a message with: " << part;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kCheckpointCorrupt);
      EXPECT_NE(error.message().find(part), std::string::npos) << error.message();
      EXPECT_NE(error.message().find(path().native()), std::string::npos) << error.message();
    }
  }

  fs::path folder_;
};

TEST_F(SafetensorsFile, WrittenTensorsReadBack) {
  const at::Tensor floats = at::randn({3, 5});
  const at::Tensor bytes = at::arange(7, at::kByte);
  const at::Tensor longs = at::arange(4, at::kLong);
  const at::Tensor none = at::empty({0, 2});
  const std::vector<NamedTensor> written = {{"z", floats.t()}, {"b", bytes}, {"a", longs}, {"none", none}};
  const FileRecord record = write_safetensors(path(), written, {{"step", "12"}});
  EXPECT_EQ(record.bytes, static_cast<std::int64_t>(fs::file_size(path())));

  const Safetensors read = read_safetensors(path());
  EXPECT_EQ(read.metadata, (std::map<std::string, std::string>{{"step", "12"}}));
  EXPECT_EQ(read.tensors.size(), 4U);
  EXPECT_TRUE(read.at("z").equal(floats.t()));
  EXPECT_TRUE(read.at("b").equal(bytes));
  EXPECT_TRUE(read.at("a").equal(longs));
  EXPECT_EQ(read.at("none").sizes(), none.sizes());
  for (const auto& [name, tensor] : read.tensors)
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr()) % tensor.element_size(), 0U);
}

TEST_F(SafetensorsFile, TensorsOutliveWhatReadThem) {
  write_safetensors(path(), std::vector<NamedTensor>{{"x", at::full({4}, 2.0)}});
  const at::Tensor x = read_safetensors(path()).at("x");
  EXPECT_EQ(x.sum().item<double>(), 8.0);
}

TEST_F(SafetensorsFile, AnExistingFileIsNotOverwritten) {
  write_safetensors(path(), std::vector<NamedTensor>{});
  EXPECT_THROW(write_safetensors(path(), std::vector<NamedTensor>{}), Error);
}

TEST_F(SafetensorsFile, EveryTruncationIsCorrupt) {
  write_safetensors(path(), std::vector<NamedTensor>{{"x", at::ones({3})}, {"y", at::ones({2})}});
  const std::string whole = read_file(path());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    replace_file(path(), std::string_view(whole).substr(0, size));
    EXPECT_THROW((void)read_safetensors(path()), Error) << size << " of " << whole.size() << " bytes";
  }
}

TEST_F(SafetensorsFile, UnsoundHeadersAreCorrupt) {
  const auto tensor = [](const std::string& shape, const std::string& offsets, const std::string& type = "F32") {
    return R"({"dtype":")" + type + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
  };
  const struct {
    std::string header;
    std::size_t data;
    std::string message;
  } cases[] = {
      {"[]", 0, "not a JSON object"},
      {"{", 0, "not JSON"},
      {R"({"x":)" + tensor("[2]", "[0,8]") + R"(,"x":)" + tensor("[2]", "[0,8]") + "}", 8, "names 'x' twice"},
      {R"({"x":)" + tensor("[2]", "[0,8]") + R"(,"y":)" + tensor("[2]", "[4,12]") + "}", 12,
       "tensor 'y' starts at byte 4 of the data, expected 8"},
      {R"({"x":)" + tensor("[2]", "[0,8]") + R"(,"y":)" + tensor("[2]", "[12,20]") + "}", 20,
       "tensor 'y' starts at byte 12 of the data, expected 8"},
      {R"({"x":)" + tensor("[2]", "[0,8]") + "}", 12, "take 8 bytes, but the file holds 12"},
      {R"({"x":)" + tensor("[3]", "[0,8]") + "}", 8, "needs 12 bytes"},
      {R"({"x":)" + tensor("[2]", "[8,0]") + "}", 8, "needs 8 bytes"},
      {R"({"x":)" + tensor("[2]", "[0,16]") + "}", 8, "needs 8 bytes"},
      {R"({"x":)" + tensor("[-2]", "[0,8]") + "}", 8, "no natural number"},
      {R"({"x":)" + tensor("[4294967296,4294967296]", "[0,8]") + "}", 8, "impossible shape"},
      {R"({"x":)" + tensor("[2]", "[0,8]", "F8") + "}", 8, "unknown type 'F8'"},
      {R"({"x":)" + tensor("[2]", "[0]") + "}", 8, "no pair of offsets"},
      {R"({"x":{"dtype":"F32"}})", 0, "lacks dtype, shape or data_offsets"},
      {R"({"x":3})", 0, "lacks dtype, shape or data_offsets"},
      {R"({"__metadata__":{"a":1}})", 0, "not texts by name"},
  };
  for (const auto& each : cases) {
    SCOPED_TRACE(each.header);
    put(each.header, each.data);
    expect_corrupt(each.message);
  }
}

TEST_F(SafetensorsFile, AnOversizeHeaderIsCorruptBeforeItIsRead) {
  replace_file(path(), std::string("\xff\xff\xff\xff\xff\xff\xff\x7f", 8) + "{}");
  expect_corrupt("claims 9223372036854775807 bytes");
}

}  // namespace
}  // namespace mestre
