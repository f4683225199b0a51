// SPDX-License-Identifier: Apache-2.0
#include "device/machine.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

namespace warpwright {
namespace {

namespace fs = std::filesystem;

struct Folder {
    fs::path path;
    explicit Folder(const char* name) : path(fs::path(testing::TempDir()) / name) {
        fs::remove_all(path);
        fs::create_directories(path);
    }
    ~Folder() { fs::remove_all(path); }
    void write(const char* file, const char* text) const {
        fs::create_directories((path / file).parent_path());
        std::ofstream(path / file) << text;
    }
};

TEST(Machine, HostFacts) {
    const HostFacts facts = read_host_facts();
    EXPECT_FALSE(facts.model.empty());
    EXPECT_GE(facts.num_cores, 1);
    EXPECT_LE(facts.num_cores, facts.num_cores_total);
    EXPECT_GT(facts.memory_bytes, i64{64} << 20);
    EXPECT_LE(facts.free_bytes, facts.memory_bytes);
    const std::set<std::string> levels = {"avx512", "avx2", "sse4", "neon", "scalar"};
    EXPECT_TRUE(levels.count(facts.simd)) << facts.simd;
}

TEST(Machine, ToolkitsSayTheirVersion) {
    const Folder root("ww_toolkits");
    root.write("cuda-12.8/version.json",
               R"({"cuda" : {"name" : "CUDA SDK", "version" : "12.8.1"}, "cuda_cudart" : {}})");
    root.write("cuda-12.8/bin/nvcc", "");
    root.write("cuda-11.0/readme", "");
    root.write("other/version.json", "{}");
    fs::create_directory_symlink(root.path / "cuda-12.8", root.path / "cuda");
    const auto found = find_toolkits(root.path.string());
    ASSERT_EQ(found.size(), 2u);  // the link and what it points to are one
    EXPECT_EQ(found[0].version, "12.8.1");
    EXPECT_TRUE(found[0].has_nvcc);
    EXPECT_EQ(found[1].version, "");
    EXPECT_FALSE(found[1].has_nvcc);
    EXPECT_TRUE(find_toolkits((root.path / "nowhere").string()).empty());
}

TEST(Machine, NvrtcOfTheProjectComesFirstAndABrokenOneSaysWhy) {
    const Folder project("ww_project");
    project.write(".local/nvrtc/nvidia/cu13/lib/libnvrtc.so.13", "not a library");
    const auto found = find_nvrtc(project.path.string());
    ASSERT_FALSE(found.empty());
    EXPECT_EQ(found[0].path, (project.path / ".local/nvrtc/nvidia/cu13/lib/libnvrtc.so.13").string());
    EXPECT_FALSE(found[0].problem.empty());
    std::set<std::string> paths;
    for (std::size_t i = 1; i < found.size(); ++i) {
        EXPECT_TRUE(paths.insert(fs::canonical(found[i].path).string()).second) << found[i].path;
        EXPECT_EQ(found[i].problem.empty(), found[i].major > 0) << found[i].path << ": " << found[i].problem;
    }
}

TEST(Machine, ProbeAgreesWithTheDevices) {
    const Machine machine = probe_machine();
    EXPECT_EQ(machine.cuda_problem.empty(), !machine.gpus.empty()) << machine.cuda_problem;
    EXPECT_EQ(machine.peers.size(),
              machine.gpus.size() * (machine.gpus.empty() ? 0 : machine.gpus.size() - 1));
    for (const GpuInfo& gpu : machine.gpus) {
        EXPECT_FALSE(gpu.name.empty());
        EXPECT_GT(gpu.target.facts.num_sms, 0);
        EXPECT_TRUE(gpu.target.measured);
        EXPECT_EQ(gpu.uuid.size(), 40u) << gpu.uuid;
    }
    for (const PeerPath& path : machine.peers) EXPECT_EQ(path.access, path.link != "none");
}

}  // namespace
}  // namespace warpwright
