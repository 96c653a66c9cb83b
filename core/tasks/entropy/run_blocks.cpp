#include "core/tasks/entropy/run_blocks.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include <ATen/ATen.h>

namespace mestre {
namespace {

MeasurementAxis counted(std::string name, std::size_t count) {
  std::vector<double> values(count);
  std::iota(values.begin(), values.end(), 0);
  return {.name = std::move(name), .unit = "", .values = std::move(values)};
}

/// A rectangle of values: blocks that have equally many.
struct Array {
  std::vector<double> blocks, means, errors;

  void add(std::int64_t block, const Moments& moments) {
    const std::vector<double> error = moments.standard_error();
    blocks.push_back(static_cast<double>(block));
    means.insert(means.end(), moments.mean().begin(), moments.mean().end());
    errors.insert(errors.end(), error.begin(), error.end());
  }
};

class Writer {
 public:
  explicit Writer(const EntropyOptions& options)
      : details_{{"samples", static_cast<double>(options.samples)},
                 {"estimator_version", static_cast<double>(options.version())},
                 {"new_tokens", static_cast<double>(options.new_tokens)},
                 {"context", static_cast<double>(options.context)}} {}

  /// `heads`: values of each block; 0: one, which is no head's.
  void add(const std::string& name, const std::string& unit, const Array& array, std::size_t heads) {
    std::vector<MeasurementAxis> axes = {{.name = "layer", .unit = "", .values = array.blocks}};
    if (heads > 0) axes.push_back(counted("head", heads));
    done.push_back({.name = name, .unit = unit, .axes = axes, .values = array.means, .details = details_});
    done.push_back(
        {.name = name + "_standard_error", .unit = unit, .axes = axes, .values = array.errors, .details = details_});
  }

  std::vector<Measurement> done;

 private:
  std::vector<std::pair<std::string, double>> details_;
};

}  // namespace

void Moments::add(std::span<const double> values) {
  mean_.resize(values.size());
  squares_.resize(values.size());
  ++count_;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double away = values[i] - mean_[i];
    mean_[i] += away / count_;
    squares_[i] += away * (values[i] - mean_[i]);
  }
}

void Moments::add_rows(const at::Tensor& rows) {
  const at::Tensor plain = rows.to(at::kCPU, at::kDouble).contiguous();
  const auto values = static_cast<std::size_t>(plain.size(1));
  for (std::int64_t row = 0; row < plain.size(0); ++row)
    add({plain.const_data_ptr<double>() + row * plain.size(1), values});
}

std::vector<double> Moments::standard_error() const {
  std::vector<double> errors;
  for (const double squares : squares_)
    errors.push_back(count_ > 1 ? std::sqrt(squares / (count_ - 1) / count_)
                                : std::numeric_limits<double>::quiet_NaN());
  return errors;
}

void BlockEntropies::add(std::span<const EntropyEstimator> layers) {
  std::map<std::int64_t, std::vector<at::Tensor>> heads, selection, delta_mean;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::int64_t block = static_cast<std::int64_t>(i) / layers_per_block_;
    if (layers[i].has_attention()) heads[block].push_back(layers[i].attention_per_head());
    if (!layers[i].has_selection()) continue;
    selection[block].push_back(layers[i].selection());
    delta_mean[block].push_back(layers[i].delta_mean());
  }
  const auto mean_of_layers = [](const std::vector<at::Tensor>& each) { return at::stack(each, 1).mean(1, true); };
  for (const auto& [block, each] : heads) attention_[block].add_rows(at::cat(each, 1));
  for (const auto& [block, each] : selection) selection_[block].add_rows(mean_of_layers(each));
  for (const auto& [block, each] : delta_mean) delta_mean_[block].add_rows(mean_of_layers(each));
}

std::vector<Measurement> BlockEntropies::measurements(const EntropyOptions& options) const {
  Writer writer(options);
  std::map<std::size_t, Array> by_heads;
  for (const auto& [block, moments] : attention_) by_heads[moments.mean().size()].add(block, moments);
  for (const auto& [heads, array] : by_heads) writer.add("attention_entropy", "nats", array, heads);
  const auto add_plain = [&](const char* name, const char* unit, const Blocks& blocks) {
    Array array;
    for (const auto& [block, moments] : blocks) array.add(block, moments);
    if (!blocks.empty()) writer.add(name, unit, array, 0);
  };
  add_plain("selection_entropy", "nats", selection_);
  add_plain("delta_mean", "", delta_mean_);
  return writer.done;
}

}  // namespace mestre
