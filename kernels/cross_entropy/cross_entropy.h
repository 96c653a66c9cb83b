// Cross entropy of rows of logits against one target each, as a Torch operation:
//
//   loss_n = log sum_v exp(logits_nv) - logits_{n, targets_n}
//
// Also torch.ops.mestre.cross_entropy. Served on every device by a composition of Torch's operations over blocks of
// rows, so that nothing of the size of the logits exists beside them and their gradient.
#pragma once

#include <ATen/core/Tensor.h>

namespace mestre::kernels {

/// logits [N, V] fp32, bf16 or fp64; targets [N] int64, each in [0, V). Returns loss [N], nats, in fp32 (fp64 for
/// fp64): that is the type of arithmetic, whatever the logits are rounded to.
///
/// Differentiable once, in logits; keeps logits, targets and two numbers a row. Deterministic. Throws c10::Error naming
/// the argument, what was expected and what it got.
[[nodiscard]] at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& targets);

}  // namespace mestre::kernels
