// gla, retention and mega_s6 against their READMEs' equations, written out one sum after the other in fp64, without any
// code of the modules.

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "core/mixers/gla/options.h"
#include "core/mixers/mega_s6/options.h"
#include "core/mixers/retention/options.h"
#include "core/model/modules.h"
#include "tests/tolerances.h"

namespace mestre {
namespace {

using Vector = std::vector<double>;
using Matrix = std::vector<Vector>;

Vector vector_of(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.detach().to(at::kDouble).contiguous().flatten();
  return {flat.const_data_ptr<double>(), flat.const_data_ptr<double>() + flat.numel()};
}

Matrix matrix_of(const at::Tensor& tensor) {
  Matrix rows;
  for (std::int64_t i = 0; i < tensor.size(0); ++i) rows.push_back(vector_of(tensor[i]));
  return rows;
}

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

double silu(double x) {
  return x * sigmoid(x);
}

double softplus(double x) {
  return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
}

// Rows first to first + count - 1 of the weight times x.
Vector times(const Matrix& weight, const Vector& x, std::size_t first, std::size_t count) {
  Vector y(count, 0);
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t j = 0; j < x.size(); ++j) y[i] += weight[first + i][j] * x[j];
  return y;
}

Vector times(const Matrix& weight, const Vector& x) {
  return times(weight, x, 0, weight.size());
}

// SiLU of a causal depthwise convolution with the last tap on the current row.
Matrix convolved(const Matrix& x, const Matrix& taps, const Vector& bias) {
  Matrix y = x;
  for (std::size_t t = 0; t < x.size(); ++t) {
    for (std::size_t c = 0; c < taps.size(); ++c) {
      double sum = bias.empty() ? 0 : bias[c];
      for (std::size_t k = 0; k < taps[c].size(); ++k)
        if (t + k + 1 >= taps[c].size()) sum += taps[c][k] * x[t + k + 1 - taps[c].size()][c];
      y[t][c] = silu(sum);
    }
  }
  return y;
}

// Pairs (i, i + p/2) turned by t base^(-2i/p).
Vector turned(const Vector& x, double t, double base) {
  Vector y = x;
  const std::size_t half = x.size() / 2;
  for (std::size_t i = 0; i < half; ++i) {
    const double angle = t * std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(x.size()));
    y[i] = x[i] * std::cos(angle) - x[i + half] * std::sin(angle);
    y[i + half] = x[i] * std::sin(angle) + x[i + half] * std::cos(angle);
  }
  return y;
}

Vector slice(const Vector& x, std::size_t first, std::size_t count) {
  return {x.begin() + static_cast<std::ptrdiff_t>(first), x.begin() + static_cast<std::ptrdiff_t>(first + count)};
}

// One mixer with random weights and an input of one sequence.
struct Trial {
  Trial(MixerOptions& options, std::int64_t width, std::int64_t length) {
    at::manual_seed(10);
    const ModelShape shape{.width = width, .vocabulary = 61};
    options.resolve(shape);
    module = make_mixer(options, shape);
    const at::NoGradGuard no_gradient;
    for (at::Tensor parameter : module->parameters()) parameter.normal_(0, 0.4);
    module->to(at::kDouble);
    x = at::randn({1, length, width}, at::kDouble);
    residual = at::randn({1, length, width}, at::kDouble);
  }

  [[nodiscard]] at::Tensor parameter(const std::string& name) const { return module->named_parameters()[name]; }
  [[nodiscard]] Matrix matrix(const std::string& name) const { return matrix_of(parameter(name)); }
  [[nodiscard]] Vector vector(const std::string& name) const { return vector_of(parameter(name)); }

  void expect_output(const Matrix& expected) const {
    const at::NoGradGuard no_gradient;
    const Matrix got = matrix_of(module->forward({.x = x, .residual = residual})[0]);
    ASSERT_EQ(got.size(), expected.size());
    double largest = 0, off = 0;
    for (std::size_t t = 0; t < got.size(); ++t) {
      for (std::size_t i = 0; i < got[t].size(); ++i) {
        largest = std::max(largest, std::abs(expected[t][i]));
        off = std::max(off, std::abs(got[t][i] - expected[t][i]));
      }
    }
    EXPECT_LE(off, tolerance::kFormsDouble * largest);
  }

  std::shared_ptr<MixerModule> module;
  at::Tensor x, residual;
};

// O_t of linear attention from rows q, k [K], v, g [V] and the decays [K] of each token.
Matrix linear_attention(const Trial& trial, std::size_t heads, const Matrix& q, const Matrix& k, const Matrix& v,
                        const Matrix& g, const Matrix& decay) {
  const std::size_t dk = q[0].size() / heads, dv = v[0].size() / heads;
  const Vector norm = trial.vector("norm.weight");
  const Matrix out = trial.matrix("out.weight");
  std::vector<Matrix> states(heads, Matrix(dk, Vector(dv, 0)));
  Matrix result;
  for (std::size_t t = 0; t < q.size(); ++t) {
    Vector gated(v[0].size());
    for (std::size_t h = 0; h < heads; ++h) {
      Matrix& state = states[h];
      Vector o(dv, 0);
      for (std::size_t i = 0; i < dk; ++i) {
        for (std::size_t j = 0; j < dv; ++j) {
          state[i][j] = decay[t][h * dk + i] * state[i][j] + k[t][h * dk + i] * v[t][h * dv + j];
          o[j] += q[t][h * dk + i] / std::sqrt(static_cast<double>(dk)) * state[i][j];
        }
      }
      double square = 0;
      for (const double one : o) square += one * one / static_cast<double>(dv);
      for (std::size_t j = 0; j < dv; ++j)
        gated[h * dv + j] = o[j] / std::sqrt(square + 1e-5) * norm[j] * silu(g[t][h * dv + j]);
    }
    result.push_back(times(out, gated));
  }
  return result;
}

struct Projections {
  Matrix q, k, v, g;
};

Projections projections(const Trial& trial, std::size_t key_width, std::size_t value_width, bool convolution) {
  const Matrix weight = trial.matrix("qkvg.weight");
  Matrix qkv, g;
  for (const Vector& row : matrix_of(trial.x[0])) {
    qkv.push_back(times(weight, row, 0, 2 * key_width + value_width));
    g.push_back(times(weight, row, 2 * key_width + value_width, value_width));
  }
  if (convolution) qkv = convolved(qkv, trial.matrix("qkv_conv1d.weight"), {});
  Projections p{.q = {}, .k = {}, .v = {}, .g = g};
  for (const Vector& row : qkv) {
    p.q.push_back(slice(row, 0, key_width));
    p.k.push_back(slice(row, key_width, key_width));
    p.v.push_back(slice(row, 2 * key_width, value_width));
  }
  return p;
}

TEST(Equations, Gla) {
  for (const std::int64_t taps : {0, 4}) {
    GlaOptions options;
    options.heads = 2;
    options.gate_rank = 5;
    options.gate_temperature = 3;
    options.short_convolution = taps;
    const Trial trial(options, 16, 75);
    const Projections p = projections(trial, 8, 16, taps > 0);
    const Matrix down = trial.matrix("gate_down.weight"), up = trial.matrix("gate_up.weight");
    const Vector bias = trial.vector("gate_up.bias");
    Matrix decay;
    for (const Vector& row : matrix_of(trial.x[0])) {
      Vector alpha = times(up, times(down, row));
      for (std::size_t i = 0; i < alpha.size(); ++i) alpha[i] = std::exp(-softplus(-(alpha[i] + bias[i])) / 3);
      decay.push_back(alpha);
    }
    trial.expect_output(linear_attention(trial, 2, p.q, p.k, p.v, p.g, decay));
  }
}

TEST(Equations, Retention) {
  for (const bool rope : {true, false}) {
    RetentionOptions options;
    options.heads = 3;
    options.rope = rope;
    options.rope_base = 50;
    options.short_convolution = rope ? 0 : 2;
    const Trial trial(options, 12, 140);
    Projections p = projections(trial, 12, 24, !rope);
    Matrix decay;
    for (std::size_t t = 0; t < p.q.size(); ++t) {
      decay.emplace_back();
      for (std::size_t h = 0; h < 3; ++h) {
        for (Matrix* rows : {&p.q, &p.k}) {
          if (!rope) continue;
          const Vector head = turned(slice((*rows)[t], 4 * h, 4), static_cast<double>(t), 50);
          std::copy(head.begin(), head.end(), (*rows)[t].begin() + static_cast<std::ptrdiff_t>(4 * h));
        }
        for (std::size_t i = 0; i < 4; ++i) decay[t].push_back(1 - std::pow(2, -5 - static_cast<double>(h)));
      }
    }
    trial.expect_output(linear_attention(trial, 3, p.q, p.k, p.v, p.g, decay));
  }
}

// Y of S6 as mega_s6 has it, its input the normalised stream itself.
Matrix s6(const Trial& trial, std::size_t rank, std::size_t state) {
  const Matrix u = convolved(matrix_of(trial.x[0]), trial.matrix("conv1d.weight"), trial.vector("conv1d.bias"));
  const Matrix x_proj = trial.matrix("x_proj.weight"), dt_proj = trial.matrix("dt_proj.weight"),
               a_log = trial.matrix("A_log");
  const Vector dt_bias = trial.vector("dt_proj.bias"), d = trial.vector("D");
  Matrix z(u[0].size(), Vector(state, 0)), y = u;
  for (std::size_t t = 0; t < u.size(); ++t) {
    const Vector r_b_c = times(x_proj, u[t]);
    const Vector step = times(dt_proj, slice(r_b_c, 0, rank));
    for (std::size_t e = 0; e < z.size(); ++e) {
      const double delta = softplus(step[e] + dt_bias[e]);
      y[t][e] = d[e] * u[t][e];
      for (std::size_t n = 0; n < state; ++n) {
        z[e][n] = std::exp(-delta * std::exp(a_log[e][n])) * z[e][n] + delta * u[t][e] * r_b_c[rank + n];
        y[t][e] += z[e][n] * r_b_c[rank + state + n];
      }
    }
  }
  return y;
}

TEST(Equations, MegaS6) {
  MegaS6Options options;
  options.chunk = 20;
  options.key_size = 6;
  options.state = 5;
  options.rank = 3;
  constexpr std::size_t kWidth = 10, kKey = 6, kLength = 47;
  const Trial trial(options, kWidth, kLength);
  const Matrix x = matrix_of(trial.x[0]), residual = matrix_of(trial.residual[0]), y = s6(trial, 3, 5);
  const Matrix v_proj = trial.matrix("v_proj.weight"), m_proj = trial.matrix("m_proj.weight"),
               h_proj = trial.matrix("h_proj.weight"), gamma = trial.matrix("gamma"), beta = trial.matrix("beta");
  const Vector v_bias = trial.vector("v_proj.bias"), m_bias = trial.vector("m_proj.bias"),
               h_bias = trial.vector("h_proj.bias"), a = trial.vector("position_a"), b = trial.vector("position_b");
  Matrix u, r, hx, v, q, k, expected;
  for (std::size_t t = 0; t < kLength; ++t) {
    v.push_back(times(v_proj, x[t]));
    for (std::size_t i = 0; i < kWidth; ++i) v[t][i] = silu(v[t][i] + v_bias[i]);
    Vector m = y[t];
    for (double& one : m) one = silu(one);
    Vector base = times(m_proj, m);
    for (std::size_t i = 0; i < base.size(); ++i) base[i] += m_bias[i];
    u.push_back(slice(base, 0, kWidth));
    const Vector zeta = slice(base, kWidth, kKey);
    r.push_back(slice(base, kWidth + kKey, kWidth));
    hx.push_back(slice(base, 2 * kWidth + kKey, kWidth));
    q.emplace_back();
    k.emplace_back();
    for (std::size_t i = 0; i < kKey; ++i) {
      q[t].push_back(silu(zeta[i]) * gamma[0][i] + beta[0][i]);
      k[t].push_back(silu(zeta[i]) * gamma[1][i] + beta[1][i]);
    }
    // Attention over the chunk of t up to t.
    const std::size_t begin = t / 20 * 20;
    Vector attended(kWidth, 0);
    double sum = 0;
    for (std::size_t s = begin; s <= t; ++s) {
      const Vector at_t = turned(a, static_cast<double>(t - begin), 10000),
                   at_s = turned(b, static_cast<double>(s - begin), 10000);
      double score = 0;
      for (std::size_t i = 0; i < kKey; ++i) score += q[t][i] * k[s][i] / std::sqrt(6.0) + at_t[i] * at_s[i];
      sum += std::exp(score);
      for (std::size_t i = 0; i < kWidth; ++i) attended[i] += std::exp(score) * v[s][i];
    }
    for (std::size_t i = 0; i < kWidth; ++i) attended[i] *= silu(r[t][i]) / sum;
    Vector h = times(h_proj, attended);
    for (std::size_t i = 0; i < kWidth; ++i)
      h[i] = sigmoid(u[t][i]) * (silu(hx[t][i] + h[i] + h_bias[i]) - residual[t][i]);
    expected.push_back(h);
  }
  trial.expect_output(expected);
}

}  // namespace
}  // namespace mestre
