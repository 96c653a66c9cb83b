#include "kernels/linear_attention/chunks.h"

#include <algorithm>
#include <bit>
#include <vector>

#include <ATen/ATen.h>

namespace mestre::kernels {

using at::Tensor;

ChunkPlan plan_chunks(std::int64_t length, std::int64_t most_tokens) {
  const auto enough = static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(length)));
  const std::int64_t tokens = std::min(most_tokens, enough);
  return {.length = length, .tokens = tokens, .count = (length + tokens - 1) / tokens};
}

Tensor cut(const ChunkPlan& plan, const Tensor& rows, at::ScalarType type, double padding) {
  const Tensor padded = plan.padding() ? at::constant_pad_nd(rows, {0, 0, 0, 0, 0, plan.padding()}, padding) : rows;
  const Tensor chunks = padded.unflatten(1, {plan.count, plan.tokens}).permute({1, 0, 3, 2, 4});  // [C, B, H, T, X]
  return chunks.to(type, false, false, at::MemoryFormat::Contiguous).contiguous().flatten(1, 2);
}

Tensor join(const ChunkPlan& plan, const Tensor& chunks, std::int64_t batch, at::ScalarType type) {
  const Tensor tokens = chunks.unflatten(1, {batch, -1}).permute({1, 0, 3, 2, 4});  // [B, C, T, H, X]
  return tokens.to(type, false, false, at::MemoryFormat::Contiguous)
      .contiguous()
      .flatten(1, 2)
      .narrow(1, 0, plan.length)
      .contiguous();
}

AttentionResult attend_chunks(const ChunkTerms& terms, const Tensor& initial_state) {
  const std::vector<Tensor> scores = terms.scores.unbind(), q = terms.q.unbind(), k = terms.k.unbind(),
                            v = terms.v.unbind(), decay = terms.decay.unbind();
  Tensor state = initial_state.flatten(0, 1);
  std::vector<Tensor> o;
  for (std::size_t c = 0; c < v.size(); ++c) {
    o.push_back(at::baddbmm(at::bmm(q[c], state), scores[c], v[c]));
    state = at::baddbmm(decay[c] * state, k[c].transpose(1, 2), v[c]);
  }
  return {at::stack(o), state.view(initial_state.sizes())};
}

AttentionResult attend_token(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& decay,
                             const Tensor& initial_state) {
  const Tensor column = k.transpose(1, 2).transpose(2, 3);  // [B, H, K, 1]
  const Tensor state = at::addcmul(decay * initial_state, column, v.transpose(1, 2));
  return {at::matmul(q.transpose(1, 2), state).transpose(1, 2), state};
}

Tensor state_before(const Tensor& initial_state, const Tensor& q, const Tensor& v, at::ScalarType type) {
  if (initial_state.defined()) return initial_state.contiguous();
  return at::zeros({q.size(0), q.size(2), q.size(3), v.size(3)}, q.options().dtype(type));
}

}  // namespace mestre::kernels
