#include "runners/local/gpus.h"

#include <gtest/gtest.h>

#include "core/base/error.h"

namespace mestre {
namespace {

constexpr double kGigabyte = 1e9;

const std::vector<InstalledGpu> kPair = {{.uuid = "GPU-aa11", .name = "NVIDIA H200", .memory_bytes = 100 * kGigabyte},
                                         {.uuid = "GPU-bb22", .name = "NVIDIA H200", .memory_bytes = 100 * kGigabyte}};

TEST(GpuList, IsReadAsNvidiaSmiWritesIt) {
  const auto gpus = read_gpus(
      "GPU-aa11, NVIDIA H200, 143771, Default\n"
      "GPU-bb22, NVIDIA A100-SXM4-80GB, 81920, Exclusive_Process\n"
      "GPU-cc33, Quadro, 8192, Prohibited\n"
      "GPU-dd44, NVIDIA GB10, [N/A], Default\n");
  ASSERT_EQ(gpus.size(), 3U);
  EXPECT_EQ(gpus[0].uuid, "GPU-aa11");
  EXPECT_EQ(gpus[0].name, "NVIDIA H200");
  EXPECT_EQ(gpus[0].memory_bytes, 143771.0 * 1048576);
  EXPECT_FALSE(gpus[0].one_process);
  EXPECT_TRUE(gpus[1].one_process);
  EXPECT_EQ(gpus[2].memory_bytes, 0);
  EXPECT_TRUE(read_gpus("").empty());
  EXPECT_THROW((void)read_gpus("No devices were found\n"), Error);
  EXPECT_THROW((void)read_gpus("GPU-aa11, NVIDIA H200\n"), Error);
}

TEST(GpuList, IsCutByCudaVisibleDevicesAsCudaCutsIt) {
  const auto names = [](std::string_view variable) {
    std::string text;
    for (const InstalledGpu& gpu : visible_gpus(kPair, variable)) text += gpu.uuid + " ";
    return text;
  };
  EXPECT_EQ(names("1,0"), "GPU-bb22 GPU-aa11 ");
  EXPECT_EQ(names("GPU-bb22"), "GPU-bb22 ");
  EXPECT_EQ(names("GPU-b"), "GPU-bb22 ");
  EXPECT_EQ(names(" 0 , 1 "), "GPU-aa11 GPU-bb22 ");
  EXPECT_EQ(names("0,7,1"), "GPU-aa11 ");
  EXPECT_EQ(names("0x1"), "");
  EXPECT_EQ(names("-1"), "");
  EXPECT_EQ(names(""), "");
}

TEST(GpuPool, SharesAGpuAsFarAsItsMemoryGoesTheLeastSharedFirst) {
  GpuPool pool(kPair);
  std::vector<GpuShare> shares;
  for (const std::size_t expected : {0U, 1U, 0U, 1U}) {
    const auto share = pool.find(1, 40 * kGigabyte);
    ASSERT_TRUE(share);
    EXPECT_EQ(share->gpus, std::vector<std::size_t>{expected});
    pool.take(*share);
    shares.push_back(*share);
  }
  EXPECT_FALSE(pool.find(1, 40 * kGigabyte));
  EXPECT_TRUE(pool.find(1, 20 * kGigabyte));
  pool.give_back(shares[1]);
  EXPECT_EQ(pool.find(1, 40 * kGigabyte).value().gpus, std::vector<std::size_t>{1});
  EXPECT_EQ(pool.jobs_at_a_time(1, 40 * kGigabyte), 4);
}

TEST(GpuPool, GivesSomeJobsTheirGpusForThemselves) {
  GpuPool pool(kPair);
  const GpuShare small = pool.find(1, kGigabyte).value();
  pool.take(small);
  EXPECT_FALSE(pool.find(2, kGigabyte)) << "a job of two GPUs shares neither";
  const GpuShare whole = pool.find(1, 0).value();
  EXPECT_EQ(whole.gpus, std::vector<std::size_t>{1});
  pool.take(whole);
  EXPECT_FALSE(pool.find(1, 0));
  EXPECT_EQ(pool.find(1, kGigabyte).value().gpus, std::vector<std::size_t>{0});
  pool.give_back(whole);
  pool.give_back(small);
  EXPECT_EQ(pool.find(2, kGigabyte).value().gpus, (std::vector<std::size_t>{0, 1}));
  EXPECT_EQ(pool.variable(pool.find(2, 0).value()), "GPU-aa11,GPU-bb22");
  EXPECT_EQ(pool.jobs_at_a_time(2, kGigabyte), 1);
  EXPECT_EQ(pool.jobs_at_a_time(3, kGigabyte), 0);
}

TEST(GpuPool, LetsAJobThatIsTooLargeTryAGpuOfItsOwn) {
  GpuPool pool(kPair);
  const GpuShare share = pool.find(1, 300 * kGigabyte).value();
  pool.take(share);
  EXPECT_EQ(pool.find(1, kGigabyte).value().gpus, std::vector<std::size_t>{1});
  EXPECT_EQ(pool.jobs_at_a_time(1, 300 * kGigabyte), 2);
}

TEST(GpuPool, KeepsToTheNumberOfJobsThatWasAskedFor) {
  GpuPool asked(kPair, 1);
  asked.take(asked.find(1, kGigabyte).value());
  asked.take(asked.find(1, kGigabyte).value());
  EXPECT_FALSE(asked.find(1, kGigabyte));
  std::vector<InstalledGpu> one = {kPair[0]};
  one[0].one_process = true;
  GpuPool by_mode(one, 8);
  by_mode.take(by_mode.find(1, kGigabyte).value());
  EXPECT_FALSE(by_mode.find(1, kGigabyte));
}

TEST(GpuPool, NeverSharesAGpuWhoseMemoryIsUnknown) {
  GpuPool pool(std::vector<InstalledGpu>{{.uuid = "GPU-dd44", .name = "NVIDIA GB10"}});
  pool.take(pool.find(1, kGigabyte).value());
  EXPECT_FALSE(pool.find(1, kGigabyte));
}

TEST(GpuPool, KnowsTheGpusOfARunningJobByTheirNames) {
  GpuPool pool(kPair);
  pool.take(pool.named("GPU-bb22,GPU-ee55", 0));
  EXPECT_EQ(pool.find(1, 0).value().gpus, std::vector<std::size_t>{0});
  EXPECT_TRUE(pool.named("", 0).gpus.empty());
  EXPECT_TRUE(pool.named("0", 0).gpus.empty());
}

}  // namespace
}  // namespace mestre
