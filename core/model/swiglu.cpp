#include "core/model/swiglu.h"

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/model/simd.h"

namespace mestre {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr std::int64_t kRowsPerTask = 64;

template <class T>
void gate_rows(std::int64_t first, std::int64_t last, std::int64_t p, const T* in, T* out) {
  simd::with_widest_registers([=]<int Bytes>() MESTRE_INLINE_LAMBDA {
    using R = simd::Register<T, Bytes>;
    for (std::int64_t row = first; row < last; ++row) {
      const T *a = in + row * 2 * p, *b = a + p;
      T* y = out + row * p;
      simd::for_each_register<R>(p, [&](std::int64_t i, auto access) MESTRE_INLINE_LAMBDA {
        const typename R::Value gate = access.load(a + i);
        access.store(y + i, gate * R::sigmoid(gate) * access.load(b + i));
      });
    }
  });
}

// With s = sigmoid(a):  da = g b s (1 + a (1 - s));  db = g a s.
template <class T>
void gate_rows_backward(std::int64_t first, std::int64_t last, std::int64_t p, const T* in, const T* gradient, T* out) {
  simd::with_widest_registers([=]<int Bytes>() MESTRE_INLINE_LAMBDA {
    using R = simd::Register<T, Bytes>;
    for (std::int64_t row = first; row < last; ++row) {
      const T *a = in + row * 2 * p, *b = a + p, *g = gradient + row * p;
      T *da = out + row * 2 * p, *db = da + p;
      simd::for_each_register<R>(p, [&](std::int64_t i, auto access) MESTRE_INLINE_LAMBDA {
        const typename R::Value gate = access.load(a + i), s = R::sigmoid(gate), gs = access.load(g + i) * s;
        access.store(da + i, gs * access.load(b + i) * (T(1) + gate * (T(1) - s)));
        access.store(db + i, gs * gate);
      });
    }
  });
}

class SwigluFunction : public torch::autograd::Function<SwigluFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input) {
    const at::Tensor in = input.contiguous();
    const std::int64_t p = in.size(-1) / 2, rows = in.numel() / (2 * p);
    std::vector<std::int64_t> sizes = in.sizes().vec();
    sizes.back() = p;
    const at::Tensor out = at::empty(sizes, in.options());
    AT_DISPATCH_FLOATING_TYPES(in.scalar_type(), "swiglu", [&] {
      at::parallel_for(0, rows, kRowsPerTask, [&](std::int64_t first, std::int64_t last) {
        gate_rows<scalar_t>(first, last, p, in.const_data_ptr<scalar_t>(), out.mutable_data_ptr<scalar_t>());
      });
    });
    context->save_for_backward({in});
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const at::Tensor in = context->get_saved_variables()[0], g = gradients[0].contiguous(), out = at::empty_like(in);
    const std::int64_t p = in.size(-1) / 2, rows = in.numel() / (2 * p);
    AT_DISPATCH_FLOATING_TYPES(in.scalar_type(), "swiglu_backward", [&] {
      at::parallel_for(0, rows, kRowsPerTask, [&](std::int64_t first, std::int64_t last) {
        gate_rows_backward<scalar_t>(first, last, p, in.const_data_ptr<scalar_t>(), g.const_data_ptr<scalar_t>(),
                                     out.mutable_data_ptr<scalar_t>());
      });
    });
    return {out};
  }
};

}  // namespace

at::Tensor swiglu(const at::Tensor& gate_up) {
  return SwigluFunction::apply(gate_up);
}

}  // namespace mestre
