// SPDX-License-Identifier: Apache-2.0
// The tables behind probe: variables, PTX versions, packages, and the reader of data files.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "device/data_table.h"
#include "device/machine.h"
#include "device/ptx_versions.h"
#include "device/variables.h"
#include "inspect/machine/packages.h"

namespace warpwright {
namespace {

namespace fs = std::filesystem;

TEST(Variables, EveryEngineHasSome) {
    for (const char* of :
         {"CUDA", "torch", "Triton", "FlashInfer", "vLLM", "SGLang", "TensorRT-LLM", "NCCL", "NVSHMEM"}) {
        int count = 0;
        for (const KnownVariable& variable : known_variables()) count += variable.of == of ? 1 : 0;
        EXPECT_GE(count, 4) << of;
    }
    for (const KnownVariable& variable : known_variables())
        EXPECT_TRUE(variable.source.starts_with("https://")) << variable.name;
}

TEST(Variables, ThoseThatAreSetAreReported) {
    ASSERT_EQ(setenv("NCCL_PROTO", "LL", 1), 0);
    ASSERT_EQ(setenv("WW_NOT_IN_THE_LIST", "secret", 1), 0);
    const std::vector<SetVariable> found = set_variables();
    ASSERT_EQ(unsetenv("NCCL_PROTO"), 0);
    ASSERT_EQ(unsetenv("WW_NOT_IN_THE_LIST"), 0);
    const auto proto = std::ranges::find(found, "NCCL_PROTO", &SetVariable::name);
    ASSERT_NE(proto, found.end());
    EXPECT_EQ(proto->value, "LL");
    for (const SetVariable& set : found) EXPECT_NE(find_variable(set.name), nullptr) << set.name;
}

TEST(PtxVersions, OfADriver) {
    EXPECT_EQ(newest_ptx("13.0"), "9.0");
    EXPECT_EQ(newest_ptx("12.8"), "8.7");
    EXPECT_EQ(newest_ptx("12.6"), "8.5");  // brought none of its own
    EXPECT_EQ(newest_ptx("99.0"), "9.1");
    EXPECT_EQ(newest_ptx("8.0"), "");
    EXPECT_EQ(newest_ptx(""), "");
    EXPECT_EQ(newest_ptx("new"), "");
}

TEST(DataTables, AFlawIsNamed) {
    const auto flaw = [](std::string_view text) {
        try {
            for_each_table("t.toml", text, "row", [](DataTable& table) {
                table.text("name");
                table.one_of("kind", {"a", "b"});
                table.date("date");
            });
        } catch (const std::logic_error& error) {
            return std::string(error.what());
        }
        return std::string("none");
    };
    const std::string good = "[[row]]\nname='x'\nkind='a'\ndate='2026-11-26'\n";
    EXPECT_EQ(flaw(good), "none");
    EXPECT_EQ(flaw(good + "othr='1'\n"), "t.toml: [[row]] x: unknown key 'othr'");
    EXPECT_EQ(flaw("[[row]]\nname='x'\nkind='c'\ndate='2026-11-26'\n"),
              "t.toml: [[row]] x: 'kind' cannot be 'c'");
    EXPECT_EQ(flaw("[[row]]\nname='x'\nkind='a'\n"), "t.toml: [[row]] x: 'date' is missing");
    EXPECT_EQ(flaw("[[row]]\nname='x'\nkind='a'\ndate='today'\n"),
              "t.toml: [[row]] x: 'date': expected YYYY-MM-DD, got 'today'");
    EXPECT_EQ(flaw("[[row]]\nname=3\n"), "t.toml: [[row]] without a name: 'name' is no text");
    EXPECT_EQ(flaw("a=1\n"), "t.toml: no [[row]]");
    EXPECT_NE(flaw("[[row"), "none");
}

class Installed : public testing::Test {
protected:
    void SetUp() override {
        fs::remove_all(root_);
        for (const char* name :
             {"vllm-0.11.0.dist-info", "Flash_Attn-2.8.3.dist-info", "requests-2.32.0.dist-info", "torch"})
            fs::create_directories(root_ / name);
    }
    void TearDown() override { fs::remove_all(root_); }
    const fs::path root_ = fs::path(testing::TempDir()) / "ww_site-packages";
};

TEST_F(Installed, KnownPackagesAreFoundByTheirMetadata) {
    const std::vector<PackageInfo> found = find_packages({root_.string(), (root_ / "nowhere").string()});
    ASSERT_EQ(found.size(), 2u);
    EXPECT_EQ(found[0].name, "flash_attn");
    EXPECT_EQ(found[0].version, "2.8.3");
    EXPECT_EQ(found[1].name, "vllm");
    EXPECT_TRUE(found[1].verdicts.empty());
}

TEST(Toolkits, TheOneOnPathIsFound) {
    const fs::path root = fs::path(testing::TempDir()) / "ww_path_toolkit";
    fs::remove_all(root);
    fs::create_directories(root / "cuda/bin");
    fs::create_directories(root / "cuda/include");
    fs::create_directories(root / "links");
    std::ofstream(root / "cuda/bin/nvcc") << "";
    std::ofstream(root / "cuda/include/cuda.h") << "#ifndef X\n#define CUDA_VERSION 12090\n";
    fs::create_symlink(root / "cuda/bin/nvcc", root / "links/nvcc");
    const std::string before = std::getenv("PATH");
    setenv("PATH", (root / "links").c_str(), 1);
    std::vector<ToolkitInfo> toolkits;
    add_toolkit_on_path(toolkits);
    add_toolkit_on_path(toolkits);  // known now
    setenv("PATH", before.c_str(), 1);
    ASSERT_EQ(toolkits.size(), 1u);
    EXPECT_EQ(toolkits[0].version, "12.9");
    EXPECT_TRUE(toolkits[0].has_nvcc);
    fs::remove_all(root);
}

inspect::FileReport file(inspect::Runs runs, const char* text) {
    inspect::FileReport report;
    report.verdicts = {{.target = "h200", .runs = runs, .text = text}};
    return report;
}

TEST(Packages, FilesAreJudgedTogether) {
    using inspect::Runs;
    const auto native = file(Runs::native, ""), jit = file(Runs::jit, ""), no = file(Runs::no, "no image"),
               partly = file(Runs::partly, "some kernels");
    EXPECT_EQ(inspect::verdicts_of({&native, &native})[0].runs, "native");
    EXPECT_EQ(inspect::verdicts_of({&native, &jit})[0].runs, "jit");
    EXPECT_EQ(inspect::verdicts_of({&no, &no})[0].runs, "no");
    EXPECT_EQ(inspect::verdicts_of({&native, &partly})[0].runs, "partly");
    EXPECT_EQ(inspect::verdicts_of({&native, &partly})[0].num_bad, 0);
    const auto mixed = inspect::verdicts_of({&native, &no, &partly});
    ASSERT_EQ(mixed.size(), 1u);
    EXPECT_EQ(mixed[0].runs, "partly");
    EXPECT_EQ(mixed[0].num_files, 3);
    EXPECT_EQ(mixed[0].num_bad, 1);
    EXPECT_EQ(mixed[0].text, "no image");
    EXPECT_TRUE(inspect::verdicts_of({}).empty());
}

TEST(Packages, NoGpuIsAnAnswer) {
    Machine machine;
    const Status status = inspect::judge_packages({"/nowhere"}, machine);
    ASSERT_FALSE(status.ok());
    EXPECT_NE(status.message().find("no GPU here to judge for"), std::string::npos);
}

}  // namespace
}  // namespace warpwright
