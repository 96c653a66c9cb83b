// `mestre-worker forward` and `export` from outside: models that change their layout and stay the same, and what is
// said where something does not fit.

#include <cstdlib>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/journal/folders.h"
#include "core/model/safetensors.h"
#include "tests/worker_jobs.h"

namespace mestre {
namespace {

struct Result {
  int status;
  std::string text;  // stdout and stderr
};

class Forward : public testing::Test {
 protected:
  Forward() { write_ids(at::arange(24, at::kLong).view({2, 12})); }

  [[nodiscard]] const fs::path& path() const { return jobs_.path(); }
  static fs::path reference(const char* model) {
    return fs::path(std::getenv("MESTRE_SOURCE")) / "tests/reference" / model;
  }
  void write_ids(const at::Tensor& ids, const char* name = "input_ids") const {
    fs::remove(path() / "ids");
    (void)write_safetensors(path() / "ids", std::vector<NamedTensor>{{name, ids}});
  }

  Result worker(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), (fs::path(std::getenv("MESTRE_BIN")) / "mestre-worker").native());
    const fs::path log = path() / "log";
    fs::remove(log);
    fs::remove(path() / "out");
    const int status = wait_for(start(arguments, log));
    return {status, read_file(log)};
  }
  Result forward(const fs::path& model, std::vector<std::string> options = {}) const {
    options.insert(options.begin(), {"forward", model.native(), (path() / "ids").native(), (path() / "out").native()});
    return worker(std::move(options));
  }
  Result exported(const fs::path& model, const fs::path& to, const char* layout) const {
    return worker({"export", model.native(), to.native(), "--layout", layout});
  }
  /// What it writes, which must work.
  Safetensors output(const fs::path& model, std::vector<std::string> options = {}) const {
    const Result result = forward(model, std::move(options));
    EXPECT_EQ(result.status, 0) << result.text;
    Safetensors tensors = read_safetensors(path() / "out");
    for (auto& [name, value] : tensors.tensors) value = value.clone();
    return tensors;
  }
  /// That it ends with exit status 2 and says these words.
  void expect_refused(const Result& result, std::initializer_list<const char*> words) const {
    EXPECT_EQ(result.status, 2) << result.text;
    EXPECT_TRUE(result.text.starts_with("error: ")) << result.text;
    for (const char* each : words)
      EXPECT_NE(result.text.find(each), std::string::npos) << each << " in:\n" << result.text;
    EXPECT_FALSE(fs::exists(path() / "out"));
  }
  /// A copy of a reference model whose files a test may spoil.
  [[nodiscard]] fs::path copy_of(const char* model) const {
    fs::path copy = path() / "copy";
    fs::create_directory(copy);
    for (const char* file : {"config.json", "model.safetensors"}) fs::copy_file(reference(model) / file, copy / file);
    return copy;
  }
  void replace_in(const fs::path& file, const std::string& from, const std::string& to) const {
    std::string text = read_file(file);
    const std::size_t place = text.find(from);
    ASSERT_NE(place, std::string::npos) << from;
    replace_file(file, text.replace(place, from.size(), to));
  }

  WorkerJobs jobs_;
};

TEST_F(Forward, GivesTheSameInEveryLayout) {
  for (const char* model : {"llama-full", "mistral-window", "mamba"}) {
    SCOPED_TRACE(model);
    const Safetensors original = output(reference(model));
    const Safetensors weights = read_safetensors(reference(model) / "model.safetensors");
    fs::path from = reference(model);
    for (const char* layout : {"study", "mestre", "huggingface"}) {
      const fs::path to = path() / (std::string(model) + "-" + layout);
      const Result result = exported(from, to, layout);
      ASSERT_EQ(result.status, 0) << result.text;
      EXPECT_TRUE(output(to).at("logits").equal(original.at("logits"))) << layout;
      from = to;
    }
    const Safetensors back = read_safetensors(from / "model.safetensors");
    EXPECT_EQ(back.tensors.size(), weights.tensors.size());
    for (const auto& [name, value] : weights.tensors) {
      EXPECT_EQ(back.at(name).scalar_type(), value.scalar_type()) << name;
      EXPECT_TRUE(back.at(name).equal(value)) << name;
    }
    const fs::path again = path() / (std::string(model) + "-again");
    ASSERT_EQ(exported(from, again, "huggingface").status, 0);
    for (const char* file : {"config.json", "model.safetensors"})
      EXPECT_EQ(read_file(again / file), read_file(from / file)) << file;
  }
}

TEST_F(Forward, CountsLayersAndNamesGradientsAsTheLayoutDoes) {
  ASSERT_EQ(exported(reference("llama-full"), path() / "study", "study").status, 0);
  ASSERT_EQ(exported(reference("llama-full"), path() / "mestre", "mestre").status, 0);
  const Safetensors study = output(path() / "study", {"--gradients"}), ours = output(path() / "mestre");
  EXPECT_TRUE(study.at("hidden.1").equal(ours.at("hidden.3")));
  EXPECT_FALSE(study.tensors.contains("hidden.3"));
  EXPECT_TRUE(ours.tensors.contains("hidden.5"));
  EXPECT_EQ(study.at("grad.transformer.h.2.attn.attn.weight").sizes(), at::IntArrayRef({128, 64}));
}

TEST_F(Forward, ReadsACheckpointOfATraining) {
  const fs::path job = jobs_.add(jobs_.small_training());
  expect_refused(forward(job), {"has no checkpoint yet"});
  ASSERT_EQ(run_worker(job), 0);
  const fs::path checkpoint = attempt_folder(job, 1) / "checkpoints/step-00000006";
  const Safetensors of_job = output(job);
  EXPECT_TRUE(of_job.at("logits").equal(output(checkpoint).at("logits")));
  const Safetensors entropies = output(job, {"--entropy", "--prompt", "3"});
  EXPECT_EQ(entropies.at("attention_entropy_per_head").sizes(), at::IntArrayRef({1, 2}));
  EXPECT_EQ(entropies.at("selection_entropy").sizes(), at::IntArrayRef({1}));
  EXPECT_EQ(entropies.at("delta.0").sizes(), at::IntArrayRef({2, 12, 32}));
  ASSERT_EQ(exported(job, path() / "study", "study").status, 0);
  EXPECT_TRUE(output(path() / "study").at("logits").equal(of_job.at("logits")));
  const Result result = exported(job, path() / "hf", "huggingface");
  expect_refused(result, {"layer 0 is of type 'mamba', expected 'attention'"});
  EXPECT_FALSE(fs::exists(path() / "hf"));
}

TEST_F(Forward, GoesOnGreedilyFromThePrompt) {
  const Safetensors first = output(reference("mistral-window"), {"--greedy", "6", "--prompt", "5"});
  const at::Tensor greedy = first.at("greedy");
  ASSERT_EQ(greedy.sizes(), at::IntArrayRef({2, 6}));
  const at::Tensor prompt = at::arange(24, at::kLong).view({2, 12}).narrow(1, 0, 5);
  write_ids(at::cat({prompt, greedy}, 1));
  const at::Tensor logits = output(reference("mistral-window")).at("logits");
  EXPECT_TRUE(logits.narrow(1, 4, 6).argmax(-1).equal(greedy));
}

TEST_F(Forward, RefusesTokensThatDoNotFit) {
  const fs::path model = reference("llama-full");
  write_ids(at::tensor({1, 2, 96}, at::kLong).view({1, 3}));
  expect_refused(forward(model), {"input_ids[0, 2]", "is 96", "vocabulary of 96", "expected 0 to 95"});
  write_ids(at::tensor({1, -5, 2}, at::kLong).view({1, 3}));
  expect_refused(forward(model), {"input_ids[0, 1]", "is -5"});
  write_ids(at::arange(4, at::kInt).view({1, 4}));
  expect_refused(forward(model), {"holds Int", "int64"});
  write_ids(at::arange(4, at::kLong));
  expect_refused(forward(model), {"input_ids of", "is [4]", "[batch, length]"});
  write_ids(at::zeros({3, 1}, at::kLong));
  expect_refused(forward(model), {"is [3, 1]", "at least 2 tokens"});
  write_ids(at::zeros({1, 4}, at::kLong), "tokens");
  expect_refused(forward(model), {"has no tensor 'input_ids'"});
  replace_file(path() / "ids", "nothing");
  expect_refused(forward(model), {"not a sound safetensors file"});
  fs::remove(path() / "ids");
  expect_refused(forward(model), {"cannot open", "ids"});
}

TEST_F(Forward, RefusesPromptsThatDoNotFit) {
  const fs::path model = reference("llama-full");
  expect_refused(forward(model, {"--greedy", "2", "--prompt", "13"}),
                 {"a prompt of 13 tokens in rows of 12", "1 to 12"});
  expect_refused(forward(model, {"--entropy", "--prompt", "12"}), {"a prompt of 12 tokens in rows of 12", "1 to 11"});
  EXPECT_EQ(forward(model, {"--dtype", "float16"}).status, 2);
}

TEST_F(Forward, RefusesFoldersThatHoldNoModel) {
  expect_refused(forward(path() / "nowhere"), {"there is no folder", "nowhere"});
  expect_refused(forward(path() / "data"), {"holds no model", "config.json"});
  const fs::path copy = copy_of("llama-full");
  fs::rename(copy / "model.safetensors", copy / "weights.bin");
  expect_refused(forward(copy), {"there are no weights in"});
  replace_in(copy / "config.json", "\"model_type\": \"llama\"", "\"model_type\": \"gpt2\"");
  expect_refused(forward(copy), {"config.json is of the family 'gpt2'", "llama, mistral or mamba"});
}

TEST_F(Forward, NamesTheTensorsThatDoNotFit) {
  const fs::path copy = copy_of("llama-full");
  replace_in(copy / "model.safetensors", "model.norm.weight", "model.form.weight");
  expect_refused(forward(copy), {"are not those of the model", "missing: 'model.norm.weight' [64]",
                                 "no place for 'model.form.weight' [64]"});
  replace_in(copy / "config.json", "\"intermediate_size\": 160", "\"intermediate_size\": 161");
  expect_refused(forward(copy), {"'model.layers.0.mlp.gate_proj.weight' is [160, 64], expected [161, 64]", "more"});
}

TEST_F(Forward, NeverWritesOverWhatItReads) {
  const fs::path copy = copy_of("llama-full");
  const std::string before = read_file(path() / "ids");
  const Result over_input = worker({"forward", copy.native(), (path() / "ids").native(), (path() / "ids").native()});
  expect_refused(over_input, {"would replace the input"});
  EXPECT_EQ(read_file(path() / "ids"), before);
  const Result among = worker({"forward", copy.native(), (path() / "ids").native(), (copy / "out").native()});
  expect_refused(among, {"among the weights"});
  expect_refused(exported(copy, copy, "study"), {"exists already"});
  EXPECT_FALSE(fs::exists(path() / "copy.unfinished"));
}

TEST_F(Forward, ReadsWeightsInSeveralFiles) {
  const fs::path copy = copy_of("mamba");
  const Safetensors all = read_safetensors(copy / "model.safetensors");
  std::vector<NamedTensor> parts[2];
  for (const auto& [name, value] : all.tensors)
    parts[parts[0].size() > parts[1].size()].push_back({name, value.clone()});
  fs::remove(copy / "model.safetensors");
  (void)write_safetensors(copy / "model-00001-of-00002.safetensors", parts[0]);
  (void)write_safetensors(copy / "model-00002-of-00002.safetensors", parts[1]);
  const at::Tensor expected = output(reference("mamba")).at("logits");
  EXPECT_TRUE(output(copy).at("logits").equal(expected));
  fs::copy_file(copy / "model-00001-of-00002.safetensors", copy / "again.safetensors");
  EXPECT_NE(forward(copy).text.find("two files in"), std::string::npos);
  replace_file(copy / "model.safetensors.index.json",
               R"({"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}})");
  EXPECT_TRUE(output(copy).at("logits").equal(expected));
}

}  // namespace
}  // namespace mestre
