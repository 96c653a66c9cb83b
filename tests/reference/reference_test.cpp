// Models of another library: every value that it computed for them in fp64 against what `mestre-worker forward` writes.
// What is in the folders, and how the library's own fp32 differs, is in README.md beside this file.

#include <algorithm>
#include <cstdlib>
#include <functional>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/data/test_folder.h"
#include "core/model/safetensors.h"
#include "tests/worker_jobs.h"

namespace mestre {
namespace {

/// The table "Measured differences" of the README; that of the gradients is relative.
struct Case {
  const char* folder;
  double logits, loss, hidden, gradient;
  double attention_entropy, attention_entropy_per_head;
  double delta, delta_mean, selection_entropy;

  [[nodiscard]] double measured(const std::string& name, double largest) const {
    if (name.starts_with("grad.")) return gradient * largest;
    if (name.starts_with("hidden.")) return hidden;
    if (name.starts_with("delta.")) return delta;
    const std::pair<const char*, double> values[] = {{"logits", logits},
                                                     {"loss", loss},
                                                     {"attention_entropy", attention_entropy},
                                                     {"attention_entropy_per_head", attention_entropy_per_head},
                                                     {"delta_mean", delta_mean},
                                                     {"selection_entropy", selection_entropy}};
    for (const auto& [known, value] : values)
      if (name == known) return value;
    ADD_FAILURE() << "no difference was measured for " << name;
    return 0;
  }
};

void PrintTo(const Case& each, std::ostream* out) {
  *out << each.folder;
}

const Case kCases[] = {
    {"llama-full", 2.0e-5, 3.2e-7, 6.4e-5, 7.4e-6, 8.6e-8, 8.2e-7, 0, 0, 0},
    {"mistral-window", 8.4e-6, 5.0e-7, 3.2e-5, 3.5e-6, 1.3e-7, 2.2e-7, 0, 0, 0},
    {"mamba", 9.6e-6, 4.5e-8, 2.9e-5, 3.8e-6, 0, 0, 7.1e-7, 4.9e-9, 5.8e-7},
};

class Reference : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    source_ = fs::path(std::getenv("MESTRE_SOURCE")) / "tests/reference" / GetParam().folder;
    expected_ = read_safetensors(source_ / "expected.safetensors");
    (void)write_safetensors(folder_.path() / "ids", std::vector<NamedTensor>{{"input_ids", expected_.at("input_ids")}});
  }

  /// All that the program writes.
  Safetensors forward(const std::string& type) {
    const fs::path output = folder_.path() / "output";
    const std::string program = (fs::path(std::getenv("MESTRE_BIN")) / "mestre-worker").native();
    const fs::path log = folder_.path() / "log";
    const int status = wait_for(start({program, "forward", source_.native(), (folder_.path() / "ids").native(),
                                       output.native(), "--dtype", type, "--gradients", "--entropy", "--greedy", "16"},
                                      log));
    if (status != 0) throw std::runtime_error(read_file(log));
    return read_safetensors(output);
  }

  /// That the program wrote all of the library's values and no others, of that type, and within `bound`: of the name
  /// and the library's values, as a tensor that the differences are held to, entry by entry.
  using Bound = std::function<at::Tensor(const std::string& name, const at::Tensor& magnitudes)>;
  void compare(const Safetensors& ours, at::ScalarType type, const Bound& bound) {
    EXPECT_EQ(ours.tensors.size() + 1, expected_.tensors.size());
    for (const auto& [name, expected] : expected_.tensors) {
      if (name == "input_ids") continue;
      SCOPED_TRACE(name);
      const at::Tensor& value = ours.at(name);
      ASSERT_EQ(value.sizes(), expected.sizes());
      if (name == "greedy") {
        EXPECT_TRUE(value.equal(expected));
        continue;
      }
      ASSERT_EQ(value.scalar_type(), type);
      const at::Tensor difference = (value.to(at::kDouble) - expected.to(at::kDouble)).abs();
      EXPECT_TRUE((difference <= bound(name, expected.to(at::kDouble).abs())).all().item<bool>())
          << "differs by up to " << difference.max().item<double>() << " where the largest entry is "
          << expected.abs().max().item<double>();
    }
  }

  TestFolder folder_;
  fs::path source_;
  Safetensors expected_;
};

// Ten times the differences of the library's own fp32, plus 1e-6 of the largest entry.
TEST_P(Reference, InSinglePrecision) {
  compare(forward("float32"), at::kFloat, [](const std::string& name, const at::Tensor& magnitudes) {
    const double largest = magnitudes.max().item<double>();
    return at::full_like(magnitudes, 10 * GetParam().measured(name, largest) + 1e-6 * largest);
  });
}

// The stored values were rounded to fp32, by at most half a unit in the last place of each; the angles of rotary
// positions are exact here. What fp64 itself rounds is 1e-12 of the largest entry at most.
TEST_P(Reference, InDoublePrecision) {
  constexpr double kHalfUnit = 1.0 / (1 << 24), kRounding = 1e-12;
  compare(forward("float64"), at::kDouble, [](const std::string&, const at::Tensor& magnitudes) {
    return magnitudes * kHalfUnit + magnitudes.max() * kRounding;
  });
}

// Products of three significant digits: near, and not the same.
TEST_P(Reference, InProductsOfBrainFloats) {
  const Safetensors ours = forward("bfloat16");
  const double difference = (ours.at("loss") - expected_.at("loss")).abs().item<double>();
  EXPECT_GT(difference, 1e-6);
  EXPECT_LT(difference, 0.05);
  EXPECT_EQ(ours.at("logits").scalar_type(), at::kFloat);
}

std::string name_of_case(const testing::TestParamInfo<Case>& info) {
  std::string name = info.param.folder;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Models, Reference, testing::ValuesIn(kCases), name_of_case);

}  // namespace
}  // namespace mestre
