#include "kernels/selective_scan/autograd_cpu.h"

#include <functional>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "kernels/selective_scan/cpu.h"

namespace mestre::kernels {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

Element element_of(const Tensor& tensor) {
  return tensor.scalar_type() == at::kBFloat16 ? Element::kBFloat16 : Element::kFloat32;
}

Tensor with_contiguous_rows(const Tensor& tensor) {
  return tensor.stride(2) == 1 || tensor.size(2) == 1 ? tensor : tensor.contiguous();
}

ConstRows rows_of(const Tensor& tensor) {
  return {tensor.const_data_ptr(), element_of(tensor), tensor.stride(0), tensor.stride(1)};
}

Rows mutable_rows_of(const Tensor& tensor) {
  return {tensor.mutable_data_ptr(), element_of(tensor), tensor.stride(0), tensor.stride(1)};
}

float* floats_of(const Tensor& tensor) {
  return tensor.numel() ? tensor.mutable_data_ptr<float>() : nullptr;
}

/// Pointers into the arguments, and the copies that some of them needed.
class CpuInput {
 public:
  explicit CpuInput(const ScanArguments& a) {
    input_ = {.batch = a.u.size(0),
              .length = a.u.size(1),
              .channels = a.u.size(2),
              .state = a.A.size(1),
              .u = rows(a.u),
              .delta = rows(a.delta),
              .B = rows(a.B),
              .C = rows(a.C),
              .z = a.z ? rows(*a.z) : ConstRows{},
              .A = contiguous<float>(a.A),
              .D = contiguous<float>(a.D),
              .delta_bias = contiguous<float>(a.delta_bias),
              .initial_state = contiguous<float>(a.initial_state),
              .reset = contiguous<bool>(a.reset),
              .delta_softplus = a.delta_softplus};
  }

  const ScanInput& operator*() const { return input_; }

 private:
  ConstRows rows(const Tensor& tensor) { return rows_of(kept_.emplace_back(with_contiguous_rows(tensor))); }

  template <class T>
  const T* contiguous(const OptionalTensor& tensor) {
    return tensor ? kept_.emplace_back(tensor->contiguous()).template const_data_ptr<T>() : nullptr;
  }

  std::vector<Tensor> kept_;
  ScanInput input_;
};

void run_tasks(std::int64_t count, const std::function<void(std::int64_t)>& task) {
  at::parallel_for(0, count, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) task(i);
  });
}

}  // namespace

ScanResult fused_scan(const ScanArguments& a, const OptionalTensor& checkpoints) {
  const CpuInput input(a);
  auto [y, final_state] = empty_outputs(a);
  scan_forward(scan_variants().front(), *input,
               {mutable_rows_of(y), floats_of(final_state), checkpoints ? floats_of(*checkpoints) : nullptr},
               run_tasks);
  return {y, final_state};
}

ScanGradients fused_scan_backward(const ScanArguments& a, const Tensor& d_y, const OptionalTensor& d_final_state,
                                  const Tensor& checkpoints) {
  const CpuInput input(a);
  const Tensor d_rows = with_contiguous_rows(d_y);
  const Tensor d_final = d_final_state ? d_final_state->contiguous() : Tensor();
  ScanGradients result = empty_gradients(a);
  const auto& [d_u, d_delta, d_A, d_B, d_C, d_D, d_z, d_bias, d_initial] = result;
  const ScanInputGradient gradient = {.u = mutable_rows_of(d_u),
                                      .delta = mutable_rows_of(d_delta),
                                      .B = mutable_rows_of(d_B),
                                      .C = mutable_rows_of(d_C),
                                      .z = a.z ? mutable_rows_of(d_z) : Rows{},
                                      .A = floats_of(d_A),
                                      .D = floats_of(d_D),
                                      .delta_bias = floats_of(d_bias),
                                      .initial_state = floats_of(d_initial)};
  scan_backward(scan_variants().front(), *input,
                {rows_of(d_rows), d_final.defined() ? d_final.const_data_ptr<float>() : nullptr},
                checkpoints.const_data_ptr<float>(), gradient, run_tasks);
  return result;
}

}  // namespace mestre::kernels
