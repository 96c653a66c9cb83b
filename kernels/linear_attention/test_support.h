// What the tests and benches of gated linear attention and retention share: random calls, and what the operation and
// its reference make of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "kernels/judge.h"

namespace mestre::kernels::testing {

/// One shape and one choice of options; the name also seeds its numbers.
struct AttentionCase {
  std::string name;
  std::int64_t batch = 2, length = 65, heads = 8, key = 5, value = 7;  // a decay's gradient per head, so that one lucky
                                                                       // sum decides nothing
  bool initial_state = true, reset = true, final_gradient = true;
  at::ScalarType type = at::kFloat;  // of q, k, v
  double decay_low = -0.7, decay_high = 0;
};

/// The arguments of one call, in the order of the schema, and the gradients of its outputs. `decay` is log_gate or
/// log_decay.
struct AttentionCall {
  at::Tensor q, k, v, decay;
  double scale = 1;
  std::optional<at::Tensor> initial_state, reset;
  at::Tensor d_o;
  std::optional<at::Tensor> d_final_state;

  std::vector<std::pair<std::string, at::Tensor*>> differentiable();
};

/// An operation beside its reference, whose results are computed in fp64 (`truth`) or fp32 and rounded to the types of
/// the schema (`plain`): o, final_state and the gradients of the inputs that are given.
struct AttentionOperation {
  std::string name, decay_name;
  bool decay_per_token;  // log_gate [B, L, H, K], else log_decay [H]
  std::tuple<at::Tensor, at::Tensor> (*run)(const AttentionCall& call);
  std::vector<NamedValues> (*truth)(const AttentionCall& call);
  std::vector<NamedValues> (*plain)(const AttentionCall& call);
};

extern const AttentionOperation kGatedLinearAttention, kRetention;

AttentionCall make_call(const AttentionOperation& operation, const AttentionCase& attention_case);

/// sum(o * d_o) + sum(final_state * d_final_state)
at::Tensor loss_of(const AttentionCall& call, const at::Tensor& o, const at::Tensor& final_state);

/// Forward and, through autograd, backward. The caller's tensors are left without gradients.
std::vector<NamedValues> results_of(const AttentionOperation& operation, AttentionCall call);

NamedValues named(const std::string& name, const at::Tensor& tensor);

/// What is wrong with `results`, or an empty string: against fp64, by the rule of the call's type (judge.h).
std::string judge_results(const AttentionOperation& operation, const AttentionCall& call,
                          const std::vector<NamedValues>& results);

}  // namespace mestre::kernels::testing
