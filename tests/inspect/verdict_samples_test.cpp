// SPDX-License-Identifier: Apache-2.0
// Verdicts on what nvcc really makes of -arch and -gencode, the traps among it.
#include <gtest/gtest.h>

#include "inspect/inspect.h"
#include "tests/inspect/synthetic.h"
#include "tests/inspect/toolkit.h"

namespace warpwright::inspect {
namespace {

// A kernel for all GPUs, and one whose body wants the macro of a suffix, as those of CUTLASS do.
constexpr const char* kSource = R"(
extern "C" __global__ void everywhere(float* data) { data[threadIdx.x] *= 2; }
extern "C" __global__ void guarded(float* data) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || defined(__CUDA_ARCH_FEAT_SM120_ALL) || \
    (defined(__CUDA_ARCH_FAMILY_SPECIFIC__) && __CUDA_ARCH_FAMILY_SPECIFIC__ == 1200)
    data[threadIdx.x] += 1;
#endif
}
)";

class Built {
public:
    explicit Built(const std::string& options) {
        const auto sample = compile_sample(kSource, "-fatbin " + options);
        if (sample && sample->exit_code == 0)
            report_ = inspect_bytes("sample.fatbin", bytes_of(sample->bytes), {});
        EXPECT_FALSE(report_.images.empty()) << options << (sample ? sample->log : "no nvcc");
    }
    Verdict on(int compute_capability) const { return judge(report_, gpu(compute_capability)); }

private:
    FileReport report_;
};

TEST(VerdictSamples, AnArchWithASuffixEmbedsPlainPtxWithoutItsBodies) {
    WW_NEED_PROGRAM("nvcc");
    const Built built("-arch=sm_90a");
    EXPECT_EQ(built.on(90).runs, Runs::native);
    EXPECT_EQ(built.on(80).runs, Runs::no);
    for (const int later : {100, 103, 120, 121}) {
        const Verdict verdict = built.on(later);
        EXPECT_EQ(verdict.runs, Runs::partly) << later;
        EXPECT_EQ(verdict.kernels, std::vector<std::string>{"guarded"}) << later;
        EXPECT_NE(verdict.text.find("compute_90 PTX holds stubs that return at once"), std::string::npos)
            << verdict.text;
    }
}

TEST(VerdictSamples, CodeWithASuffixOfAnArchWithoutIsAStub) {
    WW_NEED_PROGRAM("nvcc");
    const Verdict wrong = Built("-gencode arch=compute_120,code=sm_120a").on(120);
    EXPECT_EQ(wrong.runs, Runs::partly);
    EXPECT_EQ(wrong.kernels, std::vector<std::string>{"guarded"});
    EXPECT_NE(wrong.fix.find("-gencode arch=compute_120f,code=sm_120f"), std::string::npos) << wrong.fix;

    // What the fix says works, on both GPUs of the family.
    const Built right("-gencode arch=compute_120f,code=sm_120f");
    EXPECT_EQ(right.on(120).runs, Runs::native);
    EXPECT_EQ(right.on(121).runs, Runs::native);
    EXPECT_EQ(right.on(110).runs, Runs::no);
}

TEST(VerdictSamples, SeveralGencodes) {
    WW_NEED_PROGRAM("nvcc");
    const Built built(
        "-gencode arch=compute_80,code=sm_80 -gencode arch=compute_86,code=[sm_86,compute_86] "
        "-gencode arch=compute_90a,code=sm_90a");
    EXPECT_EQ(built.on(90).runs, Runs::native);
    // The kernel of one suffix is empty in the builds of others: so said, wherever that is.
    for (const int capability : {80, 86, 89, 100, 120}) {
        const Verdict verdict = built.on(capability);
        EXPECT_EQ(verdict.runs, Runs::partly) << capability;
        EXPECT_EQ(verdict.num_kernels, 1) << capability;
        const char* taken = capability == 80  ? "sm_80 code"
                            : capability < 90 ? "sm_86 code"
                                              : "compute_86 PTX";
        EXPECT_NE(verdict.text.find(taken), std::string::npos) << capability << ": " << verdict.text;
    }
}

}  // namespace
}  // namespace warpwright::inspect
