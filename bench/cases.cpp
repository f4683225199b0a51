// SPDX-License-Identifier: Apache-2.0
#include "bench/cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "warpwright/ops/attention.h"
#include "warpwright/ops/gated_activation.h"
#include "warpwright/ops/gemm.h"
#include "warpwright/ops/logits.h"
#include "warpwright/ops/rmsnorm.h"
#include "warpwright/ops/rope.h"
#include "warpwright/ops/sample.h"

namespace warpwright::bench {
namespace {

using warpwright::prepare;
constexpr DType kType = DType::bf16;

// A sliding window and a softcap, as Gemma 2 has them.
struct Limits {
    i64 window = 0;  // keys that a query sees, its own included; 0: all
    float softcap = 0;

    std::string text() const {
        return (window > 0 ? fmt::format(" window={}", window) : "") +
               (softcap > 0 ? fmt::format(" softcap={}", softcap) : "");
    }
    void add_to(FieldTexts& fields) const {
        if (window > 0) fields.emplace_back("window_left", field_text(window - 1));
        if (softcap > 0) fields.emplace_back("softcap", field_text(static_cast<double>(softcap)));
    }
    void add_to(Attention& call) const {
        call.window_left = window - 1;
        call.softcap = softcap;
    }
    // Of a query with `length` keys up to its own.
    i64 keys(i64 length) const { return window > 0 ? std::min(length, window) : length; }
};

// {"m", 1}, ... as texts; every case has the same type.
FieldTexts fields(std::initializer_list<std::pair<const char*, i64>> numbers) {
    FieldTexts texts;
    for (const auto& [name, value] : numbers) texts.emplace_back(name, field_text(value));
    return texts;
}

Case gemm_case(i64 m, i64 n, i64 k) {
    return {"gemm",
            fmt::format("m={} n={} k={} bf16", m, n, k),
            fields({{"m", m}, {"n", n}, {"k", k}}),
            2.0 * (m * k + n * k + m * n),
            2.0 * m * n * k,
            [=](Context& context, Buffers& b, Prepared& prepared) {
                const Gemm call{.a = b.random(kType, {m, k}),
                                .b = b.random(kType, {n, k}, 0.05f),
                                .d = b.zeros(kType, {m, n})};
                return prepare(context, call, prepared);
            }};
}

Case prefill_case(i64 length, i64 heads, i64 kv_heads, i64 head_dim, bool causal, Limits limits = {}) {
    // Causal queries that the window does not shorten see half of its keys on average.
    const double keys = causal ? limits.keys(length) * (1 - 0.5 * limits.keys(length) / length) : length;
    const double flops = 4.0 * heads * length * keys * head_dim;
    FieldTexts set = fields({{"max_q_len", length},
                             {"max_kv_len", length},
                             {"heads", heads},
                             {"kv_heads", kv_heads},
                             {"head_dim", head_dim},
                             {"causal", causal},
                             {"paged", 0}});
    limits.add_to(set);
    return {"attention",
            fmt::format("prefill batch=1 len={} heads={}/{} d={}{}{} bf16", length, heads, kv_heads, head_dim,
                        causal ? " causal" : "", limits.text()),
            set,
            4.0 * length * (heads + kv_heads) * head_dim,
            flops,
            [=](Context& context, Buffers& b, Prepared& prepared) {
                Attention call;
                call.q = b.random(kType, {length, heads, head_dim});
                call.k = b.random(kType, {length, kv_heads, head_dim});
                call.v = b.random(kType, {length, kv_heads, head_dim});
                call.out = b.zeros(kType, {length, heads, head_dim});
                call.q_starts = b.integers({0, static_cast<i32>(length)});
                call.kv_starts = call.q_starts;
                call.max_q_len = length;
                call.max_kv_len = length;
                call.causal = causal;
                limits.add_to(call);
                WW_ASSIGN(const i64 bytes, attention_workspace_bytes(context, call));
                call.workspace = b.zeros(DType::u8, {std::max<i64>(bytes, 1)});
                return prepare(context, call, prepared);
            }};
}

Case decode_case(i64 batch, i64 length, i64 heads, i64 kv_heads, i64 head_dim, i64 page_size,
                 Limits limits = {}) {
    const i64 keys = limits.keys(length);
    FieldTexts set = fields({{"sequences", batch},
                             {"max_kv_len", length},
                             {"heads", heads},
                             {"kv_heads", kv_heads},
                             {"head_dim", head_dim},
                             {"page_size", page_size}});
    limits.add_to(set);
    return {"attention",
            fmt::format("decode batch={} len={} heads={}/{} d={} page={}{} bf16", batch, length, heads,
                        kv_heads, head_dim, page_size, limits.text()),
            set,
            4.0 * batch * keys * kv_heads * head_dim + 4.0 * batch * heads * head_dim,
            4.0 * batch * heads * keys * head_dim,
            [=](Context& context, Buffers& b, Prepared& prepared) {
                const i64 pages = length / page_size;
                std::vector<i32> table(static_cast<std::size_t>(batch * pages)),
                    starts(static_cast<std::size_t>(batch + 1));
                std::iota(table.begin(), table.end(), 0);
                std::iota(starts.begin(), starts.end(), 0);
                // Pages in an order that is not the memory's, as in a used cache.
                for (std::size_t i = 0; i < table.size(); ++i)
                    std::swap(table[i], table[(i * 7919) % table.size()]);
                Attention call;
                call.q = b.random(kType, {batch, heads, head_dim});
                call.out = b.zeros(kType, {batch, heads, head_dim});
                call.k_pages = b.random(kType, {batch * pages, page_size, kv_heads, head_dim});
                call.v_pages = b.random(kType, {batch * pages, page_size, kv_heads, head_dim});
                call.page_table = b.integers(table);
                call.page_table.rank = 2;
                call.page_table.shape = {batch, pages};
                call.page_table.stride = {pages, 1};
                call.kv_lengths =
                    b.integers(std::vector<i32>(static_cast<std::size_t>(batch), static_cast<i32>(length)));
                call.q_starts = b.integers(starts);
                call.max_kv_len = length;
                limits.add_to(call);
                WW_ASSIGN(const i64 bytes, attention_workspace_bytes(context, call));
                call.workspace = b.zeros(DType::u8, {std::max<i64>(bytes, 1)});
                return prepare(context, call, prepared);
            }};
}

Case rmsnorm_case(i64 tokens, i64 hidden) {
    return {"rmsnorm",
            fmt::format("tokens={} hidden={} residual bf16", tokens, hidden),
            fields({{"tokens", tokens}, {"hidden", hidden}, {"residual", 1}}),
            8.0 * tokens * hidden,
            0,
            [=](Context& context, Buffers& b, Prepared& prepared) {
                const RmsNorm call{.x = b.random(kType, {tokens, hidden}),
                                   .weight = b.random(kType, {hidden}),
                                   .out = b.zeros(kType, {tokens, hidden}),
                                   .residual = b.random(kType, {tokens, hidden})};
                return prepare(context, call, prepared);
            }};
}

Case head_norm_case(i64 tokens, i64 heads, i64 head_dim) {
    return {"rmsnorm",
            fmt::format("tokens={} heads={} head_dim={} in place bf16", tokens, heads, head_dim),
            fields({{"tokens", tokens}, {"heads", heads}, {"hidden", head_dim}, {"residual", 0}}),
            4.0 * tokens * heads * head_dim,
            0,
            [=](Context& context, Buffers& b, Prepared& prepared) {
                const Tensor x = b.random(kType, {tokens, heads, head_dim});
                const RmsNorm call{.x = x, .weight = b.random(kType, {head_dim}), .out = x};
                return prepare(context, call, prepared);
            }};
}

// Every row lists as many tokens, spread over the vocabulary.
Case logits_case(i64 rows, i64 vocabulary, float softcap, i64 listed) {
    FieldTexts set = fields({{"rows", rows}, {"vocabulary", vocabulary}, {"entries", rows * listed}});
    set.emplace_back("softcap", field_text(static_cast<double>(softcap)));
    const double bytes = (softcap > 0 ? 8.0 * rows * vocabulary : 0) + 20.0 * rows * listed;
    return {"logits",
            fmt::format("rows={} vocabulary={} softcap={} listed={} in place f32", rows, vocabulary, softcap,
                        listed),
            set,
            bytes,
            0,
            [=](Context& context, Buffers& b, Prepared& prepared) {
                const auto entries = static_cast<std::size_t>(rows * listed);
                std::vector<i32> starts, tokens(entries);
                for (i64 row = 0; row <= rows; ++row) starts.push_back(static_cast<i32>(row * listed));
                for (std::size_t i = 0; i < entries; ++i) {
                    tokens[i] = static_cast<i32>(static_cast<i64>(i) % listed * (vocabulary / listed));
                }
                const Tensor logits = b.random(DType::f32, {rows, vocabulary}, 3);
                const Logits call{.in = logits,
                                  .out = logits,
                                  .softcap = softcap,
                                  .starts = b.integers(starts),
                                  .tokens = b.integers(tokens),
                                  .repetition = b.floats(std::vector<float>(entries, 1.1f)),
                                  .addend = b.floats(std::vector<float>(entries, -0.5f))};
                return prepare(context, call, prepared);
            }};
}

Case activation_case(i64 tokens, i64 width) {
    return {"gated_activation",
            fmt::format("tokens={} width={} silu bf16", tokens, width),
            fields({{"tokens", tokens}, {"width", width}}),
            6.0 * tokens * width,
            0,
            [=](Context& context, Buffers& b, Prepared& prepared) {
                const Tensor both = b.random(kType, {tokens, 2 * width});
                Tensor gate = both, up = both;
                gate.shape[1] = up.shape[1] = width;
                up.data = static_cast<std::byte*>(up.data) + width * dtype_bytes(kType);
                const GatedActivation call{gate, up, b.zeros(kType, {tokens, width}), Activation::silu};
                return prepare(context, call, prepared);
            }};
}

Case sample_case(i64 rows, i64 vocabulary) {
    return {"sample",
            fmt::format("rows={} vocabulary={} top_k=50 top_p=0.9 f32", rows, vocabulary),
            fields({{"rows", rows}, {"vocabulary", vocabulary}}),
            4.0 * rows * vocabulary,
            0,
            [=](Context& context, Buffers& b, Prepared& prepared) {
                const auto count = static_cast<std::size_t>(rows);
                std::vector<i32> seeds(2 * count);
                std::iota(seeds.begin(), seeds.end(), 1);
                Sample call;
                call.logits = b.random(DType::f32, {rows, vocabulary}, 3);
                call.temperature = b.floats(std::vector<float>(count, 0.8f));
                call.top_k = b.integers(std::vector<i32>(count, 50));
                call.top_p = b.floats(std::vector<float>(count, 0.9f));
                call.min_p = b.floats(std::vector<float>(count, 0));
                call.seeds = b.integers(seeds);
                call.seeds.rank = 2;
                call.seeds.shape = {rows, 2};
                call.seeds.stride = {2, 1};
                call.steps = b.integers(std::vector<i32>(count, 0));
                call.tokens = b.integers(std::vector<i32>(count, 0));
                return prepare(context, call, prepared);
            }};
}

}  // namespace

std::vector<Case> cases(const std::string& set) {
    std::vector<Case> all{gemm_case(4096, 4096, 4096),
                          gemm_case(1, 4096, 4096),
                          gemm_case(16, 4096, 4096),
                          prefill_case(2048, 32, 8, 128, true),
                          decode_case(1, 1024, 32, 8, 128, 64),
                          rmsnorm_case(64, 4096),
                          sample_case(8, 128256)};
    if (set == "quick") return all;
    all.push_back(gemm_case(8192, 8192, 8192));
    const std::pair<i64, i64> weights[] = {{28672, 4096}, {4096, 14336}, {24576, 1536}, {4096, 7168},
                                           {2112, 7168},  {7168, 16384}, {7168, 2048},  {128256, 4096}};
    for (const auto& [n, k] : weights) {
        for (i64 m : {1, 16, 64, 128, 512}) all.push_back(gemm_case(m, n, k));
    }
    for (i64 m : {64, 128, 512}) all.push_back(gemm_case(m, 4096, 4096));
    for (const auto& [n, k] : {std::pair<i64, i64>{28672, 4096}, {4096, 14336}})
        all.push_back(gemm_case(4096, n, k));
    for (i64 head_dim : {64, 128, 256}) {
        for (i64 length : {2048, 8192}) {
            for (bool causal : {true, false})
                all.push_back(prefill_case(length, 4096 / head_dim, 4096 / head_dim, head_dim, causal));
        }
    }
    for (i64 batch : {1, 64}) {
        for (i64 length : {1024, 8192}) all.push_back(decode_case(batch, length, 32, 8, 128, 64));
    }
    all.push_back(decode_case(1, 32768, 32, 8, 128, 64));
    constexpr Limits kGemma2{4096, 50};
    all.push_back(prefill_case(8192, 16, 8, 256, true, {0, 50}));
    all.push_back(prefill_case(8192, 16, 8, 256, true, {4096, 0}));
    all.push_back(prefill_case(8192, 16, 8, 256, true, kGemma2));
    all.push_back(decode_case(64, 8192, 16, 8, 256, 64, kGemma2));
    all.push_back(decode_case(1, 32768, 16, 8, 256, 64, kGemma2));
    all.push_back(rmsnorm_case(8192, 7168));
    all.push_back(head_norm_case(64, 40, 128));
    all.push_back(head_norm_case(8192, 40, 128));
    all.push_back(activation_case(8192, 14336));
    all.push_back(logits_case(64, 256000, 30, 500));
    all.push_back(logits_case(64, 128256, 0, 4000));
    all.push_back(sample_case(64, 128256));
    return all;
}

}  // namespace warpwright::bench
