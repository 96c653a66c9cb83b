#include "core/model/s6.h"

#include <cmath>
#include <tuple>
#include <vector>

#include <ATen/ATen.h>

#include "core/model/parameter.h"
#include "kernels/selective_scan/selective_scan.h"

namespace mestre {
namespace {

constexpr double kSmallestStep = 0.001, kLargestStep = 0.1;  // of Delta at the start, log-uniform between them
constexpr double kStepFloor = 1e-4;

}  // namespace

S6::S6(torch::nn::Module& mixer, const S6Sizes& sizes) : sizes_(sizes) {
  conv1d_ = mixer.register_module("conv1d", std::make_shared<ShortConvolution>(sizes.inner, sizes.convolution));
  x_proj_ = mixer.register_module("x_proj", std::make_shared<Dense>(sizes.inner, sizes.rank + 2 * sizes.state));
  dt_proj_ = mixer.register_module("dt_proj", std::make_shared<Dense>(sizes.rank, sizes.inner));
  dt_bias_ = add_parameter(*dt_proj_, "bias", {sizes.inner});
  a_log_ = add_parameter(mixer, "A_log", {sizes.inner, sizes.state});
  d_ = add_parameter(mixer, "D", {sizes.inner});
}

at::Tensor S6::forward(const at::Tensor& x, const std::optional<at::Tensor>& gate, S6State* state,
                       MixerObserver* observer) const {
  const at::Tensor u = conv1d_->forward(x, state != nullptr ? &state->inputs : nullptr);
  const std::vector<at::Tensor> r_b_c =
      x_proj_->forward(u).split_with_sizes({sizes_.rank, sizes_.state, sizes_.state}, -1);
  const at::Tensor delta = dt_proj_->forward(r_b_c[0]);  // before the bias and softplus, which the scan adds
  if (observer != nullptr) observer->saw_delta(at::softplus(delta + dt_bias_));
  std::optional<at::Tensor> before;
  if (state != nullptr && state->states.defined()) before = state->states;
  auto [y, after] =
      kernels::selective_scan(u, delta, -at::exp(a_log_), r_b_c[1], r_b_c[2], d_, gate, dt_bias_, true, before);
  if (state != nullptr) state->states = after;
  return y;
}

void S6::initialize(const Initializer& initializer) {
  conv1d_->initialize(initializer.inside("conv1d"));
  initializer.linear("x_proj.weight", x_proj_->weight);
  const double bound = 1.0 / std::sqrt(static_cast<double>(sizes_.rank));
  initializer.uniform("dt_proj.weight", dt_proj_->weight, -bound, bound);

  // b_dt is the inverse softplus of the step, so that Delta starts near it.
  initializer.uniform("dt_proj.bias", dt_bias_, std::log(kSmallestStep), std::log(kLargestStep));
  const at::Tensor step = dt_bias_.to(at::kDouble).exp().clamp_min(kStepFloor);
  dt_bias_.copy_(step + at::log(-at::expm1(-step)));

  a_log_.copy_(at::arange(1, sizes_.state + 1, at::kDouble).log().expand({sizes_.inner, sizes_.state}));
  d_.fill_(1);
}

}  // namespace mestre
