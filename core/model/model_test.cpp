// What the built models are: parameters, tables of types, initial weights, and what each position may see.

#include <algorithm>
#include <cmath>
#include <functional>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/mixers/attention/module_attend.h"
#include "core/mixers/attention/options.h"
#include "core/mixers/mamba/options.h"
#include "core/mixers/mlp/options.h"
#include "core/mixers/registry.h"
#include "core/model/language_model.h"
#include "core/model/modules.h"
#include "core/model/short_convolution.h"
#include "core/model/simd.h"
#include "core/model/small_product.h"
#include "core/model/swiglu.h"
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

// A mixer may wait for its module, but no module goes without options, and none is there twice.
TEST(ModuleTypes, AreMixersOfTheRegistryInItsOrder) {
  std::vector<std::string_view> with_module, without;
  for (const MixerType& mixer : mixer_types()) {
    const bool has_module = std::any_of(module_types().begin(), module_types().end(),
                                        [&](const ModuleType& module) { return module.name == mixer.name; });
    (has_module ? with_module : without).push_back(mixer.name);
  }
  std::vector<std::string_view> modules;
  for (const ModuleType& module : module_types()) modules.push_back(module.name);
  EXPECT_EQ(modules, with_module);
  EXPECT_EQ(without, (std::vector<std::string_view>{"gla", "mega_s6", "retention"}));
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

/// Softmax attention as it is defined, with the whole matrix of scores. q [batch, h, length, p], k and v [batch, g,
/// length, p].
at::Tensor plain_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t window) {
  const std::int64_t length = q.size(2), shared = q.size(1) / k.size(1);
  const at::Tensor position = at::arange(length);
  const at::Tensor distance = position.unsqueeze(1) - position.unsqueeze(0);
  at::Tensor hidden = distance < 0;
  if (window > 0) hidden = hidden | (distance >= window);
  const at::Tensor keys = k.repeat_interleave(shared, 1), values = v.repeat_interleave(shared, 1);
  const at::Tensor scores = at::matmul(q, keys.transpose(2, 3)) / std::sqrt(static_cast<double>(q.size(3)));
  return at::matmul(scores.masked_fill(hidden, -INFINITY).softmax(-1), values);
}

/// RoPE by complex numbers: the pair (j, j + p/2) times e^(i t 10000^(-2j/p)).
at::Tensor plain_rotation(const at::Tensor& x) {
  const std::int64_t half = x.size(3) / 2;
  const at::Tensor frequency = at::pow(10000.0, at::arange(half, at::kDouble) * (-1.0 / static_cast<double>(half)));
  const at::Tensor angle = at::arange(x.size(2), at::kDouble).unsqueeze(1) * frequency;
  const at::Tensor turned =
      at::complex(x.narrow(3, 0, half), x.narrow(3, half, half)) * at::polar(at::ones_like(angle), angle);
  return at::cat({at::real(turned), at::imag(turned)}, 3);
}

/// Runs the rest of a scope with registers of at most so many bytes.
class Registers {
 public:
  explicit Registers(int bytes) { simd::widest_allowed = bytes; }
  ~Registers() { simd::widest_allowed = 64; }
  Registers(const Registers&) = delete;
  Registers& operator=(const Registers&) = delete;
};
constexpr int kRegisterBytes[] = {16, 32, 64};

/// Compares f with its definition in fp64, and the gradients of all inputs, in both precisions and with all registers.
using Function = std::function<at::Tensor(const std::vector<at::Tensor>&)>;
void expect_equal_functions(const Function& ours, const Function& definition, const std::vector<at::Tensor>& inputs) {
  std::vector<at::Tensor> exact;
  for (const at::Tensor& input : inputs) exact.push_back(input.to(at::kDouble).requires_grad_());
  const at::Tensor expected = definition(exact);
  const at::Tensor weight = at::randn_like(expected);
  (expected * weight).sum().backward();
  const auto expect_near = [](const at::Tensor& got, const at::Tensor& want) {
    const double allowed = got.scalar_type() == at::kFloat ? tolerance::kFloat : tolerance::kDouble;
    EXPECT_LE((got.to(at::kDouble) - want).abs().max().item<double>(), allowed * (1 + want.abs().max().item<double>()));
  };
  for (const int bytes : kRegisterBytes) {
    for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
      SCOPED_TRACE(std::to_string(bytes) + " bytes, " + c10::toString(type));
      const Registers registers(bytes);
      std::vector<at::Tensor> given;
      for (const at::Tensor& input : inputs) given.push_back(input.clone().to(type).requires_grad_());
      const at::Tensor got = ours(given);
      (got * weight.to(type)).sum().backward();
      expect_near(got.detach(), expected.detach());
      for (std::size_t i = 0; i < given.size(); ++i) expect_near(given[i].grad(), exact[i].grad());
    }
  }
}

TEST(Swiglu, MatchesItsDefinition) {
  at::manual_seed(7);
  for (const std::int64_t p : {1, 7, 16, 40, 131}) {
    SCOPED_TRACE(p);
    const auto definition = [](const std::vector<at::Tensor>& in) {
      const std::vector<at::Tensor> halves = in[0].chunk(2, -1);
      return halves[0] * halves[0].sigmoid() * halves[1];
    };
    expect_equal_functions([](const std::vector<at::Tensor>& in) { return swiglu(in[0]); }, definition,
                           {at::randn({3, 5, 2 * p}) * 3});
  }
}

TEST(Swiglu, HoldsAtTheEnds) {
  const at::Tensor ends = at::tensor({-200.0F, 1.0F, 200.0F, 1.0F}).view({2, 2});
  const at::Tensor out = swiglu(ends).flatten();
  EXPECT_NEAR(out[0].item<double>(), 0, 1e-30);
  EXPECT_EQ(out[1].item<double>(), 200);
}

TEST(RmsNorm, MatchesItsDefinition) {
  at::manual_seed(8);
  for (const std::int64_t width : {1, 7, 16, 40, 131}) {
    SCOPED_TRACE(width);
    const auto definition = [](const std::vector<at::Tensor>& in) {
      return in[0] * ((in[0] * in[0]).mean(-1, true) + 1e-5).rsqrt() * in[1];
    };
    // More rows than one task takes, the last task ragged.
    expect_equal_functions([](const std::vector<at::Tensor>& in) { return rms_norm(in[0], in[1], 1e-5); }, definition,
                           {at::randn({3, 67, width}), at::randn({width})});
  }
}

TEST(ShortConvolution, MatchesItsDefinition) {
  at::manual_seed(9);
  for (const std::int64_t taps : {1, 2, 4, 5}) {
    for (const std::int64_t length : {1, 3, 20}) {
      SCOPED_TRACE(std::to_string(taps) + " taps, length " + std::to_string(length));
      const auto ours = [&](const std::vector<at::Tensor>& in) {
        ShortConvolution convolution(21, taps);
        convolution.weight = in[1];
        convolution.bias = in[2];
        return convolution.forward(in[0].narrow(2, 4, 21));  // rows that lie apart
      };
      const auto definition = [&](const std::vector<at::Tensor>& in) {
        const at::Tensor x = at::constant_pad_nd(in[0].narrow(2, 4, 21), {0, 0, taps - 1, 0});
        at::Tensor y = in[2];
        for (std::int64_t k = 0; k < taps; ++k) y = y + x.narrow(1, k, length) * in[1].select(1, k);
        return y * y.sigmoid();
      };
      expect_equal_functions(ours, definition, {at::randn({2, length, 30}), at::randn({21, taps}), at::randn({21})});
    }
  }
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
  const at::Tensor mixed =
      attend(qkv * qkv.sigmoid(), {.heads = 4, .groups = 2, .window = 0, .cosines = {}, .sines = {}});
  const at::Tensor expected = mixed.matmul(parameters["out.weight"].t());
  EXPECT_TRUE(module->forward(x).allclose(expected, 1e-4, 1e-4));
}

TEST(SmallProduct, MatchesTheLibrary) {
  at::manual_seed(10);
  for (const int bytes : kRegisterBytes) {
    const Registers registers(bytes);
    for (const std::int64_t m : {1, 2, 5, 11, 12, 13, 30, 48}) {
      for (const std::int64_t n : {16, 48, 112}) {
        const at::Tensor a = at::randn({m, 9}), b = at::randn({9, n}), c = at::randn({m, n});
        const at::Tensor expected = a.matmul(b);
        at::Tensor got = c.clone();
        small_product<float>(m, n, 9, {a.const_data_ptr<float>(), 9, 1}, b.const_data_ptr<float>(), n,
                             got.mutable_data_ptr<float>(), n, false);
        EXPECT_TRUE(got.allclose(expected, tolerance::kProduct, tolerance::kProduct)) << m << " x " << n;
        got = c.clone();
        const at::Tensor turned = a.t().contiguous();
        small_product<float>(m, n, 9, {turned.const_data_ptr<float>(), 1, m}, b.const_data_ptr<float>(), n,
                             got.mutable_data_ptr<float>(), n, true);
        EXPECT_TRUE(got.allclose(expected + c, tolerance::kProduct, tolerance::kProduct)) << m << " x " << n;
      }
    }
  }
}

struct AttendCase {
  std::int64_t length, heads, groups, size, window;
  bool rope;
};

class Attend : public testing::TestWithParam<AttendCase> {
 protected:
  void compare(at::ScalarType type) {
    for (const int bytes : kRegisterBytes) {
      SCOPED_TRACE(std::to_string(bytes) + " bytes");
      const Registers registers(bytes);
      compare_with_these_registers(type);
    }
  }

 private:
  void compare_with_these_registers(at::ScalarType type) {
    const AttendCase& each = GetParam();
    at::manual_seed(5);
    const at::Tensor qkv =
        at::randn({2, each.length, (each.heads + 2 * each.groups) * each.size}).to(type).requires_grad_();
    const at::Tensor weight = at::randn({2, each.length, each.heads * each.size}).to(type);
    at::Tensor cosines, sines;
    if (each.rope) {
      const at::Tensor frequency =
          at::pow(10000.0, at::arange(each.size / 2, at::kDouble) * (-2.0 / static_cast<double>(each.size)));
      const at::Tensor angle = at::arange(each.length + 3, at::kDouble).unsqueeze(1) * frequency;
      cosines = angle.cos().to(type);
      sines = angle.sin().to(type);
    }
    const at::Tensor ours = attend(
        qkv, {.heads = each.heads, .groups = each.groups, .window = each.window, .cosines = cosines, .sines = sines});
    (ours * weight).sum().backward();

    const at::Tensor exact = qkv.detach().to(at::kDouble).requires_grad_();
    const auto heads = exact.unflatten(2, {each.heads + 2 * each.groups, each.size})
                           .transpose(1, 2)
                           .split_with_sizes({each.heads, each.groups, each.groups}, 1);
    const at::Tensor q = each.rope ? plain_rotation(heads[0]) : heads[0],
                     k = each.rope ? plain_rotation(heads[1]) : heads[1];
    const at::Tensor expected = plain_attention(q, k, heads[2], each.window).transpose(1, 2).flatten(2);
    (expected * weight.to(at::kDouble)).sum().backward();

    const auto expect_near = [&](const at::Tensor& got, const at::Tensor& want, const char* what) {
      const double allowed = type == at::kFloat ? tolerance::kFloat : tolerance::kDouble;
      EXPECT_LE((got.to(at::kDouble) - want).abs().max().item<double>(),
                allowed * (1 + want.abs().max().item<double>()))
          << what;
    };
    expect_near(ours.detach(), expected.detach(), "output");
    expect_near(qkv.grad(), exact.grad(), "gradient");
  }
};

TEST_P(Attend, MatchesTheDefinitionForwardAndBackward) {
  compare(at::kFloat);
}
TEST_P(Attend, MatchesTheDefinitionInDouble) {
  compare(at::kDouble);
}

INSTANTIATE_TEST_SUITE_P(Lengths, Attend,
                         testing::Values(AttendCase{1, 1, 1, 8, 0, true}, AttendCase{7, 2, 1, 4, 1, false},
                                         AttendCase{16, 4, 2, 16, 8, true}, AttendCase{17, 4, 4, 16, 8, false},
                                         AttendCase{31, 2, 2, 12, 8, true}, AttendCase{33, 4, 1, 32, 0, true},
                                         AttendCase{64, 2, 2, 32, 64, true}, AttendCase{65, 2, 2, 32, 64, false},
                                         AttendCase{130, 3, 3, 20, 64, true}, AttendCase{200, 2, 1, 34, 48, true},
                                         AttendCase{257, 2, 2, 16, 0, true}),
                         [](const auto& attend_case) {
                           const AttendCase& c = attend_case.param;
                           return "length" + std::to_string(c.length) + "_heads" + std::to_string(c.heads) + "_groups" +
                                  std::to_string(c.groups) + "_size" + std::to_string(c.size) + "_window" +
                                  std::to_string(c.window) + (c.rope ? "_rope" : "");
                         });

// With a window of w, moving the value of the token w - 1 back moves the query, moving the one w back leaves its bits
// alone.
TEST(Window, HoldsExactlyItsKeys) {
  at::manual_seed(6);
  const std::int64_t length = 40, window = 8, query = 30;
  const at::Tensor qkv = at::randn({1, length, 3 * 16});
  const auto row = [&](const at::Tensor& all) {
    return attend(all, {.heads = 2, .groups = 2, .window = window, .cosines = {}, .sines = {}}).select(1, query);
  };
  const auto moved = [&](std::int64_t position) {
    at::Tensor all = qkv.clone();
    all.select(1, position).narrow(1, 32, 16).add_(1);
    return row(all);
  };
  EXPECT_FALSE(moved(query - window + 1).equal(row(qkv)));
  EXPECT_FALSE(moved(query).equal(row(qkv)));
  EXPECT_TRUE(moved(query - window).equal(row(qkv)));
  EXPECT_TRUE(moved(query + 1).equal(row(qkv)));
}

}  // namespace
}  // namespace mestre
