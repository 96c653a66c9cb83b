// What the built models are: parameters, tables of types, initial weights, and what each position may see.

#include <algorithm>
#include <cmath>
#include <functional>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/mixers/attention/options.h"
#include "core/mixers/mamba/options.h"
#include "core/mixers/mlp/options.h"
#include "core/mixers/registry.h"
#include "core/model/language_model.h"
#include "core/model/modules.h"
#include "kernels/qkv_attention/qkv_attention.h"
#include "tests/tolerances.h"

namespace mestre {
namespace {

struct Shape {
  const char* name;
  std::vector<std::string> layers;
  std::int64_t repeat;
  std::int64_t heads, kv_heads, window;
  bool rope, tied;
  std::int64_t short_convolution = 0;
};

ModelSpec make_spec(const Shape& shape) {
  ModelSpec spec;
  spec.options.width = 48;
  spec.options.layers = shape.layers;
  spec.options.repeat = shape.repeat;
  spec.options.tied_head = shape.tied;
  spec.options.initialization = shape.tied ? "mamba" : "scaled";
  AttentionOptions attention;
  attention.heads = shape.heads;
  attention.kv_heads = shape.kv_heads;
  attention.window = shape.window;
  attention.rope = shape.rope;
  attention.short_convolution = shape.short_convolution;
  MlpOptions mlp;
  mlp.intermediate = 88;
  for (const std::string& name : shape.layers) {
    if (name == "attention") spec.instances.emplace(name, attention.clone());
    if (name == "mamba") spec.instances.emplace(name, MambaOptions().clone());
    if (name == "mlp") spec.instances.emplace(name, mlp.clone());
  }
  spec.resolve(61);
  return spec;
}

const Shape kShapes[] = {
    {"full", {"attention", "mlp"}, 2, 4, 0, 0, true, false},
    {"window", {"attention", "mlp"}, 2, 4, 2, 5, true, true},
    {"multi_query", {"attention", "mlp"}, 1, 6, 1, 7, false, true},
    {"mamba", {"mamba"}, 3, 4, 0, 0, true, true},
    {"short_convolution", {"attention", "mlp"}, 2, 4, 2, 5, true, true, 3},
    {"hybrid", {"mamba", "mlp", "attention", "mlp"}, 1, 4, 4, 8, false, true},
};

at::Tensor some_tokens(std::int64_t batch, std::int64_t length) {
  return at::arange(batch * length, at::kLong).mul_(2654435761).remainder(61).view({batch, length});
}

class Models : public testing::TestWithParam<Shape> {};

TEST_P(Models, HaveThePlannedNumberOfParameters) {
  const ModelSpec spec = make_spec(GetParam());
  EXPECT_EQ(LanguageModel(spec).parameter_count(), spec.parameters());
}

TEST_P(Models, NeverSeeTheFuture) {
  LanguageModel model(make_spec(GetParam()));
  model.initialize(1);
  const at::NoGradGuard no_gradient;
  at::Tensor tokens = some_tokens(1, 24);
  const at::Tensor before = model.forward(tokens);
  tokens.select(1, 15).fill_(60);
  const at::Tensor after = model.forward(tokens);
  EXPECT_TRUE(before.narrow(1, 0, 15).equal(after.narrow(1, 0, 15)));
  EXPECT_FALSE(before.select(1, 15).equal(after.select(1, 15)));
}

TEST_P(Models, EveryParameterLearns) {
  LanguageModel model(make_spec(GetParam()));
  model.initialize(1);
  const at::Tensor tokens = some_tokens(2, 25);
  mean_loss(model.forward(tokens.narrow(1, 0, 24)), tokens.narrow(1, 1, 24)).backward();
  for (const auto& parameter : model.named_parameters()) {
    const at::Tensor gradient = parameter.value().grad();
    ASSERT_TRUE(gradient.defined()) << parameter.key();
    EXPECT_TRUE(gradient.isfinite().all().item<bool>()) << parameter.key();
    EXPECT_GT(gradient.abs().max().item<double>(), 0) << parameter.key();
  }
}

TEST_P(Models, StartAtAboutTheEntropyOfAGuess) {
  LanguageModel model(make_spec(GetParam()));
  model.initialize(1);
  const at::NoGradGuard no_gradient;
  const at::Tensor tokens = some_tokens(4, 33);
  const double loss = mean_loss(model.forward(tokens.narrow(1, 0, 32)), tokens.narrow(1, 1, 32)).item<double>();
  EXPECT_NEAR(loss, std::log(61.0), tolerance::kInitialLoss);
}

TEST_P(Models, InitialWeightsFollowTheSeedAlone) {
  const auto drawn = [&](std::int64_t seed) {
    LanguageModel model(make_spec(GetParam()));
    model.initialize(seed);
    std::vector<at::Tensor> flat;
    for (const at::Tensor& parameter : model.parameters()) flat.push_back(parameter.detach().flatten());
    return at::cat(flat);
  };
  const at::Tensor once = drawn(7);
  at::manual_seed(99);
  EXPECT_TRUE(once.equal(drawn(7)));
  EXPECT_FALSE(once.equal(drawn(8)));
}

INSTANTIATE_TEST_SUITE_P(Shapes, Models, testing::ValuesIn(kShapes),
                         [](const auto& shape) { return std::string(shape.param.name); });

TEST(ModuleTypes, AreTheMixersOfTheRegistryInItsOrder) {
  std::vector<std::string_view> mixers, modules;
  for (const MixerType& mixer : mixer_types()) mixers.push_back(mixer.name);
  for (const ModuleType& module : module_types()) modules.push_back(module.name);
  EXPECT_EQ(modules, mixers);
}

TEST(ParameterNames, AreThoseOfCheckpoints) {
  const LanguageModel model(make_spec({"", {"mamba", "mlp", "attention"}, 1, 4, 0, 0, true, false}));
  std::vector<std::string> names;
  for (const auto& parameter : model.named_parameters()) names.push_back(parameter.key());
  std::sort(names.begin(), names.end());
  const std::vector<std::string> expected = {
      "embedding.weight",
      "final_norm.weight",
      "head.weight",
      "layers.0.mixer.A_log",
      "layers.0.mixer.D",
      "layers.0.mixer.conv1d.bias",
      "layers.0.mixer.conv1d.weight",
      "layers.0.mixer.dt_proj.bias",
      "layers.0.mixer.dt_proj.weight",
      "layers.0.mixer.in_proj.weight",
      "layers.0.mixer.out_proj.weight",
      "layers.0.mixer.x_proj.weight",
      "layers.0.norm.weight",
      "layers.1.mixer.down.weight",
      "layers.1.mixer.gate_up.weight",
      "layers.1.norm.weight",
      "layers.2.mixer.out.weight",
      "layers.2.mixer.qkv.weight",
      "layers.2.norm.weight",
  };
  EXPECT_EQ(names, expected);
}

// Deviations and bounds of the study's two schemes.
TEST(Initialization, DrawsTheStudysDistributions) {
  const auto deviation = [](const LanguageModel& model, const char* name) {
    return model.named_parameters()[name].std().item<double>();
  };
  const auto near = [](double value, double expected) {
    EXPECT_NEAR(value, expected, tolerance::kDeviation * expected);
  };
  const double d = 48, p = 88;

  LanguageModel mamba(make_spec(kShapes[5]));  // four residual layers
  mamba.initialize(3);
  near(deviation(mamba, "embedding.weight"), 0.02);
  near(deviation(mamba, "layers.2.mixer.qkv.weight"), 1 / std::sqrt(3 * d));
  near(deviation(mamba, "layers.1.mixer.down.weight"), 1 / std::sqrt(3 * p * 4));
  near(deviation(mamba, "layers.2.mixer.out.weight"), 1 / std::sqrt(3 * d * 4));
  EXPECT_LE(mamba.named_parameters()["layers.2.mixer.qkv.weight"].abs().max().item<double>(), 1 / std::sqrt(d));
  const at::Tensor step = at::softplus(mamba.named_parameters()["layers.0.mixer.dt_proj.bias"]);
  EXPECT_GE(step.min().item<double>(), 0.999e-3);
  EXPECT_LE(step.max().item<double>(), 0.1001);
  EXPECT_NEAR(step.log().mean().item<double>(), std::log(0.01), tolerance::kMeanLogStep);
  EXPECT_TRUE(
      mamba.named_parameters()["layers.0.mixer.A_log"].exp().select(0, 5).allclose(at::arange(1, 17, at::kFloat)));

  LanguageModel scaled(make_spec(kShapes[0]));  // two blocks
  scaled.initialize(3);
  near(deviation(scaled, "embedding.weight"), std::sqrt(2 / (5 * d)));
  near(deviation(scaled, "head.weight"), std::sqrt(2 / (5 * d)));
  near(deviation(scaled, "layers.1.mixer.gate_up.weight"), std::sqrt(2 / (5 * d)));
  near(deviation(scaled, "layers.1.mixer.down.weight"), 1 / (std::sqrt(d) * 2));
}

TEST(ShortConvolution, OfAttentionIsAppliedToQueriesKeysAndValues) {
  AttentionOptions options;
  options.heads = 4;
  options.kv_heads = 2;
  options.rope = false;
  options.short_convolution = 4;
  const ModelShape shape = {.width = 48, .vocabulary = 61};
  const std::shared_ptr<MixerModule> module = make_mixer(options, shape);
  at::manual_seed(10);
  const at::NoGradGuard no_gradient;
  for (at::Tensor parameter : module->parameters()) parameter.normal_();
  const auto parameters = module->named_parameters();
  const at::Tensor x = at::randn({2, 9, 48}), taps = parameters["qkv_conv1d.weight"];
  const at::Tensor projected = at::constant_pad_nd(x.matmul(parameters["qkv.weight"].t()), {0, 0, 3, 0});
  at::Tensor qkv = at::zeros({2, 9, 96});
  for (std::int64_t k = 0; k < 4; ++k) qkv = qkv + projected.narrow(1, k, 9) * taps.select(1, k);
  const auto [mixed, log_sums] = kernels::qkv_attention(qkv * qkv.sigmoid(), 4, 2, 0, 1 / std::sqrt(12.0));
  const at::Tensor expected = mixed.matmul(parameters["out.weight"].t());
  EXPECT_TRUE(module->forward({.x = x, .residual = x}).allclose(expected, 1e-4, 1e-4));
}

}  // namespace
}  // namespace mestre
