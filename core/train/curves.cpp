#include "core/train/curves.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/spec/hardware.h"
#include "core/train/device.h"
#include "core/train/schedule.h"

namespace mestre {
namespace {

constexpr double kForwardsPerStep = 3;  // the backward pass costs two

double peak_flops_of(at::Device device, bool bfloat16) {
  const Gpu* gpu = device.is_cpu() ? nullptr : find_gpu_of_driver(name_of_device(device));
  if (gpu == nullptr) return 0;
  return bfloat16 ? gpu->bfloat16_flops : gpu->float32_flops;
}

double norm_of(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> norms;
  for (const at::Tensor& tensor : tensors) norms.push_back(at::linalg_vector_norm(tensor.detach()).to(at::kDouble));
  return norms.empty() ? 0 : at::linalg_vector_norm(at::stack(norms)).item<double>();
}

}  // namespace

Curves::Curves(const LanguageModel& model, const TrainOptions& options, at::Device device)
    : options_(options),
      device_(device),
      flops_per_token_(kForwardsPerStep * model.spec().forward_flops(options.sequence_length)),
      peak_flops_(peak_flops_of(device, options.is_bfloat16())) {
  const auto parameters = model.named_parameters();
  for (std::size_t i = 0; i < model.layer_count(); ++i) {
    Layer layer{.gradient_norm = fmt::format("layer.{}.gradient_norm", i),
                .weight_norm = fmt::format("layer.{}.weight_norm", i),
                .residual_rms = fmt::format("layer.{}.residual_rms", i),
                .parameters = {}};
    const std::string prefix = fmt::format("layers.{}.", i);
    for (const auto& parameter : parameters)
      if (parameter.key().starts_with(prefix)) layer.parameters.push_back(parameter.value());
    layers_.push_back(std::move(layer));
  }
}

void Curves::begin(std::int64_t step) {
  interval_start_ = step;
  interval_.restart();
}

std::vector<Metric> Curves::point(TrainingState& state, double gradient_norm) {
  if (state.interval_steps > 0) state.last_loss = state.interval_loss / static_cast<double>(state.interval_steps);
  const double tokens = static_cast<double>((state.step - interval_start_) * options_.tokens_per_step());
  const double tokens_per_second = tokens / interval_.seconds();
  const double flops_per_second = flops_per_token_ * tokens_per_second;
  std::vector<Metric> values = {{"loss", state.last_loss},
                                {"learning_rate", learning_rate(options_, state.step)},
                                {"gradient_norm", gradient_norm},
                                {"tokens_per_second", tokens_per_second},
                                {"flops_per_second", flops_per_second},
                                {"peak_memory_bytes", peak_memory_bytes()}};
  if (peak_flops_ > 0) values.emplace_back("flop_utilization", flops_per_second / peak_flops_);
  if (!device_.is_cpu()) values.emplace_back("peak_device_memory_bytes", peak_device_memory_bytes(device_));
  if (state.spikes.spikes > 0) values.emplace_back("spikes", static_cast<double>(state.spikes.spikes));
  state.interval_loss = 0;
  state.interval_steps = 0;
  begin(state.step);
  return values;
}

std::vector<Metric> Curves::layers(const std::vector<at::Tensor>& residuals) const {
  std::vector<Metric> values;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    std::vector<at::Tensor> gradients;
    for (const at::Tensor& parameter : layer.parameters) gradients.push_back(parameter.grad());
    values.emplace_back(layer.gradient_norm, norm_of(gradients));
    values.emplace_back(layer.weight_norm, norm_of(layer.parameters));
    const at::Tensor stream = residuals.at(i).detach().to(at::kFloat);
    values.emplace_back(layer.residual_rms, stream.square().mean().sqrt().item<double>());
  }
  return values;
}

}  // namespace mestre
