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

#ifndef MESTRE_SIMD
#define MESTRE_SIMD sse2
#endif

namespace mestre::kernels::MESTRE_SIMD {
namespace {

constexpr int kTokens = kCheckpointTokens;
constexpr int kStates = 4;
constexpr int kQuads = kMaxState / kStates;
constexpr int kBlocks = kGroupChannels / kLanes;

/// kLanes channels; fewer at the end, where the missing ones read as zero and are not written.
struct Block {
  std::int64_t channel;
  int lanes;
};

struct Chunk {
  std::int64_t sequence, begin;
  int tokens;
};

/// What all blocks of a chunk share, in fp32; states beyond N are zero and stay so.
struct SharedTile {
  float B[kQuads][kTokens][kStates], C[kQuads][kTokens][kStates];
  bool reset[kTokens];
};

/// Per-channel values, quad by quad, so that a small N uses adjacent memory.
using PerState = Lanes[kQuads][kBlocks][kStates];

struct ForwardScratch {
  SharedTile shared;
  PerState A, state;
  Lanes delta[kTokens], input[kTokens], y[kTokens];
};

/// One block's tokens of one chunk. `input` is delta u; `core` is y before the gate; a leading d marks the gradient.
struct GradientTile {
  Lanes delta[kTokens], input[kTokens], d_core[kTokens], core[kTokens], d_delta[kTokens], d_input[kTokens];
  Lanes delta_slope[kTokens], gate_slope[kTokens];
};

struct BackwardScratch {
  SharedTile shared;
  PerState A, scaled_A, d_state, d_A;
  Lanes d_D[kBlocks], d_bias[kBlocks];
  GradientTile tile[kBlocks];
  Lanes before[kTokens][kStates], decay[kTokens][kStates];  // Z_{t-1} and exp(delta_t A) of one block and quad
  Lanes d_B[kTokens][kStates], d_C[kTokens][kStates];       // of one quad, summed over blocks; lanes still apart
};

int smaller(std::int64_t a, std::int64_t b) {
  return static_cast<int>(a < b ? a : b);
}

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

MESTRE_INLINE Lanes load_some(const float* from, int count) {
  if (count == kLanes) return load(from);
  float padded[kLanes] = {};
  for (int i = 0; i < count; ++i) padded[i] = from[i];
  return load(padded);
}

MESTRE_INLINE void store_some(float* to, int count, Lanes value) {
  if (count == kLanes) return store(to, value);
  for (int i = 0; i < count; ++i) to[i] = value[i];
}

MESTRE_INLINE Lanes load_row(const ConstRows& rows, const Chunk& chunk, int t, const Block& block) {
  const std::int64_t at = chunk.sequence * rows.batch_stride + (chunk.begin + t) * rows.token_stride + block.channel;
  if (rows.element == Element::kFloat32) return load_some(static_cast<const float*>(rows.data) + at, block.lanes);
  const auto* from = static_cast<const std::uint16_t*>(rows.data) + at;
  if (block.lanes == kLanes) return load_bfloat16(from);
  std::uint16_t padded[kLanes] = {};
  for (int i = 0; i < block.lanes; ++i) padded[i] = from[i];
  return load_bfloat16(padded);
}

MESTRE_INLINE void store_row(const Rows& rows, const Chunk& chunk, int t, const Block& block, Lanes value) {
  const std::int64_t at = chunk.sequence * rows.batch_stride + (chunk.begin + t) * rows.token_stride + block.channel;
  if (rows.element == Element::kFloat32) return store_some(static_cast<float*>(rows.data) + at, block.lanes, value);
  auto* to = static_cast<std::uint16_t*>(rows.data) + at;
  if (block.lanes == kLanes) return store_bfloat16(to, value);
  std::uint16_t padded[kLanes];
  store_bfloat16(padded, value);
  for (int i = 0; i < block.lanes; ++i) to[i] = padded[i];
}

/// One number of B or C.
float load_one(const ConstRows& rows, std::int64_t at) {
  if (rows.element == Element::kFloat32) return static_cast<const float*>(rows.data)[at];
  const std::uint32_t bits = std::uint32_t{static_cast<const std::uint16_t*>(rows.data)[at]} << 16;
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

void load_quads(const ScanInput& in, const ConstRows& rows, const Chunk& chunk, float (*to)[kTokens][kStates]) {
  for (int t = 0; t < chunk.tokens; ++t) {
    const std::int64_t at = chunk.sequence * rows.batch_stride + (chunk.begin + t) * rows.token_stride;
    for (int n = 0; n < quad_count(in) * kStates; ++n) {
      to[n / kStates][t][n % kStates] = n < in.state ? load_one(rows, at + n) : 0.0f;
    }
  }
}

void load_shared(const ScanInput& in, const Chunk& chunk, SharedTile& shared) {
  load_quads(in, in.B, chunk, shared.B);
  load_quads(in, in.C, chunk, shared.C);
  for (int t = 0; t < chunk.tokens; ++t) {
    shared.reset[t] = in.reset && in.reset[chunk.sequence * in.length + chunk.begin + t];
  }
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

/// delta_t after bias and softplus, with its derivative by the delta that came in.
MESTRE_INLINE ValueAndSlope time_step(const ScanInput& in, const Chunk& chunk, int t, const Block& block, Lanes bias) {
  const Lanes raw = load_row(in.delta, chunk, t, block) + bias;
  if (in.delta_softplus) return softplus(raw);
  return {raw, all(1.0f)};
}

MESTRE_INLINE Lanes channel_values(const float* from, const Block& block) {
  return from ? load_some(from + block.channel, block.lanes) : Lanes{};
}

constexpr float kLog2e = 1.44269504f;  // A is scaled by it once, so that exp(delta A) is a power of two

void forward_tile(const ScanInput& in, const Chunk& chunk, const Block& block, ForwardScratch& s) {
  const Lanes bias = channel_values(in.delta_bias, block), D = channel_values(in.D, block);
  for (int t = 0; t < chunk.tokens; ++t) {
    const Lanes u = load_row(in.u, chunk, t, block);
    s.delta[t] = time_step(in, chunk, t, block, bias).value;
    s.input[t] = s.delta[t] * u;
    s.y[t] = D * u;
  }
}

/// Z_t = exp(delta_t A) Z_{t-1} + delta_t B_t u_t and y_t += C_t Z_t, for the quad's states.
void forward_quad(const Chunk& chunk, int quad, int b, ForwardScratch& s) {
  Lanes A[kStates], Z[kStates];
  for (int j = 0; j < kStates; ++j) A[j] = s.A[quad][b][j], Z[j] = s.state[quad][b][j];
  for (int t = 0; t < chunk.tokens; ++t) {
    const float *B = s.shared.B[quad][t], *C = s.shared.C[quad][t];
    if (s.shared.reset[t]) {
      for (int j = 0; j < kStates; ++j) Z[j] = Lanes{};
    }
    Lanes y = s.y[t];
    for (int j = 0; j < kStates; ++j) {
      Z[j] = exp2_of_product(s.delta[t], A[j]) * Z[j] + s.input[t] * B[j];
      y += Z[j] * C[j];
    }
    s.y[t] = y;
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
  for (int t = 0; t < chunk.tokens; ++t) {
    const Lanes gate = in.z.data ? silu(load_row(in.z, chunk, t, block)).value : all(1.0f);
    store_row(out.y, chunk, t, block, s.y[t] * gate);
  }
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

void backward_tile(const ScanInput& in, const ScanOutputGradient& out, const Chunk& chunk, const Block& block,
                   GradientTile& tile) {
  const Lanes bias = channel_values(in.delta_bias, block), D = channel_values(in.D, block);
  for (int t = 0; t < chunk.tokens; ++t) {
    const Lanes u = load_row(in.u, chunk, t, block), d_y = load_row(out.y, chunk, t, block);
    const ValueAndSlope delta = time_step(in, chunk, t, block, bias);
    const ValueAndSlope gate = in.z.data ? silu(load_row(in.z, chunk, t, block)) : ValueAndSlope{all(1.0f), Lanes{}};
    tile.delta[t] = delta.value;
    tile.delta_slope[t] = delta.slope;
    tile.input[t] = delta.value * u;
    tile.core[t] = D * u;
    tile.d_core[t] = d_y * gate.value;
    tile.gate_slope[t] = d_y * gate.slope;
    tile.d_delta[t] = Lanes{};
    tile.d_input[t] = Lanes{};
  }
}

/// Runs the chunk forward again for one quad, keeping Z_{t-1} and the decay; what needs Z_t itself is taken on the way.
void recompute_quad(const Chunk& chunk, int quad, int b, const float* checkpoint, BackwardScratch& s) {
  GradientTile& tile = s.tile[b];
  Lanes A[kStates], Z[kStates];
  for (int j = 0; j < kStates; ++j) A[j] = s.scaled_A[quad][b][j], Z[j] = load(checkpoint + j * kLanes);
  for (int t = 0; t < chunk.tokens; ++t) {
    const float *B = s.shared.B[quad][t], *C = s.shared.C[quad][t];
    const bool reset = s.shared.reset[t];
    Lanes core = tile.core[t];
    for (int j = 0; j < kStates; ++j) {
      if (reset) Z[j] = Lanes{};
      const Lanes decay = exp2_of_product(tile.delta[t], A[j]);
      s.before[t][j] = Z[j];
      s.decay[t][j] = decay;
      Z[j] = decay * Z[j] + tile.input[t] * B[j];
      core += Z[j] * C[j];
      s.d_C[t][j] += tile.d_core[t] * Z[j];
    }
    tile.core[t] = core;
  }
}

/// The adjoint recurrence dZ_t = C_t dy_t + exp(delta_{t+1} A) dZ_{t+1}, from last token to first, and what follows
/// from each dZ_t.
void reverse_quad(const Chunk& chunk, int quad, int b, BackwardScratch& s) {
  GradientTile& tile = s.tile[b];
  Lanes A[kStates], d_Z[kStates], d_A[kStates] = {};
  for (int j = 0; j < kStates; ++j) A[j] = s.A[quad][b][j], d_Z[j] = s.d_state[quad][b][j];
  for (int t = chunk.tokens - 1; t >= 0; --t) {
    const float *B = s.shared.B[quad][t], *C = s.shared.C[quad][t];
    Lanes d_delta = tile.d_delta[t], d_input = tile.d_input[t];
    for (int j = 0; j < kStates; ++j) {
      d_Z[j] += tile.d_core[t] * C[j];
      s.d_B[t][j] += d_Z[j] * tile.input[t];
      d_input += d_Z[j] * B[j];
      d_Z[j] *= s.decay[t][j];
      const Lanes d_exponent = d_Z[j] * s.before[t][j];
      d_delta += d_exponent * A[j];
      d_A[j] += d_exponent * tile.delta[t];
      if (s.shared.reset[t]) d_Z[j] = Lanes{};
    }
    tile.d_delta[t] = d_delta;
    tile.d_input[t] = d_input;
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

void finish_tile(const ScanInput& in, const ScanInputGradient& gradient, const Chunk& chunk, const Block& block, int b,
                 BackwardScratch& s) {
  const GradientTile& tile = s.tile[b];
  const Lanes D = channel_values(in.D, block);
  Lanes d_D = {}, d_bias = {};
  for (int t = 0; t < chunk.tokens; ++t) {
    const Lanes u = load_row(in.u, chunk, t, block);
    const Lanes d_delta = (tile.d_delta[t] + tile.d_input[t] * u) * tile.delta_slope[t];
    store_row(gradient.u, chunk, t, block, D * tile.d_core[t] + tile.delta[t] * tile.d_input[t]);
    store_row(gradient.delta, chunk, t, block, d_delta);
    if (in.z.data) store_row(gradient.z, chunk, t, block, tile.gate_slope[t] * tile.core[t]);
    d_bias += d_delta;
    d_D += tile.d_core[t] * u;
  }
  s.d_D[b] += d_D;
  s.d_bias[b] += d_bias;
}

void backward_chunk(const ScanInput& in, const ScanOutputGradient& out, const float* checkpoints,
                    const ScanInputGradient& gradient, const GroupPartials& partials, const Chunk& chunk,
                    std::int64_t group, BackwardScratch& s) {
  const int blocks = block_count(in, group);
  load_shared(in, chunk, s.shared);
  for (int b = 0; b < blocks; ++b) backward_tile(in, out, chunk, block_at(in, group, b), s.tile[b]);
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
