// How far results may be from what is expected: the one table of all tests that compare numbers of a model or a
// training.
//
// Each entry says of what it is a multiple and why it is that large. The kernels have their own rule (twice the error
// of the plain composition), the reference checkpoints bounds of their own in tests/reference.
#pragma once

namespace mestre::tolerance {

// An operation or a step of the optimizer against its definition in fp64; of 1 + the largest expected magnitude.
inline constexpr double kFloat = 2e-6;
// An fp64 sum of fp32 values; of the sum.
inline constexpr double kSum = 1e-9;

// The forms of a mixer (whole, in pieces, token by token) against each other; of the largest output.
inline constexpr double kFormsFloat = 1e-5;
inline constexpr double kFormsDouble = 1e-12;
// A mixer with products in bf16, which keeps 8 bits, against fp32; of the largest output.
inline constexpr double kBfloat16 = 0.03;
// A directional derivative in fp64 against a difference of fourth order with steps of 1e-5; of it, and of 1.
inline constexpr double kSlope = 1e-8;

// A step that is cut into micro-batches against the whole one: other sums in fp32, through several updates.
inline constexpr double kMicroBatchLoss = 2e-5;  // nats
inline constexpr double kMicroBatchNorm = 1e-4;  // of the norm
// The mean loss of a prefix that is scored with longer ones.
inline constexpr double kScore = 2e-6;  // nats
// A learning rate whose warm-up has no length.
inline constexpr double kRate = 1e-6;

// An entropy in fp64 against its definition with whole matrices, which add in another order; nats.
inline constexpr double kEntropy = 1e-12;

// The same of a whole model in fp32 that reads in pieces; of each value.
inline constexpr double kEntropyFloat = 1e-6;
// And in fp64: what the sums over rows, heads and texts add; of each value.
inline constexpr double kEntropyDouble = 1e-11;

// What is drawn at random.
inline constexpr double kDeviation = 0.03;   // of it: three standard errors of the smallest tensor's
inline constexpr double kMeanLogStep = 0.4;  // of 96 draws over a factor of 100
inline constexpr double kInitialLoss = 0.5;  // nats, above and below a guess

}  // namespace mestre::tolerance
