// Models of another library, loaded from its checkpoints: our logits, loss, residual stream and gradients against its
// values in fp64. What is in the folders, and how the library's own fp32 differs, is in README.md beside this file.

#include <algorithm>
#include <cstdlib>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/mixers/attention/options.h"
#include "core/mixers/mamba/options.h"
#include "core/mixers/mlp/options.h"
#include "core/model/checkpoint_names.h"
#include "core/model/language_model.h"
#include "core/model/safetensors.h"

namespace mestre {
namespace {

/// The table "Measured differences" of the README.
struct Case {
  const char* folder;
  ModelSpec (*spec)();
  CheckpointLayout layout;
  std::size_t layers_per_hidden;  // of ours for one of theirs
  double logits, loss, hidden, gradient_relative;
};

void PrintTo(const Case& each, std::ostream* out) {
  *out << each.folder;
}

ModelSpec decoder(std::int64_t layers, std::int64_t kv_heads, std::int64_t window) {
  AttentionOptions attention;
  attention.heads = 4;
  attention.kv_heads = kv_heads;
  attention.window = window;
  MlpOptions mlp;
  mlp.intermediate = 160;
  ModelSpec spec;
  spec.options.vocabulary = 96;
  spec.options.width = 64;
  spec.options.layers = {"attention", "mlp"};
  spec.options.repeat = layers;
  spec.options.tied_head = false;
  spec.instances.emplace("attention", attention.clone());
  spec.instances.emplace("mlp", mlp.clone());
  spec.resolve(96);
  return spec;
}

ModelSpec llama_full() {
  return decoder(3, 2, 0);
}
ModelSpec mistral_window() {
  return decoder(2, 4, 8);
}

ModelSpec mamba() {
  ModelSpec spec;
  spec.options.vocabulary = 96;
  spec.options.width = 48;
  spec.options.layers = {"mamba"};
  spec.options.repeat = 3;
  spec.options.tied_head = true;
  spec.instances.emplace("mamba", MambaOptions().clone());
  spec.resolve(96);
  return spec;
}

const Case kCases[] = {
    {"llama-full", llama_full, CheckpointLayout::kLlama, 2, 2.0e-5, 3.2e-7, 6.4e-5, 7.4e-6},
    {"mistral-window", mistral_window, CheckpointLayout::kLlama, 2, 8.4e-6, 5.0e-7, 3.2e-5, 3.5e-6},
    {"mamba", mamba, CheckpointLayout::kMamba, 1, 9.6e-6, 4.5e-8, 2.9e-5, 3.8e-6},
};

double largest(const at::Tensor& x) {
  return x.abs().max().item<double>();
}

double difference(const at::Tensor& x, const at::Tensor& expected) {
  return largest(x.detach().to(at::kDouble) - expected.to(at::kDouble).view(x.sizes()));
}

/// What a run must keep to. In fp64 the stored values are rounded to fp32, half a unit in the last place; the angles of
/// RoPE are exact.
struct Bounds {
  double factor, share;
  [[nodiscard]] double of(double measured, const at::Tensor& expected) const {
    return factor * measured + share * largest(expected);
  }
};
constexpr Bounds kSingle = {10, 1e-6};
constexpr Bounds kDouble = {0, 1.2e-7};

class Reference : public testing::TestWithParam<Case> {
 protected:
  void compare(at::ScalarType type, const Bounds& bounds) {
    const Case& each = GetParam();
    const fs::path folder = fs::path(std::getenv("MESTRE_SOURCE")) / "tests/reference" / each.folder;
    const Safetensors expected = read_safetensors(folder / "expected.safetensors");
    LanguageModel model(each.spec());
    load_foreign(model, read_safetensors(folder / "model.safetensors"), each.layout);
    model.to(type);

    const at::Tensor tokens = expected.at("input_ids");
    const std::int64_t last = tokens.size(1) - 1;
    std::vector<at::Tensor> residuals;
    const at::Tensor logits = model.forward(tokens, &residuals);
    const at::Tensor loss = mean_loss(logits.narrow(1, 0, last), tokens.narrow(1, 1, last));
    loss.backward();

    EXPECT_LE(difference(logits, expected.at("logits")), bounds.of(each.logits, expected.at("logits")));
    EXPECT_LE(difference(loss, expected.at("loss")), bounds.of(each.loss, expected.at("loss")));
    ASSERT_EQ(residuals.size() % each.layers_per_hidden, 0U);
    for (std::size_t i = 0; i < residuals.size() / each.layers_per_hidden; ++i) {
      const at::Tensor& hidden = expected.at("hidden." + std::to_string(i));
      EXPECT_LE(difference(residuals[(i + 1) * each.layers_per_hidden - 1], hidden), bounds.of(each.hidden, hidden))
          << "hidden." << i;
    }
    const auto parameters = model.named_parameters();
    for (const ForeignTensor& foreign : foreign_tensors(model.spec(), each.layout)) {
      const at::Tensor& gradient = expected.at("grad." + foreign.name);
      const at::Tensor ours = foreign.part_of(parameters[foreign.parameter].grad());
      EXPECT_LE(difference(ours, gradient), bounds.of(each.gradient_relative * largest(gradient), gradient))
          << foreign.name;
    }
  }
};

TEST_P(Reference, InSinglePrecision) {
  compare(at::kFloat, kSingle);
}

// Without Mamba: the selective scan computes in fp32, and its fp64 reference stands in kernels.
class ReferenceInDouble : public Reference {};

TEST_P(ReferenceInDouble, InDoublePrecision) {
  compare(at::kDouble, kDouble);
}

std::string name_of_case(const testing::TestParamInfo<Case>& info) {
  std::string name = info.param.folder;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Models, Reference, testing::ValuesIn(kCases), name_of_case);
INSTANTIATE_TEST_SUITE_P(Models, ReferenceInDouble, testing::Values(kCases[0], kCases[1]), name_of_case);

}  // namespace
}  // namespace mestre
