// What gated linear attention and retention ask of the arguments that they share.
#pragma once

#include <optional>
#include <tuple>
#include <vector>

#include <ATen/core/Tensor.h>

#include "kernels/operation.h"

namespace mestre::kernels {

struct AttentionSizes {
  c10::SymInt batch, length, heads, key, value;
};

/// Checks one call of an operation. The tensors outlive it. Every function throws c10::Error naming the operation, the
/// argument, what was expected and what it got.
class AttentionArguments {
 public:
  /// Checks q [B, L, H, K], k, v [B, L, H, V], initial_state [B, H, K, V] and reset [B, L].
  AttentionArguments(const char* operation, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const std::optional<at::Tensor>& initial_state, const std::optional<at::Tensor>& reset);

  const AttentionSizes& sizes() const { return sizes_; }

  /// Checks an argument that is fp32, or fp64 where q is, such as a decay or a state; `letters` describes its shape.
  void check_state(const char* name, const at::Tensor& tensor, const std::vector<c10::SymInt>& shape,
                   const char* letters) const;

  /// Room for o in the type of q, and for the final state.
  std::tuple<at::Tensor, at::Tensor> empty_outputs() const;

 private:
  void check(const char* name, const at::Tensor& tensor, const std::vector<c10::SymInt>& shape, const char* letters,
             const std::vector<at::ScalarType>& types) const;
  void check_rows(const char* name, const at::Tensor& tensor, const c10::SymInt& width, const char* letters) const;

  const char* operation_;
  const at::Tensor& q_;
  AttentionSizes sizes_;
};

}  // namespace mestre::kernels
