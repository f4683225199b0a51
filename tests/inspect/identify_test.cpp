// SPDX-License-Identifier: Apache-2.0
// What shows a library, on names and strings as they are in the libraries' builds.
#include "inspect/knowledge/identify.h"

#include <gtest/gtest.h>

#include <ctime>
#include <random>

#include "dispatch/operation.h"
#include "image/compile.h"
#include "image/embedded.h"
#include "image/mapped_file.h"
#include "inspect/knowledge/fingerprints.h"
#include "inspect/knowledge/template_arch.h"
#include "tests/inspect/synthetic.h"

namespace warpwright::inspect {
namespace {

Bytes bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
}

std::string ids(const std::vector<Library>& libraries) {
    std::string text;
    for (const Library& library : libraries) text += (text.empty() ? "" : " ") + library.id;
    return text;
}

std::vector<Library> identified(FileReport report, Bytes file) {
    identify(report, file);
    return report.libraries;
}

std::string by_kernel(const std::string& name) {
    return ids(identified(file({image("sm_90", {kernel(name)})}), {}));
}

std::string by_string(const std::string& text) {
    return ids(identified(file({}), bytes_of(std::string(100, '\0') + text + std::string(1, '\0'))));
}

std::string by_path(const std::string& path) {
    FileReport report = file({});
    report.path = path;
    return ids(identified(report, {}));
}

TEST(Identify, Kernels) {
    // As they stand in sgl-kernel 0.3.21, bitsandbytes 0.50.2, nvidia-nccl-cu13 2.32.3,
    // nvidia-nvshmem-cu13 3.8.0, flashinfer-cubin 0.6.13, and CUDA 13.0, shortened where they are long.
    const std::pair<const char*, const char*> cases[] = {
        {"_ZN5flash16flash_fwd_kernelI23Flash_fwd_kernel_traitsILi128ELi128EEEvT_", "flash-attention-2"},
        {"_ZN13pytorch_flash24flash_fwd_splitkv_kernelI23Flash_fwd_kernel_traitsEEvT_", "flash-attention-2"},
        {"_ZN7cutlass13device_kernelIN5flash20enable_sm90_or_laterINS1_16FlashAttnFwdSm90INS1_"
         "25CollectiveEEEEEEvT_",
         "cutlass flash-attention-3"},
        {"kernel_cutlass_kernel_flash_attncuteflash_fwd_sm100FlashAttentionForwardSm100_object_at__tensor_0",
         "cute-dsl flash-attention-4"},
        {"_ZN10flashinfer49BatchQKApplyRotaryPosIdsCosSinCacheEnhancedKernelILb1EEEvT_", "flashinfer"},
        {"fmhaSm100fKernel_QkvBfloat16OBfloat16H64PagedKvCausalP64MultiCtasKvVarSeq", "trtllm-gen"},
        {"bmm_Bfloat16_Bfloat16Bfloat16_Fp32_t128x16x128_s4_et128x16_m128x16x16_c1x1x1_rM_BN", "trtllm-gen"},
        {"_ZN9deep_gemm21sm90_fp8_gemm_1d2d_implILj0EEEvv", "deep-gemm"},
        {"_ZN16marlin_moe_wna166MarlinI6__halfLl1125899923621888EEEvT_", "marlin"},
        {"_Z6MarlinILi256ELi1EEvPK4int4", "marlin"},
        {"_ZN18transformer_engine6detail14cast_fp8_1D_kernelIfEEvT_", "transformer-engine"},
        {"_Z45nvshmemi_proxy_rma_signal_entrypoint_blockingPvS_13rma_bytesdesci13", "nvshmem"},
        {"_ZN7deep_ep9intranode8dispatchILi8EEEvPv", "deep-ep"},
        {"_Z31ncclDevKernel_AllReduce_u8_RING24ncclDevKernelArgsStorageILm4096EE", "nccl"},
        {"_Z30ncclSymkDevKernel_AllGather_LL21ncclSymkDevArgs", "nccl"},
        {"_ZN8cublasLt19splitKreduce_kernelILi32ELi16EiffffEEvT_", "cublaslt"},
        {"_ZN5cudnn26bn_fw_inf_1C11_kernel_NCHWIafLb0ELi2EEEvT0_S1_", "cudnn"},
        {"_ZN4vllm15rms_norm_kernelIN3c108BFloat16EEEvPT_", "vllm"},
        {"_ZN12tensorrt_llm7kernels21moe_permute_kernelIfEEvT_", "tensorrt-llm"},
        {"_Z18kQuantizeBlockwiseI6__halfLi4096ELi4ELi0ELi0EEvPf", "bitsandbytes"},
        {"_ZN2at6native29vectorized_elementwise_kernelILi4EEEvi", "pytorch"},
        {"fmha_cutlassF_f16_aligned_64x64_rf_sm80", "efficient-attention"},
        {"_ZL13mul_mat_vec_qIL9ggml_type2ELi1ELb0EEvPKvS2_PfS1_", "ggml"},
        {"_ZN2sm9028flash_fwd_splitkv_mla_kernelI6TraitsIN7cutlass6half_tEEEEvT_", "flash-mla"},
        {"_Z25selective_scan_fwd_kernelI32Selective_Scan_fwd_kernel_traitsEvT_", "mamba"},
        {"_Z24causal_conv1d_fwd_kernelI31Causal_conv1d_fwd_kernel_traitsEvT_", "causal-conv1d"},
        {"_Z25qk_int_sv_f16_attn_kernelILj128EEvPaS0_", "sage-attention"},
        {"_ZN3cub43CUB_300001_SM_750_800_860_890_900_1000_12006detail11EmptyKernelIvEEvv", "cub"},
    };
    for (const auto& [name, expected] : cases) EXPECT_EQ(by_kernel(name), expected) << name;
}

TEST(Identify, NamesThatOnlyLookAlike) {
    for (const char* name : {
             "main_kernel",
             "add",
             "_Z6kernelPf",
             "flash",
             "_Z9marlinishv",
             "_ZN5flash4funcEv",
             "my_bmm_Bfloat16_x",
             "_ZN6nccltf3runEv",
             "_ZN7vllmish3fooEv",
             "_Z3cubi",
             "_ZN2atE",
             "fused_rms_norm_kernel_0",
             "_Z11flash_fwd_kv",
             "triton_poi_fused_add_0",
             "my_fmhaSm100_kernel",
             "_ZN4llvm3fooEv",
         })
        EXPECT_EQ(by_kernel(name), "") << name;
}

TEST(Identify, StringsOfTheHostSide) {
    EXPECT_EQ(by_string("NCCL version 2.28.9+cuda13.0"), "nccl");
    EXPECT_EQ(by_string("NVSHMEM v3.8.0"), "nvshmem");
    EXPECT_EQ(by_string("#include <deep_gemm/impls/sm90_bf16_gemm.cuh>"), "deep-gemm");
    EXPECT_EQ(by_string("cquantize_blockwise_fp16_nf4"), "bitsandbytes");
    EXPECT_EQ(by_string(".extern .shared .align 16 .b8 global_smem[];"), "triton");
    // Users of a library have these.
    for (const char* text : {"NCCL version information", "NCCL version %d.%d", "ncclAllReduce",
                             "libnccl.so.2", "cublasGemmEx", "libcublasLt.so.13", "cudnnCreate",
                             "flash_attn_2_cuda", "nvshmem_init", "NCCL version mismatch with remote peer",
                             "NVSHMEM version", "import triton", "vllm::rms_norm", "deep_gemm"})
        EXPECT_EQ(by_string(text), "") << text;
}

TEST(Identify, VersionsAndEvidence) {
    FileReport report = file(
        {image("sm_90", {kernel("_Z24ncclDevKernel_AllGatherv"), kernel("_Z24ncclDevKernel_Broadcav")})});
    report.path = "x/libnccl.so.2";
    const std::string text = std::string("abc\0", 4) + "NCCL version 2.28.9+cuda13.0" + std::string(5, '\0');
    const std::vector<Library> libraries = identified(report, bytes_of(text));
    ASSERT_EQ(ids(libraries), "nccl");
    EXPECT_EQ(libraries[0].name, "NCCL");
    EXPECT_EQ(libraries[0].version, "2.28.9+cuda13.0");
    EXPECT_EQ(libraries[0].evidence,
              (std::vector<std::string>{"file name libnccl.so*", "string \"NCCL version 2.28.9+cuda13.0\"",
                                        "2 kernels: _Z24ncclDevKernel_AllGatherv and others"}));
}

TEST(Identify, DeviceCodeIsNoHostString) {
    FileReport report = file({image("sm_90", {})});
    const std::string text = std::string(64, 'x') + "NCCL version 2.1.0" + std::string(64, 'x');
    report.images[0].offset = 60;
    report.images[0].stored_bytes = 30;
    EXPECT_EQ(ids(identified(report, bytes_of(text))), "");
    report.images[0].stored_bytes = 4;
    EXPECT_EQ(ids(identified(report, bytes_of(text))), "nccl");
}

TEST(Identify, DamagedOffsetsAreHarmless) {
    FileReport report = file({image("sm_90", {}), image("sm_90", {})});
    report.images[0].offset = ~u64{0} - 3;
    report.images[0].stored_bytes = ~u64{0};
    report.images[1].offset = 2;
    report.images[1].stored_bytes = ~u64{0};
    EXPECT_EQ(ids(identified(report, bytes_of("NCCL version 2.1.0"))), "");
}

TEST(Identify, Paths) {
    EXPECT_EQ(by_path("a.whl!/vllm/_C.abi3.so"), "vllm");
    EXPECT_EQ(by_path("site-packages/vllm/vllm_flash_attn/_vllm_fa2_C.abi3.so"), "flash-attention-2");
    EXPECT_EQ(by_path("site-packages/vllm/vllm_flash_attn/_vllm_fa3_C.abi3.so"), "flash-attention-3");
    EXPECT_EQ(by_path("/usr/lib/libcublasLt.so.13.1.0"), "cublaslt");
    EXPECT_EQ(by_path("nvidia/cublas/lib/libcublas.so.12"), "cublas");
    EXPECT_EQ(by_path("me/.triton/cache/ABC/add_kernel.cubin"), "triton");
    EXPECT_EQ(by_path("bitsandbytes/libbitsandbytes_cuda130.so"), "bitsandbytes");
    EXPECT_EQ(by_path("x/other/_C.abi3.so"), "");
    EXPECT_EQ(by_path("mylibcublas.so.13"), "");
    EXPECT_EQ(by_path("libcublas.txt"), "");
    EXPECT_EQ(by_path("notvllm/_C.abi3.so"), "");
}

TEST(Identify, CodeMadeAtRunTime) {
    const auto found = [](const std::string& text) {
        FileReport report = file({});
        identify(report, bytes_of(text));
        EXPECT_EQ(report.runtime_code, !report.notes.empty());
        return std::pair(report.runtime_code, report.links_ltoir);
    };
    EXPECT_EQ(found("nothing of the kind"), std::pair(false, false));
    EXPECT_EQ(found("nvrtcCompileProgram"), std::pair(true, false));
    EXPECT_EQ(found("__nvJitLinkCreate_13_0"), std::pair(true, true));
    EXPECT_EQ(found("cuModuleLoadData"), std::pair(false, false))
        << "every static CUDA runtime has this string";
}

TEST(Identify, TemplatesOfCutlass) {
    const FileReport report = file({image(
        "sm_90a",
        {kernel("_ZN7cutlass13device_kernelINS_4gemm6kernel13GemmUniversalINS1_36MainloopSm90TmaGmmaWarpE"),
         kernel("_ZN7cutlass13device_kernelINS_4gemm6kernel13GemmUniversalINS1_36MainloopSm100TmaUmmaWE"
                "NS_8epilogue12Sm90EVTE"),
         kernel("_ZN7cutlass6KernelINS_4gemm6kernel4GemmINS_4arch4Sm80EEEEvT_")})});
    const std::vector<Library> libraries = identified(report, {});
    ASSERT_EQ(ids(libraries), "cutlass");
    EXPECT_EQ(libraries[0].detail, "templates of sm80, sm90, sm100");
    EXPECT_EQ(template_architecture("_ZN9deep_gemm21sm90_fp8_gemm_1d2d_implE"), 90);
    EXPECT_EQ(template_architecture("cutlass3x_sm120_bstensorop_s16864gemm"), 120);
    EXPECT_EQ(template_architecture("cutlass_80_tensorop_bf16_s16816gemm"), 80);
    EXPECT_EQ(template_architecture("fmhaSm103aKernel_QkvE4m3"), 103);
    EXPECT_EQ(template_architecture("smooth_kernel_sm12"), 0);
    EXPECT_EQ(template_architecture("_Z3addPf"), 0);
}

TEST(Identify, OurOwnKernels) {
    const Operation* operation = find_operation("gemm").value();
    const std::string entry = entry_name(operation->row_name(0));
    EXPECT_EQ(by_kernel(entry), "warpwright");
    EXPECT_EQ(by_kernel(entry + "x"), "");
}

TEST(Identify, WhatMayNotBeDisassembled) {
    EXPECT_TRUE(headers_only("x/libcublas.so.13", {}));
    EXPECT_TRUE(headers_only("x.whl!/nvidia/cudnn/lib/libcudnn_ops.so.9", {}));
    EXPECT_TRUE(headers_only("libnvinfer_builder_resource.so.10", {}));
    EXPECT_TRUE(headers_only("renamed.so", bytes_of("....cublasLt_for_cublas_DDD....")));
    EXPECT_FALSE(headers_only("libnccl.so.2", bytes_of("NCCL version 2.28.9")));
    EXPECT_FALSE(headers_only("vllm/_C.abi3.so", bytes_of("cublasGemmEx libcublas.so.13")));
}

// A program that has the list in it, as ours, holds none of what it speaks of.
TEST(Identify, TheListItselfHoldsNothing) {
    std::string list;
    for (const EmbeddedFile& embedded : embedded_data()) {
        if (embedded.path == "data/fingerprints.toml") list = embedded.text;
    }
    ASSERT_FALSE(list.empty());
    EXPECT_EQ(by_string(list), "");
    EXPECT_FALSE(headers_only("x", bytes_of(list)));
    FileReport report = file({});
    identify(report, bytes_of(list));
    EXPECT_FALSE(report.runtime_code);
    // What stands before and behind it counts, and a list that was cut hides a bounded part.
    EXPECT_EQ(by_string("NCCL version 2.1.0" + std::string(9, '\0') + list), "nccl");
    EXPECT_EQ(by_string(list + "NCCL version 2.1.0"), "nccl");
    const std::string cut = list.substr(0, list.size() / 2);
    EXPECT_EQ(by_string(cut + "NCCL version 2.1.0"), "");
    EXPECT_EQ(by_string(cut + std::string(300 << 10, '\0') + "NCCL version 2.1.0"), "nccl");
}

TEST(Identify, OurOwnProgramIsOurs) {
    const auto program = MappedFile::open(WW_BINARY_DIR "/warpwright");
    if (!program.ok()) GTEST_SKIP() << "needs the program warpwright, not built";
    EXPECT_FALSE(headers_only("warpwright", program.value().bytes()));
    EXPECT_EQ(ids(identified(file({}), program.value().bytes())), "warpwright");
}

TEST(Fingerprints, TheFileIsWhole) {
    const Fingerprints& all = fingerprints();
    EXPECT_GE(all.libraries.size(), 40u);
    EXPECT_GE(all.works.size(), 9u);
    for (const char* id : {"cutlass",
                           "flash-attention-2",
                           "flash-attention-3",
                           "flash-attention-4",
                           "flashinfer",
                           "deep-gemm",
                           "marlin",
                           "triton",
                           "transformer-engine",
                           "nvshmem",
                           "deep-ep",
                           "nccl",
                           "cublas",
                           "cublaslt",
                           "cudnn",
                           "vllm",
                           "sgl-kernel",
                           "tensorrt-llm",
                           "bitsandbytes",
                           "qutlass",
                           "warpwright"})
        EXPECT_NE(all.find(id), nullptr) << id;
}

// 16flash_fwd_kernel: the number before a name is its length, or the pattern matches nothing.
TEST(Fingerprints, MangledLengthsAreRight) {
    int checked = 0;
    for (const Fingerprint& library : fingerprints().libraries) {
        for (const std::string& pattern : library.kernels) {
            std::size_t at = 0;
            for (const std::string_view prefix : {"^", "_ZN", "_ZL", "_Z"}) {
                if (pattern.starts_with(prefix)) at = prefix.size();
                if (at != 0) break;
            }
            while (at < pattern.size() && std::isdigit(static_cast<unsigned char>(pattern[at]))) {
                std::size_t digits = 0;
                const std::size_t length = std::stoul(pattern.substr(at), &digits);
                at += digits + length;
                ++checked;
                EXPECT_LE(at, pattern.size()) << library.id << ": " << pattern;
            }
            // After names come template arguments, in patterns that go on at all.
            if (at > 3 && at < pattern.size()) {
                EXPECT_EQ(pattern[at], 'I') << library.id << ": " << pattern;
            }
        }
    }
    EXPECT_GT(checked, 50);
}

TEST(Fingerprints, ABrokenFileIsNamed) {
    const auto error = [](const std::string& toml) {
        try {
            parse_fingerprints("begin = 'abcdef'\nend = 'ghijkl'\n" + toml);
        } catch (const std::logic_error& thrown) {
            return std::string(thrown.what());
        }
        return std::string();
    };
    const std::string library =
        "[[library]]\nid = 'a'\nname = 'A'\nkernels = ['abcdef']\nsource = 's'\ndate = 2026-11-26\n";
    const std::string work =
        "[runtime]\ncompilers = ['mnopqr']\n[[work]]\nid = 'w'\nname = 'W'\nop = 'gemm'\nkernels = "
        "['abcdef']\n";
    EXPECT_EQ(error(library + work), "");
    EXPECT_EQ(error(library + library + work), "data/fingerprints.toml: a: twice");
    EXPECT_EQ(error(library + "kernles = ['abcdef']\n" + work),
              "data/fingerprints.toml: a: unknown key 'kernles'");
    EXPECT_EQ(error("[[library]]\nid = 'a'\nname = 'A'\nsource = 's'\ndate = 2026-11-26\n" + work),
              "data/fingerprints.toml: a: nothing shows it");
    EXPECT_EQ(error("[[library]]\nid = 'a'\nname = 'A'\nfiles = ['abcdef']\nsource = 's'\n" + work),
              "data/fingerprints.toml: a: no date of its source");
    EXPECT_NE(
        error("[[library]]\nid = 'a'\nname = 'A'\nkernels = ['abcde']\nsource = 's'\ndate = 2026-11-26\n" +
              work)
            .find("too short"),
        std::string::npos);
    EXPECT_NE(error("[[library]").find("the file"), std::string::npos);
}

TEST(Patterns, EveryOccurrenceIsFound) {
    // Against the plain search, over text of few letters, where occurrences overlap.
    std::mt19937 random(7);
    for (int round = 0; round < 200; ++round) {
        std::vector<std::string> patterns;
        for (int i = 0; i < 20; ++i) {
            std::string pattern;
            for (unsigned length = 6 + random() % 5; pattern.size() < length;)
                pattern += static_cast<char>('a' + random() % 2);
            patterns.push_back(pattern);
        }
        std::string text;
        while (text.size() < 300) text += static_cast<char>('a' + random() % 2);
        std::vector<std::pair<u32, std::size_t>> expected, found;
        for (u32 i = 0; i < patterns.size(); ++i) {
            for (std::size_t at = text.find(patterns[i]); at != std::string::npos;
                 at = text.find(patterns[i], at + 1))
                expected.emplace_back(i, at);
        }
        PatternSet(patterns).scan(text,
                                  [&](u32 pattern, std::size_t at) { found.emplace_back(pattern, at); });
        std::sort(found.begin(), found.end());
        EXPECT_EQ(found, expected);
    }
    EXPECT_THROW(PatternSet({"abcde"}), std::logic_error);
}

// The bar is 500 MB/s of a core for all that is done per byte of a host file; half is demanded of any
// machine.
TEST(Patterns, AHostFileIsReadFast) {
    std::mt19937 random(7);
    std::string text(64 << 20, '\0');
    for (std::size_t i = 0; i + 4 <= text.size(); i += 4) {
        const u32 word = static_cast<u32>(random()) & 0x7f7f7f7f;
        std::memcpy(text.data() + i, &word, 4);
    }
    double best_s = 1e9;
    for (int round = 0; round < 3; ++round) {
        const std::clock_t start = std::clock();  // of this process: others may want the core
        EXPECT_EQ(ids(identified(file({}), bytes_of(text))), "");
        EXPECT_FALSE(headers_only("x", bytes_of(text)));
        best_s = std::min(best_s, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
    }
    const double mb_s = static_cast<double>(text.size()) * 1e-6 / best_s;
    RecordProperty("mb_s", std::to_string(mb_s));
    EXPECT_GT(mb_s, 250) << "identify and headers_only together";
}

}  // namespace
}  // namespace warpwright::inspect
