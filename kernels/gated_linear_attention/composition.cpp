// The scores inside a chunk are q_t through(s < r <= t) k_s, where `through` multiplies the gates of tokens, one for
// each key channel. Written as (q_t P_t) (k_s / P_s) with P the product since the chunk's start it would be one matrix
// product, but 1 / P overflows after a few strong gates. So the chunk is cut in halves, again and again (secondary
// chunking, section 4.3 of the paper, to its end): for t in the later and s in the earlier half of a block, the gates
// between them split at the middle into two products of gates, each at most 1,
//
//   (q_t through(middle < r <= t)) (through(s < r <= middle) k_s),
//
// and the scores of the two halves among themselves are those of smaller blocks. Going from blocks of one token up,
// each doubling multiplies half of the q and half of the k by the gates of one more block. No gate is ever divided by,
// no sum of logarithms is subtracted, and a gate of 0 is as good as any other: it is how a reset is done.
#include "kernels/gated_linear_attention/composition.h"

#include <cstdint>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "kernels/linear_attention/arguments.h"
#include "kernels/linear_attention/chunks.h"
#include "kernels/operation.h"

namespace mestre::kernels {
namespace {

using at::Tensor;

constexpr std::int64_t kChunkTokens = 64;

/// M chunks of all heads, each cut into n blocks of m tokens.
struct Blocks {
  Tensor scores;  // [M, n, m, m]
  Tensor q;       // [M, n, m, K]: q_t through the gates of the block up to t
  Tensor k;       // [M, n, m, K]: k_s through the gates of the block after s
  Tensor gate;    // [M, n, 1, K]: of the whole block
};

/// The earlier and the later of each two blocks. By unbind, whose gradient is one copy.
std::pair<Tensor, Tensor> pairs(const Tensor& blocks) {
  const std::vector<Tensor> two = blocks.unflatten(1, {-1, 2}).unbind(2);
  return {two[0], two[1]};
}

Blocks joined(const Blocks& blocks) {
  const auto [early_scores, late_scores] = pairs(blocks.scores);
  const auto [early_q, late_q] = pairs(blocks.q);
  const auto [early_k, late_k] = pairs(blocks.k);
  const auto [early_gate, late_gate] = pairs(blocks.gate);
  const Tensor across = at::matmul(late_q, early_k.transpose(2, 3));
  const Tensor early_rows = at::cat({early_scores, at::zeros_like(early_scores)}, 3);
  return {.scores = at::cat({early_rows, at::cat({across, late_scores}, 3)}, 2),
          .q = at::cat({early_q, late_q * early_gate}, 2),
          .k = at::cat({early_k * late_gate, late_k}, 2),
          .gate = early_gate * late_gate};
}

/// q, k, gate [C, N, T, K].
ChunkTerms chunk_terms(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& gate) {
  const auto tokens = [](const Tensor& x) { return x.flatten(0, 1).unsqueeze(2); };  // [C N, T, 1, K]
  Blocks blocks = {
      .scores = tokens((q * k).sum(-1, true)), .q = tokens(q * gate), .k = tokens(k), .gate = tokens(gate)};
  while (blocks.q.size(1) > 1) blocks = joined(blocks);
  const auto chunks = [&](const Tensor& x) { return x.unflatten(0, {q.size(0), q.size(1)}).squeeze(2); };
  return {.scores = chunks(blocks.scores),
          .q = chunks(blocks.q),
          .k = chunks(blocks.k),
          .v = v,
          .decay = chunks(blocks.gate).transpose(2, 3)};
}

}  // namespace

std::tuple<Tensor, Tensor> compose_gated_linear_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                                          const Tensor& log_gate, double scale,
                                                          const Tensor& initial_state, const Tensor& reset) {
  const at::ScalarType type = arithmetic_type(q);
  const Tensor state = state_before(initial_state, q, v, type);
  Tensor gate = log_gate.exp();
  if (reset.defined()) gate = gate.masked_fill(reset.unsqueeze(-1).unsqueeze(-1), 0);
  if (q.size(1) == 1) {
    const Tensor decay = gate.transpose(1, 2).transpose(2, 3);
    const auto [o, final_state] = attend_token(q.to(type) * scale, k.to(type), v.to(type), decay, state);
    return {o.to(q.scalar_type()), final_state};
  }
  const ChunkPlan plan = plan_chunks(q.size(1), kChunkTokens);
  const auto rows = [&](const Tensor& x) { return cut(plan, x, type); };
  const ChunkTerms terms = chunk_terms(rows(q) * scale, rows(k), rows(v), cut(plan, gate, type, 1));
  const auto [o, final_state] = attend_chunks(terms, state);
  return {join(plan, o, q.size(0), q.scalar_type()), final_state};
}

}  // namespace mestre::kernels
