#include "runners/worker/forward.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <limits>
#include <optional>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/error.h"
#include "core/model/generate.h"
#include "core/tasks/entropy/run_estimator.h"
#include "core/train/device.h"
#include "core/train/model_folder.h"

namespace mestre {
namespace {

[[noreturn]] void refuse(std::string message, std::string hint) {
  throw Error(ErrorCode::kBadInput, std::move(message)).hint(std::move(hint));
}

// A file that users hand in is their input, whatever is wrong with it.
Safetensors read_input(const fs::path& file) {
  try {
    return read_safetensors(file);
  } catch (const Error& problem) {
    if (problem.code() != ErrorCode::kCheckpointCorrupt) throw;
    refuse(problem.message(), "expected a safetensors file with input_ids [batch, length], int64");
  }
}

void require_in_vocabulary(const at::Tensor& tokens, std::int64_t vocabulary, const std::string& file) {
  const at::Tensor outside = ((tokens < 0) | (tokens >= vocabulary)).nonzero();
  if (outside.size(0) == 0) return;
  const auto row = outside[0][0].item<std::int64_t>(), column = outside[0][1].item<std::int64_t>();
  refuse(fmt::format("input_ids[{}, {}] of '{}' is {}, which the vocabulary of {} does not have", row, column, file,
                     tokens[row][column].item<std::int64_t>(), vocabulary),
         fmt::format("expected 0 to {}", vocabulary - 1));
}

at::Tensor read_tokens(const ForwardRequest& request, std::int64_t vocabulary) {
  const Safetensors input = read_input(request.input);
  const auto found = input.tensors.find("input_ids");
  const std::string expected = "expected input_ids [batch, length] int64, of at least 2 tokens a row";
  if (found == input.tensors.end()) refuse(fmt::format("'{}' has no tensor 'input_ids'", input.file), expected);
  const at::Tensor& tokens = found->second;
  if (tokens.scalar_type() != at::kLong)
    refuse(fmt::format("input_ids of '{}' holds {}", input.file, c10::toString(tokens.scalar_type())), expected);
  if (tokens.dim() != 2 || tokens.size(0) < 1 || tokens.size(1) < 2)
    refuse(fmt::format("input_ids of '{}' is [{}]", input.file, fmt::join(tokens.sizes(), ", ")), expected);
  require_in_vocabulary(tokens, vocabulary, input.file);
  const std::int64_t longest = tokens.size(1) - (request.entropy ? 1 : 0);
  if ((request.greedy > 0 || request.entropy) && request.prompt > longest)
    refuse(fmt::format("a prompt of {} tokens in rows of {}", request.prompt, tokens.size(1)),
           fmt::format("expected --prompt 1 to {}", longest));
  return tokens;
}

void require_own_place(const ForwardRequest& request) {
  std::error_code ignored;
  if (fs::equivalent(request.input, request.output, ignored))
    refuse(fmt::format("the output would replace the input '{}'", request.input.native()), "name another file");
  const fs::path folder = fs::absolute(request.output).parent_path();
  if (!fs::is_directory(folder))
    throw Error(ErrorCode::kNotFound, fmt::format("there is no folder '{}' to write to", folder.native()));
  if (fs::equivalent(request.folder, folder, ignored))
    refuse(fmt::format("the output would stand among the weights in '{}'", request.folder.native()),
           "name a file in another folder");
}

/// Sees one layer.
class Probe final : public MixerObserver {
 public:
  explicit Probe(std::int64_t prompt) : entropies(prompt) {}
  void saw_attention(const at::Tensor& queries, const at::Tensor& keys, std::int64_t window, double scale) override {
    entropies.saw_attention(queries, keys, window, scale);
  }
  void saw_delta(const at::Tensor& seen) override {
    delta = seen;
    entropies.saw_delta(seen);
  }

  EntropyEstimator entropies;
  at::Tensor delta;  // undefined where the layer has none
};

class Forward {
 public:
  explicit Forward(const ForwardRequest& request) : request_(request) {
    require_own_place(request);
    const ModelFolder folder = read_model_folder(request.folder);
    const ModelSpec& spec = folder.config.model;
    tokens_ = read_tokens(request, spec.options.vocabulary);
    tensors_ = foreign_tensors(spec, folder.config.layout);
    last_layers_ = last_layers(spec, folder.config.layout);
    model_.emplace(spec);
    if (request.type == at::kDouble) model_->to(at::kDouble);
    load_weights(*model_, folder.weights);
  }

  void run() {
    compute();
    if (request_.greedy > 0) put("greedy", greedy());
    write();
    fmt::print("loss {:.6f} nats a token; {} tensors in {}\n", loss_, outputs_.size(), request_.output.native());
  }

 private:
  /// As a training has it: weights, norms and the residual stream in fp32, products in bf16 where that was asked.
  [[nodiscard]] at::Tensor logits_of(const at::Tensor& tokens, const ForwardOptions& options) {
    const Autocast autocast(at::kCPU, request_.type == at::kBFloat16);
    return model_->forward(tokens, options);
  }

  void put(std::string name, const at::Tensor& value) {
    const bool is_double = request_.type == at::kDouble;
    const at::Tensor plain = value.detach();
    outputs_.push_back({.name = std::move(name),
                        .value = plain.is_floating_point() ? plain.to(is_double ? at::kDouble : at::kFloat) : plain});
  }

  void compute() {
    const at::AutoGradMode mode(request_.gradients);
    std::vector<at::Tensor> residuals;
    std::vector<Probe> probes;
    if (request_.entropy) probes.assign(model_->spec().stack().size(), Probe(request_.prompt));
    ForwardOptions options{.residuals = &residuals};
    if (request_.entropy) options.observer = [&](std::size_t layer) { return &probes[layer]; };
    const at::Tensor logits = logits_of(tokens_, options);
    const std::int64_t pairs = tokens_.size(1) - 1;
    const at::Tensor loss = mean_loss(logits.narrow(1, 0, pairs), tokens_.narrow(1, 1, pairs));
    loss_ = loss.item<double>();
    put("logits", logits);
    put("loss", loss);
    for (std::size_t i = 0; i < last_layers_.size(); ++i) put(fmt::format("hidden.{}", i), residuals[last_layers_[i]]);
    if (request_.entropy) put_entropies(probes);
    if (!request_.gradients) return;
    loss.backward();
    put_gradients();
  }

  void put_gradients() {
    TensorsByName gradients;
    for (const auto& parameter : model_->named_parameters()) {
      const at::Tensor gradient = parameter.value().grad();
      gradients.emplace(parameter.key(), gradient.defined() ? gradient : at::zeros_like(parameter.value()));
    }
    for (const ForeignTensor& tensor : tensors_)
      if (!tensor.is_copy) put("grad." + tensor.name, to_foreign(tensor, gradients));
  }

  void put_entropies(const std::vector<Probe>& probes) {
    std::vector<at::Tensor> per_head, selection, delta_mean;
    std::int64_t heads = 0;
    for (std::size_t i = 0, layer = 0; i < probes.size(); ++i) {
      if (i > last_layers_[layer]) ++layer;
      const EntropyEstimator& entropies = probes[i].entropies;
      if (entropies.has_attention()) {
        per_head.push_back(entropies.attention_per_head().mean(0));
        heads = std::max(heads, per_head.back().size(0));
      }
      if (!entropies.has_selection()) continue;
      selection.push_back(entropies.selection().mean());
      delta_mean.push_back(entropies.delta_mean().mean());
      put(fmt::format("delta.{}", layer), probes[i].delta);
    }
    if (!selection.empty()) {
      put("selection_entropy", at::stack(selection));
      put("delta_mean", at::stack(delta_mean));
    }
    if (per_head.empty()) return;
    std::vector<at::Tensor> means;
    for (at::Tensor& each : per_head) {
      means.push_back(each.mean());
      each = at::constant_pad_nd(each, {0, heads - each.size(0)}, std::numeric_limits<double>::quiet_NaN());
    }
    put("attention_entropy", at::stack(means));
    put("attention_entropy_per_head", at::stack(per_head));
  }

  [[nodiscard]] at::Tensor greedy() {
    const Autocast autocast(at::kCPU, request_.type == at::kBFloat16);
    return continue_greedily(*model_, tokens_.narrow(1, 0, request_.prompt), request_.greedy);
  }

  void write() const {
    const fs::path unfinished = request_.output.native() + ".unfinished";
    fs::remove(unfinished);
    (void)write_safetensors(unfinished, outputs_, {{"format", "pt"}});
    if (std::rename(unfinished.c_str(), request_.output.c_str()) != 0)
      throw system_error(errno, "rename to", request_.output.native());
  }

  const ForwardRequest& request_;
  std::vector<ForeignTensor> tensors_;
  std::vector<std::size_t> last_layers_;
  std::optional<LanguageModel> model_;
  at::Tensor tokens_;
  double loss_ = 0;
  std::vector<NamedTensor> outputs_;
};

}  // namespace

void run_forward(const ForwardRequest& request) {
  try {
    Forward(request).run();
  } catch (const c10::Error& problem) {
    if (request.type != at::kDouble) throw;
    refuse(fmt::format("a mixer of the model does not compute in float64: {}", problem.what_without_backtrace()),
           "expected --dtype float32 for this model");
  }
}

}  // namespace mestre
