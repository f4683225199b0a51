// SPDX-License-Identifier: Apache-2.0
// index_topk: host rows against the oracle, refusals word for word, and the way from scores to sparse
// attention.
#include "warpwright/ops/index_topk.h"

#include <random>

#include "kernels/attention/index_topk/oracle.h"
#include "kernels/host_math.h"
#include "ops/check_test.h"
#include "warpwright/ops/mla.h"

namespace warpwright {
namespace {

constexpr const char* kOp = "index_topk";

TEST(IndexTopk, AgreesWithItsOracle) {
    expect_check_passes(kOp);
}

TEST(IndexTopk, OfEqualLogitsTheFirstAreChosen) {
    const float nan = std::nanf("");
    EXPECT_EQ(index_topk_oracle({1, 3, 2, 3, 3, 2}, 4), (std::vector<i32>{1, 2, 3, 4}));
    EXPECT_EQ(index_topk_oracle({nan, -0.f, 0, -1, nan}, 1), (std::vector<i32>{1}));
    EXPECT_EQ(index_topk_oracle({5, 6}, 3), (std::vector<i32>{0, 1}));
}

TEST(IndexTopk, RefusesWithTheReason) {
    EXPECT_EQ(refusal(kOp, "index_topk.portable", "rtx-4090", {}), "");
    EXPECT_EQ(refusal(kOp, "index_topk.portable", "rtx-4090", {{"page_size", "48"}}),
              "page size: needs a power of two, got 48");
    EXPECT_EQ(refusal(kOp, "index_topk.host", "h200", {}), "architecture: runs on the CPU, h200 is a GPU");
}

template <class T>
Tensor upload(Context& context, std::vector<Buffer>& buffers, const std::vector<T>& values, DType type,
              std::initializer_list<i64> shape) {
    auto buffer = Buffer::allocate(context.shared_device(), values.size() * sizeof(T));
    EXPECT_TRUE(buffer.ok()) << buffer.status().message();
    EXPECT_TRUE(context.device().copy_in(buffer->data(), values.data(), values.size() * sizeof(T), {}).ok());
    buffers.push_back(std::move(*buffer));
    return Tensor::dense(buffers.back().data(), type, shape);
}

// A k that no query exceeds lists all its keys: mla over those lists has the bits of mla over the pages.
TEST(IndexTopk, ListsThatLeaveNothingOutAreTheDenseCall) {
    constexpr i64 kSequences = 2, kQueries = 3, kHeads = 5, kPageSize = 8, kPages = 4, kCapacity = 32;
    for (const char* device : {"cpu", "emulated:h200"}) {
        const auto opened = Context::open(device);
        ASSERT_TRUE(opened.ok());
        Context& context = **opened;
        std::mt19937 random(7);
        std::normal_distribution<float> normal(0, 1);
        std::vector<Buffer> buffers;
        const auto numbers = [&](i64 count) {
            std::vector<u16> values;
            for (i64 i = 0; i < count; ++i) values.push_back(float_to_bf16(normal(random)));
            return values;
        };
        std::vector<float> scores(kSequences * kQueries * kCapacity);
        for (float& score : scores) score = normal(random);
        const i64 tokens = kSequences * kQueries;
        Mla dense{
            .q = upload(context, buffers, numbers(tokens * kHeads * 576), DType::bf16, {tokens, kHeads, 576}),
            .out =
                upload(context, buffers, numbers(tokens * kHeads * 512), DType::bf16, {tokens, kHeads, 512}),
            .cache = upload(context, buffers, numbers(kSequences * kPages * kPageSize * 576), DType::bf16,
                            {kSequences * kPages, kPageSize, 576}),
            .page_table = upload(context, buffers, std::vector<i32>{6, 1, 3, 0, 2, 7, 5, 4}, DType::i32,
                                 {kSequences, kPages}),
            .kv_lengths = upload(context, buffers, std::vector<i32>{29, 2}, DType::i32, {kSequences}),
            .q_starts = upload(context, buffers, std::vector<i32>{0, 3, 6}, DType::i32, {3}),
            .max_q_len = kQueries};
        Mla sparse = dense;
        sparse.out =
            upload(context, buffers, numbers(tokens * kHeads * 512), DType::bf16, {tokens, kHeads, 512});
        sparse.page_table = sparse.kv_lengths = {};
        sparse.indices =
            upload(context, buffers, std::vector<i32>(tokens * kCapacity), DType::i32, {tokens, kCapacity});
        sparse.index_lengths = upload(context, buffers, std::vector<i32>(tokens), DType::i32, {tokens});
        const IndexTopk topk{.logits = upload(context, buffers, scores, DType::f32, {tokens, kCapacity}),
                             .indices = sparse.indices,
                             .index_lengths = sparse.index_lengths,
                             .kv_lengths = dense.kv_lengths,
                             .q_starts = dense.q_starts,
                             .page_table = dense.page_table,
                             .page_size = kPageSize,
                             .max_q_len = kQueries};
        Prepared prepared;
        prepared.batch_invariant = true;
        ASSERT_TRUE(prepare(context, topk, prepared).ok());
        ASSERT_TRUE(prepare(context, sparse, prepared).ok());
        ASSERT_TRUE(prepare(context, dense, prepared).ok());
        ASSERT_TRUE(prepared.launch(context.device(), {}).ok());
        ASSERT_TRUE(context.device().synchronize({}).ok());
        std::vector<u16> results[2];
        for (int i = 0; i < 2; ++i) {
            results[i].resize(static_cast<std::size_t>(tokens * kHeads * 512));
            const void* from = i == 0 ? sparse.out.data : dense.out.data;
            ASSERT_TRUE(context.device().copy_out(results[i].data(), from, results[i].size() * 2, {}).ok());
        }
        EXPECT_EQ(results[0], results[1]) << device;
    }
}

TEST(IndexTopk, BadCallsAreRefusedBeforeALaunch) {
    const auto context = Context::open("cpu");
    ASSERT_TRUE(context.ok());
    const auto message = [&](auto&& change) {
        static u64 memory[64];
        const auto tensor = [](DType type, std::initializer_list<i64> shape) {
            return Tensor::dense(memory, type, shape);
        };
        IndexTopk call{.logits = tensor(DType::f32, {0, 8}),
                       .indices = tensor(DType::i32, {0, 4}),
                       .kv_lengths = tensor(DType::i32, {1}),
                       .q_starts = tensor(DType::i32, {2}),
                       .page_table = tensor(DType::i32, {1, 2}),
                       .page_size = 4};
        change(call);
        Prepared prepared;
        return prepare(**context, call, prepared).message();
    };
    EXPECT_EQ(message([](IndexTopk&) {}), "");
    EXPECT_EQ(message([](IndexTopk& c) { c.page_size = 0; }),
              "index_topk: page_size must be at least 1, got 0");
    EXPECT_EQ(message([](IndexTopk& c) { c.page_size = 2; }),
              "index_topk: page_table must hold 8 tokens of a sequence (max_kv_len), got 4");
    EXPECT_EQ(message([](IndexTopk& c) { c.max_kv_len = 9; }),
              "index_topk: max_kv_len must be 0 to 8 (the columns of logits), got 9");
    EXPECT_EQ(message([](IndexTopk& c) { c.indices.shape[1] = 0; }),
              "index_topk: indices must have at least one column");
    EXPECT_EQ(message([](IndexTopk& c) { c.index_lengths = c.kv_lengths; }),
              "index_topk: index_lengths: dimension 0 (q_tokens) is 1, but logits has 0");
}

}  // namespace
}  // namespace warpwright
