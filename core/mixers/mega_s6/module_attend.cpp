#include "core/mixers/mega_s6/module_attend.h"

#include <algorithm>
#include <limits>
#include <vector>

#include <ATen/ATen.h>

#include "kernels/recompute.h"

namespace mestre {
namespace {

constexpr std::int64_t kQueryBlock = 256;  // rows of scores that exist at one time

// One or more chunks side by side in the batch: q [N, L, z], k [N, S, z], v [N, S, d], the queries the last L.
at::Tensor attend_causally(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const std::int64_t length = q.size(1), before = k.size(1) - length;
  std::vector<at::Tensor> blocks;
  for (std::int64_t first = 0; first < length; first += kQueryBlock) {
    const std::int64_t rows = std::min(kQueryBlock, length - first), keys = before + first + rows;
    const at::Tensor scores = at::matmul(q.narrow(1, first, rows), k.narrow(1, 0, keys).transpose(1, 2));
    const at::Tensor future = at::ones({rows, keys}, q.options().dtype(at::kBool)).triu(before + first + 1);
    const at::Tensor weights = at::softmax(scores.masked_fill(future, -std::numeric_limits<double>::infinity()), -1);
    blocks.push_back(at::matmul(weights, v.narrow(1, 0, keys)));
  }
  return blocks.size() == 1 ? blocks.front() : at::cat(blocks, 1);
}

at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  return kernels::recomputed(
      [](const std::vector<at::Tensor>& in) -> std::vector<at::Tensor> {
        return {attend_causally(in[0], in[1], in[2])};
      },
      {q, k, v})[0];
}

// [B, n chunk, x] as [B n, chunk, x].
at::Tensor side_by_side(const at::Tensor& x, std::int64_t chunk) {
  return x.reshape({-1, chunk, x.size(2)});
}

}  // namespace

at::Tensor attend_in_chunks(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t chunk) {
  const std::int64_t length = q.size(1), all = k.size(1), before = all - length;
  const auto keys = [&](const at::Tensor& x, std::int64_t first, std::int64_t count) {
    return x.narrow(1, first, count);
  };
  std::vector<at::Tensor> pieces;
  std::int64_t done = 0;  // queries
  // What is left of the chunk that was begun, whole chunks together, what begins another.
  if (before % chunk > 0 || length < chunk) {
    const std::int64_t start = before / chunk * chunk, stop = std::min(start + chunk, all);
    pieces.push_back(attend(q.narrow(1, 0, stop - before), keys(k, start, stop - start), keys(v, start, stop - start)));
    done = stop - before;
  }
  if (const std::int64_t whole = (length - done) / chunk * chunk; whole > 0) {
    const at::Tensor o =
        attend(side_by_side(q.narrow(1, done, whole), chunk), side_by_side(keys(k, before + done, whole), chunk),
               side_by_side(keys(v, before + done, whole), chunk));
    pieces.push_back(o.reshape({q.size(0), whole, v.size(2)}));
    done += whole;
  }
  if (const std::int64_t rest = length - done; rest > 0)
    pieces.push_back(attend(q.narrow(1, done, rest), keys(k, before + done, rest), keys(v, before + done, rest)));
  return pieces.size() == 1 ? pieces.front() : at::cat(pieces, 1);
}

}  // namespace mestre
