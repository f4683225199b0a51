// SPDX-License-Identifier: Apache-2.0
// index_logits: host rows against the oracle, refusals word for word.
#include "warpwright/ops/index_logits.h"

#include "ops/check_test.h"

namespace warpwright {
namespace {

constexpr const char* kOp = "index_logits";

TEST(IndexLogits, AgreesWithItsOracle) {
    expect_check_passes(kOp);
}

TEST(IndexLogits, RefusesWithTheReason) {
    const char *numbers = "index_logits.portable.bf16", *codes = "index_logits.portable.e4m3";
    const FieldTexts e4m3 = {{"kv_format", "fp8_e4m3"}, {"coded_queries", "true"}};
    EXPECT_EQ(refusal(kOp, numbers, "h200", {}), "");
    EXPECT_EQ(refusal(kOp, numbers, "rtx-4090", {}), "");
    EXPECT_EQ(refusal(kOp, codes, "a100", e4m3), "");
    EXPECT_EQ(refusal(kOp, numbers, "h200", e4m3), "fp8 e4m3: needs false, got true");
    EXPECT_EQ(refusal(kOp, codes, "h200", {}), "fp8 e4m3: needs true, got false");
    EXPECT_EQ(refusal(kOp, numbers, "h200", {{"page_size", "48"}}),
              "page size: needs a power of two, got 48");
    EXPECT_EQ(refusal(kOp, numbers, "h200", {{"alignment_bytes", "2"}}),
              "alignment: needs a multiple of 16, got 2");
    EXPECT_EQ(refusal(kOp, "index_logits.host", "cpu", {{"alignment_bytes", "2"}}), "");
    EXPECT_EQ(chosen(kOp, "h200", e4m3), codes);
    const char* mixed = "index_logits.portable.bf16_e4m3";
    const FieldTexts of_numbers = {{"kv_format", "fp8_e4m3"}};
    EXPECT_EQ(refusal(kOp, mixed, "h200", e4m3), "coded queries: needs false, got true");
    EXPECT_EQ(refusal(kOp, codes, "h200", of_numbers), "coded queries: needs true, got false");
    EXPECT_EQ(refusal(kOp, "index_logits.host", "cpu", of_numbers), "");
    EXPECT_EQ(refusal(kOp, "index_logits.host", "cpu", {{"coded_queries", "true"}}),
              "coded queries: needs false, got true");
    EXPECT_EQ(chosen(kOp, "h200", of_numbers), mixed);
}

TEST(IndexLogits, BadCallsAreRefusedBeforeALaunch) {
    const auto context = Context::open("cpu");
    ASSERT_TRUE(context.ok());
    const auto message = [&](auto&& change) {
        static u64 memory[1024];
        const auto tensor = [](DType type, std::initializer_list<i64> shape) {
            return Tensor::dense(memory, type, shape);
        };
        IndexLogits call{.q = tensor(DType::bf16, {0, 4, 128}),
                         .weights = tensor(DType::f32, {0, 4}),
                         .logits = tensor(DType::f32, {0, 8}),
                         .cache = tensor(DType::bf16, {3, 4, 128}),
                         .page_table = tensor(DType::i32, {1, 2}),
                         .kv_lengths = tensor(DType::i32, {1}),
                         .q_starts = tensor(DType::i32, {2})};
        change(call);
        Prepared prepared;
        return prepare(**context, call, prepared).message();
    };
    EXPECT_EQ(message([](IndexLogits&) {}), "");
    EXPECT_EQ(message([](IndexLogits& c) { c.q.shape[2] = c.cache.shape[2] = 64; }),
              "index_logits: q must have 128 columns, got 64");
    EXPECT_EQ(message([](IndexLogits& c) { c.q.dtype = c.cache.dtype = DType::u8; }),
              "index_logits: a key of the cache must have 132 bytes, got 128");
    EXPECT_EQ(message([](IndexLogits& c) {
                  c.q.dtype = c.cache.dtype = DType::u8, c.cache.shape[2] = 132, c.cache.stride[1] = 144;
              }),
              "index_logits: a page of codes must be without gaps, got a stride of 144 bytes");
    EXPECT_EQ(message([](IndexLogits& c) {
                  c.cache.dtype = DType::u8, c.cache.shape[2] = 132, c.cache.stride[1] = 132;
              }),
              "");  // q may be numbers
    EXPECT_EQ(message([](IndexLogits& c) { c.q.dtype = DType::u8; }),
              "index_logits: q of codes needs a cache of codes");
    EXPECT_EQ(message([](IndexLogits& c) { c.logits.shape[1] = 7; }),
              "index_logits: logits must have at least 8 columns (max_kv_len), got 7");
    EXPECT_EQ(message([](IndexLogits& c) { c.max_kv_len = 9; }),
              "index_logits: max_kv_len must be 0 to 8 (what the pages of a sequence hold), got 9");
    EXPECT_EQ(message([](IndexLogits& c) { c.q_starts.shape[0] = 1; }),
              "index_logits: q_starts must have 2 elements (page_table has 1 sequences), got 1");
}

}  // namespace
}  // namespace warpwright
