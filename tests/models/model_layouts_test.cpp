// The layouts of checkpoints: of every model under experiments/models that a layout can hold, each parameter stands in
// it once, under a name of its own; and what is written, read and written again has the same bytes.

#include <algorithm>
#include <cstdlib>
#include <map>
#include <numeric>
#include <set>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/data/test_folder.h"
#include "core/mixers/attention/options.h"
#include "core/mixers/gla/options.h"
#include "core/mixers/mega_s6/options.h"
#include "core/mixers/mlp/options.h"
#include "core/mixers/retention/options.h"
#include "core/model/foreign_weights.h"
#include "core/spec/hugging_face.h"
#include "core/spec/model_reader.h"

namespace mestre {
namespace {

std::map<std::string, ModelSpec> models() {
  Diagnostics diagnostics;
  const fs::path folder = fs::path(std::getenv("MESTRE_SOURCE")) / "experiments/models";
  std::map<std::string, ModelSpec> by_name;
  for (ListedModel& model : list_models(folder, 257, diagnostics)) by_name.emplace(model.name, std::move(model.spec));
  EXPECT_FALSE(diagnostics.has_errors()) << diagnostics.render();
  EXPECT_FALSE(by_name.empty());
  return by_name;
}

/// Hugging Face's families have Llama, Mistral and Mamba, in one width throughout and without short convolutions.
bool is_of_hugging_face(const std::string& name) {
  if (name.find("-sc-") != std::string::npos) return false;
  return name.starts_with("llama") || name.starts_with("mistral") ||
         (name.starts_with("mamba-") && !name.starts_with("mamba-mlp") && !name.starts_with("mamba-swa"));
}

/// By parameter: first row, rows and elements of a row of everything that a layout holds of it.
struct Held {
  std::int64_t first_row, rows, row_elements;
};

void expect_each_once(const ModelSpec& model, const std::vector<ForeignTensor>& tensors) {
  std::set<std::string> names;
  std::map<std::string, std::vector<Held>> held;
  for (const ForeignTensor& tensor : tensors) {
    EXPECT_TRUE(names.insert(tensor.name).second) << tensor.name << " stands there twice";
    const std::int64_t elements =
        std::accumulate(tensor.row.begin(), tensor.row.end(), std::int64_t{1}, std::multiplies<>());
    std::int64_t rows = 0;
    for (const RowRange& part : tensor.parts) {
      rows += part.rows;
      if (!tensor.is_copy) held[part.parameter].push_back({part.first_row, part.rows, elements});
    }
    EXPECT_EQ(std::accumulate(tensor.shape.begin(), tensor.shape.end(), std::int64_t{1}, std::multiplies<>()),
              rows * elements)
        << tensor.name;
  }
  std::int64_t sum = 0;
  for (auto& [parameter, parts] : held) {
    std::sort(parts.begin(), parts.end(), [](const Held& a, const Held& b) { return a.first_row < b.first_row; });
    std::int64_t next = 0;
    for (const Held& part : parts) {
      EXPECT_EQ(part.first_row, next) << parameter;
      EXPECT_EQ(part.row_elements, parts.front().row_elements) << parameter;
      next += part.rows;
    }
    sum += next * parts.front().row_elements;
  }
  EXPECT_EQ(sum, model.parameters());
  // The weights are allocated and never touched, so that the large ones take no memory.
  const auto parameters = LanguageModel(model).named_parameters();
  EXPECT_EQ(held.size(), parameters.size());
  for (const ForeignTensor& tensor : tensors) {
    for (const RowRange& part : tensor.parts) {
      const at::Tensor* parameter = parameters.find(part.parameter);
      ASSERT_NE(parameter, nullptr) << part.parameter;
      EXPECT_EQ(parameter->sizes().slice(1), at::IntArrayRef(tensor.row)) << part.parameter;
      EXPECT_LE(part.first_row + part.rows, parameter->size(0)) << part.parameter;
    }
  }
}

TEST(Layouts, HoldEachParameterOfEveryModelOnce) {
  for (const auto& [name, model] : models()) {
    SCOPED_TRACE(name);
    expect_each_once(model, foreign_tensors(model, CheckpointLayout::kStudy));
    if (is_of_hugging_face(name)) {
      expect_each_once(model, foreign_tensors(model, hugging_face_layout(model)));
    } else {
      EXPECT_THROW((void)write_model_config({.model = model, .layout = hugging_face_layout(model)}), Error);
    }
    expect_each_once(model, foreign_tensors(model, CheckpointLayout::kMestre));
  }
}

TEST(Layouts, CountTheLayersOfTheStudyInBlocks) {
  for (const auto& [name, model] : models()) {
    const std::vector<std::size_t> last = last_layers(model, CheckpointLayout::kStudy);
    EXPECT_EQ(last.size(), static_cast<std::size_t>(model.blocks())) << name;
    EXPECT_EQ(last.back() + 1, model.stack().size()) << name;
  }
}

TEST(Layouts, KeepTheModelInTheirConfiguration) {
  for (const auto& [name, model] : models()) {
    std::vector<CheckpointLayout> layouts = {CheckpointLayout::kMestre, CheckpointLayout::kStudy};
    for (const CheckpointLayout layout : layouts) {
      const ModelConfig read = read_model_config(write_model_config({.model = model, .layout = layout, .longest = 99}));
      EXPECT_EQ(canonical_json(read.model), canonical_json(model)) << name;
      EXPECT_EQ(read.layout, layout) << name;
      EXPECT_EQ(read.longest, 99) << name;
    }
    if (!is_of_hugging_face(name)) continue;
    const ModelConfig read =
        read_model_config(write_model_config({.model = model, .layout = hugging_face_layout(model)}));
    EXPECT_EQ(read.layout, hugging_face_layout(model)) << name;
    EXPECT_EQ(read.model.parameters(), model.parameters()) << name;
    const auto stack = model.stack(), stack_read = read.model.stack();
    ASSERT_EQ(stack.size(), stack_read.size());
    for (std::size_t i = 0; i < stack.size(); ++i)
      EXPECT_EQ(canonical_json(*stack[i]), canonical_json(*stack_read[i])) << name;
  }
}

/// The code and the message with which a configuration is refused.
std::pair<ErrorCode, std::string> refusal_of(const std::string& config) {
  try {
    (void)read_model_config(config);
  } catch (const Error& problem) {
    return {problem.code(), problem.message()};
  }
  return {ErrorCode::kBug, "it was read"};
}

std::string with(std::string text, const std::string& from, const std::string& to) {
  const std::size_t place = text.find(from);
  EXPECT_NE(place, std::string::npos) << from;
  return text.replace(place, from.size(), to);
}

TEST(Configurations, AreRefusedWhereTheModelWouldBeAnother) {
  const std::string llama =
      read_file(fs::path(std::getenv("MESTRE_SOURCE")) / "tests/reference/llama-full/config.json");
  EXPECT_EQ(refusal_of(llama).second, "it was read");
  const std::tuple<const char*, const char*, const char*> edits[] = {
      {"\"silu\"", "\"gelu\"", "config.json has the activation 'gelu'"},
      {"\"attention_bias\": false", "\"attention_bias\": true", "config.json has biases"},
      {"\"default\"", "\"yarn\"", "config.json scales rotary positions"},
      {"\"head_dim\": 16", "\"head_dim\": 32", "config.json has heads that do not fill the width"},
      {"\"llama\"", "\"gpt2\"", "config.json is of the family 'gpt2'"}};
  for (const auto& [from, to, message] : edits)
    EXPECT_EQ(refusal_of(with(llama, from, to)), std::pair(ErrorCode::kBadInput, std::string(message)));

  const std::string ours =
      write_model_config({.model = read_model_config(llama).model, .layout = CheckpointLayout::kStudy});
  EXPECT_EQ(refusal_of(ours).second, "it was read");
  EXPECT_EQ(refusal_of(with(ours, "\"study\"", "\"other\"")).second, "config.json has the unknown layout 'other'");
  EXPECT_EQ(refusal_of(with(ours, "\"format\": 1", "\"format\": 2")).first, ErrorCode::kNewerVersion);
  EXPECT_EQ(refusal_of(with(ours, "\"heads\": 4", "\"heads\": 5")).first, ErrorCode::kBadInput);
  EXPECT_EQ(refusal_of(with(ours, "\"mlp\"\n      ]", "\"mpl\"\n      ]")).second,
            "config.json has a layer 'mpl' without options");
}

/// The same architecture in the smallest sizes.
ModelSpec shrunk(ModelSpec model) {
  model.options.width = 16;
  model.options.vocabulary = 31;
  if (model.options.repeat > 1) model.options.repeat = 2;
  for (const auto& [name, mixer] : model.instances) {
    if (auto* attention = dynamic_cast<AttentionOptions*>(mixer.get())) {
      const bool is_grouped = attention->kv_heads > 1 && attention->kv_heads < attention->heads;
      attention->kv_heads = is_grouped ? 2 : attention->kv_heads == 1 ? 1 : 4;
      attention->heads = 4;
    }
    if (auto* mlp = dynamic_cast<MlpOptions*>(mixer.get())) mlp->intermediate = 24;
    if (auto* gla = dynamic_cast<GlaOptions*>(mixer.get())) gla->heads = 2;
    if (auto* retention = dynamic_cast<RetentionOptions*>(mixer.get())) retention->heads = 2;
    if (auto* mega = dynamic_cast<MegaS6Options*>(mixer.get())) mega->key_size = 6;
  }
  return model;
}

std::string written(const fs::path& file, const std::vector<ForeignTensor>& tensors, const TensorsByName& weights) {
  (void)write_safetensors(file, to_foreign(tensors, weights));
  return read_file(file);
}

void expect_same_bytes_again(const LanguageModel& model, CheckpointLayout layout, const TestFolder& folder) {
  TensorsByName weights;
  for (const auto& parameter : model.named_parameters()) weights.emplace(parameter.key(), parameter.value().detach());
  const std::vector<ForeignTensor> tensors = foreign_tensors(model.spec(), layout);
  const fs::path first = folder.path() / "first", second = folder.path() / "second";
  const std::string bytes = written(first, tensors, weights);
  LanguageModel other(model.spec());
  load_weights(other, from_foreign(tensors, read_safetensors(first)));
  TensorsByName read;
  for (const auto& parameter : other.named_parameters()) {
    EXPECT_TRUE(parameter.value().equal(weights.at(parameter.key()))) << parameter.key();
    read.emplace(parameter.key(), parameter.value().detach());
  }
  EXPECT_EQ(written(second, tensors, read), bytes);
  fs::remove(first);
  fs::remove(second);
}

TEST(Layouts, GiveTheSameBytesWhenLoadedAndSavedAgain) {
  const TestFolder folder;
  for (const auto& [name, large] : models()) {
    SCOPED_TRACE(name);
    LanguageModel model(shrunk(large));
    model.initialize(5);
    expect_same_bytes_again(model, CheckpointLayout::kMestre, folder);
    expect_same_bytes_again(model, CheckpointLayout::kStudy, folder);
    if (is_of_hugging_face(name)) expect_same_bytes_again(model, hugging_face_layout(model.spec()), folder);
  }
}

ModelSpec one_block(const char* mixer, std::unique_ptr<MixerOptions> options) {
  ModelSpec model;
  model.options.width = 8;
  model.options.vocabulary = 5;
  model.options.layers = {mixer, "mlp"};
  MlpOptions mlp;
  mlp.intermediate = 12;
  model.instances.emplace(mixer, std::move(options));
  model.instances.emplace("mlp", mlp.clone());
  model.resolve(5);
  return model;
}

using Shapes = std::map<std::string, std::vector<std::int64_t>>;

/// What stands in `transformer.h.0.attn.`.
Shapes mixer_in_the_study(const ModelSpec& model) {
  const std::string prefix = "transformer.h.0.attn.";
  Shapes shapes;
  for (const ForeignTensor& tensor : foreign_tensors(model, CheckpointLayout::kStudy))
    if (tensor.name.starts_with(prefix)) shapes.emplace(tensor.name.substr(prefix.size()), tensor.shape);
  return shapes;
}

// The names as the study's code has them, written out.
TEST(StudyLayout, HasTheNamesOfItsCode) {
  AttentionOptions attention;
  attention.heads = 4;
  attention.kv_heads = 2;
  attention.short_convolution = 4;
  EXPECT_EQ(mixer_in_the_study(one_block("attention", attention.clone())), (Shapes{{"attn.weight", {16, 8}},
                                                                                   {"proj.weight", {8, 8}},
                                                                                   {"q_conv1d.weight", {8, 1, 4}},
                                                                                   {"k_conv1d.weight", {4, 1, 4}},
                                                                                   {"v_conv1d.weight", {4, 1, 4}}}));
  GlaOptions gla;
  gla.heads = 2;
  EXPECT_EQ(mixer_in_the_study(one_block("gla", gla.clone())), (Shapes{{"q_proj.weight", {4, 8}},
                                                                       {"k_proj.weight", {4, 8}},
                                                                       {"v_proj.weight", {8, 8}},
                                                                       {"g_proj.weight", {8, 8}},
                                                                       {"gk_proj.0.weight", {16, 8}},
                                                                       {"gk_proj.1.weight", {4, 16}},
                                                                       {"gk_proj.1.bias", {4}},
                                                                       {"o_proj.weight", {8, 8}},
                                                                       {"g_norm_swish_gate.weight", {4}}}));
  RetentionOptions retention;
  retention.heads = 2;
  EXPECT_EQ(mixer_in_the_study(one_block("retention", retention.clone())), (Shapes{{"q_proj.weight", {8, 8}},
                                                                                   {"k_proj.weight", {8, 8}},
                                                                                   {"v_proj.weight", {16, 8}},
                                                                                   {"g_proj.weight", {16, 8}},
                                                                                   {"o_proj.weight", {8, 16}},
                                                                                   {"g_norm_swish_gate.weight", {8}}}));
  MegaS6Options mega;
  mega.key_size = 6;
  mega.rank = 1;
  EXPECT_EQ(mixer_in_the_study(one_block("mega_s6", mega.clone())), (Shapes{{"norm.weight", {8}},
                                                                            {"move.conv1d.weight", {8, 1, 4}},
                                                                            {"move.conv1d.bias", {8}},
                                                                            {"move.x_proj.weight", {33, 8}},
                                                                            {"move.dt_proj.weight", {8, 1}},
                                                                            {"move.dt_proj.bias", {8}},
                                                                            {"move.A_log", {8, 16}},
                                                                            {"move.D", {8}},
                                                                            {"v_proj.weight", {8, 8}},
                                                                            {"v_proj.bias", {8}},
                                                                            {"mx_proj.weight", {30, 8}},
                                                                            {"mx_proj.bias", {30}},
                                                                            {"h_proj.weight", {8, 8}},
                                                                            {"h_proj.bias", {8}},
                                                                            {"gamma", {2, 6}},
                                                                            {"beta", {2, 6}},
                                                                            {"rel_pos_bias.alpha", {1, 6}},
                                                                            {"rel_pos_bias.beta", {1, 6}}}));
}

// Four query heads on two key-value heads of two elements: rows 0-7 are ours of the queries, 8-11 of the keys, 12-15 of
// the values.
TEST(StudyLayout, GroupsQueriesWithTheirKeyAndValue) {
  AttentionOptions attention;
  attention.heads = 4;
  attention.kv_heads = 2;
  const ModelSpec model = one_block("attention", attention.clone());
  const std::vector<ForeignTensor> tensors = foreign_tensors(model, CheckpointLayout::kStudy);
  const auto fused = std::find_if(tensors.begin(), tensors.end(), [](const ForeignTensor& each) {
    return each.name == "transformer.h.0.attn.attn.weight";
  });
  ASSERT_NE(fused, tensors.end());
  const at::Tensor ours = at::arange(16, at::kFloat).unsqueeze(1).expand({16, 8});
  const at::Tensor theirs = to_foreign(*fused, {{"layers.0.mixer.qkv.weight", ours}});
  EXPECT_TRUE(
      theirs.select(1, 0).equal(at::tensor({0, 1, 2, 3, 8, 9, 12, 13, 4, 5, 6, 7, 10, 11, 14, 15}, at::kFloat)));
}

TEST(StudyLayout, NamesATiedHeadTwiceAndHoldsItToTheEmbedding) {
  AttentionOptions attention;
  attention.heads = 2;
  LanguageModel model(one_block("attention", attention.clone()));
  model.initialize(3);
  TensorsByName weights;
  for (const auto& parameter : model.named_parameters()) weights.emplace(parameter.key(), parameter.value().detach());
  const std::vector<ForeignTensor> tensors = foreign_tensors(model.spec(), CheckpointLayout::kStudy);
  Safetensors file{.tensors = {}, .metadata = {}, .file = "memory"};
  for (const NamedTensor& each : to_foreign(tensors, weights)) file.tensors.emplace(each.name, each.value);
  EXPECT_TRUE(file.at("lm_head.weight").equal(model.named_parameters()["embedding.weight"]));
  EXPECT_NO_THROW((void)from_foreign(tensors, file));
  file.tensors["lm_head.weight"] = file.at("lm_head.weight") + 1;
  EXPECT_THROW((void)from_foreign(tensors, file), Error);
  file.tensors.erase("lm_head.weight");
  EXPECT_NO_THROW((void)from_foreign(tensors, file));
}

}  // namespace
}  // namespace mestre
