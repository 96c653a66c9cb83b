#include "core/mixers/mamba/module.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "kernels/selective_scan/selective_scan.h"

namespace mestre {
namespace {

constexpr double kSmallestStep = 0.001, kLargestStep = 0.1;  // of Delta at the start, log-uniform between them
constexpr double kStepFloor = 1e-4;

}  // namespace

MambaModule::MambaModule(const MambaOptions& options, const ModelShape& shape)
    : options_(options), inner_(options.inner(shape)) {
  in_proj_ = register_module("in_proj", std::make_shared<Dense>(shape.width, 2 * inner_));
  conv1d_ = register_module("conv1d", std::make_shared<ShortConvolution>(inner_, options.convolution));
  x_proj_ = register_module("x_proj", std::make_shared<Dense>(inner_, options.rank + 2 * options.state));
  dt_proj_ = register_module("dt_proj", std::make_shared<Dense>(options.rank, inner_));
  dt_bias_ = dt_proj_->register_parameter("bias", at::empty({inner_}, at::kFloat));
  a_log_ = register_parameter("A_log", at::empty({inner_, options.state}, at::kFloat));
  d_ = register_parameter("D", at::empty({inner_}, at::kFloat));
  out_proj_ = register_module("out_proj", std::make_shared<Dense>(inner_, shape.width));
}

at::Tensor MambaModule::forward(const at::Tensor& x) {
  const std::vector<at::Tensor> h_and_gate = in_proj_->forward(x).chunk(2, -1);
  const at::Tensor u = conv1d_->forward(h_and_gate[0]);
  const std::vector<at::Tensor> r_b_c =
      x_proj_->forward(u).split_with_sizes({options_.rank, options_.state, options_.state}, -1);
  const at::Tensor delta = dt_proj_->forward(r_b_c[0]);  // before the bias and softplus, which the scan adds
  const at::Tensor a = -at::exp(a_log_);
  const at::Tensor y =
      std::get<0>(kernels::selective_scan(u, delta, a, r_b_c[1], r_b_c[2], d_, h_and_gate[1], dt_bias_, true));
  return out_proj_->forward(y);
}

void MambaModule::initialize(const Initializer& initializer) {
  initializer.linear("in_proj.weight", in_proj_->weight);
  conv1d_->initialize(initializer.inside("conv1d"));
  initializer.linear("x_proj.weight", x_proj_->weight);
  const double bound = 1.0 / std::sqrt(static_cast<double>(options_.rank));
  initializer.uniform("dt_proj.weight", dt_proj_->weight, -bound, bound);

  // b_dt is the inverse softplus of the step, so that Delta starts near it.
  initializer.uniform("dt_proj.bias", dt_bias_, std::log(kSmallestStep), std::log(kLargestStep));
  const at::Tensor step = dt_bias_.to(at::kDouble).exp().clamp_min(kStepFloor);
  dt_bias_.copy_(step + at::log(-at::expm1(-step)));

  a_log_.copy_(at::arange(1, options_.state + 1, at::kDouble).log().expand({inner_, options_.state}));
  d_.fill_(1);
  initializer.output("out_proj.weight", out_proj_->weight);
}

}  // namespace mestre
