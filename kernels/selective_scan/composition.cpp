// A chunk of tokens is scanned by doubling. The step of token t takes a state Z to a_t Z + b_t with a_t = exp(delta_t
// A), b_t = delta_t B_t u_t; two steps one after the other are one such step,
//
//   (a, b) then (a', b') = (a' a, a' b + b'),
//
// and after as many rounds as 2 must be doubled to cover the chunk, each token holds the step from the chunk's start to
// itself: round h composes that of the h tokens up to t - h with that of the h tokens up to t. Decays are only ever
// multiplied, and they are at most 1 where A is negative: nothing overflows. Chunk by chunk the state passes on.
//
// Backward goes through the chunks from the last to the first and computes each again from its checkpoint. The gradient
// by the states obeys the same recurrence, backwards in time and with the decays of the tokens that follow, so it is
// the same scan on reversed tokens.
#include "kernels/selective_scan/composition.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include <ATen/ATen.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include "kernels/selective_scan/cpu.h"

namespace mestre::kernels {
namespace {

using at::Tensor;

/// A chunk's arguments, rows [B, T, …] in the type of A; undefined where absent.
struct Chunk {
  Tensor u, delta, A, B, C, D, z, delta_bias, reset;
  bool delta_softplus;
};

/// The states after each token from their steps: [B, T, E, N] from a, b [B, T, E, N] and the state before [B, E, N].
Tensor scan(Tensor a, Tensor b, const Tensor& state) {
  const std::int64_t tokens = a.size(1);
  for (std::int64_t h = 1; h < tokens; h *= 2) {
    const Tensor later = a.narrow(1, h, tokens - h);
    b = at::cat({b.narrow(1, 0, h), at::addcmul(b.narrow(1, h, tokens - h), later, b.narrow(1, 0, tokens - h))}, 1);
    a = at::cat({a.narrow(1, 0, h), later * a.narrow(1, 0, tokens - h)}, 1);
  }
  return at::addcmul(b, a, state.unsqueeze(1));
}

/// What forward and backward both compute of a chunk.
struct ScannedChunk {
  Tensor biased_delta, delta;  // [B, T, E], before and after softplus
  Tensor a, Z;                 // [B, T, E, N]
  Tensor core;                 // [B, T, E]: y before its gate
};

ScannedChunk scan_chunk(const Chunk& c, const Tensor& state) {
  ScannedChunk s;
  s.biased_delta = c.delta_bias.defined() ? c.delta + c.delta_bias : c.delta;
  s.delta = c.delta_softplus ? at::softplus(s.biased_delta) : s.biased_delta;
  s.a = at::exp(s.delta.unsqueeze(-1) * c.A);
  if (c.reset.defined()) s.a.masked_fill_(c.reset.unsqueeze(-1).unsqueeze(-1), 0);
  s.Z = scan(s.a, (s.delta * c.u).unsqueeze(-1) * c.B.unsqueeze(2), state);
  s.core = at::matmul(s.Z, c.C.unsqueeze(-1)).squeeze(-1);
  if (c.D.defined()) s.core += c.D * c.u;
  return s;
}

Tensor sum_over_tokens(const Tensor& rows) {
  return rows.flatten(0, 1).sum(0);
}

/// In the shapes of the chunk; undefined for absent inputs.
struct ChunkGradient {
  Tensor u, delta, A, B, C, D, z, delta_bias, state;
};

/// `state` is that before the chunk, d_state the gradient by that after it. The equations are the README's, with g the
/// gradient by y before its gate.
ChunkGradient reverse_chunk(const Chunk& c, const Tensor& state, const Tensor& d_y, const Tensor& d_state) {
  const ScannedChunk s = scan_chunk(c, state);
  ChunkGradient d;
  Tensor g = d_y;
  if (c.z.defined()) {  // y = core silu(z)
    const Tensor gate = at::sigmoid(c.z);
    d.z = d_y * s.core * gate * (1 + c.z * (1 - gate));
    g = d_y * c.z * gate;
  }
  // dZ_t = g_t C_t + a_{t+1} dZ_{t+1}
  const std::int64_t tokens = s.a.size(1);
  const Tensor following = at::cat({s.a.narrow(1, 1, tokens - 1), at::ones_like(s.a.narrow(1, 0, 1))}, 1);
  const Tensor d_Z = scan(following.flip(1), (g.unsqueeze(-1) * c.C.unsqueeze(2)).flip(1), d_state).flip(1);
  const Tensor before = at::cat({state.unsqueeze(1), s.Z.narrow(1, 0, tokens - 1)}, 1);
  const Tensor d_decay = d_Z * s.a * before;                              // by delta_t A
  const Tensor d_input = at::matmul(d_Z, c.B.unsqueeze(-1)).squeeze(-1);  // by delta_t u_t
  d.C = at::matmul(g.unsqueeze(2), s.Z).squeeze(2);
  d.B = at::matmul((s.delta * c.u).unsqueeze(2), d_Z).squeeze(2);
  d.u = s.delta * d_input;
  d.delta = c.u * d_input + (d_decay * c.A).sum(-1);
  d.A = sum_over_tokens(d_decay * s.delta.unsqueeze(-1));
  if (c.delta_softplus) d.delta *= at::sigmoid(s.biased_delta);
  if (c.delta_bias.defined()) d.delta_bias = sum_over_tokens(d.delta);
  if (c.D.defined()) {
    d.u += c.D * g;
    d.D = sum_over_tokens(c.u * g);
  }
  d.state = s.a.select(1, 0) * d_Z.select(1, 0);
  return d;
}

std::int64_t chunk_count(const ScanArguments& a) {
  return scan_chunks(a.u.size(1));
}

/// Tokens of chunk i of a [B, L, …] argument.
Tensor rows_of_chunk(const Tensor& rows, std::int64_t i) {
  const std::int64_t begin = i * kCheckpointTokens;
  return rows.narrow(1, begin, std::min(kCheckpointTokens, rows.size(1) - begin));
}

Chunk chunk_of(const ScanArguments& a, std::int64_t i) {
  const auto rows = [&](const Tensor& tensor) { return rows_of_chunk(tensor, i).to(a.A.scalar_type()); };
  return {.u = rows(a.u),
          .delta = rows(a.delta),
          .A = a.A,
          .B = rows(a.B),
          .C = rows(a.C),
          .D = a.D.value_or(Tensor()),
          .z = a.z ? rows(*a.z) : Tensor(),
          .delta_bias = a.delta_bias.value_or(Tensor()),
          .reset = a.reset ? rows_of_chunk(*a.reset, i) : Tensor(),
          .delta_softplus = a.delta_softplus};
}

/// The part of the checkpoints that belongs to chunk i: [B, E, N].
Tensor checkpoint_of(const ScanArguments& a, const Tensor& checkpoints, std::int64_t i) {
  return checkpoints.select(1, i).narrow(1, 0, a.A.size(0)).narrow(2, 0, a.A.size(1));
}

}  // namespace

ScanResult compose_scan(const ScanArguments& a, const std::optional<Tensor>& checkpoints) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  Tensor state = a.initial_state ? *a.initial_state : at::zeros({a.u.size(0), a.A.size(0), a.A.size(1)}, a.A.options());
  std::vector<Tensor> y;
  for (std::int64_t i = 0; i < chunk_count(a); ++i) {
    if (checkpoints) checkpoint_of(a, *checkpoints, i).copy_(state);
    const Chunk chunk = chunk_of(a, i);
    const ScannedChunk scanned = scan_chunk(chunk, state);
    const Tensor gated = chunk.z.defined() ? scanned.core * at::silu(chunk.z) : scanned.core;
    y.push_back(gated.to(a.u.scalar_type()));
    state = scanned.Z.select(1, -1);
  }
  return {at::cat(y, 1), state.contiguous()};
}

ScanGradients compose_scan_backward(const ScanArguments& a, const Tensor& d_y,
                                    const std::optional<Tensor>& d_final_state, const Tensor& checkpoints) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  ScanGradients gradients = empty_gradients(a);
  const auto& [d_u, d_delta, d_A, d_B, d_C, d_D, d_z, d_bias, d_initial] = gradients;
  for (const Tensor* sum : {&d_A, &d_D, &d_bias}) sum->zero_();
  Tensor d_state = d_final_state ? *d_final_state : at::zeros_like(checkpoint_of(a, checkpoints, 0));
  for (std::int64_t i = chunk_count(a) - 1; i >= 0; --i) {
    const Tensor d_rows = rows_of_chunk(d_y, i).to(a.A.scalar_type());
    const ChunkGradient d = reverse_chunk(chunk_of(a, i), checkpoint_of(a, checkpoints, i), d_rows, d_state);
    rows_of_chunk(d_u, i).copy_(d.u);
    rows_of_chunk(d_delta, i).copy_(d.delta);
    rows_of_chunk(d_B, i).copy_(d.B);
    rows_of_chunk(d_C, i).copy_(d.C);
    if (a.z) rows_of_chunk(d_z, i).copy_(d.z);
    d_A.add_(d.A);
    if (a.D) d_D.add_(d.D);
    if (a.delta_bias) d_bias.add_(d.delta_bias);
    d_state = d.state;
  }
  if (a.initial_state) d_initial.copy_(d_state);
  return gradients;
}

}  // namespace mestre::kernels
