// Registers cross entropy with Torch's dispatcher: schemas, checks, the composition for every device, Autograd.
#include <algorithm>
#include <tuple>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/operation.h"

namespace mestre::kernels {
namespace {

using at::Tensor;
using torch::autograd::variable_list;
// loss; and of each row the largest logit and the logarithm of the sum of exp(logit - largest): apart, because their
// sum would round away what the gradient of confident rows is made of.
using ForwardResult = std::tuple<Tensor, Tensor, Tensor>;

constexpr std::int64_t kRows = 2048;  // of a block

void check(const Tensor& logits, const Tensor& targets) {
  const Argument argument = {"cross_entropy", "logits", logits};
  check_rank(argument, 2, "[N, V]");
  check_floating(argument);
  check_shape({"cross_entropy", "targets", targets}, {logits.sym_size(0)}, "[N], N from logits");
  TORCH_CHECK(targets.scalar_type() == at::kLong, "cross_entropy: targets: expected int64, got ",
              targets.scalar_type());
}

/// block(first, rows) for all rows.
template <class Block>
void for_each_block(const Tensor& logits, const Block& block) {
  for (std::int64_t first = 0; first < logits.size(0); first += kRows)
    block(first, std::min(kRows, logits.size(0) - first));
}

ForwardResult empty_results(const Tensor& logits, const Tensor& targets) {
  check(logits, targets);
  const Tensor loss = at::empty_symint({logits.sym_size(0)}, logits.options().dtype(arithmetic_type(logits)));
  return {loss, at::empty_like(loss), at::empty_like(loss)};
}

Tensor empty_gradient(const Tensor&, const Tensor& logits, const Tensor&, const Tensor&, const Tensor&) {
  return at::empty_like(logits, at::MemoryFormat::Contiguous);
}

ForwardResult forward(const Tensor& logits, const Tensor& targets) {
  auto [loss, largest, log_sums] = empty_results(logits, targets);
  const at::ScalarType type = arithmetic_type(logits);
  for_each_block(logits,
                 [&, &loss = loss, &largest = largest, &log_sums = log_sums](std::int64_t first, std::int64_t rows) {
                   const Tensor x = logits.narrow(0, first, rows).to(type), most = x.amax(1, true), shifted = x - most;
                   const Tensor log_sum = shifted.exp().sum(1).log_();
                   const Tensor chosen = shifted.gather(1, targets.narrow(0, first, rows).unsqueeze(1)).squeeze(1);
                   largest.narrow(0, first, rows).copy_(most.squeeze(1));
                   log_sums.narrow(0, first, rows).copy_(log_sum);
                   loss.narrow(0, first, rows).copy_(log_sum - chosen);
                 });
  return {loss, largest, log_sums};
}

// d logits_nv = d loss_n (softmax(logits_n)_v - [v = targets_n])
Tensor backward(const Tensor& d_loss, const Tensor& logits, const Tensor& targets, const Tensor& largest,
                const Tensor& log_sums) {
  const Tensor gradient = at::empty_like(logits, at::MemoryFormat::Contiguous);
  const Tensor places = at::arange(logits.size(1), targets.options());
  for_each_block(logits, [&](std::int64_t first, std::int64_t rows) {
    const auto column = [&](const Tensor& x) { return x.narrow(0, first, rows).unsqueeze(1); };
    Tensor block = (logits.narrow(0, first, rows) - column(largest)).sub_(column(log_sums)).exp_();
    block.sub_(places.eq(column(targets)).to(block.scalar_type()));
    gradient.narrow(0, first, rows).copy_(block.mul_(column(d_loss)));
  });
  return gradient;
}

class CrossEntropyFunction : public torch::autograd::Function<CrossEntropyFunction> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& logits, const Tensor& targets) {
    static const auto operation =
        find_operation<ForwardResult(const Tensor&, const Tensor&)>("mestre::cross_entropy_forward");
    const at::AutoDispatchBelowADInplaceOrView below;
    const auto [loss, largest, log_sums] = operation.call(logits, targets);
    context->save_for_backward({logits, targets, largest, log_sums});
    return loss;
  }

  static variable_list backward(torch::autograd::AutogradContext* context, variable_list gradients) {
    static const auto operation =
        find_operation<Tensor(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&)>(
            "mestre::cross_entropy_backward");
    const variable_list saved = context->get_saved_variables();
    return {operation.call(gradients[0], saved[0], saved[1], saved[2], saved[3]), Tensor()};
  }
};

Tensor differentiable(const Tensor& logits, const Tensor& targets) {
  return CrossEntropyFunction::apply(logits, targets);
}

Tensor empty_loss(const Tensor& logits, const Tensor& targets) {
  return std::get<0>(empty_results(logits, targets));
}

Tensor loss_alone(const Tensor& logits, const Tensor& targets) {
  return std::get<0>(forward(logits, targets));
}

TORCH_LIBRARY_FRAGMENT(mestre, library) {
  library.def("cross_entropy(Tensor logits, Tensor targets) -> Tensor");
  library.def("cross_entropy_forward(Tensor logits, Tensor targets) -> (Tensor, Tensor, Tensor)");
  library.def(
      "cross_entropy_backward(Tensor d_loss, Tensor logits, Tensor targets, Tensor largest, Tensor log_sum) -> Tensor");
}

TORCH_LIBRARY_IMPL(mestre, CompositeExplicitAutograd, library) {
  library.impl("cross_entropy", loss_alone);
  library.impl("cross_entropy_forward", forward);
  library.impl("cross_entropy_backward", backward);
}

TORCH_LIBRARY_IMPL(mestre, Meta, library) {
  library.impl("cross_entropy", empty_loss);
  library.impl("cross_entropy_forward", empty_results);
  library.impl("cross_entropy_backward", empty_gradient);
}

TORCH_LIBRARY_IMPL(mestre, Autograd, library) {
  library.impl("cross_entropy", differentiable);
}

}  // namespace

Tensor cross_entropy(const Tensor& logits, const Tensor& targets) {
  static const auto operation = find_operation<Tensor(const Tensor&, const Tensor&)>("mestre::cross_entropy");
  return operation.call(logits, targets);
}

}  // namespace mestre::kernels
