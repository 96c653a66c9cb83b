// The benchmarks that are scored on text that a model writes: what each is, and how it is run unless a sweep says
// otherwise.
//
// One line each; a benchmark is a task of its own name (registry.cpp), all of them have the options of
// GenerationOptions. Names are persisted, never renamed.
#pragma once

#include <cstdint>
#include <string_view>

namespace mestre {

struct GenerationBenchmark {
  std::string_view name;
  std::string_view doc;
  std::int64_t items = 0;    // of the split that is scored
  double prompt_tokens = 0;  // of one item, on average; assumed, for the estimate
  std::int64_t new_tokens = 0;
  std::int64_t shots = 0;
  double temperature = 0;
  double top_p = 1;
  std::int64_t context = 4096;
};

inline constexpr GenerationBenchmark kSquad = {.name = "squad",
                                               .doc = "SQuAD: an answer quoted from a paragraph; exact match and F1",
                                               .items = 10570,
                                               .prompt_tokens = 200,
                                               .new_tokens = 64,
                                               .temperature = 0.01,
                                               .top_p = 0.95};
inline constexpr GenerationBenchmark kGsm8k = {.name = "gsm8k",
                                               .doc = "GSM8K: school mathematics in words; exact match of the number",
                                               .items = 1319,
                                               .prompt_tokens = 80,
                                               .new_tokens = 256,
                                               .shots = 5};
inline constexpr GenerationBenchmark kMbpp = {.name = "mbpp",
                                              .doc = "MBPP: short Python programs; pass@1",
                                              .items = 500,
                                              .prompt_tokens = 150,
                                              .new_tokens = 512,
                                              .temperature = 0.01,
                                              .top_p = 0.95};
inline constexpr GenerationBenchmark kHumaneval = {.name = "humaneval",
                                                   .doc = "HumanEval: a Python function from its docstring; pass@1",
                                                   .items = 164,
                                                   .prompt_tokens = 150,
                                                   .new_tokens = 512,
                                                   .temperature = 0.2,
                                                   .top_p = 0.95};
inline constexpr GenerationBenchmark kGovreport = {.name = "govreport",
                                                   .doc = "GovReport: the summary of a long report; ROUGE-L",
                                                   .items = 973,
                                                   .prompt_tokens = 11000,
                                                   .new_tokens = 450,
                                                   .context = 32768};
inline constexpr GenerationBenchmark kSquality = {.name = "squality",
                                                  .doc = "SQuALITY: a question answered from a short story; ROUGE-L",
                                                  .items = 260,
                                                  .prompt_tokens = 7000,
                                                  .new_tokens = 600,
                                                  .context = 16384};

}  // namespace mestre
