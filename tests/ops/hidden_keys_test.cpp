// SPDX-License-Identifier: Apache-2.0
// A key of NaN or infinity and the queries that do not see it: their scores of it are replaced, not added to,
// whatever hides it. Its value must be finite (docs/kernels/attention.md), but where a list leaves it out.
// What no query of a sequence sees is NaN in the check of every row.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "kernels/host_math.h"
#include "warpwright/ops/attention.h"

namespace warpwright {
namespace {

constexpr i64 kHeads = 2, kHeadDim = 64, kTokens = 40, kRow = kHeads * kHeadDim;

struct HiddenKey {
    const char* name;
    const char* row;  // on a GPU; null: the chosen one
    i64 window_left = -1;
    float softcap = 0;
    bool alibi = false;
    bool lists = false;  // blocks of 16: the own one and the first
};

class HiddenKeys : public testing::TestWithParam<std::tuple<std::string, HiddenKey>> {};

TEST_P(HiddenKeys, SpoilNoQueryThatDoesNotSeeThem) {
    const auto& [device, hidden] = GetParam();
    const auto opened = Context::open(device);
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    Context& context = **opened;
    if (hidden.row != nullptr && device != "cpu") context.force("attention", hidden.row);
    const i64 spoiled = hidden.lists ? 16 : 20;  // the first of its block, which all of a list see
    std::vector<Buffer> buffers;
    const auto upload = [&](const auto& values, DType type, std::initializer_list<i64> shape) {
        const std::size_t bytes = values.size() * sizeof(values[0]);
        auto buffer = Buffer::allocate(context.shared_device(), bytes);
        EXPECT_TRUE(buffer.ok()) << buffer.status().message();
        buffers.push_back(std::move(*buffer));
        EXPECT_TRUE(context.device().copy_in(buffers.back().data(), values.data(), bytes, {}).ok());
        return Tensor::dense(buffers.back().data(), type, shape);
    };
    std::mt19937 random(4);
    std::normal_distribution<float> normal(0, 1);
    std::vector<u16> q, k, v;
    for (std::vector<u16>* values : {&q, &k, &v})
        for (i64 i = 0; i < kTokens * kRow; ++i) values->push_back(float_to_bf16(normal(random)));

    const auto outputs = [&](const std::vector<u16>& keys, const std::vector<u16>& values) {
        std::vector<u16> out(q.size());
        const std::vector<i32> starts{0, kTokens};
        Attention call{.q = upload(q, DType::bf16, {kTokens, kHeads, kHeadDim}),
                       .out = upload(out, DType::bf16, {kTokens, kHeads, kHeadDim}),
                       .k = upload(keys, DType::bf16, {kTokens, kHeads, kHeadDim}),
                       .v = upload(values, DType::bf16, {kTokens, kHeads, kHeadDim}),
                       .kv_starts = upload(starts, DType::i32, {2}),
                       .q_starts = upload(starts, DType::i32, {2}),
                       .max_q_len = kTokens,
                       .window_left = hidden.window_left,
                       .softcap = hidden.softcap};
        if (hidden.alibi) call.alibi_slopes = upload(std::vector<float>{0.25f, 0.5f}, DType::f32, {kHeads});
        if (hidden.lists) {
            call.block_starts = upload(std::vector<i32>{0, 1, 3, 5}, DType::i32, {1, 1, 4});
            call.block_columns = upload(std::vector<i32>{0, 0, 1, 0, 2}, DType::i32, {5});
            call.block_queries = call.block_keys = 16;
        }
        const Status status = attention(context, {}, call);
        EXPECT_TRUE(status.ok()) << status.message();
        EXPECT_TRUE(context.device().copy_out(out.data(), call.out.data, out.size() * 2, {}).ok());
        return out;
    };
    const std::vector<u16> clean = outputs(k, v);
    for (const float value :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        std::vector<u16> keys = k, values = v;
        std::fill_n(keys.begin() + spoiled * kRow, kRow, float_to_bf16(value));
        if (hidden.lists) std::fill_n(values.begin() + spoiled * kRow, kRow, float_to_bf16(value));
        const std::vector<u16> found = outputs(keys, values);
        for (i64 i = 0; i < std::ssize(found); ++i) {
            const i64 query = i / kRow;
            const bool sees = query >= spoiled &&
                              (hidden.window_left < 0 || query <= spoiled + hidden.window_left) &&
                              (!hidden.lists || query / 16 == spoiled / 16);
            const u16 got = found[static_cast<std::size_t>(i)];
            if (!sees) {
                ASSERT_EQ(got, clean[static_cast<std::size_t>(i)]) << value << ", query " << query;
            }
            if (sees && std::isnan(value)) {
                ASSERT_TRUE(std::isnan(bf16_to_float(got))) << "query " << query;
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(
    Devices, HiddenKeys,
    testing::Combine(testing::Values("cpu", "emulated:h100-sxm"),
                     testing::Values(HiddenKey{"Causal", nullptr}, HiddenKey{"Window", nullptr, 5},
                                     HiddenKey{"WindowAndSoftcap", nullptr, 5, 20},
                                     HiddenKey{"Alibi", nullptr, -1, 0, true},
                                     HiddenKey{"Lists", nullptr, -1, 0, false, true},
                                     HiddenKey{"DecodeCausal", "attention.decode.bf16.d64"},
                                     HiddenKey{"DecodeWindow", "attention.decode.bf16.d64", 5})),
    [](const auto& info) {
        const std::string& device = std::get<0>(info.param);
        return device.substr(0, device.find(':')) + std::get<1>(info.param).name;
    });

}  // namespace
}  // namespace warpwright
