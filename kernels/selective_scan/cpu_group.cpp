// The scan itself, for one sequence and one group of channels; compiled once per instruction set into the namespace
// MESTRE_SIMD.
//
// Channels are independent, so they lie across the lanes of a register and no state ever crosses lanes; only the
// gradients of B and C do. Time is walked in chunks of kCheckpointTokens. Inside a chunk the loop over states is
// outside and the loop over tokens inside: the states of one quad (kStates of them) stay in registers for the whole
// chunk, and what is per token (delta, u, y) is read from a tile that fits the first cache level.
//
// Backward walks the chunks from last to first. For each quad it recomputes the chunk's states from the state saved
// before the chunk, keeping only that quad's states and decays (32 tokens x 4 states), then runs the adjoint recurrence
// over them from last token to first. Only the checkpoints outlive a chunk, so memory is L / kCheckpointTokens states
// and not L.
#include "kernels/selective_scan/cpu_group.h"

#include "kernels/selective_scan/lanes.h"
#include "kernels/selective_scan/tiles.h"

#ifndef MESTRE_SIMD
#define MESTRE_SIMD sse2
#endif

namespace mestre::kernels::MESTRE_SIMD {
namespace {

constexpr int kStates = 4;
constexpr int kQuads = kMaxState / kStates;
constexpr int kBlocks = kGroupChannels / kLanes;

/// What all blocks of a chunk share, in fp32; states beyond N are zero and stay so.
struct SharedTile {
  float B[kQuads][kTokens][kStates], C[kQuads][kTokens][kStates];
  bool reset[kTokens + 1];  // one more than there are tokens, true: the end of the last run
};

/// Per-channel values, quad by quad, so that a small N uses adjacent memory.
using PerState = Lanes[kQuads][kBlocks][kStates];

struct ForwardScratch {
  SharedTile shared;
  PerState A, state;
  Lanes u[kTokens], z[kTokens], delta[kTokens], input[kTokens], y[kTokens];
};

/// One block's tokens of one chunk. `input` is delta u; `core` is y before the gate; a leading d marks the gradient.
struct GradientTile {
  Lanes u[kTokens], delta[kTokens], input[kTokens], d_core[kTokens], core[kTokens], d_delta[kTokens], d_input[kTokens];
  Lanes delta_slope[kTokens], d_gate[kTokens];  // d_gate is the gradient by z for a core of one
};

struct BackwardScratch {
  SharedTile shared;
  PerState A, scaled_A, d_state, d_A;
  Lanes d_D[kBlocks], d_bias[kBlocks];
  GradientTile tile[kBlocks];
  Lanes z[kTokens];
  // One row more than is used: else the four would lie a multiple of 4 KiB apart, where loads wait for stores that they
  // need not wait for.
  Lanes before[kTokens + 1][kStates], decay[kTokens + 1][kStates];  // Z_{t-1} and exp(delta_t A) of one block and quad
  Lanes d_B[kTokens + 1][kStates], d_C[kTokens + 1][kStates];  // of one quad, summed over blocks; lanes still apart
};

std::int64_t group_end(const ScanInput& in, std::int64_t group) {
  const std::int64_t end = (group + 1) * kGroupChannels;
  return end < in.channels ? end : in.channels;
}

int block_count(const ScanInput& in, std::int64_t group) {
  return static_cast<int>((group_end(in, group) - group * kGroupChannels + kLanes - 1) / kLanes);
}

Block block_at(const ScanInput& in, std::int64_t group, int index) {
  const std::int64_t channel = group * kGroupChannels + index * kLanes;
  return {channel, smaller(kLanes, in.channels - channel)};
}

Chunk chunk_at(const ScanInput& in, std::int64_t sequence, std::int64_t index) {
  const std::int64_t begin = index * kTokens;
  return {sequence, begin, smaller(kTokens, in.length - begin)};
}

int quad_count(const ScanInput& in) {
  return static_cast<int>((in.state + kStates - 1) / kStates);
}

/// B or C of the chunk, quad by quad.
void load_quads(const ScanInput& in, const ConstRows& rows, const Chunk& chunk, float (*to)[kTokens][kStates]) {
  alignas(64) Lanes tile[kTokens];
  for (int n = 0; n < quad_count(in) * kStates; n += kLanes) {
    load_tile(rows, chunk, {n, smaller(kLanes, in.state - n)}, tile);
    for (int i = 0; i < kLanes && n + i < quad_count(in) * kStates; i += kStates) {
      for (int t = 0; t < chunk.tokens; ++t) {
        __builtin_memcpy(to[(n + i) / kStates][t], reinterpret_cast<const float*>(&tile[t]) + i,
                         kStates * sizeof(float));
      }
    }
  }
}

void load_shared(const ScanInput& in, const Chunk& chunk, SharedTile& shared) {
  load_quads(in, in.B, chunk, shared.B);
  load_quads(in, in.C, chunk, shared.C);
  for (int t = 0; t < chunk.tokens; ++t) {
    shared.reset[t] = in.reset && in.reset[chunk.sequence * in.length + chunk.begin + t];
  }
  shared.reset[chunk.tokens] = true;
}

/// Tokens up to the next reset: the loops over a run of tokens have no branch.
MESTRE_INLINE int run_end(const SharedTile& shared, int begin) {
  int end = begin + 1;
  while (!shared.reset[end]) ++end;
  return end;
}

/// Spreads a [channels, N] matrix over lanes; zeros when it is absent.
void load_states(const ScanInput& in, const float* from, std::int64_t group, float factor, PerState& to) {
  for (int b = 0; b < block_count(in, group); ++b) {
    const Block block = block_at(in, group, b);
    for (int n = 0; n < quad_count(in) * kStates; ++n) {
      float lane[kLanes] = {};
      for (int i = 0; from && n < in.state && i < block.lanes; ++i) {
        lane[i] = from[(block.channel + i) * in.state + n] * factor;
      }
      to[n / kStates][b][n % kStates] = load(lane);
    }
  }
}

void store_states(const ScanInput& in, const PerState& from, std::int64_t group, float* to) {
  for (int b = 0; b < block_count(in, group); ++b) {
    const Block block = block_at(in, group, b);
    for (int n = 0; n < in.state; ++n) {
      for (int i = 0; i < block.lanes; ++i) {
        to[(block.channel + i) * in.state + n] = from[n / kStates][b][n % kStates][i];
      }
    }
  }
}

const float* of_sequence(const ScanInput& in, const float* states, std::int64_t sequence) {
  return states ? states + sequence * in.channels * in.state : nullptr;
}

/// Where the state of `block` before `chunk` is kept: its quads one after the other.
std::int64_t checkpoint_offset(const ScanInput& in, const Chunk& chunk, const Block& block) {
  const std::int64_t row = chunk.sequence * scan_chunks(in.length) + chunk.begin / kTokens;
  return (row * scan_padded_channels(in.channels) + block.channel) * scan_padded_state(in.state);
}

MESTRE_INLINE Lanes channel_values(const float* from, const Block& block) {
  return from ? load_some(from + block.channel, block.lanes) : Lanes{};
}

constexpr float kLog2e = 1.44269504f;  // A is scaled by it once, so that exp(delta A) is a power of two

/// What does not depend on the state: delta, delta u, and D u as the beginning of y.
void forward_tile(const ScanInput& in, const Chunk& chunk, const Block& block, ForwardScratch& s) {
  const Lanes bias = channel_values(in.delta_bias, block), D = channel_values(in.D, block);
  load_tile(in.u, chunk, block, s.u);
  load_tile(in.delta, chunk, block, s.delta);
  for (int t = 0; t < chunk.tokens; ++t) {
    const Lanes delta = s.delta[t] + bias;
    s.delta[t] = in.delta_softplus ? softplus(delta).value : delta;
    s.input[t] = s.delta[t] * s.u[t];
    s.y[t] = D * s.u[t];
  }
}

/// Z_t = exp(delta_t A) Z_{t-1} + delta_t B_t u_t and y_t += C_t Z_t, for the quad's states.
void forward_quad(const Chunk& chunk, int quad, int b, ForwardScratch& s) {
  const float(*B)[kStates] = s.shared.B[quad], (*C)[kStates] = s.shared.C[quad];
  Lanes A[kStates], Z[kStates];
  for (int j = 0; j < kStates; ++j) A[j] = s.A[quad][b][j], Z[j] = s.state[quad][b][j];
  for (int t = 0; t < chunk.tokens;) {
    for (int j = 0; s.shared.reset[t] && j < kStates; ++j) Z[j] = Lanes{};
    for (const int end = run_end(s.shared, t); t < end; ++t) {
      const Lanes delta = s.delta[t], input = s.input[t];
      Lanes y = s.y[t];
      for (int j = 0; j < kStates; ++j) {
        Z[j] = exp2_of_product(delta, A[j]) * Z[j] + input * B[t][j];
        y += Z[j] * C[t][j];
      }
      s.y[t] = y;
    }
  }
  for (int j = 0; j < kStates; ++j) s.state[quad][b][j] = Z[j];
}

void forward_block(const ScanInput& in, const ScanOutput& out, const Chunk& chunk, const Block& block, int b,
                   ForwardScratch& s) {
  forward_tile(in, chunk, block, s);
  float* checkpoint = out.checkpoints ? out.checkpoints + checkpoint_offset(in, chunk, block) : nullptr;
  for (int quad = 0; quad < quad_count(in); ++quad) {
    for (int j = 0; checkpoint && j < kStates; ++j, checkpoint += kLanes) store(checkpoint, s.state[quad][b][j]);
    forward_quad(chunk, quad, b, s);
  }
  if (in.z.data) {
    load_tile(in.z, chunk, block, s.z);
    for (int t = 0; t < chunk.tokens; ++t) s.y[t] *= silu(s.z[t]).value;
  }
  store_tile(out.y, chunk, block, s.y);
}

void forward_group(const ScanInput& in, const ScanOutput& out, std::int64_t sequence, std::int64_t group,
                   void* scratch) {
  auto& s = *static_cast<ForwardScratch*>(scratch);
  load_states(in, in.A, group, kLog2e, s.A);
  load_states(in, of_sequence(in, in.initial_state, sequence), group, 1.0f, s.state);
  for (std::int64_t c = 0; c < scan_chunks(in.length); ++c) {
    const Chunk chunk = chunk_at(in, sequence, c);
    load_shared(in, chunk, s.shared);
    for (int b = 0; b < block_count(in, group); ++b) forward_block(in, out, chunk, block_at(in, group, b), b, s);
  }
  store_states(in, s.state, group, out.final_state + sequence * in.channels * in.state);
}

void backward_tile(const ScanInput& in, const ScanOutputGradient& out, const Chunk& chunk, const Block& block, int b,
                   BackwardScratch& s) {
  GradientTile& tile = s.tile[b];
  const Lanes bias = channel_values(in.delta_bias, block), D = channel_values(in.D, block);
  load_tile(in.u, chunk, block, tile.u);
  load_tile(in.delta, chunk, block, tile.delta);
  load_tile(out.y, chunk, block, tile.d_core);
  for (int t = 0; t < chunk.tokens; ++t) {
    const Lanes raw = tile.delta[t] + bias;
    const ValueAndSlope delta = in.delta_softplus ? softplus(raw) : ValueAndSlope{raw, all(1.0f)};
    tile.delta[t] = delta.value;
    tile.delta_slope[t] = delta.slope;
    tile.input[t] = delta.value * tile.u[t];
    tile.core[t] = D * tile.u[t];
    tile.d_delta[t] = tile.d_input[t] = Lanes{};
  }
  if (!in.z.data) return;
  load_tile(in.z, chunk, block, s.z);
  for (int t = 0; t < chunk.tokens; ++t) {
    const ValueAndSlope gate = silu(s.z[t]);
    tile.d_gate[t] = tile.d_core[t] * gate.slope;
    tile.d_core[t] *= gate.value;
  }
}

/// Runs the chunk forward again for one quad, keeping Z_{t-1} and the decay; what needs Z_t itself is taken on the way.
void recompute_quad(const Chunk& chunk, int quad, int b, const float* checkpoint, BackwardScratch& s) {
  GradientTile& tile = s.tile[b];
  const float(*B)[kStates] = s.shared.B[quad], (*C)[kStates] = s.shared.C[quad];
  Lanes A[kStates], Z[kStates];
  for (int j = 0; j < kStates; ++j) A[j] = s.scaled_A[quad][b][j], Z[j] = load(checkpoint + j * kLanes);
  for (int t = 0; t < chunk.tokens;) {
    for (int j = 0; s.shared.reset[t] && j < kStates; ++j) Z[j] = Lanes{};
    for (const int end = run_end(s.shared, t); t < end; ++t) {
      const Lanes delta = tile.delta[t], input = tile.input[t], d_core = tile.d_core[t];
      Lanes core = tile.core[t];
      for (int j = 0; j < kStates; ++j) {
        const Lanes decay = exp2_of_product(delta, A[j]);
        s.before[t][j] = Z[j];
        s.decay[t][j] = decay;
        Z[j] = decay * Z[j] + input * B[t][j];
        core += Z[j] * C[t][j];
        s.d_C[t][j] += d_core * Z[j];
      }
      tile.core[t] = core;
    }
  }
}

/// The adjoint recurrence dZ_t = C_t dy_t + exp(delta_{t+1} A) dZ_{t+1}, from last token to first, and what follows
/// from each dZ_t.
void reverse_quad(const Chunk& chunk, int quad, int b, BackwardScratch& s) {
  GradientTile& tile = s.tile[b];
  const float(*B)[kStates] = s.shared.B[quad], (*C)[kStates] = s.shared.C[quad];
  Lanes A[kStates], d_Z[kStates], d_A[kStates] = {};
  for (int j = 0; j < kStates; ++j) A[j] = s.A[quad][b][j], d_Z[j] = s.d_state[quad][b][j];
  for (int t = chunk.tokens - 1; t >= 0;) {
    bool first_of_run = false;
    for (; t >= 0 && !first_of_run; --t) {
      const Lanes delta = tile.delta[t], input = tile.input[t], d_core = tile.d_core[t];
      Lanes d_delta = tile.d_delta[t], d_input = tile.d_input[t];
      for (int j = 0; j < kStates; ++j) {
        d_Z[j] += d_core * C[t][j];
        s.d_B[t][j] += d_Z[j] * input;
        d_input += d_Z[j] * B[t][j];
        d_Z[j] *= s.decay[t][j];
        const Lanes d_exponent = d_Z[j] * s.before[t][j];
        d_delta += d_exponent * A[j];
        d_A[j] += d_exponent * delta;
      }
      tile.d_delta[t] = d_delta;
      tile.d_input[t] = d_input;
      first_of_run = s.shared.reset[t];
    }
    for (int j = 0; first_of_run && j < kStates; ++j) d_Z[j] = Lanes{};
  }
  for (int j = 0; j < kStates; ++j) s.d_state[quad][b][j] = d_Z[j], s.d_A[quad][b][j] += d_A[j];
}

/// Adds up the lanes of a quad's tile and writes them to the [L, N] partial gradient. Destroys the tile.
void fold_quad(const ScanInput& in, const Chunk& chunk, int quad, Lanes (*tile)[kStates], float* to) {
  alignas(64) float sums[kTokens * kStates];
  Lanes* flat = &tile[0][0];
  for (int i = 0; i < kTokens * kStates; i += kLanes) store(sums + i, sum_lanes(flat + i));
  const int states = smaller(kStates, in.state - quad * kStates);
  for (int t = 0; t < chunk.tokens; ++t) {
    for (int j = 0; j < states; ++j) to[(chunk.begin + t) * in.state + quad * kStates + j] = sums[t * kStates + j];
  }
}

/// From the gradients by delta u and delta to those that leave. Destroys the tile.
void finish_tile(const ScanInput& in, const ScanInputGradient& gradient, const Chunk& chunk, const Block& block, int b,
                 BackwardScratch& s) {
  GradientTile& tile = s.tile[b];
  const Lanes D = channel_values(in.D, block);
  Lanes d_D = {}, d_bias = {};
  for (int t = 0; t < chunk.tokens; ++t) {
    const Lanes d_delta = (tile.d_delta[t] + tile.d_input[t] * tile.u[t]) * tile.delta_slope[t];
    d_bias += d_delta;
    d_D += tile.d_core[t] * tile.u[t];
    tile.d_delta[t] = d_delta;
    tile.d_input[t] = D * tile.d_core[t] + tile.delta[t] * tile.d_input[t];
  }
  s.d_D[b] += d_D;
  s.d_bias[b] += d_bias;
  store_tile(gradient.u, chunk, block, tile.d_input);
  store_tile(gradient.delta, chunk, block, tile.d_delta);
  if (!in.z.data) return;
  for (int t = 0; t < chunk.tokens; ++t) tile.d_gate[t] *= tile.core[t];
  store_tile(gradient.z, chunk, block, tile.d_gate);
}

void backward_chunk(const ScanInput& in, const ScanOutputGradient& out, const float* checkpoints,
                    const ScanInputGradient& gradient, const GroupPartials& partials, const Chunk& chunk,
                    std::int64_t group, BackwardScratch& s) {
  const int blocks = block_count(in, group);
  load_shared(in, chunk, s.shared);
  for (int b = 0; b < blocks; ++b) backward_tile(in, out, chunk, block_at(in, group, b), b, s);
  for (int quad = 0; quad < quad_count(in); ++quad) {
    for (int t = 0; t < kTokens; ++t) {
      for (int j = 0; j < kStates; ++j) s.d_B[t][j] = s.d_C[t][j] = Lanes{};
    }
    for (int b = 0; b < blocks; ++b) {
      const std::int64_t at = checkpoint_offset(in, chunk, block_at(in, group, b)) + quad * kStates * kLanes;
      recompute_quad(chunk, quad, b, checkpoints + at, s);
      reverse_quad(chunk, quad, b, s);
    }
    fold_quad(in, chunk, quad, s.d_B, partials.B);
    fold_quad(in, chunk, quad, s.d_C, partials.C);
  }
  for (int b = 0; b < blocks; ++b) finish_tile(in, gradient, chunk, block_at(in, group, b), b, s);
}

void backward_group(const ScanInput& in, const ScanOutputGradient& out, const float* checkpoints,
                    const ScanInputGradient& gradient, const GroupPartials& partials, std::int64_t sequence,
                    std::int64_t group, void* scratch) {
  auto& s = *static_cast<BackwardScratch*>(scratch);
  load_states(in, in.A, group, 1.0f, s.A);
  load_states(in, in.A, group, kLog2e, s.scaled_A);
  load_states(in, nullptr, group, 0.0f, s.d_A);
  load_states(in, of_sequence(in, out.final_state, sequence), group, 1.0f, s.d_state);
  for (int b = 0; b < kBlocks; ++b) s.d_D[b] = s.d_bias[b] = Lanes{};
  for (std::int64_t c = scan_chunks(in.length) - 1; c >= 0; --c) {
    backward_chunk(in, out, checkpoints, gradient, partials, chunk_at(in, sequence, c), group, s);
  }
  store_states(in, s.d_A, group, partials.A);
  if (gradient.initial_state) {
    store_states(in, s.d_state, group, gradient.initial_state + sequence * in.channels * in.state);
  }
  for (int b = 0; b < block_count(in, group); ++b) {
    const Block block = block_at(in, group, b);
    if (partials.D) store_some(partials.D + block.channel, block.lanes, s.d_D[b]);
    if (partials.delta_bias) store_some(partials.delta_bias + block.channel, block.lanes, s.d_bias[b]);
  }
}

}  // namespace

const GroupKernels kKernels = {sizeof(ForwardScratch), sizeof(BackwardScratch), forward_group, backward_group};

}  // namespace mestre::kernels::MESTRE_SIMD
