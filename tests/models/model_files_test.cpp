// Every model file under experiments/models, built on the Meta device, which has shapes and no memory: what the planner
// counts is what the worker builds and computes.

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <set>

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include "core/mixers/attention/options.h"
#include "core/mixers/gla/options.h"
#include "core/mixers/mamba/options.h"
#include "core/mixers/mega_s6/options.h"
#include "core/mixers/mlp/options.h"
#include "core/mixers/retention/options.h"
#include "core/model/language_model.h"
#include "core/model/parameter.h"
#include "core/spec/model_reader.h"
#include "core/spec/parameter_role.h"

namespace mestre {
namespace {

constexpr std::int64_t kBytesVocabulary = 257;
constexpr std::int64_t kLength = 48;

// Operations of the dense products that run while it lives, a multiply-add counted as two.
class DenseProducts {
 public:
  DenseProducts() {
    current = 0;
    handle_ = at::addThreadLocalCallback(
        at::RecordFunctionCallback(see).needsInputs(true).scopes({at::RecordScope::FUNCTION}));
  }
  ~DenseProducts() { at::removeCallback(handle_); }
  DenseProducts(const DenseProducts&) = delete;
  DenseProducts& operator=(const DenseProducts&) = delete;
  [[nodiscard]] static std::int64_t count() { return current; }

 private:
  static std::unique_ptr<at::ObserverContext> see(const at::RecordFunction& function) {
    if (std::string_view(function.name()) == "aten::linear") {
      const at::Tensor x = function.inputs()[0].toTensor(), weight = function.inputs()[1].toTensor();
      current += 2 * x.numel() * weight.size(0);
    }
    return nullptr;
  }

  static inline std::int64_t current = 0;
  at::CallbackHandle handle_;
};

double sum_of_means(std::int64_t length, const std::function<std::int64_t(std::int64_t)>& visible) {
  double pairs = 0;
  for (std::int64_t t = 0; t < length; ++t) pairs += static_cast<double>(visible(t));
  return pairs / static_cast<double>(length);
}

// Operations per token of all that is no dense product, by the formulas of the mixers' READMEs.
double rest_of(const MixerOptions& mixer, const ModelShape& shape) {
  const auto d = static_cast<double>(shape.width);
  const auto convolution = [](std::int64_t taps, std::int64_t channels) {
    return 2.0 * static_cast<double>(taps) * static_cast<double>(channels);
  };
  const auto recurrence = [](const ExpandedHeads& sizes) {
    return 5.0 * static_cast<double>(sizes.heads * sizes.key_size() * sizes.value_size());
  };
  if (const auto* o = dynamic_cast<const AttentionOptions*>(&mixer)) {
    const double keys =
        sum_of_means(kLength, [&](std::int64_t t) { return o->window > 0 ? std::min(t + 1, o->window) : t + 1; });
    return 4 * d * keys + convolution(o->short_convolution, o->channels(shape));
  }
  if (const auto* o = dynamic_cast<const MambaOptions*>(&mixer)) {
    const std::int64_t inner = o->inner(shape);
    return convolution(o->convolution, inner) + 7.0 * static_cast<double>(inner * o->state);
  }
  if (const auto* o = dynamic_cast<const MegaS6Options*>(&mixer)) {
    const double keys = sum_of_means(kLength, [&](std::int64_t t) { return t % o->chunk + 1; });
    return convolution(o->convolution, shape.width) + 7 * d * static_cast<double>(o->state) +
           2 * (static_cast<double>(o->key_size) + d) * keys;
  }
  if (const auto* o = dynamic_cast<const GlaOptions*>(&mixer))
    return convolution(o->short_convolution, o->sizes(shape).channels()) + recurrence(o->sizes(shape));
  if (const auto* o = dynamic_cast<const RetentionOptions*>(&mixer))
    return convolution(o->short_convolution, o->sizes(shape).channels()) + recurrence(o->sizes(shape));
  EXPECT_EQ(mixer.type(), "mlp");
  return 0;
}

// The shape of a parameter must be one that its role can have.
void expect_role(const std::string& name, const at::Tensor& parameter) {
  constexpr std::int64_t kMostTaps = 8;
  const std::string_view role = parameter_role(name);
  const auto is = [&](std::initializer_list<std::string_view> roles) {
    return std::find(roles.begin(), roles.end(), role) != roles.end();
  };
  const bool has_one_dimension = is({"norm", "bias"}) || name.ends_with(".D");
  const bool has_two = is({"embedding", "head", "matrix", "convolution"}) || name.ends_with(".A_log");
  EXPECT_TRUE(!has_one_dimension || parameter.dim() == 1) << name;
  EXPECT_TRUE(!has_two || parameter.dim() == 2) << name;
  EXPECT_TRUE(!is({"convolution"}) || parameter.size(1) <= kMostTaps) << name;
  EXPECT_TRUE(!is({"vector", "ssm"}) || name.find(".mixer.") != std::string::npos) << name;
}

TEST(ModelFiles, BuildAndComputeWhatIsPlanned) {
  const fs::path folder = fs::path(std::getenv("MESTRE_SOURCE")) / "experiments/models";
  Diagnostics diagnostics;
  const std::vector<ListedModel> models = list_models(folder, kBytesVocabulary, diagnostics);
  ASSERT_FALSE(diagnostics.has_errors()) << diagnostics.render();
  ASSERT_GT(models.size(), 40U);
  const at::NoGradGuard no_gradient;
  for (const ListedModel& listed : models) {
    const ModelSpec& spec = listed.spec;
    const BuildOn meta(at::kMeta);
    LanguageModel model(spec);
    EXPECT_EQ(model.parameter_count(), spec.parameters()) << listed.name;
    std::set<std::string> names;
    for (const auto& parameter : model.named_parameters()) {
      names.insert(parameter.key());
      expect_role(parameter.key(), parameter.value());
    }
    EXPECT_EQ(names.size(), model.named_parameters().size()) << listed.name;

    const ModelShape shape = spec.shape();
    double rest = 0;
    std::int64_t dense = 2 * shape.vocabulary * shape.width;  // the head
    for (const MixerOptions* mixer : spec.stack()) {
      dense += 2 * mixer->dense_parameters(shape);
      rest += rest_of(*mixer, shape);
    }
    const DenseProducts products;
    const at::Tensor logits = model.forward(at::zeros({1, kLength}, at::TensorOptions(at::kMeta).dtype(at::kLong)));
    EXPECT_EQ(logits.sizes(), (std::vector<std::int64_t>{1, kLength, shape.vocabulary}));
    EXPECT_EQ(DenseProducts::count(), kLength * dense) << listed.name;
    EXPECT_NEAR(spec.forward_flops(kLength), static_cast<double>(dense) + rest, 1e-12 * static_cast<double>(dense))
        << listed.name;
  }
}

}  // namespace
}  // namespace mestre
