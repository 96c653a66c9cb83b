// The Mamba mixer, forward and backward together, against the same layer as PyTorch programs write it down: Torch's own
// operations, and a loop over the sequence.
//
// The loop comes twice: with every operation of the recurrence inside, as the equation is written, and with one
// operation a token. No speed is printed unless the layers agree.
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <memory>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "core/mixers/mamba/module.h"
#include "core/spec/model.h"

namespace mestre {
namespace {

constexpr std::int64_t kBatch = 2, kLength = 1024, kWidth = 256;
constexpr int kOurRepeats = 20, kLoopRepeats = 3;
constexpr double kTolerance = 1e-4;  // of the largest value; sums of a thousand terms in fp32

using at::Tensor;
using Layer = std::function<Tensor(const Tensor& x)>;

class Sequential {
 public:
  explicit Sequential(MambaModule& module) {
    for (const auto& parameter : module.named_parameters()) parameters_.insert(parameter.key(), parameter.value());
  }

  /// `every`: all operations of a token in the loop; else the recurrence alone.
  [[nodiscard]] Tensor forward(const Tensor& x, bool every) const {
    const std::vector<Tensor> h_and_gate = at::linear(x, of("in_proj.weight")).chunk(2, -1);
    const Tensor &weight = of("conv1d.weight"), taps = weight.unsqueeze(1);
    const Tensor padded = at::constant_pad_nd(h_and_gate[0].transpose(1, 2), {weight.size(1) - 1, 0});
    const std::vector<std::int64_t> one = {1}, none = {0};
    const Tensor convolved = at::conv1d(padded, taps, of("conv1d.bias"), one, none, one, weight.size(0));
    const Tensor u = at::silu(convolved).transpose(1, 2).contiguous();
    const std::int64_t state = of("A_log").size(1), rank = of("dt_proj.weight").size(1);
    const std::vector<Tensor> r_b_c = at::linear(u, of("x_proj.weight")).split_with_sizes({rank, state, state}, -1);
    const Tensor delta = at::softplus(at::linear(r_b_c[0], of("dt_proj.weight"), of("dt_proj.bias")));
    const Tensor A = -at::exp(of("A_log"));
    const Tensor y = every ? loop_over_equation(u, delta, A, r_b_c[1], r_b_c[2])
                           : loop_over_recurrence(u, delta, A, r_b_c[1], r_b_c[2]);
    return at::linear((y + of("D") * u) * at::silu(h_and_gate[1]), of("out_proj.weight"));
  }

 private:
  [[nodiscard]] const Tensor& of(const char* name) const { return parameters_[name]; }

  static Tensor loop_over_equation(const Tensor& u, const Tensor& delta, const Tensor& A, const Tensor& B,
                                   const Tensor& C) {
    Tensor state = at::zeros({u.size(0), u.size(2), A.size(1)});
    std::vector<Tensor> ys;
    for (std::int64_t t = 0; t < u.size(1); ++t) {
      const Tensor step = delta.select(1, t).unsqueeze(-1);
      state = at::exp(step * A) * state + step * B.select(1, t).unsqueeze(1) * u.select(1, t).unsqueeze(-1);
      ys.push_back((state * C.select(1, t).unsqueeze(1)).sum(-1));
    }
    return at::stack(ys, 1);
  }

  static Tensor loop_over_recurrence(const Tensor& u, const Tensor& delta, const Tensor& A, const Tensor& B,
                                     const Tensor& C) {
    const std::vector<Tensor> decays = at::exp(delta.unsqueeze(-1) * A).unbind(1);
    const std::vector<Tensor> inputs = ((delta * u).unsqueeze(-1) * B.unsqueeze(2)).unbind(1);
    std::vector<Tensor> states = {inputs[0]};
    for (std::size_t t = 1; t < inputs.size(); ++t) states.push_back(at::addcmul(inputs[t], decays[t], states.back()));
    return at::matmul(at::stack(states, 1), C.unsqueeze(-1)).squeeze(-1);
  }

  torch::OrderedDict<std::string, Tensor> parameters_;
};

double now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Output and gradients of the input and all parameters.
std::vector<Tensor> results(const Layer& layer, MambaModule& module, const Tensor& x, const Tensor& gradient) {
  x.mutable_grad() = Tensor();
  module.zero_grad();
  const Tensor y = layer(x);
  y.backward(gradient);
  std::vector<Tensor> all = {y.detach(), x.grad()};
  for (const Tensor& parameter : module.parameters()) all.push_back(parameter.grad().clone());
  return all;
}

double best_seconds(const Layer& layer, MambaModule& module, const Tensor& x, const Tensor& gradient, int repeats) {
  double best = HUGE_VAL;
  for (int i = 0; i < repeats; ++i) {
    const double start = now();
    (void)results(layer, module, x, gradient);
    best = std::min(best, now() - start);
  }
  return best;
}

bool agree(const std::vector<Tensor>& ours, const std::vector<Tensor>& theirs) {
  for (std::size_t i = 0; i < ours.size(); ++i) {
    const double difference = (ours[i] - theirs[i]).abs().max().item<double>();
    if (!(difference <= kTolerance * theirs[i].abs().max().item<double>())) {
      std::printf("the layers disagree in result %zu: by %g\n", i, difference);
      return false;
    }
  }
  return true;
}

int run() {
  ModelSpec model;
  model.options.width = kWidth;
  model.options.layers = {"mamba"};
  model.instances.emplace("mamba", std::make_unique<MambaOptions>());
  model.resolve(257);
  const auto& options = dynamic_cast<const MambaOptions&>(*model.instances.at("mamba"));
  MambaModule module(options, model.shape());
  at::manual_seed(7);
  {
    const at::NoGradGuard no_gradient;
    module.initialize(Initializer(model, 7));
  }
  const Tensor x = at::randn({kBatch, kLength, kWidth}).requires_grad_(), gradient = at::randn_like(x);
  const Sequential sequential(module);
  const Layer ours = [&](const Tensor& in) { return module.forward({.x = in, .residual = in}); };
  const Layer equation = [&](const Tensor& in) { return sequential.forward(in, true); };
  const Layer recurrence = [&](const Tensor& in) { return sequential.forward(in, false); };
  std::printf("Mamba mixer, B %ld, L %ld, d %ld, fp32, forward and backward\n", kBatch, kLength, kWidth);
  std::printf("threads    ours/ms  tokens/s  equation/ms  ratio  recurrence/ms  ratio\n");
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    const auto expected = results(recurrence, module, x, gradient);
    if (!agree(results(ours, module, x, gradient), expected) ||
        !agree(results(equation, module, x, gradient), expected))
      return 1;
    const double fast = best_seconds(ours, module, x, gradient, kOurRepeats);
    const double slow = best_seconds(equation, module, x, gradient, kLoopRepeats);
    const double less_slow = best_seconds(recurrence, module, x, gradient, kLoopRepeats);
    std::printf("%7d %10.2f %9.0f %12.0f %5.1fx %14.0f %5.1fx\n", threads, fast * 1e3, kBatch * kLength / fast,
                slow * 1e3, slow / fast, less_slow * 1e3, less_slow / fast);
  }
  return 0;
}

}  // namespace
}  // namespace mestre

int main() {
  return mestre::run();
}
