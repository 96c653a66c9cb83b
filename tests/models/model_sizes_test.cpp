// Every model file under experiments/models against the size that the study states for it.
//
// The exact numbers were counted by hand from the equations, not by the program: a change of either is a mistake in one
// of them.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

#include <gtest/gtest.h>

#include "core/spec/model_reader.h"

namespace mestre {
namespace {

struct Size {
  const char* name;
  const char* stated;  // the study's rounding
  std::int64_t parameters;
  std::int64_t parameters_without_embeddings;
  bool is_loose = false;  // stated more roughly than its digits say
};

constexpr Size kSizes[] = {
    {"llama2-0.8m", "0.8M", 824576, 791680},
    {"llama2-1.3b", "1.3B", 1347842304, 1274114304},
    {"llama2-438m", "438M", 438081024, 339777024},
    {"llama2-swa-0.8m", "0.8M", 824576, 791680},
    {"llama2-swa-1.3b", "1.3B", 1347842304, 1274114304},
    {"llama2-swa-438m", "438M", 438081024, 339777024},
    {"llama2-swa-gqa2-419m", "419M", 419206656, 320902656},
    {"llama2-swa-gqa4-428m", "428M", 428643840, 330339840},
    {"llama2-swa-mqa-414m", "414M", 414488064, 316184064},
    {"llama2-swa-mqa6-419m", "419M", 419206656, 320902656},
    {"llama2-swa-sc-438m", "438M", 438302208, 339998208},
    {"llama3-1.6b", "1.6B", 1641187328, 1435142144},
    {"mamba-0.8m", "0.8M", 820896, 785944},
    {"mamba-1.3b", "1.3B", 1334740992, 1269204992},
    {"mamba-1.8b", "1.8B", 1795295232, 1692272640},
    {"mamba-432m", "432M", 432804864, 400036864},
    {"mamba-mlp-1.9b", "1.9B", 1946224640, 1843202048},
    {"mamba-mlp-full-0-449m", "449M", 449180160, 400028160},
    {"mamba-mlp-full-1-5-443m", "443M", 443702784, 394550784},
    {"mamba-mlp-full-11-449m", "449M", 449180160, 400028160},
    {"mamba-mlp-full-5-449m", "449M", 449180160, 400028160},
    {"mamba-swa-mlp-1.3b", "1.3B", 1239397632, 1165669632, true},
    {"mamba-swa-mlp-1.6b", "1.6B", 1655330816, 1552308224},
    {"mamba-swa-mlp-400m", "400M", 394999296, 345847296, true},
    {"mega-s6-1.3b", "1.3B", 1329767424, 1256039424},
    {"mega-s6-422m", "422M", 422486016, 373334016},
    {"mistral-1.6b", "1.6B", 1641187328, 1435142144},
    {"mlp2-swa-mlp-1.3b", "1.3B", 1315982592, 1242254592},
    {"mlp2-swa-mlp-417m", "417M", 417240576, 368088576},
    {"samba-0.8m", "0.8M", 828160, 795264},
    {"samba-1.3b", "1.3B", 1330207488, 1256479488},
    {"samba-1.7b", "1.7B", 1742194688, 1639172096},
    {"samba-3.8b", "3.8B", 3864275712, 3773983488},
    {"samba-421m", "421M", 421793280, 372641280},
    {"samba-gqa2-426m", "426M", 426511872, 377359872},
    {"samba-gqa4-431m", "431M", 431230464, 382078464},
    {"samba-mqa-424m", "424M", 424152576, 375000576},
    {"samba-mqa6-426m", "426M", 426511872, 377359872},
    {"samba-nope-0.8m", "0.8M", 828160, 795264},
    {"samba-nope-1.3b", "1.3B", 1330207488, 1256479488},
    {"samba-nope-421m", "421M", 421793280, 372641280},
    {"sliding-gla-1.2b", "1.2B", 1220942592, 1147214592},
    {"sliding-gla-438m", "438M", 438309120, 340005120},
    {"sliding-gla-sc-438m", "438M", 438382848, 340078848},
    {"sliding-retnet-1.4b", "1.4B", 1411538688, 1337810688},
    {"sliding-retnet-446m", "446M", 445555200, 396403200},
    {"sliding-retnet-sc-446m", "446M", 445702656, 396550656},
};

constexpr double kLooseTolerance = 0.05;

struct Stated {
  double value;
  double last_digit;  // what one step of the last digit is worth
};

Stated parse(const std::string& text) {
  const double unit = text.back() == 'B' ? 1e9 : 1e6;
  const std::size_t point = text.find('.');
  const std::size_t decimals = point == std::string::npos ? 0 : text.size() - 1 - (point + 1);
  return {.value = std::stod(text) * unit, .last_digit = unit / std::pow(10.0, static_cast<double>(decimals))};
}

// The study rounds some sizes (445.6M to 446M) and cuts others off (421.8M to 421M).
bool fits(std::int64_t parameters, const std::string& text, bool is_loose) {
  const auto [value, last_digit] = parse(text);
  const auto exact = static_cast<double>(parameters);
  if (is_loose) return std::abs(exact - value) <= kLooseTolerance * value;
  return exact > value - last_digit / 2 && exact < value + last_digit;
}

std::map<std::string, ListedModel> models() {
  Diagnostics diagnostics;
  const fs::path folder = fs::path(std::getenv("MESTRE_SOURCE")) / "experiments/models";
  std::map<std::string, ListedModel> by_name;
  for (ListedModel& model : list_models(folder, 257, diagnostics)) by_name.emplace(model.name, std::move(model));
  EXPECT_FALSE(diagnostics.has_errors()) << diagnostics.render();
  return by_name;
}

TEST(ModelSizes, AreStatedForEveryFileAndNoOther) {
  std::vector<std::string> files, rows;
  for (const auto& [name, model] : models()) files.push_back(name);
  for (const Size& size : kSizes) rows.emplace_back(size.name);
  EXPECT_EQ(files, rows);
}

TEST(ModelSizes, AreThoseOfTheStudy) {
  const auto all = models();
  for (const Size& size : kSizes) {
    SCOPED_TRACE(size.name);
    const auto found = all.find(size.name);
    ASSERT_NE(found, all.end());
    const ModelSpec& spec = found->second.spec;
    EXPECT_EQ(spec.parameters(), size.parameters);
    EXPECT_EQ(spec.parameters_without_embeddings(), size.parameters_without_embeddings);
    EXPECT_TRUE(fits(spec.parameters(), size.stated, size.is_loose))
        << spec.parameters() << " is called " << size.stated;
    std::string suffix = std::string("-") + size.stated;
    std::transform(suffix.begin(), suffix.end(), suffix.begin(), [](unsigned char c) { return std::tolower(c); });
    EXPECT_TRUE(std::string(size.name).ends_with(suffix));
  }
}

// Where the sources do not say whether the head is tied, the files take what fits better; none could be turned around.
TEST(ModelSizes, SettleWhetherTheHeadIsTied) {
  const auto all = models();
  for (const Size& size : kSizes) {
    if (size.is_loose) continue;  // the study's public code says it
    ModelSpec other = all.at(size.name).spec;
    other.options.tied_head = !other.options.tied_head;
    const double stated = parse(size.stated).value;
    EXPECT_LT(std::abs(static_cast<double>(size.parameters) - stated),
              std::abs(static_cast<double>(other.parameters()) - stated))
        << size.name;
  }
}

TEST(ModelSizes, RoundingIsNoWiderThanADigit) {
  EXPECT_TRUE(fits(421793280, "421M", false));
  EXPECT_TRUE(fits(445555200, "446M", false));
  EXPECT_TRUE(fits(1239397632, "1.3B", true));
  for (const char* wrong : {"420M", "423M", "42M", "1.3B"}) EXPECT_FALSE(fits(421793280, wrong, false)) << wrong;
  EXPECT_FALSE(fits(1403935488, "1.3B", false));
  EXPECT_FALSE(fits(1239397632, "1.3B", false));
  EXPECT_FALSE(fits(444151296, "400M", true));
}

}  // namespace
}  // namespace mestre
