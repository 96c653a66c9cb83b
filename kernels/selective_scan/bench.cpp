// How fast the selective scan is, forward and backward together, against plain Torch and against what the processor
// could do.
//
// Plain Torch comes twice: a loop with every operation inside, as the equation is written, and one where only the
// recurrence itself (one operation a token) is left in the loop. The bound counts the multiply-adds that the method
// needs and divides by the rate that a loop of nothing else reaches, in the same run. No speed is printed unless
// outputs and gradients agree with fp64.
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "kernels/selective_scan/cpu.h"
#include "kernels/selective_scan/selective_scan.h"
#include "kernels/selective_scan/test_support.h"

namespace mestre::kernels::testing {
namespace {

using at::Tensor;

// Multiplications and multiply-adds per (b, t, e, n). Forward: 9 for the exponential, 3 for Z_t and y_t. Backward: the
// same again but for y_t, which only the gradient of the gate needs, and 9 for the gradients of C, B, u, delta, A and
// Z_{t-1}.
constexpr double kMultiplyAdds = 12 + 12 + 9;

struct Inputs {
  Tensor u, delta, A, B, C, D, z, delta_bias, d_y;

  std::vector<std::pair<const char*, Tensor>> differentiable() const {
    return {{"d_u", u}, {"d_delta", delta}, {"d_A", A}, {"d_B", B},
            {"d_C", C}, {"d_D", D},         {"d_z", z}, {"d_delta_bias", delta_bias}};
  }
};

using Scan = std::function<Tensor(const Inputs&)>;

Tensor fused(const Inputs& in) {
  return std::get<0>(selective_scan(in.u, in.delta, in.A, in.B, in.C, in.D, in.z, in.delta_bias, true));
}

Tensor loop_over_equation(const Inputs& in) {
  const Tensor delta = at::softplus(in.delta + in.delta_bias);
  Tensor state = at::zeros({in.u.size(0), in.u.size(2), in.A.size(1)});
  std::vector<Tensor> ys;
  for (std::int64_t t = 0; t < in.u.size(1); ++t) {
    const Tensor step = delta.select(1, t).unsqueeze(-1);
    const Tensor input = step * in.B.select(1, t).unsqueeze(1) * in.u.select(1, t).unsqueeze(-1);
    state = at::exp(step * in.A) * state + input;
    ys.push_back((state * in.C.select(1, t).unsqueeze(1)).sum(-1));
  }
  return (at::stack(ys, 1) + in.D * in.u) * at::silu(in.z);
}

Tensor loop_over_recurrence(const Inputs& in) {
  const Tensor delta = at::softplus(in.delta + in.delta_bias);
  const std::vector<Tensor> decays = at::exp(delta.unsqueeze(-1) * in.A).unbind(1);
  const std::vector<Tensor> inputs = ((delta * in.u).unsqueeze(-1) * in.B.unsqueeze(2)).unbind(1);
  std::vector<Tensor> states = {inputs[0]};
  for (std::size_t t = 1; t < inputs.size(); ++t) states.push_back(at::addcmul(inputs[t], decays[t], states.back()));
  const Tensor y = at::matmul(at::stack(states, 1), in.C.unsqueeze(-1)).squeeze(-1);
  return (y + in.D * in.u) * at::silu(in.z);
}

Inputs make_inputs(const ScanCase& c, const ScanProblem& p) {
  const auto single = [](const std::vector<double>& values, at::IntArrayRef shape) {
    return at::tensor(values, at::kDouble).reshape(shape).to(at::kFloat);
  };
  const auto rows = [&](const std::vector<double>& values, std::int64_t width) {
    return single(values, {c.batch, c.length, width}).to(c.element == Element::kBFloat16 ? at::kBFloat16 : at::kFloat);
  };
  const std::int64_t E = c.channels, N = c.state;
  Inputs in = {rows(p.input.u, E), rows(p.input.delta, E), single(p.input.A, {E, N}), rows(p.input.B, N),
               rows(p.input.C, N), single(p.input.D, {E}), rows(p.input.z, E),        single(p.input.delta_bias, {E}),
               rows(p.d_y, E)};
  for (auto& [name, tensor] : in.differentiable()) tensor.requires_grad_();
  return in;
}

NamedValues named(const std::string& name, const Tensor& tensor, Element element) {
  const Tensor wide = tensor.detach().to(at::kDouble).contiguous();
  const double* data = wide.const_data_ptr<double>();
  return {name, tensor.scalar_type() == at::kFloat ? Element::kFloat32 : element, {data, data + wide.numel()}};
}

/// Prints what disagrees with fp64; true when nothing does.
bool agrees(const Scan& scan, const Inputs& in, const ScanCase& c, const ScanProblem& p) {
  const Tensor y = scan(in);
  y.backward(in.d_y);
  std::vector<NamedValues> results = {named("y", y, c.element)};
  for (auto& [name, tensor] : in.differentiable()) {
    results.push_back(named(name, tensor.grad(), c.element));
    tensor.mutable_grad() = Tensor();
  }
  auto truth = reference_results<double>(p, c.element), plain = reference_results<float>(p, c.element);
  std::erase_if(truth, [](const NamedValues& values) { return values.name == "final_state"; });
  std::erase_if(plain, [](const NamedValues& values) { return values.name == "final_state"; });
  bool good = results.size() == truth.size();
  for (std::size_t i = 0; i < truth.size() && good; ++i) {
    const std::string wrong = judge(results[i], plain[i], truth[i]);
    if (wrong.empty()) continue;
    std::fprintf(stderr, "no speed reported, the result is wrong: %s\n", wrong.c_str());
    good = false;
  }
  return good;
}

double seconds_of(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// One thread is timed by the processor time that it used, so that other programs flatter nobody; several by the wall
/// clock.
double now() {
  return seconds_of(at::get_num_threads() == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC);
}

struct Times {
  double forward = HUGE_VAL, backward = HUGE_VAL;
  double both() const { return forward + backward; }
};

/// The best of `repeats` in seconds, forward and backward each on its own.
Times time_scan(const Scan& scan, const Inputs& in, int repeats) {
  Times best;
  for (int i = 0; i < repeats; ++i) {
    const double start = now();
    const Tensor y = scan(in);
    const double between = now();
    y.backward(in.d_y);
    best.forward = std::min(best.forward, between - start);
    best.backward = std::min(best.backward, now() - between);
    for (auto& [name, tensor] : in.differentiable()) tensor.mutable_grad() = Tensor();
  }
  return best;
}

/// Multiply-adds per second of a loop with nothing else in it: enough independent chains to hide the latency.
template <class Register>
[[gnu::always_inline]] inline double multiply_add_rate() {
  constexpr int kChains = 10, kSteps = 1000000;
  Register chain[kChains] = {};
  const double start = now();
  for (int step = 0; step < kSteps; ++step) {
    for (Register& value : chain) value = value * 0.999f + 0.5f;
  }
  const double elapsed = now() - start;
  for (Register& value : chain) asm volatile("" : : "m"(value));
  return 1.0 * kSteps * kChains * sizeof(Register) / sizeof(float) / elapsed;
}

template <int kBytes>
using Floats [[gnu::vector_size(kBytes)]] = float;

[[gnu::target("avx512f,fma")]] double rate_avx512() {
  return multiply_add_rate<Floats<64>>();
}
[[gnu::target("avx2,fma")]] double rate_avx2() {
  return multiply_add_rate<Floats<32>>();
}
double rate_sse2() {
  return multiply_add_rate<Floats<16>>();
}

double best_rate(std::string_view variant) {
  const auto measure = variant == "avx512" ? rate_avx512 : variant == "avx2" ? rate_avx2 : rate_sse2;
  double best = 0;
  for (int i = 0; i < 10; ++i) best = std::max(best, measure());
  return best;
}

/// One line of the table; false when the result is wrong.
bool report(const ScanCase& c, int threads) {
  const ScanProblem problem = make_problem(c);
  const Inputs in = make_inputs(c, problem);
  at::set_num_threads(threads);
  if (!agrees(fused, in, c, problem)) return false;
  const double updates = 1.0 * c.batch * c.length * c.channels * c.state;
  const double bound = updates * kMultiplyAdds / best_rate(scan_variants().front().name) / threads;
  const Times ours = time_scan(fused, in, 40);
  std::printf("%-5s %7d %11.2f %12.2f %10.3f %7.2f %5.0f %%", c.element == Element::kFloat32 ? "fp32" : "bf16", threads,
              ours.forward * 1e3, ours.backward * 1e3, ours.both() * 1e9 / updates, bound * 1e3,
              100 * bound / ours.both());
  if (c.element == Element::kFloat32) {
    const double equation = time_scan(loop_over_equation, in, 3).both();
    const double recurrence = time_scan(loop_over_recurrence, in, 3).both();
    std::printf(" %9.0f %6.0fx %11.0f %6.0fx", equation * 1e3, equation / ours.both(), recurrence * 1e3,
                recurrence / ours.both());
  }
  std::printf("\n");
  return true;
}

int run() {
  ScanCase c = {.name = "bench", .batch = 2, .length = 1024, .channels = 256, .state = 16};
  c.initial_state = c.reset = c.final_gradient = false;
  std::printf("B %ld, L %ld, E %ld, N %ld, with D, z, delta_bias, softplus; %s\n", c.batch, c.length, c.channels,
              c.state, std::string(scan_variants().front().name).c_str());
  std::printf(
      "type  threads  forward/ms  backward/ms  ns/update bound/ms  share  equation/ms  ratio  recurrence/ms  ratio\n");
  for (const Element element : {Element::kFloat32, Element::kBFloat16}) {
    c.element = element;
    for (const int threads : {1, 2}) {
      if (!report(c, threads)) return 1;
    }
  }
  return 0;
}

}  // namespace
}  // namespace mestre::kernels::testing

int main() {
  return mestre::kernels::testing::run();
}
