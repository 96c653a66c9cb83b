#include "core/mixers/mega_s6/module.h"

#include <cmath>
#include <vector>

#include <ATen/ATen.h>

#include "core/mixers/mega_s6/module_attend.h"
#include "core/model/parameter.h"
#include "kernels/rope/rope.h"

namespace mestre {
namespace {

constexpr double kRotationBase = 10000;
constexpr double kDeviation = 0.02;  // of the weights that the layer draws itself

struct MegaS6State final : MixerState {
  S6State s6;
  at::Tensor keys, values;  // [B, n, 2z] and [B, n, d] of the chunk that was begun; undefined where none was
};

// What came before and what comes now, of one chunk and the next.
at::Tensor appended(const at::Tensor& before, const at::Tensor& now) {
  return before.defined() ? at::cat({before, now}, 1) : now;
}

}  // namespace

MegaS6Module::MegaS6Module(const MegaS6Options& options, const ModelShape& shape)
    : options_(options),
      width_(shape.width),
      v_proj_(*this, "v_proj", width_, width_),
      s6_(*this, {.inner = width_, .state = options.state, .rank = options.rank, .convolution = options.convolution}),
      m_proj_(*this, "m_proj", width_, 3 * width_ + options.key_size),
      h_proj_(*this, "h_proj", width_, width_),
      gamma_(add_parameter(*this, "gamma", {2, options.key_size})),
      beta_(add_parameter(*this, "beta", {2, options.key_size})),
      position_a_(add_parameter(*this, "position_a", {options.key_size})),
      position_b_(add_parameter(*this, "position_b", {options.key_size})),
      rotation_(options.key_size, kRotationBase) {}

at::Tensor MegaS6Module::forward(const MixerInput& input) {
  auto* state = dynamic_cast<MegaS6State*>(input.state);
  const std::int64_t position = state != nullptr ? state->position : 0;
  at::Tensor v = at::silu(v_proj_.forward(input.x));
  const at::Tensor m =
      at::silu(s6_.forward(input.x, std::nullopt, state != nullptr ? &state->s6 : nullptr, input.observer));
  const std::vector<at::Tensor> base =
      m_proj_.forward(m).split_with_sizes({width_, options_.key_size, width_, width_}, -1);
  const at::Tensor zeta = at::silu(base[1]);
  // The score z^-1/2 q . k + (R_t a) . (R_s b) is one product of vectors twice as long.
  const double scale = 1.0 / std::sqrt(static_cast<double>(options_.key_size));
  const at::ScalarType type = v.scalar_type();
  const at::Tensor q = with_positions((zeta * gamma_[0] + beta_[0]) * scale, position_a_, position).to(type);
  at::Tensor k = with_positions(zeta * gamma_[1] + beta_[1], position_b_, position).to(type);
  if (state != nullptr) {
    k = appended(state->keys, k);
    v = appended(state->values, v);
  }
  const at::Tensor attended = attend_in_chunks(q, k, v, options_.chunk);
  if (state != nullptr) {
    state->position += input.x.size(1);
    const std::int64_t begun = state->position % options_.chunk;
    state->keys = begun > 0 ? k.narrow(1, k.size(1) - begun, begun) : at::Tensor();
    state->values = begun > 0 ? v.narrow(1, v.size(1) - begun, begun) : at::Tensor();
  }
  const at::Tensor h = at::silu(base[3] + h_proj_.forward(attended * at::silu(base[2])));
  return at::sigmoid(base[0]) * (h - input.residual);
}

at::Tensor MegaS6Module::with_positions(const at::Tensor& x, const at::Tensor& vector, std::int64_t first) {
  const std::int64_t length = x.size(1), chunk = options_.chunk;
  // Positions count from the start of each chunk.
  const std::int64_t begin = first % chunk, chunks = (begin + length + chunk - 1) / chunk;
  const Rotation::Angles one = rotation_.angles(0, chunk, x);
  const auto placed = [&](const at::Tensor& table) { return table.repeat({chunks, 1}).narrow(0, begin, length); };
  const at::Tensor turned = kernels::rope(vector.to(x.scalar_type()).expand({1, length, 1, options_.key_size}),
                                          placed(one.cosines), placed(one.sines));
  return at::cat({x, turned.squeeze(2).expand_as(x)}, -1);
}

std::unique_ptr<MixerState> MegaS6Module::start() const {
  return std::make_unique<MegaS6State>();
}

void MegaS6Module::initialize(const Initializer& initializer) {
  const auto draw = [&](const char* name, BiasedDense& dense) {
    const std::string weight = std::string(name) + ".weight";
    if (initializer.redraws_linears())
      initializer.linear(weight, dense.weight());
    else
      initializer.normal(weight, dense.weight(), kDeviation);
    dense.bias().zero_();
  };
  draw("v_proj", v_proj_);
  s6_.initialize(initializer);
  draw("m_proj", m_proj_);
  draw("h_proj", h_proj_);
  initializer.normal("gamma", gamma_, kDeviation);
  beta_.zero_();
  initializer.normal("position_a", position_a_, kDeviation);
  initializer.normal("position_b", position_b_, kDeviation);
}

}  // namespace mestre
