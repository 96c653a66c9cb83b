// The three forms of every mixer give the same numbers, and their gradients are those of finite differences.

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/mixers/attention/options.h"
#include "core/mixers/gla/options.h"
#include "core/mixers/mamba/options.h"
#include "core/mixers/mega_s6/options.h"
#include "core/mixers/mlp/options.h"
#include "core/mixers/retention/options.h"
#include "core/model/modules.h"
#include "core/train/device.h"
#include "tests/tolerances.h"

namespace mestre {
namespace {

constexpr std::int64_t kWidth = 24;

struct Form {
  const char* name;
  std::function<std::unique_ptr<MixerOptions>()> make;
};

template <class Options>
std::function<std::unique_ptr<MixerOptions>()> with(const std::function<void(Options&)>& set) {
  return [set] {
    Options options;
    set(options);
    return options.clone();
  };
}

const Form kForms[] = {
    {"full", with<AttentionOptions>([](auto& o) { o.heads = 3; })},
    {"window", with<AttentionOptions>([](auto& o) { o.heads = 4, o.kv_heads = 2, o.window = 7; })},
    {"multi_query_without_rope",
     with<AttentionOptions>([](auto& o) { o.heads = 4, o.kv_heads = 1, o.window = 9, o.rope = false; })},
    {"attention_with_convolution",
     with<AttentionOptions>([](auto& o) { o.heads = 2, o.window = 6, o.short_convolution = 4; })},
    {"mamba", with<MambaOptions>([](auto&) {})},
    {"gla", with<GlaOptions>([](auto& o) { o.heads = 2; })},
    {"gla_with_convolution", with<GlaOptions>([](auto& o) { o.heads = 3, o.short_convolution = 4; })},
    {"retention", with<RetentionOptions>([](auto& o) { o.heads = 3; })},
    {"retention_without_rope",
     with<RetentionOptions>([](auto& o) { o.heads = 2, o.rope = false, o.short_convolution = 3; })},
    {"mega_s6", with<MegaS6Options>([](auto& o) { o.chunk = 16, o.key_size = 8; })},
    {"mlp", with<MlpOptions>([](auto& o) { o.intermediate = 40; })},
};

class Forms : public testing::TestWithParam<Form> {
 protected:
  Forms() {
    at::manual_seed(10);
    const ModelShape shape{.width = kWidth, .vocabulary = 61};
    const std::unique_ptr<MixerOptions> options = GetParam().make();
    options->resolve(shape);
    module_ = make_mixer(*options, shape);
    const at::NoGradGuard no_gradient;
    for (const auto& item : module_->named_parameters()) {
      at::Tensor parameter = item.value();
      parameter.normal_();
      // Decays as a trained model has them; products that neither vanish nor explode.
      if (item.key() == "A_log")
        parameter.abs_();
      else if (parameter.dim() == 2)
        parameter.mul_(1.0 / std::sqrt(static_cast<double>(parameter.size(1))));
    }
  }

  at::Tensor run(const at::Tensor& x, MixerState* state = nullptr) {
    return module_->forward({.x = x, .residual = x * 0.5, .state = state});
  }

  at::Tensor run_in_pieces(const at::Tensor& x, const std::vector<std::int64_t>& lengths) {
    const std::unique_ptr<MixerState> state = module_->start();
    std::vector<at::Tensor> out;
    std::int64_t first = 0;
    for (std::size_t i = 0; first < x.size(1); ++i) {
      const std::int64_t length = std::min(lengths[i % lengths.size()], x.size(1) - first);
      out.push_back(run(x.narrow(1, first, length), state.get()));
      first += length;
    }
    return at::cat(out, 1);
  }

  void expect_forms_agree(at::ScalarType type, double tolerance) {
    module_->to(type);
    const at::Tensor x = at::randn({2, 70, kWidth}, type);
    for (const bool recording : {false, true}) {
      const at::AutoGradMode mode(recording);
      const at::Tensor whole = run(x).detach();
      const double allowed = tolerance * whole.abs().max().item<double>();
      for (const std::vector<std::int64_t>& lengths :
           {std::vector<std::int64_t>{1}, {70}, {5, 1, 17, 2, 1, 30}, {16}, {33, 1, 1}}) {
        const at::Tensor pieces = run_in_pieces(x, lengths).detach();
        EXPECT_LE((pieces - whole).abs().max().item<double>(), allowed)
            << "pieces of " << lengths.front() << (recording ? ", recording" : "");
      }
    }
  }

  std::shared_ptr<MixerModule> module_;
};

TEST_P(Forms, AgreeInDouble) {
  expect_forms_agree(at::kDouble, tolerance::kFormsDouble);
}

TEST_P(Forms, AgreeInFloat) {
  expect_forms_agree(at::kFloat, tolerance::kFormsFloat);
}

// Weights in fp32 and products in bf16, as a training has them: near the same numbers, whole and in pieces, backwards
// too.
TEST_P(Forms, RunUnderAutocast) {
  const at::Tensor x = at::randn({2, 40, kWidth});
  const at::Tensor exact = run(x).detach();
  const Autocast autocast(at::kCPU, true);
  at::Tensor rounded = x.to(at::kBFloat16).requires_grad_();
  const at::Tensor whole = run(rounded);
  const double allowed = tolerance::kBfloat16 * exact.abs().max().item<double>();
  EXPECT_LE((whole - exact).abs().max().item<double>(), allowed);
  for (const std::vector<std::int64_t>& lengths : {std::vector<std::int64_t>{1}, {16, 5, 1}})
    EXPECT_LE((run_in_pieces(rounded.detach(), lengths) - exact).abs().max().item<double>(), allowed);
  std::vector<at::Tensor> variables = module_->parameters();
  variables.push_back(rounded);
  for (const at::Tensor& gradient : torch::autograd::grad({whole.to(at::kFloat).square().sum()}, variables)) {
    EXPECT_TRUE(gradient.isfinite().all().item<bool>());
    EXPECT_GT(gradient.abs().max().item<double>(), 0);
  }
}

// Along random directions of every parameter and of the input, through a state that was left behind by a piece before.
TEST_P(Forms, HaveTheGradientsOfFiniteDifferences) {
  module_->to(at::kDouble);
  constexpr double kStep = 1e-5;
  for (const std::int64_t length : {1, 63, 65}) {
    at::Tensor x = at::randn({2, 6 + length, kWidth}, at::kDouble).requires_grad_();
    const at::Tensor weight = at::randn({2, length, kWidth}, at::kDouble);
    const auto objective = [&] {
      const std::unique_ptr<MixerState> state = module_->start();
      (void)run(x.narrow(1, 0, 6), state.get());
      return (run(x.narrow(1, 6, length), state.get()) * weight).sum();
    };
    std::vector<std::pair<std::string, at::Tensor>> variables = {{"x", x}};
    for (const auto& item : module_->named_parameters()) variables.emplace_back(item.key(), item.value());
    std::vector<at::Tensor> tensors;
    for (const auto& [name, tensor] : variables) tensors.push_back(tensor);
    const std::vector<at::Tensor> gradients = torch::autograd::grad({objective()}, tensors);
    const at::NoGradGuard no_gradient;
    for (std::size_t i = 0; i < variables.size(); ++i) {
      at::Tensor variable = tensors[i];
      const at::Tensor direction = at::randn_like(variable);
      const auto value_at = [&](double step) {
        variable.add_(direction, step);
        const double value = objective().item<double>();
        variable.sub_(direction, step);
        return value;
      };
      const double difference =
          (8 * (value_at(kStep) - value_at(-kStep)) - value_at(2 * kStep) + value_at(-2 * kStep)) / (12 * kStep);
      const double slope = (gradients[i] * direction).sum().item<double>();
      EXPECT_NEAR(slope, difference, tolerance::kSlope * (1 + std::abs(difference)))
          << variables[i].first << ", length " << length;
    }
  }
}

TEST_P(Forms, ShowAnObserverSomethingWhereTheOptionsSaySo) {
  struct Witness final : MixerObserver {
    void saw_attention(const at::Tensor&, const at::Tensor&, std::int64_t, double) override { saw = true; }
    void saw_delta(const at::Tensor&) override { saw = true; }
    bool saw = false;
  } witness;
  const at::Tensor x = at::randn({1, 5, kWidth});
  (void)module_->forward({.x = x, .residual = x, .observer = &witness});
  EXPECT_EQ(witness.saw, GetParam().make()->is_observable());
}

INSTANTIATE_TEST_SUITE_P(Mixers, Forms, testing::ValuesIn(kForms),
                         [](const auto& form) { return std::string(form.param.name); });

}  // namespace
}  // namespace mestre
