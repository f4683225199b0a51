// SPDX-License-Identifier: Apache-2.0
// A call for some of the sequences of a pass: q_starts that do not begin at 0. On an emulated GPU, with the
// keys split, so that the merge is in it, and on this machine's devices.
#include <gtest/gtest.h>

#include <random>

#include "kernels/host_math.h"
#include "warpwright/ops/attention.h"

namespace warpwright {
namespace {

constexpr i64 kHeads = 4, kKvHeads = 1, kHeadDim = 64, kQueries = 6;
constexpr i64 kPageSize = 4096;  // one page

class AttentionPart : public testing::TestWithParam<std::string> {};

TEST_P(AttentionPart, OthersAreNotTouched) {
    const auto opened = Context::open(GetParam());
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    Context& context = **opened;
    std::mt19937 random(4);
    std::normal_distribution<float> normal(0, 1);
    std::vector<Buffer> buffers;
    const auto upload = [&](const auto& values) {
        const std::size_t bytes = values.size() * sizeof(values[0]);
        auto buffer = Buffer::allocate(context.shared_device(), bytes);
        EXPECT_TRUE(buffer.ok()) << buffer.status().message();
        buffers.push_back(std::move(*buffer));
        EXPECT_TRUE(context.device().copy_in(buffers.back().data(), values.data(), bytes, {}).ok());
        return buffers.back().data();
    };
    const auto draw = [&](i64 count) {
        std::vector<u16> values;
        for (i64 i = 0; i < count; ++i) values.push_back(float_to_bf16(normal(random)));
        return upload(values);
    };
    void* const q = draw(kQueries * kHeads * kHeadDim);
    void* const k = draw(kPageSize * kKvHeads * kHeadDim);
    void* const v = draw(kPageSize * kKvHeads * kHeadDim);
    constexpr i64 kWorkspaceBytes = 1 << 20;
    void* const workspace = upload(std::vector<u8>(kWorkspaceBytes));
    constexpr u16 kUntouched = 0x4242;

    // Queries [first, end), two sequences of them, over the same keys.
    const auto outputs = [&](i64 first, i64 end, bool& merged) {
        const i64 count = kQueries * kHeads * kHeadDim;
        void* const out = upload(std::vector<u16>(static_cast<std::size_t>(count), kUntouched));
        const i32 middle = static_cast<i32>(first + 1);
        Attention call{.q = Tensor::dense(q, DType::bf16, {kQueries, kHeads, kHeadDim}),
                       .out = Tensor::dense(out, DType::bf16, {kQueries, kHeads, kHeadDim}),
                       .k_pages = Tensor::dense(k, DType::bf16, {1, kPageSize, kKvHeads, kHeadDim}),
                       .v_pages = Tensor::dense(v, DType::bf16, {1, kPageSize, kKvHeads, kHeadDim}),
                       .page_table = Tensor::dense(upload(std::vector<i32>{0, 0}), DType::i32, {2, 1}),
                       .kv_lengths = Tensor::dense(upload(std::vector<i32>{2000, 2900}), DType::i32, {2}),
                       .q_starts = Tensor::dense(
                           upload(std::vector<i32>{static_cast<i32>(first), middle, static_cast<i32>(end)}),
                           DType::i32, {3}),
                       .max_q_len = kQueries,
                       .workspace = Tensor::dense(workspace, DType::u8, {kWorkspaceBytes})};
        call.q.shape[0] = call.out.shape[0] = end;
        Prepared prepared;
        Status status = prepare(context, call, prepared);
        EXPECT_TRUE(status.ok()) << status.message();
        merged = prepared.steps.size() > 1;
        status = prepared.launch(context.device(), {});
        EXPECT_TRUE(status.ok()) << status.message();
        std::vector<u16> values(static_cast<std::size_t>(count));
        EXPECT_TRUE(context.device().copy_out(values.data(), out, values.size() * 2, {}).ok());
        return values;
    };
    const auto expect_a_part = [&](bool merges) {
        bool merged = false;
        const std::vector<u16> part = outputs(3, 5, merged);
        EXPECT_EQ(merged, merges);
        const std::size_t row = kHeads * kHeadDim;
        for (std::size_t i = 0; i < part.size(); ++i)
            EXPECT_EQ(part[i] == kUntouched, i < 3 * row || i >= 5 * row) << i;
    };
    expect_a_part(false);  // a host row, or a cluster
    if (GetParam() == "cpu") return;
    context.force("attention", "attention.decode.bf16.d64");
    expect_a_part(true);
}

std::vector<std::string> devices() {
    std::vector<std::string> all{"cpu", "emulated:h100-sxm"};
    for (const std::string& id : list_devices().ids) {
        if (id == "cuda:0") all.push_back(id);
    }
    return all;
}

INSTANTIATE_TEST_SUITE_P(Devices, AttentionPart, testing::ValuesIn(devices()),
                         [](const auto& info) { return info.param.substr(0, info.param.find(':')); });

}  // namespace
}  // namespace warpwright
