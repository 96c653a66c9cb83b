// How fast each fused operation is on the CPU, forward and backward, against the same equation in ATen's operations, in
// fp32 at the shapes of a small model (B 4, d 128, four heads).
//
// Both run in turns in one process, on one thread, and the best of each counts, in processor time. No speed is printed
// unless results and gradients agree with the composition in fp64.
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "kernels/attention_entropy/attention_entropy.h"
#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/qkv_attention/qkv_attention.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/rope/rope.h"
#include "kernels/sliding_window_attention/sliding_window_attention.h"
#include "kernels/swiglu/swiglu.h"

namespace mestre::kernels::testing {
namespace {

using at::Tensor;
using Tensors = std::vector<Tensor>;
using Function = std::function<Tensor(const Tensors&)>;

constexpr int kRepeats = 30;
constexpr double kTolerance = 2e-5;  // of the greatest value: fp32 against fp64, sums of up to 4096 tokens
constexpr double kEpsilon = 1e-5;

double now() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

struct Operation {
  std::string name;
  Function ours, composition;
  Tensors inputs;
  bool differentiable = true;
};

Tensors variables(const Operation& operation, at::ScalarType type) {
  Tensors result;
  for (const Tensor& input : operation.inputs)
    result.push_back(input.to(type).clone().set_requires_grad(operation.differentiable));
  return result;
}

struct Times {
  double forward = HUGE_VAL, backward = HUGE_VAL;
  [[nodiscard]] double both() const { return forward + backward; }
};

/// Runs once; the results and the gradients of the inputs are left in `all` where that is given.
Times run_once(const Function& function, const Tensors& inputs, Tensors* all = nullptr) {
  for (const Tensor& input : inputs) input.mutable_grad() = Tensor();
  Times times;
  const double start = now();
  const Tensor y = function(inputs);
  times.forward = now() - start;
  times.backward = 0;
  if (y.requires_grad()) {
    const Tensor gradient = at::ones_like(y);
    const double between = now();
    y.backward(gradient);
    times.backward = now() - between;
  }
  if (all == nullptr) return times;
  all->push_back(y.detach());
  for (const Tensor& input : inputs)
    if (input.grad().defined()) all->push_back(input.grad().clone());
  return times;
}

bool agrees(const Operation& operation) {
  Tensors got, expected;
  run_once(operation.ours, variables(operation, at::kFloat), &got);
  run_once(operation.composition, variables(operation, at::kDouble), &expected);
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double scale = expected[i].abs().max().item<double>();
    const double error = (got[i].to(at::kDouble) - expected[i]).abs().max().item<double>();
    if (error <= kTolerance * scale) continue;
    std::fprintf(stderr, "%s: no speed reported, result %zu is off by %g of %g\n", operation.name.c_str(), i, error,
                 scale);
    return false;
  }
  return true;
}

bool report(const Operation& operation) {
  if (!agrees(operation)) return false;
  const Tensors inputs = variables(operation, at::kFloat);
  Times ours, plain;
  const auto improve = [](Times& best, const Times& times) {
    best.forward = std::min(best.forward, times.forward);
    best.backward = std::min(best.backward, times.backward);
  };
  for (int i = 0; i < kRepeats; ++i) {
    improve(ours, run_once(operation.ours, inputs));
    improve(plain, run_once(operation.composition, inputs));
  }
  std::printf("%-62s %10.3f %12.3f %14.3f %8.1fx\n", operation.name.c_str(), ours.forward * 1e3, ours.backward * 1e3,
              plain.both() * 1e3, plain.both() / ours.both());
  return true;
}

Tensors tables(std::int64_t length, std::int64_t size) {
  const Tensor pair = at::arange(size / 2, at::kDouble);
  const Tensor angle =
      at::arange(length, at::kDouble).unsqueeze(1) * at::pow(10000.0, pair * (-2.0 / static_cast<double>(size)));
  return {angle.cos(), angle.sin()};
}

Tensor draw(at::IntArrayRef shape) {
  return at::randn(shape, at::kDouble);
}

std::vector<Operation> operations_on_rows(std::int64_t length) {
  const std::string suffix = ", L " + std::to_string(length);
  std::vector<Operation> all;
  const auto add = [&](const std::string& name, const Function& ours, const Function& plain, const Tensors& inputs) {
    all.push_back({name + suffix, ours, plain, inputs});
  };
  add(
      "causal_conv1d E 256, W 4, SiLU",
      [](const Tensors& in) { return std::get<0>(causal_conv1d(in[0], in[1], in[2], true)); },
      [](const Tensors& in) { return std::get<0>(causal_conv1d_composition(in[0], in[1], in[2], true, {})); },
      {draw({4, length, 256}), draw({256, 4}), draw({256})});
  add(
      "rms_norm D 128", [](const Tensors& in) { return rms_norm(in[0], in[1], kEpsilon); },
      [](const Tensors& in) { return rms_norm_composition(in[0], in[1], kEpsilon); },
      {draw({4, length, 128}), draw({128})});
  const auto both = [](const std::tuple<Tensor, Tensor>& results) {
    return at::stack({std::get<0>(results), std::get<1>(results)});
  };
  add(
      "add_rms_norm D 128", [=](const Tensors& in) { return both(add_rms_norm(in[0], in[1], in[2], kEpsilon)); },
      [=](const Tensors& in) { return both(add_rms_norm_composition(in[0], in[1], in[2], kEpsilon)); },
      {draw({4, length, 128}), draw({4, length, 128}), draw({128})});
  add(
      "gated_rms_norm D 64", [](const Tensors& in) { return gated_rms_norm(in[0], in[1], in[2], kEpsilon); },
      [](const Tensors& in) { return gated_rms_norm_composition(in[0], in[1], in[2], kEpsilon); },
      {draw({4, length, 4, 64}), draw({4, length, 4, 64}), draw({64})});
  add(
      "swiglu P 344", [](const Tensors& in) { return swiglu(in[0]); },
      [](const Tensors& in) { return swiglu_composition(in[0]); }, {draw({4, length, 688})});
  const auto table = [=](const Tensors& in, std::size_t i) { return tables(length, 32)[i].to(in[0].scalar_type()); };
  add(
      "rope H 4, D 32", [=](const Tensors& in) { return rope(in[0], table(in, 0), table(in, 1)); },
      [=](const Tensors& in) { return rope_composition(in[0], table(in, 0), table(in, 1)); },
      {draw({4, length, 4, 32})});
  return all;
}

std::vector<Operation> attentions(std::int64_t length, std::int64_t window) {
  const double scale = 1 / std::sqrt(32.0);
  const std::string suffix = " H 4, D 32, L " + std::to_string(length) + ", window " + std::to_string(window);
  const Tensors inputs = {draw({4, length, 4, 32}), draw({4, length, 4, 32}), draw({4, length, 4, 32})};
  const auto tables_for = [=](const Tensors& in) {
    Tensors both;
    for (const Tensor& table : tables(length, 32)) both.push_back(table.to(in[0].scalar_type()));
    return both;
  };
  return {{"sliding_window_attention" + suffix,
           [=](const Tensors& in) { return std::get<0>(sliding_window_attention(in[0], in[1], in[2], window, scale)); },
           [=](const Tensors& in) {
             return std::get<0>(sliding_window_attention_composition(in[0], in[1], in[2], window, scale));
           },
           inputs},
          {"qkv_attention, RoPE" + suffix,
           [=](const Tensors& in) {
             const Tensors turn = tables_for(in);
             return std::get<0>(qkv_attention(in[0], 4, 4, window, scale, turn[0], turn[1]));
           },
           [=](const Tensors& in) {
             const Tensors turn = tables_for(in);
             return std::get<0>(qkv_attention_composition(in[0], 4, 4, window, scale, turn[0], turn[1]));
           },
           {draw({4, length, 384})}},
          {"attention_entropy" + suffix,
           [=](const Tensors& in) { return attention_entropy(in[0], in[1], window, scale); },
           [=](const Tensors& in) { return attention_entropy_composition(in[0], in[1], window, scale); },
           {inputs[0], inputs[1]},
           false}};
}

/// Seconds for a length that no matrix of scores could hold, and a bound on what it errs: equal scores, whose entropies
/// are known.
bool report_long_entropy() {
  const std::int64_t length = 65536;
  const Tensor q = draw({1, length, 4, 64}).to(at::kFloat), k = draw({1, length, 4, 64}).to(at::kFloat);
  const Tensor known = at::arange(1, length + 1, at::kDouble).log();
  const Tensor equal = attention_entropy(at::zeros_like(q.narrow(2, 0, 1)), k.narrow(2, 0, 1), 0, 1).flatten();
  if (!equal.to(at::kDouble).allclose(known, 1e-6, 0)) {
    std::fprintf(stderr, "attention_entropy: no speed reported, equal scores err\n");
    return false;
  }
  const double start = now();
  attention_entropy(q, k, 0, 0.125);
  std::printf("attention_entropy B 1, H 4, D 64, L %ld, full: %.1f s\n", length, now() - start);
  return true;
}

bool run() {
  at::set_num_threads(1);
  at::manual_seed(1);
  std::printf("%-62s %10s %12s %14s %9s\n", "one thread, fp32, B 4", "forward/ms", "backward/ms", "composition/ms",
              "ratio");
  bool good = true;
  for (const std::int64_t length : {256, 1024}) {
    for (const Operation& operation : operations_on_rows(length)) good = report(operation) && good;
    for (const std::int64_t window : {0, 64})
      for (const Operation& operation : attentions(length, window)) good = report(operation) && good;
  }
  return report_long_entropy() && good;
}

}  // namespace
}  // namespace mestre::kernels::testing

int main() {
  return mestre::kernels::testing::run() ? 0 : 1;
}
