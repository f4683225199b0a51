// SPDX-License-Identifier: Apache-2.0
// What is read from a cubin's headers, against what was compiled and what ptxas said of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

#include "inspect/image/read_image.h"
#include "inspect/toolkit.h"

namespace warpwright::inspect {
namespace {

// Kernels with everything that a header tells.
constexpr std::string_view kSource = R"cu(
#include <cstdio>
struct Big { int v[40]; };
__constant__ int table[64];
__global__ void __launch_bounds__(384, 1) bounded(float* p, Big b, char c) {
    __shared__ float s[512];
    s[threadIdx.x & 511] = p[threadIdx.x];
    __syncthreads();
    p[threadIdx.x] = s[(threadIdx.x + c) & 511] + b.v[threadIdx.x % 40] + table[threadIdx.x & 63];
}
__global__ void nothing() {}
__global__ void writes(int* p) { *p = 1; }
#if __CUDA_ARCH__ >= 900
__global__ void __cluster_dims__(2, 1, 1) clustered(int* p) { *p = 1; }
#endif
__device__ __noinline__ int square(int x) { return x * x + 1; }
__global__ void local_array(int* p) {
    int a[100];
#pragma unroll 1
    for (int i = 0; i < 100; ++i) a[i] = square(p[i]);
    p[5] = a[p[3]];
}
__global__ void prints(int* p) { printf("value %d of the table\n", *p); }
)cu";

Image read_sample(const Sample& sample, Depth depth = Depth::headers) {
    Image image;
    read_cubin(bytes_of(sample.bytes), depth, image);
    return image;
}

const Kernel* find(const Image& image, std::string_view part) {
    for (const Kernel& kernel : image.kernels) {
        if (kernel.name.find(part) != std::string::npos) return &kernel;
    }
    return nullptr;
}

bool has_part(const std::vector<std::string>& texts, std::string_view part) {
    return std::any_of(texts.begin(), texts.end(),
                       [&](const std::string& text) { return text.find(part) != std::string::npos; });
}

int number_in(const std::string& text, const std::string& pattern) {
    std::smatch match;
    return std::regex_search(text, match, std::regex(pattern)) ? std::stoi(match[1]) : 0;
}

// The part of the log of `ptxas -v` on one kernel.
std::string log_of(const std::string& log, const std::string& kernel) {
    const size_t begin = log.find("Compiling entry function '" + kernel + "'");
    const size_t end = log.find("Compiling entry function", begin + 1);
    return begin == log.npos ? "" : log.substr(begin, end - begin);
}

// The front end runs once for the targets before 9.0, which have no clusters, and once for the others.
std::optional<Sample> sample_for(const std::string& target) {
    const bool has_clusters = target >= "sm_90" || target.size() > 5;  // "sm_100" is less as a text
    const auto ptx =
        compile_sample(kSource, has_clusters ? "-ptx -arch=compute_90" : "-ptx -arch=compute_75");
    if (!ptx || ptx->exit_code != 0) return ptx;
    return assemble(ptx->bytes, target);
}

class ImageCubin : public testing::TestWithParam<std::string> {};

TEST_P(ImageCubin, AgreesWithPtxas) {
    WW_NEED_PROGRAM("nvcc");
    const std::string target = GetParam();
    const auto sample = sample_for(target);
    ASSERT_EQ(sample->exit_code, 0) << sample->log;
    ASSERT_TRUE(is_cubin(bytes_of(sample->bytes)));
    const Image image = read_sample(*sample);
    EXPECT_EQ(image.damage, "");
    EXPECT_EQ(architecture_name(image.architecture), target);
    EXPECT_FALSE(has_part(image.architecture_evidence, "disagreement"));
    EXPECT_TRUE(has_part(image.architecture_evidence, "tkinfo: -arch " + target));
    EXPECT_TRUE(std::regex_match(image.toolkit, std::regex(R"([0-9]+\.[0-9]+\.[0-9]+ \(ptxas\))")))
        << image.toolkit;
    EXPECT_NE(image.options.find("-arch " + target), std::string::npos) << image.options;
    EXPECT_FALSE(image.made_by_nvrtc);
    EXPECT_FALSE(image.relocatable);
    EXPECT_EQ(image.abi, 8);
    EXPECT_EQ(image.isa_class, image.architecture.sm >= 90 ? 1 : -1);
    EXPECT_EQ(image.undefined, std::vector<std::string>{"vprintf"});
    EXPECT_EQ(image.texts, std::vector<std::string>{"value %d of the table\n"});

    ASSERT_EQ(image.kernels.size(), image.architecture.sm >= 90 ? 6u : 5u);
    for (const Kernel& kernel : image.kernels) {
        SCOPED_TRACE(kernel.name);
        const std::string log = log_of(sample->log, kernel.name);
        ASSERT_NE(log, "");
        EXPECT_EQ(kernel.registers, number_in(log, "Used ([0-9]+) registers"));
        EXPECT_EQ(kernel.barriers, number_in(log, "used ([0-9]+) barriers"));
        EXPECT_EQ(kernel.shared_bytes, number_in(log, "([0-9]+) bytes smem"));
        EXPECT_EQ(kernel.stack_bytes, std::max(number_in(log, "([0-9]+) bytes cumulative stack"),
                                               number_in(log, "([0-9]+) bytes stack frame")));
        EXPECT_EQ(kernel.calls_printf, kernel.name.find("prints") != std::string::npos);
        EXPECT_FALSE(kernel.classes_known);
        EXPECT_FALSE(kernel.uses_tensor_map);
        EXPECT_GE(kernel.code_bytes, 128u);
    }
    const Kernel& bounded = *find(image, "bounded");
    EXPECT_EQ(bounded.max_threads, (std::array{384, 1, 1}));
    EXPECT_EQ(bounded.shared_bytes, 2048);
    EXPECT_EQ(bounded.num_parameters, 3);
    EXPECT_EQ(bounded.parameter_bytes, 8 + 160 + 1);
    EXPECT_EQ(find(image, "nothing")->num_parameters, 0);
    EXPECT_EQ(find(image, "nothing")->parameter_bytes, 0);
    EXPECT_EQ(find(image, "nothing")->max_threads, (std::array{0, 0, 0}));
    EXPECT_GE(find(image, "local_array")->stack_bytes, 400);
    if (image.architecture.sm >= 90) {
        EXPECT_EQ(find(image, "clustered")->cluster, (std::array{2, 1, 1}));
    }
}
TEST_P(ImageCubin, AgreesWithCuobjdump) {
    WW_NEED_PROGRAM("nvcc");
    WW_NEED_PROGRAM("cuobjdump");
    const auto sample = sample_for(GetParam());
    const auto printed = printed_by("cuobjdump", "-res-usage", sample->bytes);
    if (!printed) GTEST_SKIP() << "needs a cuobjdump that knows " << GetParam();
    const Image image = read_sample(*sample);
    for (const Kernel& kernel : image.kernels) {
        SCOPED_TRACE(kernel.name);
        // " Function NAME:\n  REG:13 STACK:0 SHARED:2048 LOCAL:0 ..."
        const size_t at = printed->find("Function " + kernel.name + ":");
        ASSERT_NE(at, std::string::npos) << *printed;
        const std::string line = printed->substr(at + 10 + kernel.name.size(), 100);
        EXPECT_EQ(kernel.registers, number_in(line, "REG:([0-9]+)"));
        EXPECT_EQ(kernel.stack_bytes, number_in(line, "STACK:([0-9]+)"));
        const bool is_reserved =
            image.architecture.sm >= 90 && kernel.shared_bytes > 0;  // it counts the system's
        EXPECT_EQ(kernel.shared_bytes, number_in(line, "SHARED:([0-9]+)") - (is_reserved ? 1024 : 0));
    }
}

INSTANTIATE_TEST_SUITE_P(Targets, ImageCubin, testing::ValuesIn(toolkit_targets()),
                         [](const auto& info) { return info.param; });

TEST(ImageCubin, ReadsRelocatableAndLinkedObjects) {
    WW_NEED_PROGRAM("nvlink");
    const auto user = compile_sample(R"cu(
        __device__ int foo(int x);
        __global__ void uses(int* p) {
            __shared__ int s[64];
            s[threadIdx.x] = p[0];
            __syncthreads();
            p[0] = foo(p[1]) + s[3];
        })cu",
                                     "-rdc=true -cubin -arch=sm_90a");
    const auto used = compile_sample(R"cu(
        #include <cstdio>
        __device__ __noinline__ int foo(int x) { printf("%d\n", x); return x + 1; })cu",
                                     "-rdc=true -cubin -arch=sm_90a");
    ASSERT_EQ(user->exit_code, 0) << user->log;
    const Image object = read_sample(*user);
    EXPECT_TRUE(object.relocatable);
    EXPECT_EQ(object.undefined, std::vector<std::string>{"_Z3fooi"});
    ASSERT_EQ(object.kernels.size(), 1u);
    EXPECT_EQ(object.kernels[0].shared_bytes, 256);

    const auto linked = link_sample({user->bytes, used->bytes}, "sm_90a");
    ASSERT_EQ(linked->exit_code, 0) << linked->log;
    const Image image = read_sample(*linked);
    EXPECT_FALSE(image.relocatable);
    EXPECT_EQ(architecture_name(image.architecture), "sm_90a");
    EXPECT_TRUE(image.toolkit.ends_with("(nvlink)")) << image.toolkit;
    EXPECT_EQ(image.undefined, std::vector<std::string>{"vprintf"});
    ASSERT_EQ(image.kernels.size(), 1u);
    EXPECT_EQ(image.kernels[0].shared_bytes, 256);
    EXPECT_TRUE(image.kernels[0].calls_printf);
}

TEST(ImageCubin, NamesADisagreement) {
    WW_NEED_PROGRAM("ptxas");
    const auto sample =
        assemble(".version 9.0\n.target sm_120\n.address_size 64\n.visible .entry k() { ret; }\n", "sm_120");
    ASSERT_EQ(sample->exit_code, 0) << sample->log;
    Image image;
    image.architecture = {120, Suffix::f};  // what a fatbin's entry says
    image.architecture_evidence = {"fatbin entry: 120f"};
    read_cubin(bytes_of(sample->bytes), Depth::headers, image);
    EXPECT_EQ(architecture_name(image.architecture), "sm_120f");
    EXPECT_TRUE(has_part(image.architecture_evidence,
                         "disagreement: the fatbin's entry says sm_120f, tkinfo says sm_120"));
    image = {};
    image.architecture = {90, Suffix::none};
    read_cubin(bytes_of(sample->bytes), Depth::headers, image);
    EXPECT_EQ(architecture_name(image.architecture), "sm_120");
    EXPECT_TRUE(has_part(image.architecture_evidence,
                         "disagreement: the fatbin's entry says sm_90, e_flags says sm_120"));
}

TEST(ImageCubin, SaysWhatIsDamaged) {
    WW_NEED_PROGRAM("nvcc");
    const auto sample = sample_for("sm_90a");
    Image image;
    read_cubin(bytes_of("no cubin"), Depth::headers, image);
    EXPECT_NE(image.damage, "");
    std::string cut = sample->bytes;
    cut.resize(cut.size() / 2);
    image = {};
    read_cubin(bytes_of(cut), Depth::headers, image);
    EXPECT_NE(image.damage, "");
}

}  // namespace
}  // namespace warpwright::inspect
