#include "core/mixers/attention/module_attend.h"

#include <limits>

#include <ATen/ATen.h>

namespace mestre {
namespace {

// Query head j reads key-value head floor(j g / h): each is repeated h / g times in a row.
at::Tensor for_each_query_head(const at::Tensor& x, std::int64_t heads) {
  const std::int64_t groups = x.size(1);
  if (groups == heads) return x;
  return x.unsqueeze(2)
      .expand({x.size(0), groups, heads / groups, x.size(2), x.size(3)})
      .reshape({x.size(0), heads, x.size(2), x.size(3)});
}

// [batch, h, blocks * w, p] to [batch * blocks, h, w, p].
at::Tensor into_blocks(const at::Tensor& x, std::int64_t blocks) {
  return x.unflatten(2, {blocks, x.size(2) / blocks}).transpose(1, 2).flatten(0, 1);
}

// What a block of w queries may see of the w keys before it and its own w: 0 where it may, -inf elsewhere. [blocks, 1,
// w, 2w]
at::Tensor band_mask(std::int64_t blocks, std::int64_t w, const at::TensorOptions& options) {
  const at::Tensor position = at::arange(w, options.dtype(at::kLong));
  const at::Tensor distance = position.unsqueeze(1) + w - at::arange(2 * w, options.dtype(at::kLong)).unsqueeze(0);
  const at::Tensor hidden = (distance < 0) | (distance >= w);
  at::Tensor mask =
      at::zeros({blocks, 1, w, 2 * w}, options).masked_fill_(hidden, -std::numeric_limits<double>::infinity());
  mask.select(0, 0).narrow(2, 0, w).fill_(
      -std::numeric_limits<double>::infinity());  // nothing stands before the first block
  return mask;
}

// Each block of w queries against its own keys and the block before, which together hold every key of every window.
at::Tensor attend_in_window(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t w) {
  const std::int64_t batch = q.size(0), heads = q.size(1), length = q.size(2), size = q.size(3);
  const std::int64_t blocks = (length + w - 1) / w, missing = blocks * w - length;
  const auto with_block_before = [&](const at::Tensor& x) {
    return at::constant_pad_nd(x, {0, 0, w, missing})
        .unfold(2, 2 * w, w)
        .permute({0, 2, 1, 4, 3})
        .reshape({batch * blocks, heads, 2 * w, size});
  };
  const at::Tensor queries = into_blocks(at::constant_pad_nd(q, {0, 0, 0, missing}), blocks);
  const at::Tensor mask = band_mask(blocks, w, q.options()).repeat({batch, 1, 1, 1});
  const at::Tensor o = at::scaled_dot_product_attention(queries, with_block_before(k), with_block_before(v), mask);
  return o.unflatten(0, {batch, blocks}).transpose(1, 2).reshape({batch, heads, blocks * w, size}).narrow(2, 0, length);
}

}  // namespace

at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t window) {
  const at::Tensor keys = for_each_query_head(k, q.size(1)), values = for_each_query_head(v, q.size(1));
  if (window > 0 && window < q.size(2)) return attend_in_window(q, keys, values, window);
  return at::scaled_dot_product_attention(q, keys, values, std::nullopt, 0.0, true);
}

}  // namespace mestre
