// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/kv_append.h"

#include "ops/check_test.h"

namespace warpwright {
namespace {

constexpr const char* kOp = "kv_append";

TEST(KvAppend, AgreesWithItsOracle) {
    expect_check_passes(kOp);
}

TEST(KvAppend, RefusesWithTheReason) {
    EXPECT_EQ(refusal(kOp, "kv_append.portable.any", "h200", {{"page_size", "24"}}),
              "page size: needs a power of two, got 24");
    EXPECT_EQ(refusal(kOp, "kv_append.host", "cpu", {{"page_size", "0"}}),
              "page size: needs a power of two, got 0");
    EXPECT_EQ(refusal(kOp, "kv_append.portable.t128v1", "h200", {{"head_dim", "100"}}),
              "head dim: needs a multiple of 8, got 100");
    EXPECT_EQ(refusal(kOp, "kv_append.portable.t128v1", "h200", {{"alignment_bytes", "4"}}),
              "alignment: needs a multiple of 16, got 4");
}

TEST(KvAppend, ChoosesTheRowThatFits) {
    EXPECT_EQ(chosen(kOp, "h200", {}), "kv_append.portable.t128v1");
    EXPECT_EQ(chosen(kOp, "l4", {{"head_dim", "100"}, {"alignment_bytes", "8"}}), "kv_append.portable.any");
    EXPECT_EQ(chosen(kOp, "cpu", {{"dtype", "f16"}}), "kv_append.host");
    EXPECT_EQ(chosen(kOp, "cpu", {{"page_size", "24"}}), "");
}

// Pages may be stored heads first: the strides say so.
TEST(KvAppend, FollowsTheStridesOfThePages) {
    constexpr i64 page_size = 4, heads = 2, width = 3;
    u16 k[heads * width], v[heads * width], k_pages[2 * heads * page_size * width] = {}, v_pages[48] = {};
    for (int i = 0; i < heads * width; ++i) k[i] = static_cast<u16>(i + 1), v[i] = static_cast<u16>(i + 101);
    i32 sequence = 0, position = 6, page_table[] = {0, 1};
    const auto pages_of = [&](u16* data) {
        Tensor pages = Tensor::dense(data, DType::bf16, {2, heads, page_size, width});
        std::swap(pages.shape[1], pages.shape[2]);
        std::swap(pages.stride[1], pages.stride[2]);
        return pages;
    };
    const KvAppend call{.k = Tensor::dense(k, DType::bf16, {1, heads, width}),
                        .v = Tensor::dense(v, DType::bf16, {1, heads, width}),
                        .sequences = Tensor::dense(&sequence, DType::i32, {1}),
                        .positions = Tensor::dense(&position, DType::i32, {1}),
                        .page_table = Tensor::dense(page_table, DType::i32, {1, 2}),
                        .k_pages = pages_of(k_pages),
                        .v_pages = pages_of(v_pages)};
    ASSERT_TRUE(kv_append(cpu_context(), {}, call).ok());
    for (i64 head = 0; head < heads; ++head) {
        for (i64 i = 0; i < width; ++i) {
            const i64 at = ((heads + head) * page_size + 2) * width + i;  // page 1, slot 2
            EXPECT_EQ(k_pages[at], k[head * width + i]);
            EXPECT_EQ(v_pages[at], v[head * width + i]);
        }
    }
    int written = 0;
    for (u16 value : k_pages) written += value != 0;
    EXPECT_EQ(written, heads * width);
}

}  // namespace
}  // namespace warpwright
