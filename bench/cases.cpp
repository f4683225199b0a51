// SPDX-License-Identifier: Apache-2.0
#include "bench/cases.h"

#include <algorithm>
#include <array>

#include "bench/make_cases.h"

namespace warpwright::bench {
namespace {

// A few of each: with peers, within two minutes.
std::vector<Case> quick_cases() {
    return {gemm_case(4096, 4096, 4096),
            gemm_case(1, 4096, 4096),
            gemm_case(16, 4096, 4096),
            prefill_case(2048, 32, 8, 128, true),
            decode_case(1, 1024, 32, 8, 128, 64),
            rmsnorm_case(64, 4096),
            sample_case(8, 128256)};
}

void add_gemms(std::vector<Case>& all) {
    using Weight = std::pair<i64, i64>;  // n, k
    all.push_back(gemm_case(8192, 8192, 8192));
    for (const auto& [n, k] : {Weight{28672, 4096},
                               {4096, 14336},
                               {24576, 1536},
                               {4096, 7168},
                               {2112, 7168},
                               {7168, 16384},
                               {7168, 2048},
                               {128256, 4096},
                               {32768, 512}}) {
        for (i64 m : {1, 16, 64, 128, 512}) all.push_back(gemm_case(m, n, k));
    }
    for (i64 m : {64, 128, 512}) all.push_back(gemm_case(m, 4096, 4096));
    for (const auto& [n, k] : {Weight{28672, 4096},
                               {4096, 14336},
                               {24576, 1536},
                               {7168, 16384},
                               {4096, 7168},
                               {7168, 2048},
                               {2112, 7168},
                               {32768, 512}}) {
        all.push_back(gemm_case(4096, n, k));
    }
}

void add_quantized_gemms(std::vector<Case>& all) {
    for (const auto& [format, group] : {std::pair<WeightFormat, i64>{WeightFormat::int4, 128},
                                        {WeightFormat::int8, 0},
                                        {WeightFormat::fp8_e4m3, 128},
                                        {WeightFormat::mxfp4, 32},
                                        {WeightFormat::nvfp4, 16}}) {
        for (i64 m : {1, 16, 64, 4096}) all.push_back(quantized_gemm_case(format, m, 28672, 4096, group));
    }
    for (i64 m : {1, 16}) all.push_back(quantized_gemm_case(WeightFormat::fp8_e4m3, m, 28672, 4096, 0));
    for (i64 k : {4096, 14336}) {
        for (i64 m : {1, 16}) all.push_back(quantized_gemm_case(WeightFormat::int4, m, 4096, k, 128));
    }
    for (i64 m : {1, 16, 4096})
        all.push_back(quantized_gemm_case(WeightFormat::int4, m, 28672, 4096, 128, 0, true));
    // Experts.
    for (i64 m : {4, 64}) all.push_back(quantized_gemm_case(WeightFormat::int4, m, 14336, 4096, 128, 8));
    all.push_back(quantized_gemm_case(WeightFormat::mxfp4, 4, 14336, 4096, 32, 8));
    all.push_back(quantized_gemm_case(WeightFormat::fp8_e4m3, 4, 14336, 4096, 128, 8));
}

void add_scaled_gemms(std::vector<Case>& all) {
    const QuantizeFormat int8{CodeType::i8, ScaleType::f32, 1, 0};
    for (i64 m : {16, 128, 4096}) {
        all.push_back(scaled_gemm_case("i8", int8, m, 4096, 4096));
        all.push_back(scaled_gemm_case("fp8-tensor", kFp8PerTensor, m, 4096, 4096));
        all.push_back(scaled_gemm_case("fp8", kFp8PerToken, m, 4096, 4096));
        all.push_back(scaled_gemm_case("fp8-block", kFp8Blocks, m, 4096, 4096));
        all.push_back(scaled_gemm_case("mxfp8", kMxfp8, m, 4096, 4096));
    }
    for (i64 m : {16, 4096}) all.push_back(scaled_gemm_case("fp8-block", kFp8Blocks, m, 7168, 16384));
    all.push_back(scaled_gemm_case("fp8-block", kFp8Blocks, 192, 4096, 7168, 8));
    // Gate and up, and down, of the 32 experts of DeepSeek-V3 that one of eight GPUs has: what a layer's 128
    // and 4096 tokens are of each of 256. All of them are 11 GB of weights.
    for (i64 m : {4, 128}) {
        all.push_back(scaled_gemm_case("fp8-block", kFp8Blocks, m, 4096, 7168, 32));
        all.push_back(scaled_gemm_case("fp8-block", kFp8Blocks, m, 7168, 2048, 32));
    }
}

void add_attention(std::vector<Case>& all) {
    for (i64 head_dim : {64, 128, 256}) {
        for (i64 length : {2048, 8192, 16384}) {
            for (bool causal : {true, false})
                all.push_back(prefill_case(length, 4096 / head_dim, 4096 / head_dim, head_dim, causal));
        }
    }
    for (i64 batch : {1, 64}) {
        for (i64 length : {1024, 8192}) all.push_back(decode_case(batch, length, 32, 8, 128, 64));
    }
    all.push_back(decode_case(1, 32768, 32, 8, 128, 64));
    all.push_back(decode_case(1, 8192, 32, 8, 128, 64, {}, 4));
    for (i64 heads : {32, 64}) {
        for (i64 q_len : {2, 4, 8, 16}) all.push_back(decode_case(64, 8192, heads, 8, 128, 64, {}, q_len));
    }
    // A chunk of a long prompt, with all heads and with an eighth of them.
    for (const auto& [heads, kv_heads] : {std::pair<i64, i64>{64, 8}, {8, 1}})
        all.push_back(decode_case(1, 65536, heads, kv_heads, 128, 64, {}, 512));
    all.push_back(prefill_case(32768, 32, 8, 128, true, {4096, 0}));
    // The row of the same problem without, and what these add to it.
    for (const Bias bias : {Bias::none, Bias::alibi, Bias::bits, Bias::bytes})
        all.push_back(prefill_case(8192, 32, 8, 128, true, {0, 0, bias}));
    for (i64 head_dim : {64, 256}) {
        for (bool causal : {true, false}) {
            for (const Bias bias : {Bias::alibi, Bias::bits})
                all.push_back(
                    prefill_case(8192, 4096 / head_dim, 4096 / head_dim, head_dim, causal, {0, 0, bias}));
        }
    }
    // What 64 sequences share is 8k of 9k tokens; and the same in one call.
    all.push_back(cascade_case(64, 8192, 1024, 32, 8, 128, 64));
    all.push_back(decode_case(64, 9216, 32, 8, 128, 64));
    // DeepSeek-V3, whole and by an eighth of its heads.
    for (i64 heads : {16, 128}) {
        all.push_back(mla_case(1, 8192, heads, 64, 1));
        for (i64 q_len : {1, 2}) all.push_back(mla_case(64, 4096, heads, 64, q_len));
        for (const bool one_scale : {false, true})
            all.push_back(mla_case(64, 4096, heads, 64, 1, KvFormat::fp8_e4m3, 0, one_scale));
        // DeepSeek-V3.2.
        for (const KvFormat format : {KvFormat::same, KvFormat::fp8_e4m3})
            all.push_back(mla_case(128, 4096, heads, 64, 1, format, 2048));
        all.push_back(mla_case(128, 4096, heads, 64, 1, KvFormat::fp8_e4m3, 2048, true));
    }
    for (const auto& [batch, length, q_len] :
         {std::array<i64, 3>{64, 8192, 1}, {1, 65536, 1}, {1, 8192, 2048}}) {
        all.push_back(index_logits_case(batch, length, 64, 64, q_len));
        for (const bool coded_queries : {true, false})
            all.push_back(index_logits_case(batch, length, 64, 64, q_len, KvFormat::fp8_e4m3, coded_queries));
        all.push_back(index_topk_case(batch, length, 2048, q_len));
    }
    constexpr Limits kGemma2{4096, 50};
    all.push_back(prefill_case(8192, 16, 8, 256, true, {0, 50}));
    all.push_back(prefill_case(8192, 16, 8, 256, true, {4096, 0}));
    all.push_back(prefill_case(8192, 16, 8, 256, true, kGemma2));
    all.push_back(decode_case(64, 8192, 16, 8, 256, 64, kGemma2));
    all.push_back(decode_case(1, 32768, 16, 8, 256, 64, kGemma2));
    const KvFormat e4m3 = KvFormat::fp8_e4m3;
    for (i64 length : {1024, 8192}) all.push_back(decode_case(64, length, 32, 8, 128, 64, {}, 1, e4m3));
    for (const KvFormat format : {KvFormat::fp8_e5m2, KvFormat::nvfp4})
        all.push_back(decode_case(64, 8192, 32, 8, 128, 64, {}, 1, format));
    for (const KvFormat format : {e4m3, KvFormat::nvfp4})
        all.push_back(decode_case(1, 32768, 32, 8, 128, 64, {}, 1, format));
    for (const KvFormat format : {e4m3, KvFormat::nvfp4})
        all.push_back(prefill_case(8192, 32, 32, 128, true, {}, format));
    // Prompts of DeepSeek-V3, whose latent rows are written out as keys and values.
    for (i64 heads : {16, 128}) {
        for (i64 length : {2048, 8192})
            all.push_back(prefill_case(length, heads, heads, 192, true, {}, KvFormat::same, 128));
    }
}

void add_fused(std::vector<Case>& all) {
    all.push_back(rmsnorm_case(8192, 7168));
    all.push_back(head_norm_case(64, 40, 128));
    all.push_back(head_norm_case(8192, 40, 128));
    all.push_back(activation_case(8192, 14336));
    for (i64 tokens : {64, 8192}) {
        all.push_back(rope_case(tokens, 32, 8, 128));
        all.push_back(kv_append_case(tokens, 8, 128, 64));
        all.push_back(kv_append_case(tokens, 8, 128, 64, KvFormat::fp8_e4m3));
        for (i64 columns : {576, 128}) all.push_back(latent_append_case(tokens, columns, 64));
        all.push_back(embedding_case(tokens, 16384, 4096));
    }
    all.push_back(logits_case(64, 256000, 30, 500));
    all.push_back(logits_case(64, 128256, 0, 4000));
    all.push_back(sample_case(64, 128256));
}

void add_quantisers(std::vector<Case>& all) {
    constexpr QuantizeFormat kMxfp8Up{CodeType::e4m3, ScaleType::e8m0_up, 1, 32};
    for (const auto& [rows, columns] : {std::pair<i64, i64>{8192, 7168}, {4096, 4096}}) {
        all.push_back(quantize_case(rows, columns, "fp8 1x128", kFp8Groups));
        all.push_back(quantize_case(rows, columns, "fp8 per token", kFp8PerToken));
        all.push_back(quantize_case(rows, columns, "fp8 128x128", kFp8Blocks));
        all.push_back(quantize_case(rows, columns, "fp8 per tensor", kFp8PerTensor));
        all.push_back(
            quantize_case(rows, columns, "fp8 per tensor, given scale", kFp8PerTensor, false, true));
        all.push_back(quantize_case(rows, columns, "int8 per token", kInt8PerToken));
        all.push_back(quantize_case(rows, columns, "mxfp8 swizzled", kMxfp8Up, true));
        all.push_back(quantize_case(rows, columns, "mxfp4", kMxfp4));
        all.push_back(quantize_case(rows, columns, "nvfp4", kNvfp4));
        all.push_back(quantize_case(rows, columns, "nvfp4 swizzled", kNvfp4, true));
    }
    for (const auto& [name, format] : {std::pair<const char*, QuantizeFormat>{"fp8 1x128", kFp8Groups},
                                       {"fp8 128x128", kFp8Blocks},
                                       {"int8 per token", kInt8PerToken},
                                       {"mxfp8", kMxfp8},
                                       {"nvfp4", kNvfp4}})
        all.push_back(dequantize_case(8192, 7168, name, format));
    all.push_back(dequantize_case(8192, 7168, "fp8 1x128", kFp8Groups, DType::f32));
}

void add_quantised_outputs(std::vector<Case>& all) {
    for (const auto& [name, format] : {std::pair<const char*, QuantizeFormat>{"fp8 1x128", kFp8Groups},
                                       {"fp8 per token", kFp8PerToken},
                                       {"fp8 per tensor, given scale", kFp8PerTensor},
                                       {"int8 per token", kInt8PerToken},
                                       {"mxfp8", kMxfp8},
                                       {"nvfp4", kNvfp4}}) {
        all.push_back(quantized_norm_case(8192, 7168, name, format));
        all.push_back(quantized_activation_case(8192, 14336, name, format));
    }
    all.push_back(quantized_norm_case(64, 4096, "fp8 per token", kFp8PerToken));
    all.push_back(quantized_norm_case(8192, 4096, "fp8 per token", kFp8PerToken));
}

void add_experts(std::vector<Case>& all) {
    for (i64 tokens : {1, 64, 4096}) {
        all.push_back(moe_route_case(tokens, 128, 8, false));
        all.push_back(moe_route_case(tokens, 256, 8, true));
        all.push_back(moe_permute_case(tokens, 256, 8, 128));
        all.push_back(moe_combine_case(tokens, 8, 2048));
    }
    for (i64 tokens : {1, 2, 4, 8, 16, 32, 64, 128, 512, 1024, 4096}) {
        for (const bool down : {false, true})
            all.push_back(experts_product_case(tokens, 2048, 128, 8, 768, down));
    }
}

void add_layers_of_experts(std::vector<Case>& all) {
    for (i64 tokens : {1, 8, 32, 128, 1024, 4096}) all.push_back(moe_case(tokens, 2048, 128, 8, 768));
    for (const WeightFormat format : {WeightFormat::int4, WeightFormat::fp8_e4m3}) {
        for (i64 tokens : {1, 8, 32})
            all.push_back(quantized_moe_case(format, 128, tokens, 2048, 128, 8, 768));
    }
}

void add_steps(std::vector<Case>& all) {
    using Weight = std::pair<i64, i64>;  // n, k
    for (const auto& [n, k] : {Weight{4096, 4096},
                               {6144, 4096},
                               {28672, 4096},
                               {4096, 14336},
                               {24576, 1536},
                               {4096, 7168},
                               {2112, 7168},
                               {7168, 16384},
                               {7168, 2048},
                               {32768, 512}}) {
        for (i64 m : {1, 4, 16, 64, 256, 1024, 4096}) all.push_back(gemm_case(m, n, k));
    }
    for (i64 m : {1, 4, 16, 64, 256}) all.push_back(gemm_case(m, 128256, 4096));
    for (i64 length : {128, 512, 2048, 8192}) all.push_back(prefill_case(length, 32, 8, 128, true));
    for (i64 batch : {1, 4, 16, 64, 256}) {
        for (i64 length : {512, 2048, 8192, 32768}) {
            if (batch * length <= 64 * 8192) all.push_back(decode_case(batch, length, 32, 8, 128, 64));
        }
    }
    for (i64 tokens : {1, 4, 16, 64, 256, 1024, 4096}) {
        all.push_back(rmsnorm_case(tokens, 4096));
        all.push_back(activation_case(tokens, 14336));
        all.push_back(rope_case(tokens, 32, 8, 128));
        all.push_back(kv_append_case(tokens, 8, 128, 64));
    }
    for (i64 rows : {1, 4, 16, 64, 256}) all.push_back(sample_case(rows, 128256));
}

}  // namespace

std::vector<Case> cases(const std::string& set) {
    std::vector<Case> all = quick_cases();
    if (set == "quick") return all;
    add_gemms(all);
    add_quantized_gemms(all);
    add_scaled_gemms(all);
    add_attention(all);
    add_fused(all);
    add_quantisers(all);
    add_quantised_outputs(all);
    add_experts(all);
    set == "tune" ? add_steps(all) : add_layers_of_experts(all);
    std::vector<Case> once;
    for (Case& item : all) {
        const bool known = std::any_of(once.begin(), once.end(), [&](const Case& other) {
            return other.op == item.op && other.problem == item.problem;
        });
        if (!known) once.push_back(std::move(item));
    }
    return once;
}

}  // namespace warpwright::bench
