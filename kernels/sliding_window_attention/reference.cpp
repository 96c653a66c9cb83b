#include "kernels/sliding_window_attention/reference.h"

#include <algorithm>
#include <cmath>

namespace mestre::kernels {
namespace {

template <class Real>
Real dot(const Real* a, const Real* b, std::int64_t size) {
  Real sum = 0;
  for (std::int64_t i = 0; i < size; ++i) sum += a[i] * b[i];
  return sum;
}

template <class Real>
void add(Real factor, const Real* from, std::int64_t size, Real* to) {
  for (std::int64_t i = 0; i < size; ++i) to[i] += factor * from[i];
}

/// One query: where its rows lie, the keys that it sees, and the logarithm of the sum of its exponentials.
template <class Real>
struct Query {
  std::int64_t own;           // of q and o
  std::int64_t first, count;  // positions of keys
  std::int64_t key_base, key_stride;
  std::vector<Real> scores;
  Real logsumexp;

  [[nodiscard]] std::int64_t key(std::int64_t u) const { return key_base + (first + u) * key_stride; }
  [[nodiscard]] Real probability(std::int64_t u) const { return std::exp(scores[u] - logsumexp); }
};

/// Calls body(query) for each (b, head, query), in the order of logsumexp.
template <class Real, class Body>
void for_each_query(const AttentionReferenceShape& s, const std::vector<Real>& q, const std::vector<Real>& k,
                    const Body& body) {
  for (std::int64_t b = 0; b < s.batch; ++b) {
    for (std::int64_t head = 0; head < s.heads; ++head) {
      for (std::int64_t i = 0; i < s.queries; ++i) {
        const std::int64_t position = s.keys - s.queries + i;
        Query<Real> query;
        query.own = ((b * s.queries + i) * s.heads + head) * s.size;
        query.first = s.window > 0 ? std::max<std::int64_t>(0, position - s.window + 1) : 0;
        query.count = position + 1 - query.first;
        query.key_base = (b * s.keys * s.groups + head * s.groups / s.heads) * s.size;
        query.key_stride = s.groups * s.size;
        for (std::int64_t u = 0; u < query.count; ++u)
          query.scores.push_back(static_cast<Real>(s.scale) * dot(&q[query.own], &k[query.key(u)], s.size));
        const Real most = *std::max_element(query.scores.begin(), query.scores.end());
        Real sum = 0;
        for (const Real score : query.scores) sum += std::exp(score - most);
        query.logsumexp = most + std::log(sum);
        body(query);
      }
    }
  }
}

}  // namespace

template <class Real>
AttentionReferenceOutput<Real> reference_forward(const AttentionReferenceShape& s,
                                                 const AttentionReferenceInput<Real>& in) {
  AttentionReferenceOutput<Real> out = {std::vector<Real>(in.q.size()), {}};
  for_each_query(s, in.q, in.k, [&](const Query<Real>& query) {
    for (std::int64_t u = 0; u < query.count; ++u)
      add(query.probability(u), &in.v[query.key(u)], s.size, &out.o[query.own]);
    out.logsumexp.push_back(query.logsumexp);
  });
  return out;
}

template <class Real>
AttentionReferenceInput<Real> reference_backward(const AttentionReferenceShape& s,
                                                 const AttentionReferenceInput<Real>& in,
                                                 const AttentionReferenceOutput<Real>& d) {
  AttentionReferenceInput<Real> gradient = {std::vector<Real>(in.q.size()), std::vector<Real>(in.k.size()),
                                            std::vector<Real>(in.v.size())};
  const auto scale = static_cast<Real>(s.scale);
  std::size_t row = 0;
  for_each_query(s, in.q, in.k, [&](const Query<Real>& query) {
    // dp_u = do . v_u;  ds_u = p_u (dp_u - sum p dp + dlogsumexp)
    Real mean = 0;
    for (std::int64_t u = 0; u < query.count; ++u)
      mean += query.probability(u) * dot(&d.o[query.own], &in.v[query.key(u)], s.size);
    for (std::int64_t u = 0; u < query.count; ++u) {
      const std::int64_t key = query.key(u);
      const Real p = query.probability(u);
      const Real ds = p * (dot(&d.o[query.own], &in.v[key], s.size) - mean + d.logsumexp[row]);
      add(p, &d.o[query.own], s.size, &gradient.v[key]);
      add(ds * scale, &in.k[key], s.size, &gradient.q[query.own]);
      add(ds * scale, &in.q[query.own], s.size, &gradient.k[key]);
    }
    ++row;
  });
  return gradient;
}

template <class Real>
std::vector<Real> reference_entropy(const AttentionReferenceShape& s, const std::vector<Real>& q,
                                    const std::vector<Real>& k) {
  std::vector<Real> entropies;
  for_each_query(s, q, k, [&](const Query<Real>& query) {
    Real entropy = 0;
    for (std::int64_t u = 0; u < query.count; ++u)
      entropy -= query.probability(u) * (query.scores[u] - query.logsumexp);
    entropies.push_back(entropy);
  });
  return entropies;
}

template AttentionReferenceOutput<float> reference_forward(const AttentionReferenceShape&,
                                                           const AttentionReferenceInput<float>&);
template AttentionReferenceOutput<double> reference_forward(const AttentionReferenceShape&,
                                                            const AttentionReferenceInput<double>&);
template AttentionReferenceInput<float> reference_backward(const AttentionReferenceShape&,
                                                           const AttentionReferenceInput<float>&,
                                                           const AttentionReferenceOutput<float>&);
template AttentionReferenceInput<double> reference_backward(const AttentionReferenceShape&,
                                                            const AttentionReferenceInput<double>&,
                                                            const AttentionReferenceOutput<double>&);
template std::vector<float> reference_entropy(const AttentionReferenceShape&, const std::vector<float>&,
                                              const std::vector<float>&);
template std::vector<double> reference_entropy(const AttentionReferenceShape&, const std::vector<double>&,
                                               const std::vector<double>&);

}  // namespace mestre::kernels
