// Attention over a sliding window as the equation has it (sliding_window_attention.h), in loops over queries and the
// keys that they see. Real = double is the truth, float the yardstick. Never optimised.
#pragma once

#include <cstdint>
#include <vector>

namespace mestre::kernels {

struct AttentionReferenceShape {
  std::int64_t batch, queries, keys, heads, groups, size, window;
  double scale;
};

/// Row-major, in the shapes of sliding_window_attention.h.
template <class Real>
struct AttentionReferenceInput {
  std::vector<Real> q, k, v;
};
template <class Real>
struct AttentionReferenceOutput {
  std::vector<Real> o, logsumexp;
};

template <class Real>
AttentionReferenceOutput<Real> reference_forward(const AttentionReferenceShape& shape,
                                                 const AttentionReferenceInput<Real>& in);

/// Gradients of q, k and v from those of o and logsumexp.
template <class Real>
AttentionReferenceInput<Real> reference_backward(const AttentionReferenceShape& shape,
                                                 const AttentionReferenceInput<Real>& in,
                                                 const AttentionReferenceOutput<Real>& d);

/// The entropy of each row's softmax in nats, [B, H, Lq]: -sum_u p_u log p_u.
template <class Real>
std::vector<Real> reference_entropy(const AttentionReferenceShape& shape, const std::vector<Real>& q,
                                    const std::vector<Real>& k);

}  // namespace mestre::kernels
