// SPDX-License-Identifier: Apache-2.0
// A verdict offers the row that the registry chooses, and nothing where it has none.
#include <gtest/gtest.h>

#include "dispatch/operation.h"
#include "inspect/knowledge/fingerprints.h"
#include "tests/inspect/synthetic.h"

namespace warpwright::inspect {
namespace {

TEST(VerdictRows, EveryWorkIsOneThatTheRegistryServesOnEveryGpu) {
    for (const Work& work : fingerprints().works) {
        const auto operation = find_operation(work.op);
        ASSERT_TRUE(operation.ok()) << work.id;
        for (const Target& target : targets()) {
            const auto explanation = operation.value()->explain(target, work.problem, {});
            ASSERT_TRUE(explanation.ok()) << work.id << ": " << explanation.status().message();
            EXPECT_NE(explanation.value().choice(), nullptr) << work.id << " on " << target.id;
        }
    }
}

TEST(VerdictRows, TheFixNamesTheChosenRow) {
    const Target target = gpu(120);
    const FileReport report = file({image(
        "sm_90a",
        {kernel(
            "_ZN7cutlass13device_kernelIN5flash20enable_sm90_or_laterINS1_16FlashAttnFwdSm90IvEEEEEEvT_")})});
    const Work* attention = nullptr;
    for (const Work& work : fingerprints().works) {
        if (work.id == "attention") attention = &work;
    }
    ASSERT_NE(attention, nullptr);
    const auto explanation =
        find_operation("attention").value()->explain(target, attention->problem, {}).value();
    ASSERT_NE(explanation.choice(), nullptr);
    const std::string fix = judge(report, target).fix;
    EXPECT_NE(fix.find("warpwright has here: attention by " + explanation.choice()->row), std::string::npos)
        << fix;
}

TEST(VerdictRows, NothingIsSaidOfWorkThatNoRowDoes) {
    for (const char* name : {"_Z23gemm_half_q_half_kernelILi4EEvT_", "unknown_kernel",
                             "_ZN9deep_gemm30sm90_tf32_hc_prenorm_gemm_impl"}) {
        const std::string fix = judge(file({image("sm_90a", {kernel(name)})}), gpu(120)).fix;
        EXPECT_EQ(fix.find("warpwright has"), std::string::npos) << name << ": " << fix;
    }
}

TEST(VerdictRows, WorkIsReadFromNames) {
    const auto work = [](const char* name) {
        const auto index = fingerprints().work_of(name);
        return index ? fingerprints().works[*index].id : std::string();
    };
    EXPECT_EQ(work("_ZN5flash16flash_fwd_kernelI23Flash_fwd_kernel_traitsILi128EN7cutlass10bfloat16_tEE"),
              "attention");
    EXPECT_EQ(work("_ZN5flash24flash_fwd_splitkv_kernelI23Flash_fwd_kernel_traitsILi128EEE"),
              "attention-decode");
    EXPECT_EQ(work("_ZN5flash32flash_fwd_splitkv_combine_kernelIvEE"), "attention-merge");
    EXPECT_EQ(work("_ZN10flashinfer33BatchDecodeWithPagedKVCacheKernelIvEE"), "attention-decode");
    EXPECT_EQ(work("_ZN6marlin6MarlinIfEEvT_"), "gemm-int4");
    EXPECT_EQ(work("_ZN9deep_gemm23sm90_fp8_gemm_1d2d_impl"), "gemm-scaled");
    EXPECT_EQ(work("_ZN9deep_gemm19sm90_fp8_mqa_logitsILj64EEvv"), "indexer");
    EXPECT_EQ(work("_Z28flash_fwd_splitkv_mla_kernelIN7cutlass10bfloat16_tEEvT_"), "mla");
    EXPECT_EQ(work("_ZN4vllm3moe17topkGatingSoftmaxILi8EEvv"), "route");
    EXPECT_EQ(work("_ZN4vllm15rms_norm_kernelIN3c108BFloat16EEE"), "rmsnorm");
    EXPECT_EQ(work("_ZN4vllm31rms_norm_static_fp8_quant_kernelIN3c108BFloat16EEE"), "");
    EXPECT_EQ(work("_ZN7cutlass13device_kernelINS_4gemm6kernel13GemmUniversalIN7cutlass10bfloat16_tEEE"),
              "gemm");
    EXPECT_EQ(work("_ZN7cutlass13device_kernelINS_4gemm6kernel13GemmUniversalIN7cutlass12float_e4m3_tENS_"
                   "10bfloat16_tE"),
              "");
    EXPECT_EQ(work("fmhaSm100fKernel_QkvBfloat16OBfloat16H128PagedKvCausal"), "attention");
    EXPECT_EQ(work("fmhaSm100fKernel_QkvE4m3OBfloat16H128PagedKvCausal"), "");
}

}  // namespace
}  // namespace warpwright::inspect
