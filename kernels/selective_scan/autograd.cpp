// Registers the selective scan with Torch's dispatcher: schemas, checks, CPU, Meta, Autograd. The only file of the
// kernel that knows Torch.
//
// Three operations: selective_scan, the public one; selective_scan_forward, which also returns the checkpoints;
// selective_scan_backward. The latter two have kernels of their own for every device, so that a tracer sees through the
// autograd function.
#include <algorithm>
#include <initializer_list>
#include <string>
#include <tuple>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "kernels/selective_scan/cpu.h"
#include "kernels/selective_scan/selective_scan.h"

namespace mestre::kernels {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;
using ForwardResult = std::tuple<Tensor, Tensor>;
using CheckpointedResult = std::tuple<Tensor, Tensor, Tensor>;
using BackwardResult = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

using ForwardSignature = ForwardResult(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                       const OptionalTensor&, const OptionalTensor&, const OptionalTensor&, bool,
                                       const OptionalTensor&, const OptionalTensor&);
using CheckpointedSignature = CheckpointedResult(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                                 const Tensor&, const OptionalTensor&, const OptionalTensor&,
                                                 const OptionalTensor&, bool, const OptionalTensor&,
                                                 const OptionalTensor&);
using BackwardSignature = BackwardResult(const Tensor&, const OptionalTensor&, const Tensor&, const Tensor&,
                                         const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                         const OptionalTensor&, const OptionalTensor&, const OptionalTensor&, bool,
                                         const OptionalTensor&, const OptionalTensor&);

template <class Signature>
c10::TypedOperatorHandle<Signature> find_operation(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

/// The arguments of all three operations.
struct Arguments {
  const Tensor &u, &delta, &A, &B, &C;
  const OptionalTensor &D, &z, &delta_bias;
  bool delta_softplus;
  const OptionalTensor &initial_state, &reset;
};

struct Sizes {
  c10::SymInt batch, length, channels, state;
};

using Shape = std::vector<c10::SymInt>;

void check_rank(const char* name, const Tensor& tensor, std::int64_t rank, const char* shape) {
  TORCH_CHECK(tensor.dim() == rank, "selective_scan: ", name, ": expected ", rank, " dimensions ", shape, ", got ",
              tensor.sym_sizes());
}

void check_tensor(const char* name, const Tensor& tensor, const Shape& shape, const char* why, const Tensor& u,
                  std::initializer_list<at::ScalarType> types, const char* type_names) {
  TORCH_CHECK(tensor.sym_sizes() == c10::SymIntArrayRef(shape), "selective_scan: ", name, ": expected shape ",
              c10::SymIntArrayRef(shape), " (", why, "), got ", tensor.sym_sizes());
  TORCH_CHECK(std::find(types.begin(), types.end(), tensor.scalar_type()) != types.end(), "selective_scan: ", name,
              ": expected ", type_names, ", got ", tensor.scalar_type());
  TORCH_CHECK(tensor.device() == u.device(), "selective_scan: ", name, ": expected device ", u.device(),
              " (that of u), got ", tensor.device());
}

/// A [B, L, …] argument: fp32 or bf16.
void check_rows(const char* name, const Tensor& tensor, const Shape& shape, const char* why, const Tensor& u) {
  check_tensor(name, tensor, shape, why, u, {at::kFloat, at::kBFloat16}, "float32 or bfloat16");
}

void check_float(const char* name, const OptionalTensor& tensor, const Shape& shape, const char* why, const Tensor& u) {
  if (tensor) check_tensor(name, *tensor, shape, why, u, {at::kFloat}, "float32");
}

Sizes checked_sizes(const Arguments& a) {
  check_rank("u", a.u, 3, "[B, L, E]");
  check_rank("A", a.A, 2, "[E, N]");
  const Sizes s = {a.u.sym_size(0), a.u.sym_size(1), a.u.sym_size(2), a.A.sym_size(1)};
  TORCH_CHECK(s.batch > 0 && s.length > 0 && s.channels > 0, "selective_scan: u: expected positive sizes, got ",
              a.u.sym_sizes());
  TORCH_CHECK(s.state > 0 && s.state <= kMaxState, "selective_scan: A: expected 1 to ", kMaxState,
              " states in the last dimension, got ", s.state);
  const Shape tokens = {s.batch, s.length, s.channels}, rows = {s.batch, s.length, s.state}, channels = {s.channels};
  check_rows("u", a.u, tokens, "[B, L, E]", a.u);
  check_rows("delta", a.delta, tokens, "[B, L, E], as u", a.u);
  check_float("A", a.A, {s.channels, s.state}, "[E, N], E from u", a.u);
  check_rows("B", a.B, rows, "[B, L, N], N from A", a.u);
  check_rows("C", a.C, rows, "[B, L, N], N from A", a.u);
  check_float("D", a.D, channels, "[E]", a.u);
  if (a.z) check_rows("z", *a.z, tokens, "[B, L, E], as u", a.u);
  check_float("delta_bias", a.delta_bias, channels, "[E]", a.u);
  check_float("initial_state", a.initial_state, {s.batch, s.channels, s.state}, "[B, E, N]", a.u);
  if (a.reset) check_tensor("reset", *a.reset, {s.batch, s.length}, "[B, L]", a.u, {at::kBool}, "bool");
  return s;
}

ForwardResult empty_outputs(const Arguments& a, const Sizes& s) {
  return {at::empty_symint({s.batch, s.length, s.channels}, a.u.options()),
          at::empty_symint({s.batch, s.channels, s.state}, a.A.options())};
}

/// What selective_scan_forward returns beside y: as the CPU keeps it, channels and states in whole groups.
Shape checkpoint_shape(const Sizes& s) {
  const c10::SymInt chunks = (s.length + (kCheckpointTokens - 1)) / kCheckpointTokens;
  return {s.batch, chunks, (s.channels + 15) / 16 * 16, (s.state + 3) / 4 * 4};
}

Tensor empty_checkpoints(const Arguments& a, const Sizes& s) {
  return at::empty_symint(checkpoint_shape(s), a.A.options());
}

void check_backward(const Arguments& a, const Tensor& d_y, const OptionalTensor& d_final_state,
                    const Tensor& checkpoints) {
  const Sizes s = checked_sizes(a);
  check_rows("gradient of y", d_y, {s.batch, s.length, s.channels}, "[B, L, E], as u", a.u);
  check_float("gradient of final_state", d_final_state, {s.batch, s.channels, s.state}, "[B, E, N]", a.u);
  check_float("checkpoints", checkpoints, checkpoint_shape(s), "as selective_scan_forward returned them", a.u);
  TORCH_CHECK(checkpoints.is_contiguous(), "selective_scan: checkpoints: expected contiguous, got strides ",
              checkpoints.sym_strides());
}

/// Room for the gradient of each input, contiguous; an absent input has an empty tensor, since a schema can't return
/// none.
BackwardResult empty_gradients(const Arguments& a) {
  const auto like = [](const Tensor& t) { return at::empty_symint(t.sym_sizes(), t.options()); };
  const auto like_optional = [&](const OptionalTensor& t) { return t ? like(*t) : at::empty({0}, a.A.options()); };
  return {like(a.u),
          like(a.delta),
          like(a.A),
          like(a.B),
          like(a.C),
          like_optional(a.D),
          like_optional(a.z),
          like_optional(a.delta_bias),
          like_optional(a.initial_state)};
}

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
  explicit CpuInput(const Arguments& a) {
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

ForwardResult scan_on_cpu(const Arguments& a, const Sizes& s, float* checkpoints) {
  const CpuInput input(a);
  auto [y, final_state] = empty_outputs(a, s);
  scan_forward(scan_variants().front(), *input, {mutable_rows_of(y), floats_of(final_state), checkpoints}, run_tasks);
  return {y, final_state};
}

ForwardResult selective_scan_cpu(const Tensor& u, const Tensor& delta, const Tensor& A, const Tensor& B,
                                 const Tensor& C, const OptionalTensor& D, const OptionalTensor& z,
                                 const OptionalTensor& delta_bias, bool delta_softplus,
                                 const OptionalTensor& initial_state, const OptionalTensor& reset) {
  const Arguments a = {u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, reset};
  return scan_on_cpu(a, checked_sizes(a), nullptr);
}

CheckpointedResult selective_scan_forward_cpu(const Tensor& u, const Tensor& delta, const Tensor& A, const Tensor& B,
                                              const Tensor& C, const OptionalTensor& D, const OptionalTensor& z,
                                              const OptionalTensor& delta_bias, bool delta_softplus,
                                              const OptionalTensor& initial_state, const OptionalTensor& reset) {
  const Arguments a = {u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, reset};
  const Sizes s = checked_sizes(a);
  Tensor checkpoints = empty_checkpoints(a, s);
  auto [y, final_state] = scan_on_cpu(a, s, floats_of(checkpoints));
  return {y, final_state, checkpoints};
}

BackwardResult selective_scan_backward_cpu(const Tensor& d_y, const OptionalTensor& d_final_state,
                                           const Tensor& checkpoints, const Tensor& u, const Tensor& delta,
                                           const Tensor& A, const Tensor& B, const Tensor& C, const OptionalTensor& D,
                                           const OptionalTensor& z, const OptionalTensor& delta_bias,
                                           bool delta_softplus, const OptionalTensor& initial_state,
                                           const OptionalTensor& reset) {
  const Arguments a = {u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, reset};
  check_backward(a, d_y, d_final_state, checkpoints);
  const CpuInput input(a);
  const Tensor d_rows = with_contiguous_rows(d_y);
  const Tensor d_final = d_final_state ? d_final_state->contiguous() : Tensor();
  BackwardResult result = empty_gradients(a);
  const auto& [d_u, d_delta, d_A, d_B, d_C, d_D, d_z, d_bias, d_initial] = result;
  const ScanInputGradient gradient = {.u = mutable_rows_of(d_u),
                                      .delta = mutable_rows_of(d_delta),
                                      .B = mutable_rows_of(d_B),
                                      .C = mutable_rows_of(d_C),
                                      .z = z ? mutable_rows_of(d_z) : Rows{},
                                      .A = floats_of(d_A),
                                      .D = floats_of(d_D),
                                      .delta_bias = floats_of(d_bias),
                                      .initial_state = floats_of(d_initial)};
  scan_backward(scan_variants().front(), *input,
                {rows_of(d_rows), d_final.defined() ? d_final.const_data_ptr<float>() : nullptr},
                checkpoints.const_data_ptr<float>(), gradient, run_tasks);
  return result;
}

ForwardResult selective_scan_meta(const Tensor& u, const Tensor& delta, const Tensor& A, const Tensor& B,
                                  const Tensor& C, const OptionalTensor& D, const OptionalTensor& z,
                                  const OptionalTensor& delta_bias, bool delta_softplus,
                                  const OptionalTensor& initial_state, const OptionalTensor& reset) {
  const Arguments a = {u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, reset};
  return empty_outputs(a, checked_sizes(a));
}

CheckpointedResult selective_scan_forward_meta(const Tensor& u, const Tensor& delta, const Tensor& A, const Tensor& B,
                                               const Tensor& C, const OptionalTensor& D, const OptionalTensor& z,
                                               const OptionalTensor& delta_bias, bool delta_softplus,
                                               const OptionalTensor& initial_state, const OptionalTensor& reset) {
  const Arguments a = {u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, reset};
  const Sizes s = checked_sizes(a);
  auto [y, final_state] = empty_outputs(a, s);
  return {y, final_state, empty_checkpoints(a, s)};
}

BackwardResult selective_scan_backward_meta(const Tensor& d_y, const OptionalTensor& d_final_state,
                                            const Tensor& checkpoints, const Tensor& u, const Tensor& delta,
                                            const Tensor& A, const Tensor& B, const Tensor& C, const OptionalTensor& D,
                                            const OptionalTensor& z, const OptionalTensor& delta_bias,
                                            bool delta_softplus, const OptionalTensor& initial_state,
                                            const OptionalTensor& reset) {
  const Arguments a = {u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, reset};
  check_backward(a, d_y, d_final_state, checkpoints);
  return empty_gradients(a);
}

OptionalTensor if_defined(const Tensor& tensor) {
  return tensor.defined() ? OptionalTensor(tensor) : std::nullopt;
}
Tensor or_undefined(const OptionalTensor& tensor) {
  return tensor ? *tensor : Tensor();
}

class SelectiveScan : public torch::autograd::Function<SelectiveScan> {
 public:
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context, const Tensor& u,
                                                const Tensor& delta, const Tensor& A, const Tensor& B, const Tensor& C,
                                                const OptionalTensor& D, const OptionalTensor& z,
                                                const OptionalTensor& delta_bias, bool delta_softplus,
                                                const OptionalTensor& initial_state, const OptionalTensor& reset) {
    static const auto operation = find_operation<CheckpointedSignature>("mestre::selective_scan_forward");
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    auto [y, final_state, checkpoints] =
        operation.call(u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, reset);
    context->save_for_backward({checkpoints, u, delta, A, B, C, or_undefined(D), or_undefined(z),
                                or_undefined(delta_bias), or_undefined(initial_state), or_undefined(reset)});
    context->saved_data["delta_softplus"] = delta_softplus;
    context->set_materialize_grads(false);
    return {y, final_state};
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& d_outputs) {
    static const auto operation = find_operation<BackwardSignature>("mestre::selective_scan_backward");
    const auto saved = context->get_saved_variables();
    const Tensor &checkpoints = saved[0], &u = saved[1];
    const Tensor d_y = d_outputs[0].defined() ? d_outputs[0] : at::zeros_like(u);
    auto [d_u, d_delta, d_A, d_B, d_C, d_D, d_z, d_bias, d_initial] =
        operation.call(d_y, if_defined(d_outputs[1]), checkpoints, u, saved[2], saved[3], saved[4], saved[5],
                       if_defined(saved[6]), if_defined(saved[7]), if_defined(saved[8]),
                       context->saved_data["delta_softplus"].toBool(), if_defined(saved[9]), if_defined(saved[10]));
    const auto given = [&](std::size_t index, const Tensor& d) { return saved[index].defined() ? d : Tensor(); };
    return {
        d_u,     d_delta, d_A, d_B, d_C, given(6, d_D), given(7, d_z), given(8, d_bias), Tensor(), given(9, d_initial),
        Tensor()};
  }
};

bool wants_gradient(std::initializer_list<const Tensor*> tensors,
                    std::initializer_list<const OptionalTensor*> optional_tensors) {
  if (!at::GradMode::is_enabled()) return false;
  bool wanted = false;
  for (const Tensor* tensor : tensors) wanted |= tensor->requires_grad();
  for (const OptionalTensor* tensor : optional_tensors) wanted |= *tensor && (*tensor)->requires_grad();
  return wanted;
}

ForwardResult selective_scan_autograd(const Tensor& u, const Tensor& delta, const Tensor& A, const Tensor& B,
                                      const Tensor& C, const OptionalTensor& D, const OptionalTensor& z,
                                      const OptionalTensor& delta_bias, bool delta_softplus,
                                      const OptionalTensor& initial_state, const OptionalTensor& reset) {
  if (wants_gradient({&u, &delta, &A, &B, &C}, {&D, &z, &delta_bias, &initial_state})) {
    auto outputs = SelectiveScan::apply(u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, reset);
    return {outputs[0], outputs[1]};
  }
  const at::AutoDispatchBelowADInplaceOrView below_autograd;
  return selective_scan(u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, reset);
}

const std::string kParameters =
    "Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor? D=None, Tensor? z=None, Tensor? delta_bias=None, "
    "bool delta_softplus=False, Tensor? initial_state=None, Tensor? reset=None";

}  // namespace

std::tuple<Tensor, Tensor> selective_scan(const Tensor& u, const Tensor& delta, const Tensor& A, const Tensor& B,
                                          const Tensor& C, const OptionalTensor& D, const OptionalTensor& z,
                                          const OptionalTensor& delta_bias, bool delta_softplus,
                                          const OptionalTensor& initial_state, const OptionalTensor& reset) {
  static const auto operation = find_operation<ForwardSignature>("mestre::selective_scan");
  return operation.call(u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, reset);
}

TORCH_LIBRARY_FRAGMENT(mestre, library) {
  const auto define = [&](const std::string& schema) { library.def(schema.c_str()); };
  define("selective_scan(" + kParameters + ") -> (Tensor y, Tensor final_state)");
  define("selective_scan_forward(" + kParameters + ") -> (Tensor y, Tensor final_state, Tensor checkpoints)");
  define("selective_scan_backward(Tensor d_y, Tensor? d_final_state, Tensor checkpoints, " + kParameters +
         ") -> (Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor D, Tensor z, Tensor delta_bias, "
         "Tensor initial_state)");
}

TORCH_LIBRARY_IMPL(mestre, CPU, library) {
  library.impl("selective_scan", selective_scan_cpu);
  library.impl("selective_scan_forward", selective_scan_forward_cpu);
  library.impl("selective_scan_backward", selective_scan_backward_cpu);
}

TORCH_LIBRARY_IMPL(mestre, Meta, library) {
  library.impl("selective_scan", selective_scan_meta);
  library.impl("selective_scan_forward", selective_scan_forward_meta);
  library.impl("selective_scan_backward", selective_scan_backward_meta);
}

TORCH_LIBRARY_IMPL(mestre, Autograd, library) {
  library.impl("selective_scan", selective_scan_autograd);
  library.impl("selective_scan_forward", torch::autograd::autogradNotImplementedFallback());
  library.impl("selective_scan_backward", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace mestre::kernels
