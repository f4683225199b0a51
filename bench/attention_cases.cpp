// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <random>

#include "bench/make_cases.h"
#include "kernels/attention/index_logits/problem.h"
#include "warpwright/ops/cascade.h"
#include "warpwright/ops/index_logits.h"
#include "warpwright/ops/index_topk.h"
#include "warpwright/ops/mla.h"

namespace warpwright::bench {
namespace {

// Codes below 2, without NaN, of either format.
Tensor keys_or_values(Buffers& b, KvFormat format, std::initializer_list<i64> shape) {
    if (format == KvFormat::same) return b.random(kType, shape);
    const i64 codes = Tensor::dense(nullptr, DType::u8, shape).num_elements();
    std::mt19937 random(1);
    std::vector<i32> words(static_cast<std::size_t>((codes + 3) / 4));
    for (i32& word : words) word = static_cast<i32>(random() & 0xbfbfbfbfu);
    return Tensor::dense(b.integers(words).data, DType::u8, shape);
}

// The call's keys and values, in pages or one sequence's.
void add_keys(Buffers& b, KvFormat format, i64 pages, i64 page_size, i64 kv_heads, i64 head_dim,
              i64 value_dim, Attention& call) {
    const bool paged = page_size > 0, packed = format == KvFormat::nvfp4;
    const auto tensor = [&](KvFormat stored, i64 columns) {
        return paged ? keys_or_values(b, stored, {pages, page_size, kv_heads, columns})
                     : keys_or_values(b, stored, {pages, kv_heads, columns});
    };
    call.kv_format = format;
    (paged ? call.k_pages : call.k) = tensor(format, packed ? head_dim / 2 : head_dim);
    (paged ? call.v_pages : call.v) = tensor(format, packed ? value_dim / 2 : value_dim);
    if (!packed) return;
    call.k_block_scales = tensor(KvFormat::fp8_e4m3, head_dim / kKvBlock);
    call.v_block_scales = tensor(KvFormat::fp8_e4m3, value_dim / kKvBlock);
}

// Where sequences of so many queries begin.
std::vector<i32> even_starts(i64 sequences, i64 q_len) {
    std::vector<i32> starts(static_cast<std::size_t>(sequences + 1));
    for (std::size_t i = 0; i < starts.size(); ++i) starts[i] = static_cast<i32>(i) * static_cast<i32>(q_len);
    return starts;
}

// Pages in an order that is not the memory's, as in a used cache.
Tensor shuffled_pages(Buffers& b, i64 sequences, i64 pages) {
    std::vector<i32> table(static_cast<std::size_t>(sequences * pages));
    std::iota(table.begin(), table.end(), 0);
    for (std::size_t i = 0; i < table.size(); ++i) std::swap(table[i], table[(i * 7919) % table.size()]);
    return Tensor::dense(b.integers(table).data, DType::i32, {sequences, pages});
}

// For each query of a batch of one query each, `listed` slots of its own sequence, ascending.
Tensor slot_lists(Buffers& b, i64 batch, i64 length, i64 listed) {
    std::mt19937 random(3);
    std::vector<i32> all(static_cast<std::size_t>(length)), lists;
    for (i64 s = 0; s < batch; ++s) {
        std::iota(all.begin(), all.end(), static_cast<i32>(s * length));
        std::sample(all.begin(), all.end(), std::back_inserter(lists), listed, random);
    }
    Tensor tensor = b.integers(lists);
    return Tensor::dense(tensor.data, DType::i32, {batch, listed});
}

// Records of latent rows: codes below 2, scales and numbers of 1.
Tensor latent_records(Buffers& b, i64 pages, i64 page_size) {
    constexpr i64 kRecordWords = 656 / 4;
    std::mt19937 random(1);
    std::vector<i32> words(static_cast<std::size_t>(pages * page_size * kRecordWords));
    for (std::size_t i = 0; i < words.size(); ++i) {
        const auto at = static_cast<i64>(i) % kRecordWords;
        words[i] = at < 128 ? static_cast<i32>(random() & 0xbfbfbfbfu) : at < 132 ? 0x3f800000 : 0x3f803f80;
    }
    return Tensor::dense(b.integers(words).data, DType::u8, {pages, page_size, 4 * kRecordWords});
}

// Slopes as ALiBi's paper has them, or a mask of [length, length] keys.
void add_bias(Buffers& b, Bias bias, i64 length, Attention& call) {
    if (bias == Bias::none) return;
    if (bias == Bias::alibi) {
        const auto heads = static_cast<std::size_t>(call.q.shape[1]);
        std::vector<float> slopes(heads);
        for (std::size_t i = 0; i < heads; ++i)
            slopes[i] = std::exp2(-8.0f * static_cast<float>(i + 1) / static_cast<float>(heads));
        call.alibi_slopes = b.floats(slopes);
        return;
    }
    const i64 columns = bias == Bias::bits ? length / 32 : length;
    const i64 words = bias == Bias::bits ? columns : length / 4;  // of a row
    std::mt19937 random(1);
    std::vector<i32> mask(static_cast<std::size_t>(length * words));
    for (i32& word : mask) word = static_cast<i32>(random() & (bias == Bias::bits ? ~0u : 0x01010101u));
    call.mask =
        Tensor::dense(b.integers(mask).data, bias == Bias::bits ? DType::i32 : DType::u8, {length, columns});
}

}  // namespace

Case prefill_case(i64 length, i64 heads, i64 kv_heads, i64 head_dim, bool causal, Limits limits,
                  KvFormat kv_format, i64 head_dim_v) {
    const i64 value_dim = head_dim_v > 0 ? head_dim_v : head_dim, columns = head_dim + value_dim;
    // Causal queries that the window does not shorten see half of its keys on average.
    const double keys = causal ? limits.keys(length) * (1 - 0.5 * limits.keys(length) / length) : length;
    const double flops = 2.0 * heads * length * keys * columns;
    FieldTexts set = fields({{"max_q_len", length},
                             {"max_kv_len", length},
                             {"heads", heads},
                             {"kv_heads", kv_heads},
                             {"head_dim", head_dim},
                             {"causal", causal},
                             {"paged", 0}});
    if (value_dim != head_dim) set.emplace_back("head_dim_v", field_text(value_dim));
    limits.add_to(set);
    if (kv_format != KvFormat::same) set.emplace_back("kv_format", kv_format_name(kv_format));
    return {"attention",
            fmt::format("prefill batch=1 len={} heads={}/{} d={}{}{}{}{} bf16", length, heads, kv_heads,
                        head_dim, value_dim != head_dim ? fmt::format(" dv={}", value_dim) : "",
                        causal ? " causal" : "", limits.text(), kv_text(kv_format)),
            set,
            1.0 * length * (2 * heads + kv_bytes(kv_format, kType) * kv_heads) * columns,
            flops,
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                Attention call;
                call.q = b.random(kType, {length, heads, head_dim});
                add_keys(b, kv_format, length, 0, kv_heads, head_dim, value_dim, call);
                call.out = b.zeros(kType, {length, heads, value_dim});
                call.q_starts = b.integers({0, static_cast<i32>(length)});
                call.kv_starts = call.q_starts;
                call.max_q_len = length;
                call.max_kv_len = length;
                call.causal = causal;
                limits.add_to(call);
                add_bias(b, limits.bias, length, call);
                WW_ASSIGN(const i64 bytes, attention_workspace_bytes(context, call));
                call.workspace = b.zeros(DType::u8, {std::max<i64>(bytes, 1)});
                return preparer(context, call);
            },
            (value_dim != head_dim ? fmt::format("prefill d{}/{}", head_dim, value_dim)
                                   : fmt::format("prefill d{}", head_dim)) +
                (limits.bias != Bias::none ? ", ALiBi and masks" : ""),
            value_dim != head_dim ? "cuDNN" : "FA2"};
}

Case decode_case(i64 batch, i64 length, i64 heads, i64 kv_heads, i64 head_dim, i64 page_size, Limits limits,
                 i64 q_len, KvFormat kv_format) {
    const i64 keys = limits.keys(length);
    FieldTexts set = fields({{"sequences", batch},
                             {"max_q_len", q_len},
                             {"max_kv_len", length},
                             {"heads", heads},
                             {"kv_heads", kv_heads},
                             {"head_dim", head_dim},
                             {"page_size", page_size}});
    limits.add_to(set);
    if (kv_format != KvFormat::same) set.emplace_back("kv_format", kv_format_name(kv_format));
    return {"attention",
            fmt::format("decode batch={} len={} heads={}/{} d={} page={}{}{}{} bf16", batch, length, heads,
                        kv_heads, head_dim, page_size, q_len > 1 ? fmt::format(" q_len={}", q_len) : "",
                        limits.text(), kv_text(kv_format)),
            set,
            2.0 * kv_bytes(kv_format, kType) * batch * keys * kv_heads * head_dim +
                4.0 * batch * q_len * heads * head_dim,
            4.0 * batch * q_len * heads * keys * head_dim,
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                const i64 pages = length / page_size;
                std::vector<i32> starts(static_cast<std::size_t>(batch + 1));
                for (std::size_t i = 0; i < starts.size(); ++i)
                    starts[i] = static_cast<i32>(i) * static_cast<i32>(q_len);
                Attention call;
                call.q = b.random(kType, {batch * q_len, heads, head_dim});
                call.out = b.zeros(kType, {batch * q_len, heads, head_dim});
                add_keys(b, kv_format, batch * pages, page_size, kv_heads, head_dim, head_dim, call);
                call.page_table = shuffled_pages(b, batch, pages);
                call.kv_lengths =
                    b.integers(std::vector<i32>(static_cast<std::size_t>(batch), static_cast<i32>(length)));
                call.q_starts = b.integers(starts);
                call.max_q_len = q_len;
                call.max_kv_len = length;
                call.past_is_ready = true;  // as the engine's
                limits.add_to(call);
                WW_ASSIGN(const i64 bytes, attention_workspace_bytes(context, call));
                call.workspace = b.zeros(DType::u8, {std::max<i64>(bytes, 1)});
                return preparer(context, call);
            },
            q_len > 16  ? "chunked prefill"
            : q_len > 1 ? "decode, few queries"
            : batch > 1 ? "decode, batches"
                        : "decode, one sequence",
            "cuDNN unpaged",
            Roof::read};
}

Case cascade_case(i64 batch, i64 shared, i64 own, i64 heads, i64 kv_heads, i64 head_dim, i64 page_size) {
    const double keys = static_cast<double>(shared + own);
    FieldTexts shared_level = fields({{"sequences", 1},
                                      {"max_q_len", batch},
                                      {"max_kv_len", shared},
                                      {"heads", heads},
                                      {"kv_heads", kv_heads},
                                      {"head_dim", head_dim},
                                      {"page_size", page_size},
                                      {"causal", false}});
    return {"cascade",
            fmt::format("batch={} shared={} own={} heads={}/{} d={} page={} bf16", batch, shared, own, heads,
                        kv_heads, head_dim, page_size),
            shared_level,
            4.0 * static_cast<double>((shared + batch * own) * kv_heads * head_dim) +
                4.0 * static_cast<double>(batch * heads * head_dim),
            4.0 * static_cast<double>(batch * heads * head_dim) * keys,
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                const i64 shared_pages = shared / page_size, own_pages = own / page_size;
                const i64 pages = shared_pages + batch * own_pages;
                const auto table = [&](i64 first, i64 rows, i64 columns) {
                    std::vector<i32> numbers(static_cast<std::size_t>(rows * columns));
                    std::iota(numbers.begin(), numbers.end(), static_cast<i32>(first));
                    Tensor tensor = b.integers(numbers);
                    tensor.rank = 2;
                    tensor.shape = {rows, columns};
                    tensor.stride = {columns, 1};
                    return tensor;
                };
                std::vector<i32> starts(static_cast<std::size_t>(batch + 1));
                std::iota(starts.begin(), starts.end(), 0);
                const std::vector<i32> own_lengths(static_cast<std::size_t>(batch), static_cast<i32>(own));
                Cascade cascade;
                cascade.levels = {{.q_starts = b.integers({0, static_cast<i32>(batch)}),
                                   .page_table = table(0, 1, shared_pages),
                                   .kv_lengths = b.integers({static_cast<i32>(shared)}),
                                   .max_q_len = batch,
                                   .max_kv_len = shared},
                                  {.q_starts = b.integers(starts),
                                   .page_table = table(shared_pages, batch, own_pages),
                                   .kv_lengths = b.integers(own_lengths),
                                   .max_q_len = 1,
                                   .max_kv_len = own}};
                cascade.call.q = b.random(kType, {batch, heads, head_dim});
                cascade.call.out = b.zeros(kType, {batch, heads, head_dim});
                cascade.call.k_pages = b.random(kType, {pages, page_size, kv_heads, head_dim});
                cascade.call.v_pages = b.random(kType, {pages, page_size, kv_heads, head_dim});
                cascade.call.past_is_ready = true;
                WW_ASSIGN(const i64 bytes, cascade_workspace_bytes(context, cascade));
                cascade.call.workspace = b.zeros(DType::u8, {bytes});
                return preparer(context, cascade);
            },
            "cascade",
            "",
            Roof::read,
            "attention"};
}

Case mla_case(i64 batch, i64 length, i64 heads, i64 page_size, i64 q_len, KvFormat kv_format, i64 listed,
              bool one_scale) {
    constexpr i64 kKeyDim = 576, kValueDim = 512, kRecordBytes = 656;
    const bool records = kv_format != KvFormat::same && !one_scale;
    const i64 row_bytes = records ? kRecordBytes : kKeyDim * dtype_bytes(kv_dtype(kv_format, kType));
    const double rows = static_cast<double>(batch * q_len * heads);
    const i64 keys = listed > 0 ? listed : length;
    FieldTexts set = fields({{"sequences", batch},
                             {"max_q_len", q_len},
                             {"max_kv_len", keys},
                             {"heads", heads},
                             {"page_size", page_size}});
    if (listed > 0) set.insert(set.end(), {{"causal", "false"}, {"indexed", "true"}});
    if (kv_format != KvFormat::same) set.emplace_back("kv_format", kv_format_name(kv_format));
    if (one_scale) set.emplace_back("one_scale", "true");
    return {"mla",
            fmt::format("batch={} len={} heads={} page={} q_len={}{}{}{} bf16", batch, length, heads,
                        page_size, q_len, listed > 0 ? fmt::format(" topk={}", listed) : "",
                        kv_text(kv_format), one_scale ? " one_scale" : ""),
            set,
            static_cast<double>(batch * keys * row_bytes) + 2.0 * rows * (kKeyDim + kValueDim),
            2.0 * rows * static_cast<double>(keys) * (kKeyDim + kValueDim),
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                const i64 pages = length / page_size;
                Mla call;
                call.q = b.random(kType, {batch * q_len, heads, kKeyDim});
                call.out = b.zeros(kType, {batch * q_len, heads, kValueDim});
                call.cache = records ? latent_records(b, batch * pages, page_size)
                                     : keys_or_values(b, kv_format, {batch * pages, page_size, kKeyDim});
                if (one_scale) call.kv_format = kv_format;
                if (listed > 0) {
                    call.indices = slot_lists(b, batch, length, listed);
                } else {
                    call.page_table = shuffled_pages(b, batch, pages);
                    call.kv_lengths = b.integers(
                        std::vector<i32>(static_cast<std::size_t>(batch), static_cast<i32>(length)));
                }
                call.q_starts = b.integers(even_starts(batch, q_len));
                call.max_q_len = q_len;
                WW_ASSIGN(const i64 bytes, mla_workspace_bytes(context, call));
                call.workspace = b.zeros(DType::u8, {std::max<i64>(bytes, 1)});
                return preparer(context, call);
            },
            heads > 16 ? "latent attention, 128 heads" : "latent attention, 16 heads",
            "torch bmm",
            Roof::read};
}

Case index_logits_case(i64 batch, i64 length, i64 heads, i64 page_size, i64 q_len, KvFormat kv_format,
                       bool coded_queries) {
    const bool codes = kv_format != KvFormat::same;
    const double pairs = static_cast<double>(batch * q_len) *
                         (static_cast<double>(length) - static_cast<double>(q_len - 1) / 2);
    FieldTexts set = fields({{"sequences", batch},
                             {"max_q_len", q_len},
                             {"max_kv_len", length},
                             {"heads", heads},
                             {"page_size", page_size}});
    if (codes) set.emplace_back("kv_format", kv_format_name(kv_format));
    if (coded_queries) set.emplace_back("coded_queries", "true");
    return {"index_logits",
            fmt::format("batch={} len={} heads={} page={} q_len={}{} bf16{}", batch, length, heads, page_size,
                        q_len, kv_text(kv_format), codes && !coded_queries ? " queries" : ""),
            set,
            static_cast<double>(batch * length * (codes ? kIndexRecordBytes : 2 * kIndexDim)) +
                static_cast<double>(batch * q_len * heads * kIndexDim * (coded_queries ? 1 : 2)) + 4 * pairs,
            2.0 * pairs * static_cast<double>(heads * kIndexDim),
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                const i64 pages = length / page_size, tokens = batch * q_len;
                IndexLogits call;
                call.q = coded_queries ? keys_or_values(b, kv_format, {tokens, heads, kIndexDim})
                                       : b.random(kType, {tokens, heads, kIndexDim});
                call.weights = b.random(DType::f32, {tokens, heads});
                call.logits = b.zeros(DType::f32, {tokens, length});
                // Scales are what words of codes below 2 are as numbers.
                call.cache = codes
                                 ? keys_or_values(b, kv_format, {batch * pages, page_size, kIndexRecordBytes})
                                 : b.random(kType, {batch * pages, page_size, kIndexDim});
                call.page_table = shuffled_pages(b, batch, pages);
                call.kv_lengths =
                    b.integers(std::vector<i32>(static_cast<std::size_t>(batch), static_cast<i32>(length)));
                call.q_starts = b.integers(even_starts(batch, q_len));
                call.max_q_len = q_len;
                return preparer(context, call);
            },
            "indexer",
            "torch relu",
            Roof::read};
}

Case index_topk_case(i64 batch, i64 length, i64 k, i64 q_len) {
    const double pairs = static_cast<double>(batch * q_len) *
                         (static_cast<double>(length) - static_cast<double>(q_len - 1) / 2);
    return {"index_topk",
            fmt::format("batch={} len={} topk={} q_len={} f32", batch, length, k, q_len),
            fields({{"sequences", batch}, {"max_q_len", q_len}, {"max_kv_len", length}, {"k", k}}),
            4 * pairs + 4.0 * static_cast<double>(batch * q_len * k),
            0,
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                const i64 tokens = batch * q_len;
                IndexTopk call;
                call.logits = b.random(DType::f32, {tokens, length});
                call.indices = b.zeros(DType::i32, {tokens, k});
                call.kv_lengths =
                    b.integers(std::vector<i32>(static_cast<std::size_t>(batch), static_cast<i32>(length)));
                call.q_starts = b.integers(even_starts(batch, q_len));
                call.max_q_len = q_len;
                return preparer(context, call);
            },
            "indexer",
            "torch topk",
            Roof::read};
}

}  // namespace warpwright::bench
