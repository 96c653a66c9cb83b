#include "core/data/manifest.h"

#include <functional>
#include <string>

#include <gtest/gtest.h>

#include "core/base/error.h"

namespace mestre {
namespace {

const std::string kDigest = "00112233445566778899aabbccddeeff";

std::string valid(const std::string& with = "", const std::string& instead_of = "") {
  std::string json = R"({"digest":"00112233445566778899aabbccddeeff","documents":2,"files":[{"bytes":20,)"
                     R"("digest":"00112233445566778899aabbccddeeff","path":"train.bin","tokens":10}],"format":1,)"
                     R"("tokenizer":"bytes","tokenizer_version":1,"tokens":10,"vocabulary":257})";
  if (!instead_of.empty()) {
    const std::size_t at = json.find(instead_of);
    EXPECT_NE(at, std::string::npos) << instead_of;
    json.replace(at, instead_of.size(), with);
  }
  return json;
}

TEST(Manifest, ReadsWhatItWrites) {
  const Manifest manifest = parse_manifest(valid(), "m");
  EXPECT_EQ(manifest.identity.digest, kDigest);
  EXPECT_EQ(manifest.identity.tokenizer, "bytes");
  EXPECT_EQ(manifest.identity.vocabulary, 257);
  EXPECT_EQ(manifest.documents, 2);
  EXPECT_EQ(manifest.files.at(0).path, "train.bin");
  EXPECT_EQ(to_json(manifest), valid());
}

struct Mistake {
  const char* name;
  std::string instead_of;
  std::string with;
  std::string message;
};

class ManifestMistake : public testing::TestWithParam<Mistake> {};

TEST_P(ManifestMistake, IsNamed) {
  const Mistake& mistake = GetParam();
  try {
    (void)parse_manifest(valid(mistake.with, mistake.instead_of), "d/m");
    FAIL() << "no error for " << mistake.with;
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), mistake.message);
    EXPECT_EQ(error.code(), ErrorCode::kDataCorrupt);
    EXPECT_FALSE(error.hints().empty() && mistake.message.find("unknown member") == std::string::npos);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, ManifestMistake,
    testing::Values(
        Mistake{"torn", R"("tokens":10,"vocabulary":257})", R"("tok)", "'d/m' is not JSON: it breaks at byte 215"},
        Mistake{"beyond_doubles", R"("documents":2)", R"("documents":2e308)",
                "'d/m' is not JSON: a number in it is too large"},
        Mistake{"lacking", R"("documents":2,)", "", "'d/m' lacks the member 'documents'"},
        Mistake{"unknown", R"("documents":2,)", R"("documents":2,"dokuments":2,)",
                "'d/m' has an unknown member 'dokuments'"},
        Mistake{"wrong_type", R"("documents":2)", R"("documents":"2")",
                "'d/m': documents is not a whole number of at least 1"},
        Mistake{"fraction", R"("documents":2)", R"("documents":2.5)",
                "'d/m': documents is not a whole number of at least 1"},
        Mistake{"beyond_64_bits", R"("documents":2)", R"("documents":18446744073709551615)",
                "'d/m': documents is not a whole number of at least 1"},
        Mistake{"vocabulary", R"("vocabulary":257)", R"("vocabulary":70000)",
                "'d/m': vocabulary is not a whole number from 1 to 65536"},
        Mistake{"digest", R"({"digest":"00112233445566778899aabbccddeeff","doc)",
                R"({"digest":"00112233445566778899AABBCCDDEEFF","doc)",
                "'d/m': digest is not a digest of 32 lower-case hexadecimal digits"},
        Mistake{"other_digest", R"({"digest":"0)", R"({"digest":"1)", "'d/m': digest is not that of the only file"},
        Mistake{"no_files",
                R"([{"bytes":20,"digest":"00112233445566778899aabbccddeeff","path":"train.bin","tokens":10}])", "[]",
                "'d/m': files is not a list of at least one file"},
        Mistake{"file_member", R"("path":"train.bin",)", "", "'d/m' lacks the member 'files[0].path'"},
        Mistake{"file_unknown", R"("path":)", R"("mode":0,"path":)", "'d/m' has an unknown member 'files[0].mode'"},
        Mistake{"outside", R"("path":"train.bin")", R"("path":"a/../../train.bin")",
                "'d/m': files[0].path is not a relative path inside the manifest's folder"},
        Mistake{"absolute", R"("path":"train.bin")", R"("path":"/etc/passwd")",
                "'d/m': files[0].path is not a relative path inside the manifest's folder"},
        Mistake{"bytes", R"("bytes":20)", R"("bytes":21)", "'d/m': files[0].bytes is not twice the number of tokens"},
        Mistake{"sum", R"("tokens":10,"vocabulary")", R"("tokens":11,"vocabulary")",
                "'d/m': tokens is not 10, the sum over the files"},
        Mistake{"not_an_object",
                R"([{"bytes":20,"digest":"00112233445566778899aabbccddeeff","path":"train.bin","tokens":10}])", "[7]",
                "'d/m': files[0]. is not a JSON object"}),
    [](const auto& tried) { return tried.param.name; });

std::string mixture(const std::string& instead_of = "", const std::string& with = "") {
  std::string json = R"({"components":[{"digest":"00112233445566778899aabbccddeeff","path":"code/train.manifest",)"
                     R"("slots":19661,"tokens":10},{"digest":"ffeeddccbbaa99887766554433221100",)"
                     R"("path":"web/train.manifest","slots":45875,"tokens":20}],)"
                     R"("digest":"DIGEST","documents":4,"format":2,"tokenizer":"bytes",)"
                     R"("tokenizer_version":1,"tokens":30,"vocabulary":257})";
  json.replace(json.find("DIGEST"), 6,
               mixture_digest({{.digest = "00112233445566778899aabbccddeeff", .slots = 19661},
                               {.digest = "ffeeddccbbaa99887766554433221100", .slots = 45875}}));
  if (instead_of.empty()) return json;
  const std::size_t at = json.find(instead_of);
  EXPECT_NE(at, std::string::npos) << instead_of;
  return json.replace(at, instead_of.size(), with);
}

TEST(Manifest, OfAMixtureReadsBack) {
  const Manifest manifest = parse_manifest(mixture(), "m");
  EXPECT_TRUE(manifest.is_mixture());
  ASSERT_EQ(manifest.components.size(), 2U);
  EXPECT_EQ(manifest.components[1].path, "web/train.manifest");
  EXPECT_NEAR(manifest.components[1].share(), 0.7, 1e-5);
  EXPECT_EQ(to_json(manifest), mixture());
}

TEST(Manifest, OfAMixtureNamesItsMistakes) {
  const auto complaint = [](const std::string& instead_of, const std::string& with) -> std::string {
    try {
      (void)parse_manifest(mixture(instead_of, with), "m");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kDataCorrupt);
      return error.message();
    }
    return "none";
  };
  const std::string digest = parse_manifest(mixture(), "m").identity.digest;
  EXPECT_EQ(complaint(R"("slots":19661)", R"("slots":19660)"),
            "'m': components is not a list whose slots add up to 65536");
  EXPECT_EQ(complaint(R"("slots":19661)", R"("slots":0)"),
            "'m': components[0].slots is not a whole number from 1 to 65535");
  EXPECT_EQ(complaint(R"({"digest":"001)", R"({"digest":"fff)"),
            "'m': components is not a list in the order of digests, each of them once");
  EXPECT_EQ(complaint(R"({"digest":"001)", R"({"digest":"002)"),
            "'m': digest is not " +
                mixture_digest({{.digest = "00212233445566778899aabbccddeeff", .slots = 19661},
                                {.digest = "ffeeddccbbaa99887766554433221100", .slots = 45875}}) +
                ", that of the components");
  EXPECT_EQ(complaint(R"("tokens":20)", R"("tokens":21)"), "'m': tokens is not 31, the sum over the components");
  EXPECT_EQ(complaint("web/train", "../web/train"),
            "'m': components[1].path is not a relative path inside the data root");
  EXPECT_EQ(complaint(R"("documents")", R"("files":[],"documents")"), "'m' has an unknown member 'files'");
  EXPECT_EQ(complaint(R"("components":[)", R"("parts":[)"), "'m' has an unknown member 'parts'");
}

TEST(Manifest, OfALaterFormatIsRefusedBeforeAnythingElse) {
  try {
    (void)parse_manifest(R"({"format":3,"shards":[]})", "m");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNewerVersion);
    EXPECT_EQ(error.message(), "'m' has format 3, this build reads up to 2");
  }
}

TEST(Manifest, ThatIsNotThereIsNotFound) {
  try {
    (void)read_manifest("no/such/folder/train.manifest");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_EQ(error.message(), "no manifest at 'no/such/folder/train.manifest'");
  }
}

}  // namespace
}  // namespace mestre
