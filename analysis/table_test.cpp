#include "analysis/table.h"

#include <rapidcheck.h>

#include <cmath>
#include <cstdlib>
#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <rapidcheck/gtest.h>

namespace mestre {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

Table small_table() {
  Table table{.caption = "Mean of 3 seeds with its 95 % t interval.",
              .columns = {{.title = "architecture"},
                          {.title = "parameters", .show = Show::kCount},
                          {.title = "speed", .unit = "tokens/s"},
                          {.title = "256", .group = "perplexity at length", .key = "perplexity_256"},
                          {.title = "1024", .group = "perplexity at length", .key = "perplexity_1024"}},
              .notes = {"* baseline", "† 2 of 3 seeds"}};
  table.add({Cell("Llama-2", "*"), 803328, 21340.7, Interval{5.7012, 0.0834, 3}, Interval{249.03, 3.2, 3}});
  table.add({"Samba", 1303328, 9340.25, Cell(Interval{5.613, 0.12, 2}, "†"), Interval{6.2, kNone, 1}});
  table.add({"Mamba", {}, {}, {}, {}});
  return table;
}

TEST(TableText, AlignsNumbersIntervalsAndMarks) {
  EXPECT_EQ(to_text(small_table()), R"(Mean of 3 seeds with its 95 % t interval.
                                          perplexity at length
architecture   parameters      speed            256          1024
                            tokens/s
Llama-2*             803K     21,340   5.70 ± 0.08    249.0 ± 3.2
Samba               1.30M      9,340   5.61 ± 0.12†    6.20
Mamba                   –          –      –               –
* baseline
† 2 of 3 seeds
)");
}

TEST(TableText, ControlCharactersAreShownNotObeyed) {
  const Table table{.columns = {{.title = "a"}}, .rows = {{"x\ny\x1b[31m"}}};
  EXPECT_EQ(to_text(table), "a\nx\\ny\\x1b[31m\n");
}

TEST(TableText, NumbersHaveFourDigitsAndThousandsSeparated) {
  EXPECT_EQ(shown(21343.7), "21,340");
  EXPECT_EQ(shown(12345678.0), "12,350,000");
  EXPECT_EQ(shown(0.0049), "0.0049");
  EXPECT_EQ(shown(12.3456), "12.35");
  EXPECT_EQ(shown(999.96), "1,000");
  EXPECT_EQ(shown(-0.5), "-0.5");
  EXPECT_EQ(shown(0.0), "0");
  EXPECT_EQ(shown(6e-7), "6e-07");
  EXPECT_EQ(shown(4.1291e-6), "4.129e-06");
  EXPECT_EQ(shown(-2.5e-5), "-2.5e-05");
  EXPECT_EQ(shown(1.23456e17), "1.235e+17");
  EXPECT_EQ(shown(std::numeric_limits<double>::infinity()), "inf");
}

TEST(TableText, TheHalfWidthDecidesTheMeansDecimals) {
  EXPECT_EQ(shown(Interval{6.1234, 0.083, 3}), "6.12 ± 0.08");
  EXPECT_EQ(shown(Interval{6.1234, 0.012, 3}), "6.123 ± 0.012");
  EXPECT_EQ(shown(Interval{6.1234, 0.097, 3}), "6.12 ± 0.10");
  EXPECT_EQ(shown(Interval{249.03, 81.0, 3}), "249 ± 81");
  EXPECT_EQ(shown(Interval{249.03, 0.02, 3}), "249.0 ± 0.02");
  EXPECT_EQ(shown(Interval{6.1234, kNone, 1}), "6.123");
  EXPECT_EQ(shown(Interval{std::numeric_limits<double>::infinity(), kNone, 3}), "inf");
}

TEST(TableText, WhatDoesNotFitIsContinuedBelowWithTheFirstColumn) {
  Table table{.columns = {{.title = "architecture"}}, .rows = {{"Samba"}}};
  for (int i = 0; i < 5; ++i) {
    table.columns.push_back({.title = "quantity " + std::to_string(i)});
    table.rows[0].emplace_back(1234567 + i);
  }
  EXPECT_EQ(to_text(table, 50), R"(architecture   quantity   quantity   quantity
                      0          1          2
Samba         1,234,567  1,234,568  1,234,569

architecture   quantity   quantity
                      3          4
Samba         1,234,570  1,234,571
)");
}

TEST(TableText, LongTextsAreCutBeforeColumnsAreContinued) {
  const Table table{.columns = {{.title = "question"}, {.title = "cells"}},
                    .rows = {{"which mixer beside the window gives the best perplexity?", 12}}};
  EXPECT_EQ(to_text(table, 40), R"(question                           cells
which mixer beside the window gi…     12
)");
}

TEST(TableMarkdown, EscapesWhatWouldEndACellOrChangeTheFont) {
  const Table table{.columns = {{.title = "a|b", .unit = "tokens/s"}},
                    .rows = {{"x|y\nz"}, {"*bold* <b> & _it_ train_loss `c`"}}};
  EXPECT_EQ(to_markdown(table),
            "| a\\|b (tokens/s) |\n| --- |\n| x\\|y<br>z |\n| \\*bold\\* &lt;b> &amp; \\_it\\_ train_loss \\`c\\` |\n");
}

TEST(TableCsv, QuotesByRfc4180AndKeepsFullPrecision) {
  Table table{
      .columns = {{.title = "name, quoted", .key = "name, \"quoted\""}, {.title = "loss"}, {.title = "perplexity"}}};
  table.add({"a\"b", 0.1, Interval{5.123456789012345, 0.25, 3}});
  table.add({"two\nlines", 1e-300, {}});
  table.add({"", std::numeric_limits<double>::infinity(), Interval{5, kNone, 1}});
  EXPECT_EQ(to_csv(table),
            "\"name, \"\"quoted\"\"\",loss,perplexity,perplexity_half_width,perplexity_n\r\n"
            "\"a\"\"b\",0.1,5.123456789012345,0.25,3\r\n"
            "\"two\nlines\",1e-300,,,\r\n"
            ",inf,5,,1\r\n");
}

TEST(TableLatex, EscapesItsSpecialCharacters) {
  const Table table{.caption = "50 % of R&D",
                    .columns = {{.title = "a_b"}, {.title = "n"}},
                    .rows = {{R"(\x {y} $z$ #1 ~ ^)", Interval{6.12, 0.08, 3}}}};
  const std::string latex = to_latex(table);
  EXPECT_NE(latex.find("\\caption{50 \\% of R\\&D}"), std::string::npos);
  EXPECT_NE(latex.find("\\begin{tabular}{lr}"), std::string::npos);
  EXPECT_NE(latex.find("a\\_b & n \\\\"), std::string::npos);
  EXPECT_NE(
      latex.find(
          "\\textbackslash{}x \\{y\\} \\$z\\$ \\#1 \\textasciitilde{} \\textasciicircum{} & 6.12 $\\pm$ 0.08 \\\\"),
      std::string::npos)
      << latex;
}

TEST(TableJson, IsReadBackWithKeysAndIntervals) {
  const auto rows = nlohmann::json::parse(to_json(small_table()));
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0]["architecture"], "Llama-2");
  EXPECT_EQ(rows[0]["parameters"], 803328);
  EXPECT_EQ(rows[0]["speed_tokens_per_s"], 21340.7);
  EXPECT_EQ(rows[0]["perplexity_256"], (nlohmann::json{{"mean", 5.7012}, {"half_width", 0.0834}, {"n", 3}}));
  EXPECT_TRUE(rows[1]["perplexity_1024"]["half_width"].is_null());
  EXPECT_TRUE(rows[2]["parameters"].is_null());
}

TEST(TableJson, EqualKeysAreToldApart) {
  const Table table{.columns = {{.title = "step"}, {.title = "step"}, {.title = "step"}}};
  EXPECT_EQ(column_keys(table), (std::vector<std::string>{"step", "step_2", "step_3"}));
}

/// A reader of RFC 4180 for the properties below, apart from the writer under test.
std::vector<std::vector<std::string>> read_csv(const std::string& text) {
  std::vector<std::vector<std::string>> rows(1, {""});
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '"' && i + 1 < text.size() && text[i + 1] == '"')
      rows.back().back() += text[++i];
    else if (c == '"')
      quoted = !quoted;
    else if (!quoted && c == ',')
      rows.back().emplace_back();
    else if (!quoted && c == '\r' && text[i + 1] == '\n')
      rows.push_back({""}), ++i;
    else
      rows.back().back() += c;
  }
  rows.pop_back();
  return rows;
}

RC_GTEST_PROP(TableProperty, CsvReadsBackEqual, (const std::vector<std::pair<std::string, double>>& rows)) {
  Table table{.columns = {{.title = "text"}, {.title = "number"}}};
  for (const auto& [text, number] : rows) table.add({text, number});
  const auto read = read_csv(to_csv(table));
  RC_ASSERT(read.size() == rows.size() + 1);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    RC_ASSERT(read[i + 1][0] == rows[i].first);
    RC_ASSERT(std::strtod(read[i + 1][1].c_str(), nullptr) == rows[i].second);
  }
}

RC_GTEST_PROP(TableProperty, TextFitsAndHasOneLinePerRow, ()) {
  Table table;
  const int columns = *rc::gen::inRange(1, 12);
  const int rows = *rc::gen::inRange(0, 6);
  for (int i = 0; i < columns; ++i)
    table.columns.push_back({.title = *rc::gen::container<std::string>(rc::gen::elementOf(std::string("abc d"))),
                             .unit = i % 3 == 0 ? "tokens/s" : ""});
  for (int row = 0; row < rows; ++row) {
    std::vector<Cell> cells;
    for (int i = 0; i < columns; ++i) {
      if (i % 2 == 0)
        cells.emplace_back(*rc::gen::arbitrary<std::string>());
      else
        cells.emplace_back(Interval{*rc::gen::arbitrary<double>(), 0.5, 3});
    }
    table.add(std::move(cells));
  }
  std::istringstream lines(to_text(table));
  for (std::string line; std::getline(lines, line);) RC_ASSERT(display_width(line) <= 100);
}

RC_GTEST_PROP(TableProperty, JsonIsValidWhateverTheText, (const std::string& text)) {
  const Table table{.columns = {{.title = "t", .key = text}}, .rows = {{text}}};
  RC_ASSERT(nlohmann::json::accept(to_json(table)));
}

}  // namespace
}  // namespace mestre
