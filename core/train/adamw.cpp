#include "core/train/adamw.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/spec/parameter_role.h"

namespace mestre {
namespace {

constexpr std::int64_t kChunk = 1 << 15;  // elements of a task and of a partial sum

struct Coefficients {
  float scale;  // of the gradient, by clipping
  float beta1, beta2;
  float keep;     // 1 - rate x decay
  float rate;     // corrected for the bias of the first moment
  float correct;  // 1 / sqrt(1 - beta2^t), of the root of the second moment
  float epsilon;
};

// One compilation for each instruction set; the program picks when it is loaded.
#if defined(__x86_64__)
#define MESTRE_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define MESTRE_CLONES
#endif

MESTRE_CLONES void update_chunk(const Coefficients& c, std::int64_t count, const float* __restrict gradient,
                                float* __restrict value, float* __restrict first, float* __restrict second) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] * c.scale;
    const float m = c.beta1 * first[i] + (1 - c.beta1) * g;
    const float v = c.beta2 * second[i] + (1 - c.beta2) * g * g;
    first[i] = m;
    second[i] = v;
    value[i] = c.keep * value[i] - c.rate * m / (std::sqrt(v) * c.correct + c.epsilon);
  }
}

// Eight sums side by side, so that the order of additions is fixed and still wide.
MESTRE_CLONES double sum_of_squares(const float* values, std::int64_t count) {
  constexpr std::int64_t kSums = 8;
  double sums[kSums] = {};
  std::int64_t i = 0;
  for (; i + kSums <= count; i += kSums)
    for (std::int64_t j = 0; j < kSums; ++j)
      sums[j] += static_cast<double>(values[i + j]) * static_cast<double>(values[i + j]);
  for (; i < count; ++i) sums[0] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  double sum = 0;
  for (const double each : sums) sum += each;
  return sum;
}

template <class Task>
void for_each_chunk(std::int64_t count, const Task& task) {
  const std::int64_t chunks = (count + kChunk - 1) / kChunk;
  at::parallel_for(0, chunks, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t chunk = first; chunk < last; ++chunk)
      task(chunk, chunk * kChunk, std::min(kChunk, count - chunk * kChunk));
  });
}

}  // namespace

AdamW::AdamW(torch::nn::Module& model, const TrainOptions& options) : options_(options) {
  const auto parameters = model.named_parameters();
  std::int64_t total = 0;
  for (const auto& parameter : parameters) {
    places_.push_back({.name = parameter.key(), .begin = total, .sizes = parameter.value().sizes().vec()});
    add_to_stretches(places_.back(), parameter.value().numel());
    total += parameter.value().numel();
  }
  const at::NoGradGuard no_gradient;
  const at::Device device = parameters.is_empty() ? at::Device(at::kCPU) : parameters.begin()->value().device();
  const auto type = at::TensorOptions().dtype(at::kFloat).device(device);
  values_ = at::empty({total}, type);
  gradients_ = at::zeros({total}, type);
  first_moments_ = at::zeros({total}, type);
  second_moments_ = at::zeros({total}, type);
  for (const Place& place : places_) {
    at::Tensor parameter = parameters[place.name];
    at::Tensor value = view(values_, place);
    value.copy_(parameter);
    parameter.set_data(value);
    parameter.mutable_grad() = view(gradients_, place);
  }
}

void AdamW::add_to_stretches(const Place& place, std::int64_t count) {
  const ParameterRule rule = rule_of_role(options_, parameter_role(place.name));
  if (stretches_.empty() || stretches_.back().rule != rule)
    stretches_.push_back({.rule = rule, .begin = place.begin, .count = 0});
  stretches_.back().count += count;
}

at::Tensor AdamW::view(const at::Tensor& row, const Place& place) const {
  std::int64_t count = 1;
  for (const std::int64_t size : place.sizes) count *= size;
  return row.narrow(0, place.begin, count).view(place.sizes);
}

void AdamW::zero_gradients() {
  gradients_.zero_();
}

double AdamW::gradient_norm() const {
  if (!gradients_.is_cpu()) return at::linalg_vector_norm(gradients_).item<double>();
  const float* gradients = gradients_.const_data_ptr<float>();
  std::vector<double> sums(static_cast<std::size_t>((gradients_.numel() + kChunk - 1) / kChunk));
  for_each_chunk(gradients_.numel(), [&](std::int64_t chunk, std::int64_t begin, std::int64_t count) {
    sums[static_cast<std::size_t>(chunk)] = sum_of_squares(gradients + begin, count);
  });
  double sum = 0;
  for (const double each : sums) sum += each;
  return std::sqrt(sum);
}

void AdamW::update(double learning_rate, double norm) {
  ++updates_;
  const bool clipped = options_.clip_norm > 0 && norm > options_.clip_norm;
  const double scale = clipped ? options_.clip_norm / norm : 1;
  if (values_.is_cpu())
    update_on_cpu(learning_rate, scale);
  else
    update_on_gpu(learning_rate, scale);
}

// One call for all stretches of one rule.
void AdamW::update_on_gpu(double learning_rate, double scale) {
  const at::NoGradGuard no_gradient;
  if (scale != 1) gradients_.mul_(scale);
  const at::Tensor step = at::full({}, static_cast<double>(updates_), values_.options());
  std::map<std::pair<double, bool>, std::vector<const Stretch*>> by_rule;
  for (const Stretch& stretch : stretches_) by_rule[{stretch.rule.rate, stretch.rule.decays}].push_back(&stretch);
  for (const auto& [rule, stretches] : by_rule) {
    const auto cut = [&](const at::Tensor& row) {
      std::vector<at::Tensor> pieces;
      for (const Stretch* stretch : stretches) pieces.push_back(row.narrow(0, stretch->begin, stretch->count));
      return pieces;
    };
    const std::vector<at::Tensor> values = cut(values_), gradients = cut(gradients_), first = cut(first_moments_),
                                  second = cut(second_moments_), steps(stretches.size(), step);
    at::_fused_adamw_(values, gradients, first, second, {}, steps, learning_rate * rule.first, options_.beta1,
                      options_.beta2, rule.second ? options_.weight_decay : 0, options_.epsilon, false, false);
  }
}

void AdamW::update_on_cpu(double learning_rate, double scale) {
  const auto t = static_cast<double>(updates_);
  const float* gradients = gradients_.const_data_ptr<float>();
  auto* values = values_.mutable_data_ptr<float>();
  auto* first = first_moments_.mutable_data_ptr<float>();
  auto* second = second_moments_.mutable_data_ptr<float>();
  for (const Stretch& stretch : stretches_) {
    const double rate = learning_rate * stretch.rule.rate, decay = stretch.rule.decays ? options_.weight_decay : 0;
    const Coefficients coefficients = {
        .scale = static_cast<float>(scale),
        .beta1 = static_cast<float>(options_.beta1),
        .beta2 = static_cast<float>(options_.beta2),
        .keep = static_cast<float>(1 - rate * decay),
        .rate = static_cast<float>(rate / (1 - std::pow(options_.beta1, t))),
        .correct = static_cast<float>(1 / std::sqrt(1 - std::pow(options_.beta2, t))),
        .epsilon = static_cast<float>(options_.epsilon),
    };
    for_each_chunk(stretch.count, [&](std::int64_t, std::int64_t chunk, std::int64_t count) {
      const std::int64_t begin = stretch.begin + chunk;
      update_chunk(coefficients, count, gradients + begin, values + begin, first + begin, second + begin);
    });
  }
}

std::vector<NamedTensor> AdamW::moments() const {
  std::vector<NamedTensor> moments;
  for (const Place& place : places_) {
    moments.push_back({.name = "first_moment." + place.name, .value = view(first_moments_, place)});
    moments.push_back({.name = "second_moment." + place.name, .value = view(second_moments_, place)});
  }
  return moments;
}

void AdamW::restore(const Safetensors& file, std::int64_t updates) {
  for (const NamedTensor& moment : moments()) copy_from(file, moment.name, moment.value);
  updates_ = updates;
}

void copy_from(const Safetensors& file, const std::string& name, at::Tensor target) {
  const at::Tensor& value = file.at(name);
  if (value.sizes() != target.sizes() || value.scalar_type() != target.scalar_type())
    throw Error(ErrorCode::kCheckpointCorrupt,
                fmt::format("tensor '{}' of '{}' is not of the shape and type that the model needs", name, file.file));
  const at::NoGradGuard no_gradient;
  target.copy_(value);
}

}  // namespace mestre
