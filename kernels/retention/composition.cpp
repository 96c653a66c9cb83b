// One decay per head makes the decays inside a chunk a T x T matrix, the same for every chunk: the scores are those of
// plain attention times D[t, s] = exp(log_decay (t - s)) for s <= t. Every exponent is a number of tokens times
// log_decay, so none is positive. Padding stands behind the tokens of the last chunk: the state leaves it after as many
// tokens as it has.
#include "kernels/retention/composition.h"

#include <cstdint>
#include <vector>

#include <ATen/ATen.h>

#include "kernels/linear_attention/arguments.h"
#include "kernels/linear_attention/chunks.h"
#include "kernels/operation.h"

namespace mestre::kernels {
namespace {

using at::Tensor;

constexpr std::int64_t kRetentionChunkTokens = 64;

/// The decays of all heads n between places of a chunk.
struct Decays {
  Tensor between;  // [N, T, T] or [C, N, T, T]: through s < r <= t, 0 where s > t
  Tensor into;     // [N, T, 1] or [C, N, T, 1]: through r <= t
  Tensor out_of;   // [C, N, T, 1]: through s < r
  Tensor over;     // [C, N, 1, 1]
};

Decays decays(const ChunkPlan& plan, const Tensor& log_decay) {
  const auto options = log_decay.options();
  const Tensor token = at::arange(plan.tokens, options);
  const Tensor rate = log_decay.unsqueeze(-1).unsqueeze(-1);  // [N, 1, 1]
  const Tensor distance = token.unsqueeze(-1) - token;        // [T, T]
  Tensor filled = at::full({plan.count, 1, 1, 1}, plan.tokens, options);
  filled[-1] = plan.filled(plan.count - 1);
  const Tensor behind = (filled - 1 - token.unsqueeze(-1)).clamp_min(0);  // [C, 1, T, 1]
  return {.between = (rate * distance.clamp_min(0)).exp().tril(),
          .into = (rate * (token + 1).unsqueeze(-1)).exp(),
          .out_of = (rate * behind).exp(),
          .over = (rate * filled).exp()};
}

/// Nothing passes a reset: with `segment` the number of resets since the chunk's start, only what is of one segment
/// meets, and the state before the chunk is of segment 0.
Decays cut_at_resets(const Decays& decays, const Tensor& resets) {
  const Tensor segment = resets.cumsum(2), last = segment.narrow(2, -1, 1);  // [C, N, T, 1]
  const auto where = [](const Tensor& passes, const Tensor& decay) { return at::where(passes, decay, 0); };
  return {.between = where(segment == segment.transpose(2, 3), decays.between),
          .into = where(segment == 0, decays.into),
          .out_of = where(segment == last, decays.out_of),
          .over = where(last == 0, decays.over)};
}

}  // namespace

std::tuple<Tensor, Tensor> compose_retention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& log_decay,
                                             double scale, const Tensor& initial_state, const Tensor& reset) {
  const at::ScalarType type = arithmetic_type(q);
  const std::int64_t batch = q.size(0), heads = q.size(2);
  const Tensor state = state_before(initial_state, q, v, type);
  if (q.size(1) == 1) {
    Tensor decay = log_decay.exp().unsqueeze(-1).unsqueeze(-1);  // [H, 1, 1]
    if (reset.defined()) decay = at::where(reset.unsqueeze(-1).unsqueeze(-1), 0, decay);
    const auto [o, final_state] = attend_token(q.to(type) * scale, k.to(type), v.to(type), decay, state);
    return {o.to(q.scalar_type()), final_state};
  }
  const ChunkPlan plan = plan_chunks(q.size(1), kRetentionChunkTokens);
  Decays decay = decays(plan, log_decay.repeat({batch}));
  if (reset.defined()) {
    const Tensor of_heads = reset.unsqueeze(-1).unsqueeze(-1).expand({-1, -1, heads, -1});
    decay = cut_at_resets(decay, cut(plan, of_heads, at::kInt));
  }
  const Tensor q_rows = cut(plan, q, type) * scale, k_rows = cut(plan, k, type);
  const ChunkTerms terms = {.scores = at::matmul(q_rows, k_rows.transpose(2, 3)) * decay.between,
                            .q = q_rows * decay.into,
                            .k = k_rows * decay.out_of,
                            .v = cut(plan, v, type),
                            .decay = decay.over};
  const auto [o, final_state] = attend_chunks(terms, state);
  return {join(plan, o, batch, q.scalar_type()), final_state};
}

}  // namespace mestre::kernels
