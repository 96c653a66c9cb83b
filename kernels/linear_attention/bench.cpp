// How fast gated linear attention and retention are, forward and backward together, against a loop of Torch operations
// over tokens and against the rate of Torch's own matrix product, all on one thread in the same run.
//
// The work counted is that of the matrix products that the chunked form needs; the rest (decays, copies) is what keeps
// it from the rate of the matrix product. No speed is printed unless outputs and gradients agree with fp64.
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include "kernels/linear_attention/test_support.h"

namespace mestre::kernels::testing {
namespace {

using at::Tensor;

constexpr double kChunkTokens = 64;
constexpr std::int64_t kLoopTokens =
    64;  // the loop takes as long for every token; its graph of all would fill the memory

/// Processor time, so that other programs flatter nobody.
double now() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double best_of(int repeats, const std::function<void()>& work) {
  double best = HUGE_VAL;
  for (int i = 0; i < repeats; ++i) {
    const double start = now();
    work();
    best = std::min(best, now() - start);
  }
  return best;
}

/// The equation, token by token.
std::tuple<Tensor, Tensor> loop(const AttentionCall& c) {
  Tensor state = at::zeros({c.q.size(0), c.q.size(2), c.q.size(3), c.v.size(3)});
  std::vector<Tensor> o;
  for (std::int64_t t = 0; t < c.q.size(1); ++t) {
    const Tensor decay = c.decay.dim() == 1 ? c.decay.view({-1, 1, 1}) : c.decay.select(1, t).unsqueeze(-1);
    state = at::exp(decay) * state + c.k.select(1, t).unsqueeze(-1) * c.v.select(1, t).unsqueeze(-2);
    o.push_back(at::matmul(c.q.select(1, t).unsqueeze(-2) * c.scale, state).squeeze(-2));
  }
  return {at::stack(o, 1), state};
}

struct Times {
  double forward = HUGE_VAL, backward = HUGE_VAL;
  double both() const { return forward + backward; }
};

/// The best of `repeats`, forward and backward each on its own.
Times time_operation(const std::function<std::tuple<Tensor, Tensor>(const AttentionCall&)>& run, AttentionCall c,
                     int repeats) {
  for (auto& [name, input] : c.differentiable()) input->requires_grad_();
  Times best;
  for (int i = 0; i < repeats; ++i) {
    const double start = now();
    const auto [o, final_state] = run(c);
    const double between = now();
    o.backward(c.d_o);
    best.forward = std::min(best.forward, between - start);
    best.backward = std::min(best.backward, now() - between);
    for (auto& [name, input] : c.differentiable()) input->mutable_grad() = Tensor();
  }
  return best;
}

/// Of the products in a forward pass.
double forward_flops(const AttentionOperation& operation, const AttentionCase& c) {
  const double key = c.key, value = c.value, rows = 1.0 * c.batch * c.length * c.heads;
  const double scores = operation.decay_per_token ? (kChunkTokens - 1) * key : 2 * kChunkTokens * key;
  return rows * (scores + 2 * kChunkTokens * value + 4 * key * value);
}

double product_rate() {
  const Tensor a = at::rand({512, 512}), b = at::rand({512, 512});
  return 2 * std::pow(512, 3) / best_of(40, [&] { at::matmul(a, b); });
}

/// Prints one line of the table; false when the result is wrong.
bool report(const AttentionOperation& operation, const AttentionCase& c, double rate) {
  AttentionCase shorter = c;
  shorter.length = 70;
  const AttentionCall checked = make_call(operation, shorter);
  const std::string wrong = judge_results(operation, checked, results_of(operation, checked));
  if (!wrong.empty()) {
    std::fprintf(stderr, "no speed reported, the result is wrong: %s\n", wrong.c_str());
    return false;
  }
  const AttentionCall call = make_call(operation, c);
  const Times ours = time_operation(operation.run, call, 15);
  const double reached = 4 * forward_flops(operation, c) / ours.both();  // backward: again, and twice for gradients
  shorter.length = kLoopTokens;
  const double looped = time_operation(loop, make_call(operation, shorter), 3).both() * c.length / kLoopTokens;
  std::printf("%-24s %4ld %4ld %11.1f %12.1f %9.1f %6.0f %% %9.0f %6.0fx\n", operation.name.c_str(), c.key, c.value,
              ours.forward * 1e3, ours.backward * 1e3, reached * 1e-9, 100 * reached / rate, looped * 1e3,
              looped / ours.both());
  return true;
}

/// One token with a state, as decoding has it.
void report_token(const AttentionOperation& operation, AttentionCase c) {
  c.length = 1;
  c.initial_state = true;
  const AttentionCall call = make_call(operation, c);
  const at::NoGradGuard no_gradient;
  const double elapsed = best_of(200, [&] { operation.run(call); });
  std::printf("%-24s %4ld %4ld %11.1f\n", operation.name.c_str(), c.key, c.value, elapsed * 1e6);
}

int run() {
  at::set_num_threads(1);
  const double rate = product_rate();
  const AttentionCase narrow = {.name = "bench",
                                .length = 1024,
                                .heads = 4,
                                .key = 32,
                                .value = 64,
                                .initial_state = false,
                                .reset = false,
                                .final_gradient = false};
  AttentionCase wide = narrow;
  wide.key = 192;
  wide.value = 384;
  std::printf("B 2, L 1024, H 4, fp32, one thread; at::matmul of 512 x 512: %.1f GFLOP/s\n", rate * 1e-9);
  std::printf("operation                   K    V  forward/ms  backward/ms   GFLOP/s   share   loop/ms  ratio\n");
  for (const AttentionOperation* operation : {&kGatedLinearAttention, &kRetention}) {
    for (const AttentionCase& c : {narrow, wide}) {
      if (!report(*operation, c, rate)) return 1;
    }
  }
  std::printf("one token\noperation                   K    V  forward/us\n");
  for (const AttentionOperation* operation : {&kGatedLinearAttention, &kRetention}) {
    for (const AttentionCase& c : {narrow, wide}) report_token(*operation, c);
  }
  return 0;
}

}  // namespace
}  // namespace mestre::kernels::testing

int main() {
  return mestre::kernels::testing::run();
}
