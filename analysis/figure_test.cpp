#include "analysis/figure.h"

#include <stdlib.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include <gtest/gtest.h>

#include "core/base/files.h"

namespace mestre {
namespace {

class FigureTest : public ::testing::Test {
 protected:
  FigureTest() : folder_(fs::temp_directory_path() / ("mestre-figure-" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
  }
  ~FigureTest() override { fs::remove_all(folder_); }

  [[nodiscard]] fs::path stem(const std::string& name) const { return folder_ / name; }

  fs::path folder_;
};

Figure two_series() {
  return {
      .title = "Perplexity & context <length>",
      .x = {.title = "context length (tokens)", .logarithmic = true, .ticks = {256, 512}},
      .y = {.title = "perplexity"},
      .series = {{.name = "Samba, tied", .x = {256, 512}, .y = {5.5, 5.25}, .low = {5.25, 5.0}, .high = {5.75, 5.5}},
                 {.name = "Llama-2", .x = {256, 512}, .y = {5.75, std::numeric_limits<double>::infinity()}}}};
}

TEST_F(FigureTest, CsvHoldsTheDataInFullAndLeavesGapsEmpty) {
  EXPECT_EQ(to_csv(two_series()),
            "series,x,y,low,high\r\n"
            "\"Samba, tied\",256,5.5,5.25,5.75\r\n"
            "\"Samba, tied\",512,5.25,5,5.5\r\n"
            "Llama-2,256,5.75,,\r\n"
            "Llama-2,512,,,\r\n");
}

TEST_F(FigureTest, ALogarithmicAxisIsForWideRanges) {
  EXPECT_FALSE(wants_logarithm({{.name = "a", .x = {1, 2}, .y = {5.5, 8}}}));
  EXPECT_TRUE(wants_logarithm({{.name = "a", .x = {1, 2}, .y = {5.5, 8}}, {.name = "b", .x = {1, 2}, .y = {6, 250}}}));
  EXPECT_FALSE(wants_logarithm({{.name = "a", .x = {1, 2}, .y = {-1, 250}}})) << "there is no logarithm of -1";
}

TEST_F(FigureTest, ANarrowLogarithmicAxisStillHasTicks) {
  Figure figure = two_series();
  figure.y.logarithmic = true;
  figure.series[1].y = {7, 9};
  EXPECT_NE(to_gnuplot(figure).find("set ytics ('5' 5, '6' 6, '7' 7, '8' 8, '9' 9)"), std::string::npos)
      << to_gnuplot(figure);
}

TEST_F(FigureTest, AnIntervalThatReachesBelowZeroIsCutOnALogarithmicAxis) {
  Figure figure = two_series();
  figure.series = {{.name = "a", .x = {256, 512}, .y = {6, 250}, .low = {-20, 240}, .high = {32, 260}}};
  figure.y.logarithmic = wants_logarithm(figure.series);
  EXPECT_TRUE(figure.y.logarithmic);
  const FigureFiles files = write_figure(figure, stem("wide"));
  if (files.problem.find("not installed") != std::string::npos) GTEST_SKIP() << files.problem;
  EXPECT_EQ(files.problem, "");
}

TEST_F(FigureTest, SvgIsDrawnAndTheSameTwice) {
  const FigureFiles first = write_figure(two_series(), stem("first"));
  if (first.problem.find("not installed") != std::string::npos) GTEST_SKIP() << first.problem;
  ASSERT_EQ(first.problem, "");
  const FigureFiles second = write_figure(two_series(), stem("second"));
  const std::string svg = read_file(first.svg);
  EXPECT_EQ(svg, read_file(second.svg));
  EXPECT_EQ(read_file(first.script), read_file(second.script));
  EXPECT_NE(svg.find("<title>Perplexity &amp; context &lt;length></title>"), std::string::npos);
  EXPECT_NE(svg.find("Samba, tied"), std::string::npos);
  EXPECT_NE(svg.find("Perplexity &amp; context &lt;length"), std::string::npos);
}

TEST_F(FigureTest, NamesAreNeverRunAsCommands) {
  Figure figure = two_series();
  const fs::path planted = folder_ / "planted";
  figure.series[0].name = "a'; system('touch " + planted.string() + "'); 'b\nend_of_data\nsystem(\"touch " +
                          planted.string() + "\")\n`touch " + planted.string() + "`";
  figure.title = figure.x.title = figure.series[0].name;
  const FigureFiles files = write_figure(figure, stem("hostile"));
  if (files.problem.find("not installed") != std::string::npos) GTEST_SKIP() << files.problem;
  EXPECT_EQ(files.problem, "");
  EXPECT_FALSE(fs::exists(planted));
  EXPECT_NE(read_file(files.svg).find("system"), std::string::npos);
}

TEST_F(FigureTest, OfManySeriesTheFirstAreDrawnAndAllAreInTheCsv) {
  Figure figure = two_series();
  figure.series.assign(kMostSeries + 1, figure.series[0]);
  figure.series.back().name = "one too many";
  EXPECT_EQ(to_gnuplot(figure).find("one too many"), std::string::npos);
  EXPECT_NE(to_gnuplot(figure).find("(the first 24 of 25 series)"), std::string::npos);
  EXPECT_NE(to_csv(figure).find("one too many"), std::string::npos);
}

TEST_F(FigureTest, WithoutDataItSaysSo) {
  Figure figure = two_series();
  figure.series.clear();
  const FigureFiles files = write_figure(figure, stem("empty"));
  if (files.problem.find("not installed") != std::string::npos) GTEST_SKIP() << files.problem;
  EXPECT_EQ(files.problem, "");
  EXPECT_NE(read_file(files.svg).find("no data"), std::string::npos);
}

TEST_F(FigureTest, WithoutGnuplotDataAndScriptAreThereAndThePackageIsNamed) {
  const std::string path = getenv("PATH");
  setenv("PATH", folder_.c_str(), 1);
  const FigureFiles files = write_figure(two_series(), stem("undrawn"));
  setenv("PATH", path.c_str(), 1);
  EXPECT_NE(files.problem.find("install the package gnuplot-nox"), std::string::npos) << files.problem;
  EXPECT_TRUE(files.svg.empty());
  EXPECT_EQ(read_file(files.csv), to_csv(two_series()));
  EXPECT_EQ(read_file(files.script), to_gnuplot(two_series()));
}

TEST_F(FigureTest, AFailingGnuplotIsQuoted) {
  const fs::path fake = folder_ / "gnuplot";
  replace_file(fake, "#!/bin/sh\necho 'line 3: unexpected or unrecognized token' >&2\nexit 1\n");
  fs::permissions(fake, fs::perms::owner_all);
  const std::string path = getenv("PATH");
  setenv("PATH", (folder_.string() + ":" + path).c_str(), 1);
  replace_file(stem("broken.svg"), "of an earlier run");
  const FigureFiles files = write_figure(two_series(), stem("broken"));
  setenv("PATH", path.c_str(), 1);
  EXPECT_NE(files.problem.find("gnuplot failed on"), std::string::npos);
  EXPECT_NE(files.problem.find("line 3: unexpected"), std::string::npos);
  EXPECT_FALSE(fs::exists(stem("broken.svg")));
}

}  // namespace
}  // namespace mestre
