// SPDX-License-Identifier: Apache-2.0
// Attention, latent attention and what goes with them through the C ABI: as operations_test.cpp has the
// others.
#include <cstring>
#include <vector>

#include "c/handles.h"
#include "kernels/attention/problem.h"
#include "library/same_results.h"
#include "warpwright/ops/attention.h"
#include "warpwright/ops/cascade.h"
#include "warpwright/ops/index_logits.h"
#include "warpwright/ops/index_topk.h"
#include "warpwright/ops/merge_state.h"
#include "warpwright/ops/mla.h"

namespace warpwright {
namespace {

TEST(AttentionOperations, AttentionToAReadyPastIsPreparedAsThat) {
    const ContextHandle context = open_context("cpu");
    std::vector<u16> numbers(16);
    std::vector<i32> starts{0, 1};
    ww_attention call{sizeof(ww_attention)};
    call.q = call.k = call.v = call.out = c_tensor(Tensor::dense(numbers.data(), DType::bf16, {1, 1, 16}));
    call.q_starts = call.kv_starts = c_tensor(Tensor::dense(starts.data(), DType::i32, {2}));
    for (const int32_t is_ready : {0, 1}) {
        call.past_is_ready = is_ready;
        ww_prepared* prepared = nullptr;
        ASSERT_WW_OK(ww_prepare_attention(context.get(), &call, &prepared));
        const PreparedHandle owner(prepared);
        const auto& step = prepared->prepared.steps.at(0);
        AttentionArgs args;
        ASSERT_EQ(step.args.size(), sizeof(args));
        std::memcpy(&args, step.args.data(), sizeof(args));
        EXPECT_EQ(args.past_is_ready, is_ready);
    }
}

// Queries 2 and 3 of the second sequence see two keys each; the first sequence has one query.
Attention ragged_attention(Arena& arena) {
    return {.q = arena.reals(DType::f16, {4, 4, 64}),
            .out = arena.reals(DType::f16, {4, 4, 64}),
            .lse_base2 = arena.reals(DType::f32, {4, 4}),
            .k = arena.reals(DType::f16, {12, 2, 64}),
            .v = arena.reals(DType::f16, {12, 2, 64}),
            .kv_starts = arena.ints({3}, {0, 5, 12}),
            .q_starts = arena.ints({3}, {0, 1, 4}),
            .max_q_len = 4,
            .scale = 0.25f,
            .causal = true,
            .window_left = 1,
            .softcap = 3};
}

ww_attention c_attention(const Attention& call) {
    ww_attention c{sizeof(ww_attention)};
    c.q = c_tensor(call.q), c.out = c_tensor(call.out), c.lse_base2 = c_tensor(call.lse_base2);
    c.k = c_tensor(call.k), c.v = c_tensor(call.v), c.kv_starts = c_tensor(call.kv_starts);
    c.k_pages = c_tensor(call.k_pages), c.v_pages = c_tensor(call.v_pages);
    c.page_table = c_tensor(call.page_table), c.kv_lengths = c_tensor(call.kv_lengths);
    c.q_starts = c_tensor(call.q_starts);
    c.max_kv_len = call.max_kv_len;
    c.window_tokens = call.window_left + 1;
    c.causal = call.causal;
    c.scale = call.scale;
    c.softcap = call.softcap;
    c.kv_format = static_cast<int32_t>(call.kv_format);
    c.k_scale = c_tensor(call.k_scale), c.v_scale = c_tensor(call.v_scale);
    c.lse_base_e = c_tensor(call.lse_base_e), c.sinks = c_tensor(call.sinks);
    c.alibi_slopes = c_tensor(call.alibi_slopes), c.mask = c_tensor(call.mask);
    c.mask_of_queries = call.mask_of_queries;
    c.window_right_tokens = call.window_right + 1, c.chunk_tokens = call.chunk;
    c.block_starts = c_tensor(call.block_starts), c.block_columns = c_tensor(call.block_columns);
    c.block_queries = call.block_queries, c.block_keys = call.block_keys;
    return c;  // max_q_len 0: q_tokens
}

TEST(AttentionOperations, RaggedAttention) {
    expect_the_same(ragged_attention, c_attention, ww_run_attention, ww_prepare_attention, attention);
}

TEST(AttentionOperations, PagedAttention) {
    expect_the_same(
        [](Arena& arena) {
            return Attention{.q = arena.reals(DType::bf16, {2, 4, 64}),
                             .out = arena.reals(DType::bf16, {2, 4, 64}),
                             .k_pages = arena.reals(DType::bf16, {6, 4, 2, 64}),
                             .v_pages = arena.reals(DType::bf16, {6, 4, 2, 64}),
                             .page_table = arena.ints({2, 3}, {5, 0, 3, 1, 4, 2}),
                             .kv_lengths = arena.ints({2}, {9, 6}),
                             .q_starts = arena.ints({3}, {0, 1, 2}),
                             .max_q_len = 2,
                             .max_kv_len = 10,
                             .causal = false};
        },
        c_attention, ww_run_attention, ww_prepare_attention, attention);
}

TEST(AttentionOperations, AttentionWithSinksAndMasks) {
    expect_the_same(
        [](Arena& arena) {
            Attention call = ragged_attention(arena);
            call.lse_base2 = {};
            call.lse_base_e = arena.reals(DType::f32, {4, 4});
            call.window_left = -1;
            call.chunk = 3;
            call.sinks = arena.reals(DType::f32, {4});
            call.alibi_slopes = arena.scales({4});
            call.mask = arena.ints({4, 1}, {0x1b, 0x7f, 0x6d, 0x55});
            return call;
        },
        c_attention, ww_run_attention, ww_prepare_attention, attention);
    expect_the_same(
        [](Arena& arena) {
            Attention call = ragged_attention(arena);
            call.causal = false;
            call.window_right = 1;
            call.mask = arena.ints({4, 1}, {1, 1, 3, 6});
            call.mask_of_queries = true;
            return call;
        },
        c_attention, ww_run_attention, ww_prepare_attention, attention);
}

TEST(AttentionOperations, AttentionOfListedBlocks) {
    expect_the_same(
        [](Arena& arena) {
            Attention call = ragged_attention(arena);
            call.causal = false;
            call.window_left = -1;
            call.block_starts = arena.ints({2, 2, 2}, {1, 2, 2, 4, 4, 5, 0, 2});
            call.block_columns = arena.ints({5}, {1, 0, 1, 0, 1});
            call.block_queries = 16, call.block_keys = 4;
            return call;
        },
        c_attention, ww_run_attention, ww_prepare_attention, attention);
}

TEST(AttentionOperations, AttentionWithValuesOfOtherColumns) {
    expect_the_same(
        [](Arena& arena) {
            Attention call = ragged_attention(arena);
            call.v = arena.reals(DType::f16, {12, 2, 24});
            call.out = arena.reals(DType::f16, {4, 4, 24});
            return call;
        },
        c_attention, ww_run_attention, ww_prepare_attention, attention);
}

TEST(AttentionOperations, AttentionOfCodes) {
    expect_the_same(
        [](Arena& arena) {
            Attention call = ragged_attention(arena);
            call.k = arena.bytes({12, 2, 64}, 0, 0x77);  // e5m2 without infinities and NaN
            call.v = arena.bytes({12, 2, 64}, 0, 0x50);
            call.kv_format = KvFormat::fp8_e5m2;
            call.k_scale = arena.scales({2});
            call.v_scale = arena.scales({1});
            return call;
        },
        c_attention, ww_run_attention, ww_prepare_attention, attention);
}

TEST(AttentionOperations, Cascade) {
    ww_attention common{};
    std::vector<ww_cascade_level> levels;
    const auto to_c = [&](const Cascade& call) {
        common = c_attention(call.call);
        common.workspace = c_tensor(call.call.workspace);
        levels.clear();
        for (const CascadeLevel& level : call.levels) {
            ww_cascade_level& c = levels.emplace_back();
            c.q_starts = c_tensor(level.q_starts), c.kv_starts = c_tensor(level.kv_starts);
            c.page_table = c_tensor(level.page_table), c.kv_lengths = c_tensor(level.kv_lengths);
            c.max_kv_len = level.max_kv_len;  // max_q_len 0: q_tokens
        }
        return ww_cascade{sizeof(ww_cascade), &common, levels.data(), std::ssize(levels)};
    };
    const auto ragged = [](Arena& arena) {
        Cascade cascade{.call = {.q = arena.reals(DType::bf16, {4, 4, 64}),
                                 .out = arena.reals(DType::bf16, {4, 4, 64}),
                                 .lse_base_e = arena.reals(DType::f32, {4, 4}),
                                 .k = arena.reals(DType::bf16, {20, 2, 64}),
                                 .v = arena.reals(DType::bf16, {20, 2, 64}),
                                 .sinks = arena.reals(DType::f32, {4}),
                                 .workspace = arena.bytes({4 * (2048 + 64)}, 0, 0)}};
        // Keys before the first start are another level's.
        cascade.levels = {{.q_starts = arena.ints({2}, {0, 4}),
                           .kv_starts = arena.ints({2}, {0, 11}),
                           .max_q_len = 4,
                           .max_kv_len = 11},
                          {.q_starts = arena.ints({3}, {0, 1, 4}),
                           .kv_starts = arena.ints({3}, {11, 14, 20}),
                           .max_q_len = 4,
                           .max_kv_len = 7}};
        return cascade;
    };
    expect_the_same(ragged, to_c, ww_run_cascade, ww_prepare_cascade, cascade);
    expect_the_same(
        [](Arena& arena) {
            Cascade cascade{.call = {.q = arena.reals(DType::f16, {4, 4, 64}),
                                     .out = arena.reals(DType::f16, {4, 4, 64}),
                                     .k_pages = arena.reals(DType::f16, {5, 4, 2, 64}),
                                     .v_pages = arena.reals(DType::f16, {5, 4, 2, 64}),
                                     .workspace = arena.bytes({2 * (2048 + 64)}, 0, 0)}};
            cascade.levels = {{.q_starts = arena.ints({2}, {0, 4}),
                               .page_table = arena.ints({1, 2}, {3, 1}),
                               .kv_lengths = arena.ints({1}, {7}),
                               .max_q_len = 4},
                              {.q_starts = arena.ints({3}, {0, 2, 4}),
                               .page_table = arena.ints({2, 2}, {0, 4, 2, -1}),
                               .kv_lengths = arena.ints({2}, {6, 3}),
                               .max_q_len = 4}};
            return cascade;
        },
        to_c, ww_run_cascade, ww_prepare_cascade, cascade);

    Arena arena;
    const Cascade call = ragged(arena);
    auto context = *Context::open("cpu");
    const ContextHandle handle = open_context("cpu");
    ww_cascade c = to_c(call);
    int64_t bytes = 0;
    ASSERT_WW_OK(ww_cascade_workspace_bytes(handle.get(), &c, &bytes));
    EXPECT_EQ(bytes, *cascade_workspace_bytes(*context, call));
    EXPECT_GE(bytes, 2 * (2048 + 64));
    levels[1].kv_starts = {};
    EXPECT_EQ(ww_run_cascade(handle.get(), &c, nullptr), WW_ERROR_CALLER);
    EXPECT_STREQ(ww_last_error(), "cascade: level 1: attention: kv_starts is null");
    c.levels = nullptr;
    EXPECT_EQ(ww_run_cascade(handle.get(), &c, nullptr), WW_ERROR_CALLER);
    EXPECT_STREQ(ww_last_error(), "cascade: levels: expected 2 of them, got none");
    c.call = nullptr;
    EXPECT_EQ(ww_run_cascade(handle.get(), &c, nullptr), WW_ERROR_CALLER);
}

TEST(AttentionOperations, Mla) {
    const auto make = [](Arena& arena) {
        return Mla{.q = arena.reals(DType::bf16, {3, 5, 576}),
                   .out = arena.reals(DType::bf16, {3, 5, 512}),
                   .lse_base_e = arena.reals(DType::f32, {3, 5}),
                   .cache = arena.reals(DType::bf16, {5, 4, 576}),
                   .page_table = arena.ints({2, 2}, {3, 1, 0, 4}),
                   .kv_lengths = arena.ints({2}, {7, 3}),
                   .q_starts = arena.ints({3}, {0, 2, 3}),
                   .max_q_len = 3,
                   .scale = 0.1f,
                   .workspace = arena.bytes({64}, 0, 0)};
    };
    const auto to_c = [](const Mla& call) {
        ww_mla c{};
        c.struct_size = sizeof(c);
        c.q = c_tensor(call.q), c.out = c_tensor(call.out), c.lse_base_e = c_tensor(call.lse_base_e);
        c.cache = c_tensor(call.cache), c.page_table = c_tensor(call.page_table);
        c.kv_lengths = c_tensor(call.kv_lengths), c.q_starts = c_tensor(call.q_starts);
        c.workspace = c_tensor(call.workspace);
        c.indices = c_tensor(call.indices), c.index_lengths = c_tensor(call.index_lengths);
        c.k_scale = c_tensor(call.k_scale), c.kv_format = static_cast<int32_t>(call.kv_format);
        c.scale = call.scale, c.causal = 1;  // max_q_len 0: q_tokens
        return c;
    };
    expect_the_same(make, to_c, ww_run_mla, ww_prepare_mla, mla);
    const auto records = [&](Arena& arena) {
        Mla call = make(arena);
        call.cache = arena.bytes({5, 4, 656}, 0, 60);  // scales and numbers are small, then, and no NaN
        return call;
    };
    expect_the_same(records, to_c, ww_run_mla, ww_prepare_mla, mla);
    const auto codes = [&](Arena& arena) {
        Mla call = make(arena);
        call.cache = arena.bytes({5, 4, 576}, 0, 60);
        call.kv_format = KvFormat::fp8_e4m3;
        call.k_scale = arena.reals(DType::f32, {1});
        return call;
    };
    expect_the_same(codes, to_c, ww_run_mla, ww_prepare_mla, mla);
    const auto lists = [&](Arena& arena) {
        Mla call = make(arena);
        call.page_table = call.kv_lengths = {};
        call.indices = arena.ints({3, 4}, {19, 3, -1, 7, 0, 1, 2, 3, -1, -1, 20, 5});
        call.index_lengths = arena.ints({3}, {4, 2, 4});
        return call;
    };
    expect_the_same(lists, to_c, ww_run_mla, ww_prepare_mla, mla);

    Arena arena;
    const Mla call = make(arena);
    const ContextHandle handle = open_context("cpu");
    ww_mla c = to_c(call);
    int64_t bytes = -1;
    ASSERT_WW_OK(ww_mla_workspace_bytes(handle.get(), &c, &bytes));
    EXPECT_EQ(bytes, 0);  // the CPU splits no keys
    c.kv_lengths = {};
    EXPECT_EQ(ww_run_mla(handle.get(), &c, nullptr), WW_ERROR_CALLER);
    EXPECT_STREQ(ww_last_error(), "mla: kv_lengths is null");
}

TEST(AttentionOperations, Indexer) {
    const auto logits = [](Arena& arena) {
        return IndexLogits{.q = arena.reals(DType::bf16, {3, 5, 128}),
                           .weights = arena.reals(DType::f32, {3, 5}),
                           .logits = arena.reals(DType::f32, {3, 8}),
                           .cache = arena.reals(DType::bf16, {5, 4, 128}),
                           .page_table = arena.ints({2, 2}, {3, 1, 0, 4}),
                           .kv_lengths = arena.ints({2}, {7, 3}),
                           .q_starts = arena.ints({3}, {0, 2, 3}),
                           .max_q_len = 3};
    };
    const auto logits_to_c = [](const IndexLogits& call) {
        ww_index_logits c{};
        c.struct_size = sizeof(c);
        c.q = c_tensor(call.q), c.weights = c_tensor(call.weights), c.logits = c_tensor(call.logits);
        c.cache = c_tensor(call.cache), c.page_table = c_tensor(call.page_table);
        c.kv_lengths = c_tensor(call.kv_lengths), c.q_starts = c_tensor(call.q_starts);
        c.causal = 1;  // max_q_len 0: q_tokens
        return c;
    };
    expect_the_same(logits, logits_to_c, ww_run_index_logits, ww_prepare_index_logits, index_logits);

    const auto topk = [](Arena& arena) {
        return IndexTopk{.logits = arena.reals(DType::f32, {3, 8}),
                         .indices = arena.ints({3, 3}, {9, 9, 9, 9, 9, 9, 9, 9, 9}),
                         .index_lengths = arena.ints({3}, {9, 9, 9}),
                         .kv_lengths = arena.ints({2}, {7, 2}),
                         .q_starts = arena.ints({3}, {0, 2, 3}),
                         .page_table = arena.ints({2, 2}, {3, 1, 0, 4}),
                         .page_size = 4,
                         .max_q_len = 3};
    };
    const auto topk_to_c = [](const IndexTopk& call) {
        ww_index_topk c{};
        c.struct_size = sizeof(c);
        c.logits = c_tensor(call.logits), c.indices = c_tensor(call.indices);
        c.index_lengths = c_tensor(call.index_lengths), c.kv_lengths = c_tensor(call.kv_lengths);
        c.q_starts = c_tensor(call.q_starts), c.page_table = c_tensor(call.page_table);
        c.page_size = call.page_size, c.causal = 1;
        return c;
    };
    expect_the_same(topk, topk_to_c, ww_run_index_topk, ww_prepare_index_topk, index_topk);

    Arena arena;
    const ContextHandle handle = open_context("cpu");
    ww_index_topk c = topk_to_c(topk(arena));
    c.page_size = 0;
    EXPECT_EQ(ww_run_index_topk(handle.get(), &c, nullptr), WW_ERROR_CALLER);
    EXPECT_STREQ(ww_last_error(), "index_topk: page_size must be at least 1, got 0");
}

TEST(AttentionOperations, MergeState) {
    expect_the_same(
        [](Arena& arena) {
            return MergeState{.a = arena.reals(DType::bf16, {3, 2, 64}),
                              .a_lse = arena.reals(DType::f32, {3, 2}),
                              .b = arena.reals(DType::bf16, {3, 2, 64}),
                              .b_lse = arena.reals(DType::f32, {3, 2}),
                              .out = arena.reals(DType::bf16, {3, 2, 64}),
                              .lse = arena.reals(DType::f32, {3, 2}),
                              .base = LseBase::e};
        },
        [](const MergeState& call) {
            ww_merge_state c{sizeof(ww_merge_state)};
            c.a = c_tensor(call.a), c.a_lse = c_tensor(call.a_lse);
            c.b = c_tensor(call.b), c.b_lse = c_tensor(call.b_lse);
            c.out = c_tensor(call.out), c.lse = c_tensor(call.lse);
            c.base = WW_LSE_BASE_E;
            return c;
        },
        ww_run_merge_state, ww_prepare_merge_state, merge_state);
    expect_the_same(
        [](Arena& arena) {
            return MergeStates{.states = arena.reals(DType::f16, {4, 3, 2, 64}),
                               .states_lse = arena.reals(DType::f32, {4, 3, 2}),
                               .out = arena.reals(DType::f16, {3, 2, 64}),
                               .lse = arena.reals(DType::f32, {3, 2}),
                               .base = LseBase::e};
        },
        [](const MergeStates& call) {
            ww_merge_states c{sizeof(ww_merge_states)};
            c.states = c_tensor(call.states), c.states_lse = c_tensor(call.states_lse);
            c.out = c_tensor(call.out), c.lse = c_tensor(call.lse);
            c.base = WW_LSE_BASE_E;
            return c;
        },
        ww_run_merge_states, ww_prepare_merge_states, merge_states);
}

// On a GPU whose keys are worth splitting, in a plan of the emulator: nothing is launched.
TEST(AttentionOperations, AttentionWorkspace) {
    const ContextHandle handle = open_context("emulated:h200");
    auto context = *Context::open("emulated:h200");
    char memory[16];
    Attention call{.q = Tensor::dense(memory, DType::bf16, {1, 32, 128}),
                   .out = Tensor::dense(memory, DType::bf16, {1, 32, 128}),
                   .k = Tensor::dense(memory, DType::bf16, {32768, 8, 128}),
                   .v = Tensor::dense(memory, DType::bf16, {32768, 8, 128}),
                   .kv_starts = Tensor::dense(memory, DType::i32, {2}),
                   .q_starts = Tensor::dense(memory, DType::i32, {2})};
    const auto expected = attention_workspace_bytes(*context, call);
    ASSERT_TRUE(expected.ok() && *expected > 0);
    const ww_attention c = c_attention(call);
    int64_t bytes = 0;
    ASSERT_WW_OK(ww_attention_workspace_bytes(handle.get(), &c, &bytes));
    EXPECT_EQ(bytes, *expected);
}

}  // namespace
}  // namespace warpwright
