#include "core/model/foreign_weights.h"

#include <algorithm>
#include <set>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/error.h"

namespace mestre {
namespace {

constexpr std::size_t kShownProblems = 8;

std::string shown(at::IntArrayRef shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

/// Whatever keeps a file from fitting a layout, all of it.
std::vector<std::string> problems_of(std::span<const ForeignTensor> tensors, const Safetensors& file) {
  std::vector<std::string> problems;
  std::set<std::string> known;
  for (const ForeignTensor& tensor : tensors) {
    known.insert(tensor.name);
    const auto found = file.tensors.find(tensor.name);
    if (found == file.tensors.end()) {
      if (!tensor.is_copy) problems.push_back(fmt::format("missing: '{}' {}", tensor.name, shown(tensor.shape)));
    } else if (found->second.sizes() != at::IntArrayRef(tensor.shape)) {
      problems.push_back(
          fmt::format("'{}' is {}, expected {}", tensor.name, shown(found->second.sizes()), shown(tensor.shape)));
    } else if (!found->second.is_floating_point()) {
      problems.push_back(fmt::format("'{}' holds {}, expected floating-point numbers", tensor.name,
                                     c10::toString(found->second.scalar_type())));
    }
  }
  for (const auto& [name, value] : file.tensors)
    if (!known.contains(name) && !is_derived_tensor(name))
      problems.push_back(fmt::format("no place for '{}' {}", name, shown(value.sizes())));
  return problems;
}

void require_fit(std::span<const ForeignTensor> tensors, const Safetensors& file) {
  const std::vector<std::string> problems = problems_of(tensors, file);
  if (problems.empty()) return;
  Error error(ErrorCode::kBadInput, fmt::format("the weights in '{}' are not those of the model", file.file));
  for (std::size_t i = 0; i < std::min(problems.size(), kShownProblems); ++i) error.hint(problems[i]);
  if (problems.size() > kShownProblems) error.hint(fmt::format("and {} more", problems.size() - kShownProblems));
  throw error;
}

/// A parameter that is put together from several tensors.
struct Pieces {
  std::map<std::int64_t, at::Tensor> by_first_row;

  [[nodiscard]] at::Tensor joined() const {
    if (by_first_row.size() == 1) return by_first_row.begin()->second;
    std::vector<at::Tensor> values;
    for (const auto& [row, value] : by_first_row) values.push_back(value);
    return at::cat(values);
  }
};

}  // namespace

TensorsByName from_foreign(std::span<const ForeignTensor> tensors, const Safetensors& file) {
  require_fit(tensors, file);
  const at::NoGradGuard no_gradient;
  std::map<std::string, Pieces> pieces;
  for (const ForeignTensor& tensor : tensors) {
    if (tensor.is_copy) continue;
    std::vector<std::int64_t> shape = {-1};
    shape.insert(shape.end(), tensor.row.begin(), tensor.row.end());
    const at::Tensor rows = file.at(tensor.name).view(shape);
    std::int64_t first = 0;
    for (const RowRange& part : tensor.parts) {
      pieces[part.parameter].by_first_row.emplace(part.first_row, rows.narrow(0, first, part.rows));
      first += part.rows;
    }
  }
  TensorsByName ours;
  for (const auto& [name, parts] : pieces) ours.emplace(name, parts.joined());
  for (const ForeignTensor& tensor : tensors) {
    if (!tensor.is_copy || !file.tensors.contains(tensor.name)) continue;
    if (!file.at(tensor.name).equal(to_foreign(tensor, ours)))
      throw Error(ErrorCode::kBadInput, fmt::format("tensor '{}' of '{}' differs from '{}', to which the model ties it",
                                                    tensor.name, file.file, tensor.parts.front().parameter));
  }
  return ours;
}

at::Tensor to_foreign(const ForeignTensor& tensor, const TensorsByName& ours) {
  std::vector<at::Tensor> rows;
  for (const RowRange& part : tensor.parts)
    rows.push_back(ours.at(part.parameter).narrow(0, part.first_row, part.rows));
  return (rows.size() == 1 ? rows.front().contiguous() : at::cat(rows)).view(tensor.shape);
}

std::vector<NamedTensor> to_foreign(std::span<const ForeignTensor> tensors, const TensorsByName& ours) {
  const at::NoGradGuard no_gradient;
  std::vector<NamedTensor> named;
  for (const ForeignTensor& tensor : tensors)
    if (tensor.is_written) named.push_back({.name = tensor.name, .value = to_foreign(tensor, ours)});
  return named;
}

void load_weights(LanguageModel& model, const TensorsByName& weights) {
  const at::NoGradGuard no_gradient;
  for (const auto& parameter : model.named_parameters()) {
    const auto found = weights.find(parameter.key());
    if (found == weights.end() || found->second.sizes() != parameter.value().sizes())
      throw Error(ErrorCode::kBug, fmt::format("the weights have no '{}' of shape {}", parameter.key(),
                                               shown(parameter.value().sizes())));
    at::Tensor value = parameter.value();
    value.copy_(found->second);
  }
}

}  // namespace mestre
