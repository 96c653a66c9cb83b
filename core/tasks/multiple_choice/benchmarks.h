// The benchmarks that are scored by comparing answers: what each is, and how it is scored unless a sweep says
// otherwise.
//
// One line each; a benchmark is a task of its own name (registry.cpp), all of them have the options of
// MultipleChoiceOptions. Names are persisted, never renamed.
#pragma once

#include <cstdint>
#include <string_view>

namespace mestre {

struct ChoiceBenchmark {
  std::string_view name;
  std::string_view doc;
  std::int64_t items = 0;  // of the split that is scored
  double choices = 0;      // answers of an item, on average
  double item_tokens = 0;  // question and one answer, on average; assumed, for the estimate
  std::int64_t shots = 0;
  std::string_view normalization = "none";
};

inline constexpr ChoiceBenchmark kArcEasy = {.name = "arc_easy",
                                             .doc = "ARC-Easy: science questions of school exams",
                                             .items = 2376,
                                             .choices = 4,
                                             .item_tokens = 40};
inline constexpr ChoiceBenchmark kArcChallenge = {.name = "arc_challenge",
                                                  .doc = "ARC-Challenge: the ones that retrieval gets wrong",
                                                  .items = 1172,
                                                  .choices = 4,
                                                  .item_tokens = 45};
inline constexpr ChoiceBenchmark kPiqa = {.name = "piqa",
                                          .doc = "PIQA: which of two ways reaches an everyday goal",
                                          .items = 1838,
                                          .choices = 2,
                                          .item_tokens = 45};
inline constexpr ChoiceBenchmark kWinogrande = {.name = "winogrande",
                                                .doc = "WinoGrande: which of two nouns a blank stands for",
                                                .items = 1267,
                                                .choices = 2,
                                                .item_tokens = 30};
inline constexpr ChoiceBenchmark kSiqa = {
    .name = "siqa", .doc = "SIQA: why people act, and what follows", .items = 1954, .choices = 3, .item_tokens = 45};
inline constexpr ChoiceBenchmark kHellaswag = {.name = "hellaswag",
                                               .doc = "HellaSwag: how a described scene goes on",
                                               .items = 10042,
                                               .choices = 4,
                                               .item_tokens = 100,
                                               .normalization = "characters"};
inline constexpr ChoiceBenchmark kBoolq = {
    .name = "boolq", .doc = "BoolQ: yes or no, after a passage", .items = 3270, .choices = 2, .item_tokens = 150};
inline constexpr ChoiceBenchmark kOpenbookqa = {.name = "openbookqa",
                                                .doc = "OpenbookQA: elementary science, without the book",
                                                .items = 500,
                                                .choices = 4,
                                                .item_tokens = 20};
inline constexpr ChoiceBenchmark kMmlu = {
    .name = "mmlu", .doc = "MMLU: exams of 57 subjects", .items = 14042, .choices = 4, .item_tokens = 110, .shots = 5};
inline constexpr ChoiceBenchmark kTruthfulqaMc1 = {.name = "truthfulqa_mc1",
                                                   .doc = "TruthfulQA: the one true answer among false ones",
                                                   .items = 817,
                                                   .choices = 5,
                                                   .item_tokens = 180};
inline constexpr ChoiceBenchmark kTruthfulqaMc2 = {.name = "truthfulqa_mc2",
                                                   .doc = "TruthfulQA: the probability of all true answers together",
                                                   .items = 817,
                                                   .choices = 7,
                                                   .item_tokens = 180};

}  // namespace mestre
