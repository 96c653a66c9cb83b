#include "core/model/rms_norm.h"

#include <algorithm>

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/model/simd.h"

namespace mestre {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr std::int64_t kRowsPerTask =
    128;  // also of a partial sum of the weight's gradient, whatever the number of threads

template <class T>
void norm_rows(std::int64_t first, std::int64_t last, std::int64_t width, T epsilon, const T* x, const T* w, T* y,
               T* r) {
  simd::with_widest_registers([=]<int Bytes>() MESTRE_INLINE_LAMBDA {
    using R = simd::Register<T, Bytes>;
    for (std::int64_t row = first; row < last; ++row) {
      const T* in = x + row * width;
      T* out = y + row * width;
      typename R::Value squares = {};
      simd::for_each_register<R>(width, [&](std::int64_t i, auto access) MESTRE_INLINE_LAMBDA {
        const typename R::Value value = access.load(in + i);
        squares += value * value;
      });
      const T scale = T(1) / static_cast<T>(__builtin_sqrt(R::sum(squares) / static_cast<T>(width) + epsilon));
      r[row] = scale;
      simd::for_each_register<R>(width, [&](std::int64_t i, auto access) MESTRE_INLINE_LAMBDA {
        access.store(out + i, access.load(in + i) * scale * access.load(w + i));
      });
    }
  });
}

// With n = x r and g the gradient of y:  dw = sum over rows of g n;  dx = r (g w - n mean(g w n)).
template <class T>
void norm_rows_backward(std::int64_t first, std::int64_t last, std::int64_t width, const T* x, const T* w, const T* r,
                        const T* g, T* dx, T* dw) {
  simd::with_widest_registers([=]<int Bytes>() MESTRE_INLINE_LAMBDA {
    using R = simd::Register<T, Bytes>;
    for (std::int64_t row = first; row < last; ++row) {
      const T* in = x + row * width;
      const T* gradient = g + row * width;
      T* out = dx + row * width;
      const T scale = r[row];
      typename R::Value products = {};
      simd::for_each_register<R>(width, [&](std::int64_t i, auto access) MESTRE_INLINE_LAMBDA {
        const typename R::Value gn = access.load(gradient + i) * access.load(in + i) * scale;
        products += gn * access.load(w + i);
        access.store(dw + i, access.load(dw + i) + gn);
      });
      const T mean = R::sum(products) / static_cast<T>(width);
      simd::for_each_register<R>(width, [&](std::int64_t i, auto access) MESTRE_INLINE_LAMBDA {
        access.store(out + i,
                     scale * (access.load(gradient + i) * access.load(w + i) - access.load(in + i) * scale * mean));
      });
    }
  });
}

class RmsNormFunction : public torch::autograd::Function<RmsNormFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight,
                            double epsilon) {
    const at::Tensor x = input.contiguous();
    const std::int64_t width = weight.numel(), rows = x.numel() / width;
    const at::Tensor y = at::empty_like(x), r = at::empty({rows}, x.options());
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "rms_norm", [&] {
      at::parallel_for(0, rows, kRowsPerTask, [&](std::int64_t first, std::int64_t last) {
        norm_rows<scalar_t>(first, last, width, static_cast<scalar_t>(epsilon), x.const_data_ptr<scalar_t>(),
                            weight.const_data_ptr<scalar_t>(), y.mutable_data_ptr<scalar_t>(),
                            r.mutable_data_ptr<scalar_t>());
      });
    });
    context->save_for_backward({x, weight, r});
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &r = saved[2];
    const at::Tensor g = gradients[0].contiguous();
    const std::int64_t width = weight.numel(), rows = r.numel(), tasks = (rows + kRowsPerTask - 1) / kRowsPerTask;
    const at::Tensor dx = at::empty_like(x), partial = at::zeros({tasks, width}, x.options());
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "rms_norm_backward", [&] {
      at::parallel_for(0, tasks, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t task = begin; task < end; ++task) {
          norm_rows_backward<scalar_t>(
              task * kRowsPerTask, std::min(rows, (task + 1) * kRowsPerTask), width, x.const_data_ptr<scalar_t>(),
              weight.const_data_ptr<scalar_t>(), r.const_data_ptr<scalar_t>(), g.const_data_ptr<scalar_t>(),
              dx.mutable_data_ptr<scalar_t>(), partial.mutable_data_ptr<scalar_t>() + task * width);
        }
      });
    });
    return {dx, partial.sum(0), at::Tensor()};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  return RmsNormFunction::apply(x, weight, epsilon);
}

RmsNorm::RmsNorm(std::int64_t width, double epsilon) : epsilon_(epsilon) {
  weight = register_parameter("weight", at::empty({width}, at::kFloat));
}

}  // namespace mestre
