#include "runners/cli/probe.h"

#include <signal.h>

#include <gtest/gtest.h>

namespace mestre {
namespace {

using Clock = std::chrono::steady_clock;

TEST(Ask, GivesEachAnswerToItsQuestion) {
  const std::vector<Answer> answers = ask({
      {.command = {"sh", "-c", "echo out; echo err >&2; exit 3"}},
      {.command = {"mestre-no-such-program"}},
      {.command = {"sh", "-c", "kill -TERM $$"}},
      {.command = {"true"}},
  });
  ASSERT_EQ(answers.size(), 4U);
  EXPECT_EQ(answers[0].kind, Answer::Kind::kExited);
  EXPECT_EQ(answers[0].value, 3);
  EXPECT_EQ(answers[0].output, "out\n");
  EXPECT_EQ(answers[0].errors, "err\n");
  EXPECT_EQ(answers[1].kind, Answer::Kind::kNotFound);
  EXPECT_EQ(answers[2].kind, Answer::Kind::kSignalled);
  EXPECT_EQ(answers[2].value, SIGTERM);
  EXPECT_TRUE(answers[3].is_success());
}

TEST(Ask, DoesNotWaitForProgramsThatHang) {
  const auto begin = Clock::now();
  const std::vector<Answer> answers = ask({
      {.command = {"sleep", "600"}, .limit = std::chrono::milliseconds(200)},
      {.command = {"sh", "-c", "sleep 600 & sleep 600"}, .limit = std::chrono::milliseconds(200)},
      {.command = {"sh", "-c", "exec >&- 2>&-; sleep 600"}, .limit = std::chrono::milliseconds(200)},
      {.command = {"sh", "-c", "echo quick"}, .limit = std::chrono::seconds(60)},
  });
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(30));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(answers[static_cast<std::size_t>(i)].kind, Answer::Kind::kTimedOut) << i;
  EXPECT_EQ(answers[3].output, "quick\n");
}

TEST(Ask, KeepsNoMoreThanAMegabyte) {
  const std::vector<Answer> answers =
      ask({{.command = {"sh", "-c", "head -c 3000000 /dev/zero"}, .limit = std::chrono::seconds(60)}});
  EXPECT_TRUE(answers[0].is_success());
  EXPECT_EQ(answers[0].output.size(), std::size_t{1} << 20);
}

}  // namespace
}  // namespace mestre
