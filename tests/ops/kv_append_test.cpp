// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/kv_append.h"

#include <vector>

#include "kernels/fused/kv_append/oracle.h"
#include "kernels/host_math.h"
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

// A latent row's codes in place: what stands beside the row, and other rows, is not touched.
TEST(KvAppend, WritesLatentRowsAlone) {
    constexpr i64 width = 576, page_size = 2, stride = 600;
    std::vector<u16> row(width);
    std::vector<float> values;
    for (i64 i = 0; i < width; ++i) {
        row[static_cast<std::size_t>(i)] = float_to_bf16(static_cast<float>(i - 288) / 7);
        values.push_back(bf16_to_float(row[static_cast<std::size_t>(i)]));
    }
    std::vector<u8> pages(2 * page_size * stride, 0xee);
    i32 sequence = 0, position = 3, page_table[] = {0, 1};
    float scale = 0.3f;
    KvAppend call{.k = Tensor::dense(row.data(), DType::bf16, {1, 1, width}),
                  .sequences = Tensor::dense(&sequence, DType::i32, {1}),
                  .positions = Tensor::dense(&position, DType::i32, {1}),
                  .page_table = Tensor::dense(page_table, DType::i32, {1, 2}),
                  .k_pages = Tensor::dense(pages.data(), DType::u8, {2, page_size, 1, width}),
                  .kv_format = KvFormat::fp8_e4m3,
                  .k_scale = Tensor::dense(&scale, DType::f32, {1})};
    call.k_pages.stride[0] = page_size * stride;
    call.k_pages.stride[1] = call.k_pages.stride[2] = stride;
    ASSERT_TRUE(kv_append(cpu_context(), {}, call).ok());
    const std::vector<float> codes = kv_codes(values, KvFormat::fp8_e4m3, {scale}, width);
    for (i64 at = 0; at < 2 * page_size * stride; ++at) {
        const i64 column = at - 3 * stride;
        const bool is_written = column >= 0 && column < width;
        ASSERT_EQ(pages[static_cast<std::size_t>(at)],
                  is_written ? codes[static_cast<std::size_t>(column)] : 0xee)
            << at;
    }

    const auto message = [&](const KvAppend& changed) {
        return kv_append(cpu_context(), {}, changed).message();
    };
    KvAppend half = call;
    half.v = call.k;
    EXPECT_EQ(message(half), "kv_append: v and v_pages: expected both, or neither");
    half = call;
    half.v_pages = call.k_pages;
    EXPECT_EQ(message(half), "kv_append: v and v_pages: expected both, or neither");
    half = call;
    half.v_scale = call.k_scale;
    EXPECT_EQ(message(half), "kv_append: v_scale: expected v too");
}

}  // namespace
}  // namespace warpwright
