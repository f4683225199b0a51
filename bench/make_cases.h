// SPDX-License-Identifier: Apache-2.0
// One function per kind of case: what cases.cpp makes its lists of.
#pragma once

#include <fmt/format.h>

#include <algorithm>

#include "bench/cases.h"
#include "warpwright/ops/attention.h"
#include "warpwright/ops/quantized_gemm.h"
#include "warpwright/quantize_format.h"
#include "warpwright/weight_format.h"

namespace warpwright::bench {

constexpr DType kType = DType::bf16;

// ALiBi, or a mask that hides half of the keys, of bits or of bytes.
enum class Bias : u8 { none, alibi, bits, bytes };

// A sliding window and a softcap, as Gemma 2 has them, and what is added to scores.
struct Limits {
    i64 window = 0;  // keys that a query sees, its own included; 0: all
    float softcap = 0;
    Bias bias = Bias::none;  // of prompts only

    std::string text() const {
        constexpr const char* kBiases[] = {"", " alibi", " mask=bits", " mask=bytes"};
        return (window > 0 ? fmt::format(" window={}", window) : "") +
               (softcap > 0 ? fmt::format(" softcap={}", softcap) : "") + kBiases[static_cast<int>(bias)];
    }
    void add_to(FieldTexts& fields) const {
        if (window > 0) fields.emplace_back("window_left", field_text(window - 1));
        if (softcap > 0) fields.emplace_back("softcap", field_text(static_cast<double>(softcap)));
        if (bias != Bias::none) fields.emplace_back(bias == Bias::alibi ? "alibi" : "mask", "true");
    }
    void add_to(Attention& call) const {
        call.window_left = window - 1;
        call.softcap = softcap;
    }
    // Of a query with `length` keys up to its own.
    i64 keys(i64 length) const { return window > 0 ? std::min(length, window) : length; }
};

inline std::string kv_text(KvFormat format) {
    return format == KvFormat::same ? "" : fmt::format(" kv={}", kv_format_name(format));
}

// {"m", 1}, ... as texts; every case has the same type.
inline FieldTexts fields(std::initializer_list<std::pair<const char*, i64>> numbers) {
    FieldTexts texts;
    for (const auto& [name, value] : numbers) texts.emplace_back(name, field_text(value));
    return texts;
}

template <class Call>
Preparer preparer(Context& context, const Call& call) {
    return [&context, call](Prepared& prepared) { return prepare(context, call, prepared); };
}

// `groups` weights of random codes, by scales of one type.
QuantizedWeight random_weight(Buffers& b, WeightFormat format, i64 groups, i64 n, i64 k, i64 group);

Case gemm_case(i64 m, i64 n, i64 k);
// `group`: elements of k that share a scale; 0: the whole row.
Case quantized_gemm_case(WeightFormat format, i64 m, i64 n, i64 k, i64 group, i64 groups = 0,
                         bool order = false);
// `b_format` decides: kFp8PerTensor, kFp8PerToken, kFp8Blocks, kMxfp8 or kInt8PerToken. With groups, m rows
// of each, masked.
Case scaled_gemm_case(const char* name, const QuantizeFormat& b_format, i64 m, i64 n, i64 k, i64 groups = 0);
// head_dim_v 0: head_dim.
Case prefill_case(i64 length, i64 heads, i64 kv_heads, i64 head_dim, bool causal, Limits limits = {},
                  KvFormat kv_format = KvFormat::same, i64 head_dim_v = 0);
// `q_len` queries of each sequence, the last ones of its `length` keys.
Case decode_case(i64 batch, i64 length, i64 heads, i64 kv_heads, i64 head_dim, i64 page_size,
                 Limits limits = {}, i64 q_len = 1, KvFormat kv_format = KvFormat::same);
// One query of each sequence, whose keys are `shared` that all have and `own`.
Case cascade_case(i64 batch, i64 shared, i64 own, i64 heads, i64 kv_heads, i64 head_dim, i64 page_size);
// As decode_case, of latent rows that all heads share: of 8 bits records, or with `one_scale` codes alone.
// With `listed`, each query attends to as many of its sequence's.
Case mla_case(i64 batch, i64 length, i64 heads, i64 page_size, i64 q_len, KvFormat kv_format = KvFormat::same,
              i64 listed = 0, bool one_scale = false);
// An indexer's scores of all keys of `batch` sequences, whose last `q_len` are queries; and the best of them.
// `coded_queries`: of keys that are codes, too.
Case index_logits_case(i64 batch, i64 length, i64 heads, i64 page_size, i64 q_len,
                       KvFormat kv_format = KvFormat::same, bool coded_queries = false);
Case index_topk_case(i64 batch, i64 length, i64 k, i64 q_len);
Case rmsnorm_case(i64 tokens, i64 hidden);
Case head_norm_case(i64 tokens, i64 heads, i64 head_dim);
Case rope_case(i64 tokens, i64 heads, i64 kv_heads, i64 head_dim);
Case kv_append_case(i64 tokens, i64 kv_heads, i64 head_dim, i64 page_size,
                    KvFormat kv_format = KvFormat::same);
// Latent rows of 576 numbers, or keys of an indexer, of 128, as codes.
Case latent_append_case(i64 tokens, i64 columns, i64 page_size);
Case embedding_case(i64 tokens, i64 rows, i64 width);
// Every row lists as many tokens, spread over the vocabulary.
Case logits_case(i64 rows, i64 vocabulary, float softcap, i64 listed);
Case activation_case(i64 tokens, i64 width);
Case sample_case(i64 rows, i64 vocabulary);
// DeepSeek-V3's router: sigmoid, a bias, and the best half of eight groups; or softmax without groups.
Case moe_route_case(i64 tokens, i64 experts, i64 top_k, bool grouped);
Case moe_permute_case(i64 tokens, i64 experts, i64 top_k, i64 alignment);
Case moe_combine_case(i64 tokens, i64 top_k, i64 width);
// One product of a layer of experts: gate and up, or down.
Case experts_product_case(i64 tokens, i64 hidden, i64 experts, i64 top_k, i64 width, bool down);
// A whole layer: router, routing, experts.
Case moe_case(i64 tokens, i64 hidden, i64 experts, i64 top_k, i64 width);
// Of packed weights; its peer multiplies by 16-bit ones.
Case quantized_moe_case(WeightFormat format, i64 group, i64 tokens, i64 hidden, i64 experts, i64 top_k,
                        i64 width);
Case quantize_case(i64 rows, i64 columns, const char* name, const QuantizeFormat& format,
                   bool swizzled = false, bool given_scale = false);
Case dequantize_case(i64 rows, i64 columns, const char* name, const QuantizeFormat& format,
                     DType out = DType::bf16);
// A format of the whole tensor has a given scale.
Case quantized_norm_case(i64 tokens, i64 hidden, const char* name, const QuantizeFormat& format);
Case quantized_activation_case(i64 tokens, i64 width, const char* name, const QuantizeFormat& format);

}  // namespace warpwright::bench
