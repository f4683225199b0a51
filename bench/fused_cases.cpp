// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>

#include "bench/make_cases.h"
#include "warpwright/ops/embedding.h"
#include "warpwright/ops/gated_activation.h"
#include "warpwright/ops/kv_append.h"
#include "warpwright/ops/latent_append.h"
#include "warpwright/ops/logits.h"
#include "warpwright/ops/rmsnorm.h"
#include "warpwright/ops/rope.h"
#include "warpwright/ops/sample.h"

namespace warpwright::bench {

Case rmsnorm_case(i64 tokens, i64 hidden) {
    return {"rmsnorm",
            fmt::format("tokens={} hidden={} residual bf16", tokens, hidden),
            fields({{"tokens", tokens}, {"hidden", hidden}, {"residual", 1}}),
            8.0 * tokens * hidden,
            0,
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                const RmsNorm call{.x = b.random(kType, {tokens, hidden}),
                                   .weight = b.random(kType, {hidden}),
                                   .out = b.zeros(kType, {tokens, hidden}),
                                   .residual = b.random(kType, {tokens, hidden})};
                return preparer(context, call);
            },
            "rmsnorm",
            "torch add + rms_norm",
            Roof::copy};
}

Case head_norm_case(i64 tokens, i64 heads, i64 head_dim) {
    return {"rmsnorm",
            fmt::format("tokens={} heads={} head_dim={} in place bf16", tokens, heads, head_dim),
            fields({{"tokens", tokens}, {"heads", heads}, {"hidden", head_dim}, {"residual", 0}}),
            4.0 * tokens * heads * head_dim,
            0,
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                const Tensor x = b.random(kType, {tokens, heads, head_dim});
                const RmsNorm call{.x = x, .weight = b.random(kType, {head_dim}), .out = x};
                return preparer(context, call);
            },
            "rmsnorm of heads",
            "torch rms_norm",
            Roof::copy};
}

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
            [=](Context& context, Buffers& b) -> Result<Preparer> {
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
                return preparer(context, call);
            },
            "logits",
            "",
            Roof::none};
}

Case activation_case(i64 tokens, i64 width) {
    return {"gated_activation",
            fmt::format("tokens={} width={} silu bf16", tokens, width),
            fields({{"tokens", tokens}, {"width", width}}),
            6.0 * tokens * width,
            0,
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                const Tensor both = b.random(kType, {tokens, 2 * width});
                Tensor gate = both, up = both;
                gate.shape[1] = up.shape[1] = width;
                up.data = static_cast<std::byte*>(up.data) + width * dtype_bytes(kType);
                const GatedActivation call{gate, up, b.zeros(kType, {tokens, width}), Activation::silu};
                return preparer(context, call);
            },
            "activation",
            "torch silu, mul",
            Roof::copy};
}

Case sample_case(i64 rows, i64 vocabulary) {
    return {"sample",
            fmt::format("rows={} vocabulary={} top_k=50 top_p=0.9 f32", rows, vocabulary),
            fields({{"rows", rows}, {"vocabulary", vocabulary}}),
            4.0 * rows * vocabulary,
            0,
            [=](Context& context, Buffers& b) -> Result<Preparer> {
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
                return preparer(context, call);
            },
            "sampling",
            "torch softmax + multinomial (no filters)",
            Roof::read};
}

Case rope_case(i64 tokens, i64 heads, i64 kv_heads, i64 head_dim) {
    return {"rope",
            fmt::format("tokens={} heads={}/{} head_dim={} neox in place bf16", tokens, heads, kv_heads,
                        head_dim),
            fields({{"tokens", tokens},
                    {"heads", heads},
                    {"kv_heads", kv_heads},
                    {"head_dim", head_dim},
                    {"rotary_dim", head_dim}}),
            4.0 * tokens * (heads + kv_heads) * head_dim,
            0,
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                std::vector<i32> positions(static_cast<std::size_t>(tokens));
                std::iota(positions.begin(), positions.end(), 0);
                const Rope call{.q = b.random(kType, {tokens, heads, head_dim}),
                                .k = b.random(kType, {tokens, kv_heads, head_dim}),
                                .positions = b.integers(positions),
                                .frequency = b.floats(
                                    rope_frequencies(500000, static_cast<int>(head_dim), {}).frequency)};
                return preparer(context, call);
            },
            "rope",
            "torch rotate_half",
            Roof::copy};
}

// Where one sequence's new tokens go: into pages whose order is not the memory's. Returns how many.
template <class Call>
i64 put_tokens(Buffers& b, i64 tokens, i64 page_size, Call& call) {
    const i64 pages = (tokens + page_size - 1) / page_size;
    std::vector<i32> positions(static_cast<std::size_t>(tokens)), table(static_cast<std::size_t>(pages));
    std::iota(positions.begin(), positions.end(), 0);
    std::iota(table.begin(), table.end(), 0);
    std::reverse(table.begin(), table.end());
    call.sequences = b.integers(std::vector<i32>(static_cast<std::size_t>(tokens), 0));
    call.positions = b.integers(positions);
    call.page_table = b.integers(table);
    call.page_table.rank = 2;
    call.page_table.shape = {1, pages};
    call.page_table.stride = {pages, 1};
    return pages;
}

Case kv_append_case(i64 tokens, i64 kv_heads, i64 head_dim, i64 page_size, KvFormat kv_format) {
    const DType kv_type = kv_dtype(kv_format, kType);
    FieldTexts set = fields(
        {{"tokens", tokens}, {"kv_heads", kv_heads}, {"head_dim", head_dim}, {"page_size", page_size}});
    if (kv_format != KvFormat::same) set.emplace_back("kv_format", kv_format_name(kv_format));
    return {"kv_append",
            fmt::format("tokens={} kv_heads={} head_dim={} page={}{} bf16", tokens, kv_heads, head_dim,
                        page_size, kv_text(kv_format)),
            set,
            2.0 * (2 + dtype_bytes(kv_type)) * tokens * kv_heads * head_dim,
            0,
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                KvAppend call;
                const i64 pages = put_tokens(b, tokens, page_size, call);
                call.k = b.random(kType, {tokens, kv_heads, head_dim});
                call.v = b.random(kType, {tokens, kv_heads, head_dim});
                call.kv_format = kv_format;
                call.k_pages = b.zeros(kv_type, {pages, page_size, kv_heads, head_dim});
                call.v_pages = b.zeros(kv_type, {pages, page_size, kv_heads, head_dim});
                return preparer(context, call);
            },
            "kv append",
            "torch index_copy_",
            Roof::copy};
}

Case latent_append_case(i64 tokens, i64 columns, i64 page_size) {
    const bool keys = columns == 128;
    const i64 bytes = keys ? 132 : 656;
    FieldTexts set = fields({{"tokens", tokens}, {"page_size", page_size}});
    set.emplace_back("pages", keys ? "index_keys" : "records");
    return {"latent_append",
            fmt::format("tokens={} columns={} page={} bf16", tokens, columns, page_size),
            set,
            static_cast<double>(tokens * (2 * columns + bytes)),
            0,
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                LatentAppend call;
                const i64 pages = put_tokens(b, tokens, page_size, call);
                call.x = b.random(kType, {tokens, columns});
                call.pages = b.zeros(DType::u8, {pages, page_size, bytes});
                return preparer(context, call);
            },
            "latent append",
            "torch amax, to e4m3, index_copy_",
            Roof::copy};
}

Case embedding_case(i64 tokens, i64 rows, i64 width) {
    return {"embedding",
            fmt::format("tokens={} rows={} width={} bf16", tokens, rows, width),
            fields({{"tokens", tokens}, {"width", width}}),
            4.0 * tokens * width,
            0,
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                std::vector<i32> ids(static_cast<std::size_t>(tokens));
                for (std::size_t i = 0; i < ids.size(); ++i)
                    ids[i] = static_cast<i32>(static_cast<i64>(i) * 7919 % rows);
                const Embedding call{.ids = b.integers(ids),
                                     .table = b.random(kType, {rows, width}),
                                     .out = b.zeros(kType, {tokens, width})};
                return preparer(context, call);
            },
            "embedding",
            "torch embedding",
            Roof::copy};
}

}  // namespace warpwright::bench
