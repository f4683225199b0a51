// SPDX-License-Identifier: Apache-2.0
// Kernels that were compiled without the macros that their bodies ask for, as nvcc makes them of wrong
// -gencode options, and kernels that look alike and are no stubs.
#include <gtest/gtest.h>

#include "inspect/image/read_image.h"
#include "inspect/toolkit.h"

namespace warpwright::inspect {
namespace {

constexpr std::string_view kSource = R"cu(
#include <cassert>
#include <cstdio>
#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || defined(__CUDA_ARCH_FEAT_SM120_ALL) || \
    (defined(__CUDA_ARCH_FAMILY_SPECIFIC__) && __CUDA_ARCH_FAMILY_SPECIFIC__ >= 1000)
#define HAS_FEATURES 1
#else
#define HAS_FEATURES 0
#endif

extern "C" {
struct Big { float* to; int values[32]; };
// FlashAttention 3's way: an empty body.
__global__ void empties(float* p, int n) {
#if HAS_FEATURES
    p[threadIdx.x] = static_cast<float>(n);
#endif
}
__global__ void empties_large(const __grid_constant__ Big big) {
#if HAS_FEATURES
    big.to[threadIdx.x] = static_cast<float>(big.values[threadIdx.x & 31]);
#endif
}
__global__ void traps(float* p) {
#if HAS_FEATURES
    p[threadIdx.x] = 1;
#else
    __trap();
#endif
}
__global__ void breaks(float* p) {
#if HAS_FEATURES
    p[threadIdx.x] = 1;
#else
    __brkpt();
#endif
}
// CUTLASS's way.
__global__ void says(float* p, int n) {
#if HAS_FEATURES
    p[threadIdx.x] = static_cast<float>(n);
#else
    if (threadIdx.x == 0) {
        printf("ERROR : Arch conditional MMA instruction used without targeting appropriate compute capability. Aborting.\n");
    }
#endif
}
// CuTe's way, inside of a loop with other work.
__global__ void says_within(float* p, int n) {
    for (int i = 0; i < n; ++i) {
        float x = p[i];
#if !HAS_FEATURES
        printf("Attempting to use SM120::16x8x32_TN without CUTE_ARCH_F8F6F4_MMA_ENABLED %s\n", __func__);
        assert(false);
#endif
        p[i] = x * 2;
    }
}
// No stubs: nothing to do and nothing given, work with an assertion, a trap for bad arguments, a conditional return.
__global__ void nothing() {}
__global__ void checks(float* p, int n) { assert(n > 0); p[0] = static_cast<float>(n); }
__global__ void traps_seldom(float* p, int n) { if (n < 0) __trap(); p[n] = 1; }
__global__ void returns_early(float* p, int n) { if (n < 0) return; p[n] = 1; }
__global__ void only_waits(int n) { for (int i = 0; i < n; ++i) __nanosleep(100); }
__global__ void only_synchronises(int n) { __syncthreads(); }
}
)cu";

// The same without texts that say what a stub is: one that prints, and what it prints is its work.
constexpr std::string_view kGreeting = R"cu(
#include <cstdio>
extern "C" __global__ void greets(int n) { printf("hello number %d\n", n); }
)cu";

Stub expected(const std::string& name, bool has_features) {
    if (has_features) return Stub::none;
    if (name == "empties" || name == "empties_large") return Stub::empty;
    if (name == "traps" || name == "breaks") return Stub::trap;
    if (name == "says" || name == "says_within") return Stub::message;
    return Stub::none;
}

void expect_stubs(const Image& image, bool has_features) {
    EXPECT_EQ(image.damage, "");
    ASSERT_EQ(image.kernels.size(), 12u);
    for (const Kernel& kernel : image.kernels) {
        EXPECT_STREQ(stub_name(kernel.stub), stub_name(expected(kernel.name, has_features))) << kernel.name;
    }
}

struct Build {
    const char* name;
    const char* options;
    bool has_features;
};
std::ostream& operator<<(std::ostream& stream, const Build& build) {
    return stream << build.options;
}
class ImageStubs : public testing::TestWithParam<Build> {};

TEST_P(ImageStubs, InMachineCode) {
    WW_NEED_PROGRAM("nvcc");
    const auto sample = compile_sample(kSource, std::string("-cubin ") + GetParam().options);
    ASSERT_EQ(sample->exit_code, 0) << sample->log;
    Image image;
    read_cubin(bytes_of(sample->bytes), Depth::instructions, image);
    expect_stubs(image, GetParam().has_features);
}

INSTANTIATE_TEST_SUITE_P(
    Gencodes, ImageStubs,
    testing::Values(Build{"right_90a", "-gencode arch=compute_90a,code=sm_90a", true},
                    Build{"right_120a", "-gencode arch=compute_120a,code=sm_120a", true},
                    Build{"right_100f", "-gencode arch=compute_100f,code=sm_100f", true},
                    Build{"plain_75", "-gencode arch=compute_75,code=sm_75", false},
                    Build{"plain_80", "-gencode arch=compute_80,code=sm_80", false},
                    Build{"plain_89", "-gencode arch=compute_89,code=sm_89", false},
                    Build{"plain_90", "-gencode arch=compute_90,code=sm_90", false},
                    // The macros follow arch, not code: the result says sm_90a and holds stubs.
                    Build{"wrong_90a", "-gencode arch=compute_90,code=sm_90a", false},
                    Build{"wrong_100a", "-gencode arch=compute_100,code=sm_100a", false},
                    Build{"wrong_120a", "-gencode arch=compute_120,code=sm_120a", false},
                    Build{"debug_120", "-G -gencode arch=compute_120,code=sm_120", false},
                    Build{"lines_90", "-lineinfo -gencode arch=compute_90,code=sm_90", false}),
    [](const auto& info) { return info.param.name; });

TEST(ImageStubs, InPtx) {
    WW_NEED_PROGRAM("nvcc");
    for (const auto& [options, has_features] :
         {std::pair{"-ptx -arch=compute_90", false}, std::pair{"-ptx -arch=compute_90a", true},
          std::pair{"-ptx -arch=compute_80", false}}) {
        SCOPED_TRACE(options);
        const auto sample = compile_sample(kSource, options);
        ASSERT_EQ(sample->exit_code, 0) << sample->log;
        Image image;
        read_ptx(sample->bytes, Depth::instructions, image);
        expect_stubs(image, has_features);
    }
}

TEST(ImageStubs, PrintingIsWork) {
    WW_NEED_PROGRAM("nvcc");
    for (const char* options : {"-cubin -arch=sm_80", "-cubin -arch=sm_120"}) {
        const auto sample = compile_sample(kGreeting, options);
        Image image;
        read_cubin(bytes_of(sample->bytes), Depth::instructions, image);
        ASSERT_EQ(image.kernels.size(), 1u) << sample->log;
        EXPECT_STREQ(stub_name(image.kernels[0].stub), "none");
        EXPECT_TRUE(image.kernels[0].calls_printf);
    }
}

TEST(ImageStubs, AreNotLookedForWhereNothingMayBeDecoded) {
    WW_NEED_PROGRAM("nvcc");
    const auto sample = compile_sample(kSource, "-cubin -gencode arch=compute_90,code=sm_90");
    Image image;
    read_cubin(bytes_of(sample->bytes), Depth::headers, image);
    ASSERT_EQ(image.kernels.size(), 12u);
    for (const Kernel& kernel : image.kernels) EXPECT_EQ(kernel.stub, Stub::none);
}

}  // namespace
}  // namespace warpwright::inspect
