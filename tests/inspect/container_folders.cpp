// SPDX-License-Identifier: Apache-2.0
// Files and folders of the disk, environments, caches.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "container_samples.h"
#include "inspect/container/printable.h"
#include "scan_samples.h"

namespace warpwright::inspect {
namespace {

using namespace samples;
namespace fs = std::filesystem;

const std::string kCode = cubin();

TEST(Folders, FilesByContentWhateverTheirNames) {
    const Folder folder;
    const std::string code = folder.write("a/no_name", kCode);
    const std::string ptx = folder.write("a/b/kernel.txt", "// made by hand\n" + kPtx);
    const std::string data = folder.write("engine.plan", std::string(100, '\0') + kCode);
    folder.write("a/text.cubin", "a text\n");
    folder.write("empty.so", "");
    folder.write("weights.safetensors", std::string("\x10\0\0\0\0\0\0\0{\"a\":1}", 15) + kCode);
    for (const int threads : {1, 4}) {
        const Seen seen = visit_paths({folder.path()}, {}, threads);
        EXPECT_TRUE(seen.refused.empty()) << seen.refusal();
        std::vector<std::string> names;
        for (const auto& [name, content] : seen.files) names.push_back(name);
        EXPECT_EQ(names, (std::vector<std::string>{ptx, code, data}));
        EXPECT_EQ(seen.done_bytes, seen.total_bytes);
        EXPECT_GT(seen.total_bytes, 0u);
    }
}

TEST(Folders, WhatIsNamedIsAlwaysVisited) {
    const Folder folder;
    const std::string text = folder.write("a.txt", "a text\n");
    const std::string empty = folder.write("b.so", "");
    const Seen seen = visit_paths({text, empty, text});
    EXPECT_EQ(seen.files.size(), 2u);
    EXPECT_EQ(visit_paths({folder.path("none")}).refusal(),
              "caller error: " + folder.path("none") + ": no such file or folder");
    ASSERT_EQ(mkfifo(folder.path("pipe").c_str(), 0600), 0);
    EXPECT_NE(visit_paths({folder.path("pipe")}).refusal().find("got a special file"), std::string::npos);
    EXPECT_TRUE(visit_paths({folder.path()}).refused.empty()) << "a pipe in a folder is passed over";
}

TEST(Folders, LinksLeadToEachFileOnce) {
    const Folder folder;
    const std::string real = folder.write("lib/libx.so.1", kCode);
    fs::create_symlink("libx.so.1", folder.path("lib/libx.so"));
    fs::create_hard_link(real, folder.path("lib/copy.so"));
    fs::create_directory_symlink(folder.path(), folder.path("lib/loop"));
    fs::create_symlink("nowhere", folder.path("lib/dangling"));
    const Seen seen = visit_paths({folder.path(), folder.path("lib")});
    EXPECT_EQ(seen.files.size(), 1u);
    EXPECT_TRUE(seen.refused.empty()) << seen.refusal();
    // By the link, where only that is named.
    EXPECT_EQ(visit_paths({folder.path("lib/libx.so")}).files.count(folder.path("lib/libx.so")), 1u);
    EXPECT_EQ(visit_paths({folder.path("lib/loop")}).files.size(), 1u) << "a link to a folder, named";
}

TEST(Folders, FilesThatMayNotBeReadAreSaid) {
    if (geteuid() == 0) GTEST_SKIP() << "needs another user than root, who may read everything";
    const Folder folder;
    chmod(folder.write("a.so", kCode).c_str(), 0);
    fs::create_directory(folder.path("closed"));
    chmod(folder.path("closed").c_str(), 0);
    EXPECT_EQ(visit_paths({folder.path()}).refused.size(), 2u);
    chmod(folder.path("closed").c_str(), 0700);
}

TEST(Folders, AFileOfHolesIsRefused) {
    const Folder folder;
    const std::string path = folder.write("sparse", kCode);
    std::error_code error;
    fs::resize_file(path, u64{1} << 40, error);
    if (error) GTEST_SKIP() << "needs a file system with files of 1 TB: " << error.message();
    EXPECT_NE(visit_paths({folder.path()}).refusal().find("1099511627776 bytes, of which the disk has "),
              std::string::npos);
}

// The file loses its second half while it is read.
TEST(Folders, AFileThatShrinksIsSaid) {
    const Folder folder;
    const std::string path = folder.write("a.so", kCode + std::string(1 << 20, 'x'));
    FileVisitor visitor;
    std::vector<std::string> refused;
    u64 sum = 0;
    visitor.refused = [&](const std::string& sentence) { refused.push_back(sentence); };
    visitor.file = [&](const FileBytes& file) {
        fs::resize_file(path, 4096);
        for (const std::byte byte : file.bytes) sum += static_cast<u64>(byte);
    };
    ASSERT_TRUE(visit_files({path}, {}, 1, visitor).ok());
    ASSERT_EQ(refused.size(), 1u);
    EXPECT_EQ(refused[0], path + ": could not be read to its end: it shrank, or its disk failed");
    EXPECT_LT(sum, u64{'x'} * 5000) << "what is lost reads as zeros";
}

TEST(Folders, StopEndsEarly) {
    const Folder folder;
    for (int i = 0; i < 20; ++i) folder.write(std::to_string(i), kCode);
    std::atomic<int> count = 0;
    FileVisitor visitor;
    visitor.file = [&](const FileBytes&) { ++count; };
    visitor.stop = [&] { return count >= 3; };
    ASSERT_TRUE(visit_files({folder.path()}, {}, 2, visitor).ok());
    EXPECT_GE(count, 3);
    EXPECT_LE(count, 4);
}

TEST(Environment, FindsPackagesAndEditableSources) {
    const Folder folder;
    const std::string packages = "venv/lib/python3.11/site-packages";
    folder.write(packages + "/torch/lib/libtorch.so", kCode);
    folder.write("sources/vllm/_C.so", kCode);
    folder.write(packages + "/vllm.pth", "# sources\nimport x\n" + folder.path("sources") + "\r\n/nowhere\n");
    fs::create_directory_symlink("lib", folder.path("venv/lib64"));
    const auto found = environment_paths(folder.path("venv"));
    ASSERT_TRUE(found.ok()) << found.status().message();
    EXPECT_EQ(*found, (std::vector<std::string>{folder.path(packages), folder.path("sources")}));
    const auto inner = environment_paths(folder.path(packages));
    ASSERT_TRUE(inner.ok());
    EXPECT_EQ(*inner, *found);
    const auto slash = environment_paths(folder.path(packages) + "/");
    ASSERT_TRUE(slash.ok());

    const auto none = environment_paths(folder.path("sources"));
    ASSERT_FALSE(none.ok());
    EXPECT_NE(none.status().message().find("expected a virtual environment"), std::string::npos);
    EXPECT_FALSE(environment_paths(folder.path("nowhere")).ok());
}

TEST(Environment, CondaHasLibrariesBesidePython) {
    const Folder folder;
    folder.write("conda-meta/history", "x");
    folder.write("lib/libcublas.so", kCode);
    folder.write("lib/python3.12/site-packages/a.so", kCode);
    const auto found = environment_paths(folder.path());
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(visit_paths(*found).files.size(), 2u) << "each once";
}

class Variables {
public:
    explicit Variables(const std::map<std::string, std::string>& values) {
        for (const auto& [name, value] : values) {
            const char* before = std::getenv(name.c_str());
            before_[name] = before != nullptr ? std::optional<std::string>(before) : std::nullopt;
            setenv(name.c_str(), value.c_str(), 1);
        }
    }
    ~Variables() {
        for (const auto& [name, value] : before_) {
            if (value)
                setenv(name.c_str(), value->c_str(), 1);
            else
                unsetenv(name.c_str());
        }
    }
    Variables(const Variables&) = delete;
    Variables& operator=(const Variables&) = delete;

private:
    std::map<std::string, std::optional<std::string>> before_;
};

TEST(Caches, AreFoundWhereTheirProgramsPutThem) {
    const Folder folder;
    const Variables variables({{"HOME", folder.path()},
                               {"USER", "someone"},
                               {"TMPDIR", folder.path("tmp")},
                               {"TRITON_CACHE_DIR", ""},
                               {"TRITON_HOME", ""},
                               {"FLASHINFER_WORKSPACE_BASE", ""},
                               {"FLASHINFER_CUBIN_DIR", ""},
                               {"DG_JIT_CACHE_DIR", folder.path("dg")},
                               {"EP_JIT_CACHE_DIR", ""},
                               {"CUTE_DSL_CACHE_DIR", ""},
                               {"TORCHINDUCTOR_CACHE_DIR", ""},
                               {"CUDA_CACHE_PATH", ""}});
    fs::create_directory(folder.path("tmp"));
    EXPECT_TRUE(jit_caches().empty());
    folder.write(".triton/cache/HASH/kernel.cubin", kCode);
    folder.write(".cache/flashinfer/0.6.1/90a/cached_ops/x/x.so", kCode);
    folder.write(".cache/flashinfer/cubins/y.cubin", kCode);
    folder.write("dg/cache/kernel.gemm.0123/kernel.cubin", kCode);
    folder.write(".deep_gemm/cache/kernel.gemm.0123/kernel.cubin", kCode);
    folder.write(".nv/ComputeCache/a/b/entry", std::string(64, '\1') + kCode);
    folder.write("tmp/someone/cutlass_python_cache/x.mlir", "ML\xefR" + kCode);
    std::vector<std::string> names;
    std::vector<std::string> paths;
    for (const JitCache& cache : jit_caches()) {
        names.push_back(cache.name);
        paths.push_back(cache.path);
    }
    EXPECT_EQ(names,
              (std::vector<std::string>{"Triton", "FlashInfer", "DeepGEMM", "CuTe DSL", "CUDA's driver"}));
    EXPECT_EQ(visit_paths(paths).files.size(), 6u) << "DG_JIT_CACHE_DIR takes the place of the home's";
    EXPECT_EQ(jit_cache_of(folder.path("dg/cache/kernel.gemm.0123/kernel.cubin")), "DeepGEMM");
    EXPECT_EQ(jit_cache_of(folder.path("dg/../dg/x.cubin")), "DeepGEMM");
    EXPECT_EQ(jit_cache_of(folder.path("dg2/x.cubin")), "");
    EXPECT_EQ(jit_cache_of(folder.path(".cache/flashinfer/cubins/y.cubin")), "") << "downloaded";
    EXPECT_EQ(jit_cache_of("saved.tar!/me/.nv/ComputeCache/a/b/entry"), "CUDA's driver");
    EXPECT_EQ(jit_cache_of("lib/x.so"), "");
}

TEST(Printable, EscapesWhatATerminalWouldObey) {
    EXPECT_EQ(printable("lib/a b.so"), "lib/a b.so");
    EXPECT_EQ(printable("\x1b[31m\n\x7f"), "\\x1b[31m\\x0a\\x7f");
    EXPECT_EQ(printable("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"), "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
    EXPECT_EQ(printable("\xc2\x9b\xed\xa0\x80\xc0\xaf\xff"), "\\xc2\\x9b\\xed\\xa0\\x80\\xc0\\xaf\\xff");
    EXPECT_NE(printable("\\x1b"), printable("\x1b"));
}

}  // namespace
}  // namespace warpwright::inspect
