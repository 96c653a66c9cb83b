// Every variant of the kernel against the fp64 reference, and the reference against finite differences. No Torch here;
// test_op.cpp has it.
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/selective_scan/test_support.h"

namespace mestre::kernels::testing {
namespace {

std::vector<ScanCase> scan_cases() {
  using C = ScanCase;
  std::vector<ScanCase> cases = {
      C{.name = "length_1", .length = 1},
      C{.name = "length_63", .length = 63},
      C{.name = "length_64", .length = 64},
      C{.name = "length_65", .length = 65},
      C{.name = "length_1000", .length = 1000, .state = 16},
      C{.name = "length_1000_no_reset", .length = 1000, .state = 16, .reset = false},
      C{.name = "no_D", .D = false},
      C{.name = "no_z", .z = false},
      C{.name = "no_bias", .delta_bias = false},
      C{.name = "no_softplus", .delta_softplus = false, .delta_low = 1e-3, .delta_high = 0.5},
      C{.name = "no_initial_state", .initial_state = false},
      C{.name = "no_reset", .reset = false},
      C{.name = "no_final_gradient", .final_gradient = false},
      C{.name = "bare",
        .D = false,
        .z = false,
        .delta_bias = false,
        .delta_softplus = false,
        .initial_state = false,
        .reset = false,
        .final_gradient = false,
        .delta_low = 1e-3,
        .delta_high = 0.5},
      C{.name = "strided", .batch = 3, .batch_padding = 41, .row_padding = 7},
      C{.name = "delta_up_to_20", .delta_softplus = false, .delta_low = 0.01, .delta_high = 20},
      C{.name = "delta_20_through_softplus", .delta_low = 10, .delta_high = 20},
      C{.name = "delta_tiny", .length = 300, .reset = false, .delta_low = -16, .delta_high = -12},
      C{.name = "delta_underflows", .reset = false, .delta_low = -200, .delta_high = -80},
      C{.name = "one_channel_one_state", .channels = 1, .state = 1},
      C{.name = "channels_16", .channels = 16, .state = 4},
      C{.name = "channels_17", .channels = 17, .state = 16},
      C{.name = "channels_259", .channels = 259, .state = 3},
      C{.name = "state_64", .channels = 33, .state = 64},
      C{.name = "state_63", .length = 33, .channels = 5, .state = 63},
  };
  for (const char* name :
       {"length_1", "length_65", "length_1000", "strided", "channels_259", "delta_up_to_20", "bare"}) {
    for (ScanCase c : std::vector(cases)) {
      if (c.name != name) continue;
      c.name += "_bf16";
      c.element = Element::kBFloat16;
      cases.push_back(c);
    }
  }
  return cases;
}

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// A [batch, length, width] argument in memory as the kernel takes it, padded as the case says.
class RowBuffer {
 public:
  RowBuffer(const ScanCase& c, std::int64_t width, const std::vector<double>& values) : RowBuffer(c, width) {
    for (std::size_t i = 0; i < values.size(); ++i) set(offset(i), values[i]);
  }

  /// All NaN, for an output.
  RowBuffer(const ScanCase& c, std::int64_t width)
      : element_(c.element),
        width_(width),
        length_(c.length),
        count_(c.batch * c.length * width),
        token_stride_(width + c.row_padding),
        batch_stride_(c.length * token_stride_ + c.batch_padding),
        floats_(c.batch * batch_stride_),
        halves_(c.batch * batch_stride_) {
    for (std::size_t i = 0; i < floats_.size(); ++i) set(i, kNan);
  }

  ConstRows rows() const { return {data(), element_, batch_stride_, token_stride_}; }
  Rows mutable_rows() { return {const_cast<void*>(data()), element_, batch_stride_, token_stride_}; }

  NamedValues named(const std::string& name) const {
    NamedValues result = {name, element_, {}};
    for (std::int64_t i = 0; i < count_; ++i) result.values.push_back(get(offset(i)));
    return result;
  }

 private:
  const void* data() const {
    return element_ == Element::kFloat32 ? static_cast<const void*>(floats_.data()) : halves_.data();
  }
  std::size_t offset(std::int64_t i) const {
    const std::int64_t token = i / width_;
    return token / length_ * batch_stride_ + token % length_ * token_stride_ + i % width_;
  }
  void set(std::size_t at, double value) {
    floats_[at] = static_cast<float>(value);
    halves_[at] = static_cast<std::uint16_t>(
        std::bit_cast<std::uint32_t>(static_cast<float>(round_to(Element::kBFloat16, value))) >> 16);
  }
  double get(std::size_t at) const {
    return element_ == Element::kFloat32 ? floats_[at] : std::bit_cast<float>(std::uint32_t{halves_[at]} << 16);
  }

  Element element_;
  std::int64_t width_, length_, count_, token_stride_, batch_stride_;
  std::vector<float> floats_;
  std::vector<std::uint16_t> halves_;
};

using Floats = std::vector<float>;
Floats floats(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}
Floats nans_like(const std::vector<double>& values) {
  return Floats(values.size(), static_cast<float>(kNan));
}
template <class Vector>
auto pointer(Vector& values) {
  return values.empty() ? nullptr : values.data();
}

void serially(std::int64_t count, const std::function<void(std::int64_t)>& task) {
  for (std::int64_t i = 0; i < count; ++i) task(i);
}

void on_two_threads_backwards(std::int64_t count, const std::function<void(std::int64_t)>& task) {
  const auto every_second = [&](std::int64_t first) {
    for (std::int64_t i = first; i >= 0; i -= 2) task(i);
  };
  std::thread other(every_second, count - 2);
  every_second(count - 1);
  other.join();
}

/// Forward and backward of one variant, with every output NaN before.
std::vector<NamedValues> run_variant(const ScanVariant& variant, const ScanCase& c, const ScanProblem& p,
                                     const ParallelFor& parallel_for) {
  const ReferenceInput& in = p.input;
  const std::int64_t E = c.channels, N = c.state;
  const RowBuffer u(c, E, in.u), delta(c, E, in.delta), B(c, N, in.B), C(c, N, in.C), z(c, E, in.z), d_y(c, E, p.d_y);
  const Floats A = floats(in.A), D = floats(in.D), bias = floats(in.delta_bias), initial = floats(in.initial_state);
  const Floats d_final = floats(p.d_final_state);
  const ScanInput input = {.batch = c.batch,
                           .length = c.length,
                           .channels = E,
                           .state = N,
                           .u = u.rows(),
                           .delta = delta.rows(),
                           .B = B.rows(),
                           .C = C.rows(),
                           .z = c.z ? z.rows() : ConstRows{},
                           .A = A.data(),
                           .D = pointer(D),
                           .delta_bias = pointer(bias),
                           .initial_state = pointer(initial),
                           .reset = reinterpret_cast<const bool*>(pointer(in.reset)),
                           .delta_softplus = c.delta_softplus};

  RowBuffer y(c, E), d_u(c, E), d_delta(c, E), d_B(c, N), d_C(c, N), d_z(c, E);
  Floats final_state(c.batch * E * N, static_cast<float>(kNan)), d_A = nans_like(in.A), d_D = nans_like(in.D);
  Floats d_bias = nans_like(in.delta_bias), d_initial = nans_like(in.initial_state);
  Floats checkpoints(c.batch * scan_chunks(c.length) * scan_padded_channels(E) * scan_padded_state(N),
                     static_cast<float>(kNan));
  scan_forward(variant, input, {y.mutable_rows(), final_state.data(), checkpoints.data()}, parallel_for);
  scan_backward(variant, input, {d_y.rows(), pointer(d_final)}, checkpoints.data(),
                {.u = d_u.mutable_rows(),
                 .delta = d_delta.mutable_rows(),
                 .B = d_B.mutable_rows(),
                 .C = d_C.mutable_rows(),
                 .z = c.z ? d_z.mutable_rows() : Rows{},
                 .A = d_A.data(),
                 .D = pointer(d_D),
                 .delta_bias = pointer(d_bias),
                 .initial_state = pointer(d_initial)},
                parallel_for);

  const auto named = [](const char* name, const Floats& values) {
    return NamedValues{name, Element::kFloat32, {values.begin(), values.end()}};
  };
  std::vector<NamedValues> results = {y.named("y"),      named("final_state", final_state),
                                      d_u.named("d_u"),  d_delta.named("d_delta"),
                                      named("d_A", d_A), d_B.named("d_B"),
                                      d_C.named("d_C")};
  if (c.D) results.push_back(named("d_D", d_D));
  if (c.z) results.push_back(d_z.named("d_z"));
  if (c.delta_bias) results.push_back(named("d_delta_bias", d_bias));
  if (c.initial_state) results.push_back(named("d_initial_state", d_initial));
  return results;
}

class ScanVariants : public ::testing::TestWithParam<ScanCase> {};

TEST_P(ScanVariants, ErrAtMostTwiceAsMuchAsThePlainComposition) {
  const ScanCase& c = GetParam();
  const ScanProblem problem = make_problem(c);
  const auto truth = reference_results<double>(problem, c.element);
  const auto plain = reference_results<float>(problem, c.element);
  for (const ScanVariant& variant : scan_variants()) {
    SCOPED_TRACE(variant.name);
    const auto results = run_variant(variant, c, problem, serially);
    ASSERT_EQ(results.size(), truth.size());
    for (std::size_t i = 0; i < results.size(); ++i) EXPECT_EQ(judge(results[i], plain[i], truth[i]), "");
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, ScanVariants, ::testing::ValuesIn(scan_cases()),
                         [](const auto& instance) { return instance.param.name; });

TEST(ScanVariants, AreBitIdenticalForAnyThreadsAndOrder) {
  const ScanCase c = {.name = "threads", .batch = 2, .length = 100, .channels = 300, .state = 6};
  const ScanProblem problem = make_problem(c);
  for (const ScanVariant& variant : scan_variants()) {
    SCOPED_TRACE(variant.name);
    const auto once = run_variant(variant, c, problem, serially);
    const auto again = run_variant(variant, c, problem, serially);
    const auto threaded = run_variant(variant, c, problem, on_two_threads_backwards);
    for (std::size_t i = 0; i < once.size(); ++i) {
      EXPECT_TRUE(once[i].values == again[i].values) << once[i].name;
      EXPECT_TRUE(once[i].values == threaded[i].values) << once[i].name;
    }
  }
}

TEST(ScanVariants, LetNotANumberThroughToWhatDependsOnItAndNoFurther) {
  const ScanCase c = {.name = "nan", .batch = 2, .length = 70, .channels = 20, .state = 4, .reset = false};
  ScanProblem problem = make_problem(c);
  problem.input.reset.assign(c.batch * c.length, 0);
  problem.input.reset[50] = 1;                        // sequence 0 forgets the NaN here
  problem.input.delta[(40 * c.channels) + 7] = kNan;  // sequence 0, token 40, channel 7
  for (const ScanVariant& variant : scan_variants()) {
    SCOPED_TRACE(variant.name);
    const auto y = run_variant(variant, c, problem, serially)[0].values;
    for (std::int64_t i = 0; i < std::ssize(y); ++i) {
      const std::int64_t token = i / c.channels, channel = i % c.channels;
      EXPECT_EQ(std::isnan(y[i]), channel == 7 && token >= 40 && token < 50) << "token " << token;
    }
  }
}

TEST(Judge, RejectsWhatIsSlightlyWrong) {
  const ScanCase c = {.name = "judge"};
  const ScanProblem problem = make_problem(c);
  const auto truth = reference_results<double>(problem, c.element);
  const auto plain = reference_results<float>(problem, c.element);
  for (std::size_t i = 0; i < truth.size(); ++i) {
    EXPECT_EQ(judge(plain[i], plain[i], truth[i]), "");
    NamedValues scaled = plain[i], poisoned = plain[i];
    for (double& value : scaled.values) value *= 1 + 1e-5;
    poisoned.values.back() = kNan;
    EXPECT_NE(judge(scaled, plain[i], truth[i]), "") << truth[i].name;
    EXPECT_NE(judge(poisoned, plain[i], truth[i]), "") << truth[i].name;
  }
}

double loss(const ScanProblem& p) {
  const ReferenceOutput out = reference_forward<double>(p.input);
  double sum = 0;
  for (std::size_t i = 0; i < out.y.size(); ++i) sum += out.y[i] * p.d_y[i];
  for (std::size_t i = 0; i < p.d_final_state.size(); ++i) sum += out.final_state[i] * p.d_final_state[i];
  return sum;
}

/// Central differences of the loss by each element of `values`, which is part of `p`, against `gradient`.
void expect_finite_differences(const char* name, ScanProblem& p, std::vector<double>& values,
                               const std::vector<double>& gradient) {
  constexpr double kStep = 1e-5, kAllowed = 1e-8;  // error of the method: step squared, and 1e-16 / step
  ASSERT_EQ(values.size(), gradient.size()) << name;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double kept = values[i];
    values[i] = kept + kStep;
    const double above = loss(p);
    values[i] = kept - kStep;
    const double below = loss(p);
    values[i] = kept;
    EXPECT_NEAR((above - below) / (2 * kStep), gradient[i], kAllowed) << name << "[" << i << "]";
  }
}

TEST(Reference, BackwardIsTheDerivativeOfForward) {
  for (const bool options : {true, false}) {
    ScanProblem p = make_problem({.name = "finite",
                                  .length = 7,
                                  .channels = 3,
                                  .state = 2,
                                  .D = options,
                                  .z = options,
                                  .delta_bias = options,
                                  .delta_softplus = options,
                                  .initial_state = options,
                                  .reset = options,
                                  .final_gradient = options,
                                  .delta_low = 0.1});
    if (options) p.input.reset = {1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0};
    const ReferenceGradient d = reference_backward<double>(p.input, p.d_y, p.d_final_state);
    ReferenceInput& in = p.input;
    expect_finite_differences("u", p, in.u, d.u);
    expect_finite_differences("delta", p, in.delta, d.delta);
    expect_finite_differences("A", p, in.A, d.A);
    expect_finite_differences("B", p, in.B, d.B);
    expect_finite_differences("C", p, in.C, d.C);
    expect_finite_differences("D", p, in.D, d.D);
    expect_finite_differences("z", p, in.z, d.z);
    expect_finite_differences("delta_bias", p, in.delta_bias, d.delta_bias);
    expect_finite_differences("initial_state", p, in.initial_state, d.initial_state);
  }
}

}  // namespace
}  // namespace mestre::kernels::testing
