// SPDX-License-Identifier: Apache-2.0
// Attention level by level agrees with the same keys in one call, on the CPU and on an emulated GPU.
#include "warpwright/ops/cascade.h"

#include <gtest/gtest.h>

#include <random>

#include "kernels/attention/oracle.h"
#include "kernels/host_math.h"

namespace warpwright {
namespace {

// Three sequences of two queries; a prefix of all, one of the last two, and their own keys, in pages of 4.
class CascadeOn : public testing::TestWithParam<std::string> {
protected:
    static constexpr i64 kHeads = 4, kKvHeads = 2, kHeadDim = 64, kQueries = 6, kPageSize = 4, kPages = 40;
    static constexpr i64 kSharedPages = 16, kPairPages = 5, kOwnPages = 3;

    std::shared_ptr<Context> context;
    std::vector<Buffer> buffers;
    AttentionInputs in{.q_starts = {0, 2, 4, 6},
                       .kv_lengths = {16 * 4 + 9, 21 * 4 + 12, 21 * 4 + 2},
                       .heads = kHeads,
                       .kv_heads = kKvHeads,
                       .head_dim = kHeadDim,
                       .page_size = kPageSize,
                       .max_pages = kSharedPages + kPairPages + kOwnPages,
                       .scale = 0.125};

    void SetUp() override {
        auto opened = Context::open(GetParam());
        ASSERT_TRUE(opened.ok()) << opened.status().message();
        context = *opened;
    }
    template <class T>
    void* upload(const std::vector<T>& values) {
        auto buffer = Buffer::allocate(context->shared_device(), values.size() * sizeof(T));
        EXPECT_TRUE(buffer.ok()) << buffer.status().message();
        buffers.push_back(std::move(*buffer));
        EXPECT_TRUE(
            context->device().copy_in(buffers.back().data(), values.data(), values.size() * sizeof(T), {}));
        return buffers.back().data();
    }
    Tensor numbers(const std::vector<i32>& values) {
        return Tensor::dense(upload(values), DType::i32, {static_cast<i64>(values.size())});
    }
    Tensor table(const std::vector<i32>& values, i64 rows) {
        return Tensor::dense(upload(values), DType::i32, {rows, static_cast<i64>(values.size()) / rows});
    }
    Tensor draw(std::initializer_list<i64> shape, std::vector<float>& values) {
        std::mt19937 random(static_cast<unsigned>(buffers.size()));
        std::normal_distribution<float> normal(0, 1);
        std::vector<u16> bits;
        for (i64 i = 0; i < Tensor::dense(nullptr, DType::bf16, shape).num_elements(); ++i) {
            bits.push_back(float_to_bf16(normal(random)));
            values.push_back(bf16_to_float(bits.back()));
        }
        return Tensor::dense(upload(bits), DType::bf16, shape);
    }
    Attention call() {
        Attention attention{.q = draw({kQueries, kHeads, kHeadDim}, in.q),
                            .k_pages = draw({kPages, kPageSize, kKvHeads, kHeadDim}, in.k),
                            .v_pages = draw({kPages, kPageSize, kKvHeads, kHeadDim}, in.v)};
        attention.out =
            Tensor::dense(upload(std::vector<u16>(in.q.size())), DType::bf16, {kQueries, kHeads, kHeadDim});
        attention.lse_base2 =
            Tensor::dense(upload(std::vector<float>(kQueries * kHeads)), DType::f32, {kQueries, kHeads});
        return attention;
    }
};

// What of a call is the last level's, or counted once, in each of its forms.
class CascadeForms : public CascadeOn {
protected:
    void expect_all_keys_in_one_call(bool with_mask);
};

void CascadeForms::expect_all_keys_in_one_call(bool with_mask) {
    Cascade cascade{.call = call()};
    std::swap(cascade.call.lse_base2, with_mask ? cascade.call.lse_base_e : cascade.call.lse_base2);
    if (with_mask) {  // the second queries of trees do not see the first ones
        in.mask = {1, 2, 1, 2, 1, 3};
        in.mask_words = 1;
        cascade.call.past_is_ready = true;
        in.mask_of_queries = cascade.call.mask_of_queries = true;
        cascade.call.mask = Tensor::dense(upload(in.mask), DType::i32, {kQueries, 1});
    }
    in.sinks = {1, -2, 3, 0.5f};
    cascade.call.sinks = Tensor::dense(upload(in.sinks), DType::f32, {kHeads});
    const auto pages = [](i64 first, i64 count) {
        std::vector<i32> all;
        for (i64 i = 0; i < count; ++i) all.push_back(static_cast<i32>(first + i));
        return all;
    };
    const std::vector<i32> shared = pages(20, kSharedPages), pair = pages(0, kPairPages);
    std::vector<i32> own;
    for (i64 s = 0; s < 3; ++s) {
        const std::vector<i32> mine = pages(6 + s * kOwnPages, kOwnPages);
        own.insert(own.end(), mine.begin(), mine.end());
        std::vector<i32> flat = shared;
        if (s > 0) flat.insert(flat.end(), pair.begin(), pair.end());
        flat.insert(flat.end(), mine.begin(), mine.end());
        flat.resize(static_cast<std::size_t>(in.max_pages), -1);
        in.page_table.insert(in.page_table.end(), flat.begin(), flat.end());
    }
    // The first sequence has no key on the second level.
    cascade.levels = {{.q_starts = numbers({0, 6}),
                       .page_table = table(shared, 1),
                       .kv_lengths = numbers({kSharedPages * kPageSize}),
                       .max_q_len = 6},
                      {.q_starts = numbers({0, 2, 6}),
                       .page_table = table({0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, 2),
                       .kv_lengths = numbers({0, kPairPages * kPageSize}),
                       .max_q_len = 4},
                      {.q_starts = numbers(in.q_starts),
                       .page_table = table(own, 3),
                       .kv_lengths = numbers({9, 12, 2}),
                       .max_q_len = 2}};
    const auto bytes = cascade_workspace_bytes(*context, cascade);
    ASSERT_TRUE(bytes.ok()) << bytes.status().message();
    cascade.call.workspace =
        Tensor::dense(upload(std::vector<u8>(static_cast<std::size_t>(*bytes))), DType::u8, {*bytes});
    Prepared prepared;
    Status status = prepare(*context, cascade, prepared);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_GE(prepared.steps.size(), 4u);
    ASSERT_TRUE(prepared.launch(context->device(), {}).ok());

    std::vector<u16> out(in.q.size());
    std::vector<float> lse(kQueries * kHeads);
    ASSERT_TRUE(context->device().copy_out(out.data(), cascade.call.out.data, out.size() * 2, {}).ok());
    ASSERT_TRUE(context->device()
                    .copy_out(lse.data(), (with_mask ? cascade.call.lse_base_e : cascade.call.lse_base2).data,
                              lse.size() * 4, {})
                    .ok());
    const auto answer = attention_oracle<double>(in, DType::bf16);
    // Weights, partial results and the result are rounded to bf16: half of 2^-8 each.
    for (std::size_t i = 0; i < out.size(); ++i)
        ASSERT_NEAR(bf16_to_float(out[i]), answer.out[i], 0.006 * (1 + std::abs(answer.out[i]))) << i;
    for (std::size_t i = 0; i < lse.size(); ++i)
        ASSERT_NEAR(lse[i], answer.lse[i] * (with_mask ? std::log(2.0) : 1), 1e-4) << i;
}

TEST_P(CascadeForms, AgreeWithAllKeysInOneCall) {
    expect_all_keys_in_one_call(false);
}

TEST_P(CascadeForms, AgreeWithAllKeysInOneCallUnderAMask) {
    expect_all_keys_in_one_call(true);
}

TEST_P(CascadeOn, OneLevelIsAttention) {
    Cascade cascade{.call = call()};
    std::vector<i32> all;
    for (i32 i = 0; i < 3 * 8; ++i) all.push_back(i);
    cascade.levels = {{.q_starts = numbers(in.q_starts),
                       .page_table = table(all, 3),
                       .kv_lengths = numbers({9, 32, 2}),
                       .max_q_len = 2}};
    Attention same = cascade.call;
    same.out =
        Tensor::dense(upload(std::vector<u16>(in.q.size())), DType::bf16, {kQueries, kHeads, kHeadDim});
    same.q_starts = cascade.levels[0].q_starts;
    same.page_table = cascade.levels[0].page_table;
    same.kv_lengths = cascade.levels[0].kv_lengths;
    same.max_q_len = 2;
    ASSERT_EQ(warpwright::cascade(*context, {}, cascade).message(), "");
    ASSERT_EQ(attention(*context, {}, same).message(), "");
    std::vector<u16> out(in.q.size()), expected(in.q.size());
    ASSERT_TRUE(context->device().copy_out(out.data(), cascade.call.out.data, out.size() * 2, {}).ok());
    ASSERT_TRUE(context->device().copy_out(expected.data(), same.out.data, out.size() * 2, {}).ok());
    EXPECT_EQ(out, expected);
    EXPECT_NE(out, std::vector<u16>(out.size()));
}

TEST_P(CascadeOn, RefusesWhatItCannotDo) {
    Cascade cascade{.call = call()};
    const auto error = [&] {
        Prepared prepared;
        return prepare(*context, cascade, prepared).message();
    };
    EXPECT_EQ(error(), "cascade: there must be at least one level");
    const CascadeLevel level{.q_starts = numbers({0, 6}),
                             .page_table = table({0, 1}, 1),
                             .kv_lengths = numbers({8}),
                             .max_q_len = 6};
    cascade.levels = {level, level};
    EXPECT_EQ(error(), "cascade: workspace has 0 bytes, but 2 levels need 6336");
    const Cascade right = cascade;
    cascade.call.workspace = Tensor::dense(upload(std::vector<u8>(6336)), DType::u8, {6336});
    EXPECT_EQ(error(), "");
    cascade.levels[1].kv_lengths = numbers({8, 8});
    EXPECT_EQ(error(),
              "cascade: level 1: attention: kv_lengths: dimension 0 (sequences) is 2, but page_table has 1");
    cascade.levels[1] = level;
    cascade.call.workspace.data = static_cast<u8*>(cascade.call.workspace.data) + 8;
    EXPECT_EQ(error(), "cascade: workspace must start at a multiple of 16 bytes");
    const std::string positions =
        "cascade: windows, chunks and slopes depend on positions, which levels do not have";
    cascade = right;
    cascade.call.window_left = 3;
    EXPECT_EQ(error(), positions);
    cascade = right;
    cascade.call.chunk = 3;
    EXPECT_EQ(error(), positions);
    cascade = right;
    cascade.call.alibi_slopes = Tensor::dense(upload(std::vector<float>(kHeads)), DType::f32, {kHeads});
    EXPECT_EQ(error(), positions);
    cascade = right;
    cascade.call.lse_base_e = cascade.call.lse_base2;
    EXPECT_EQ(error(), "cascade: lse_base2 and lse_base_e exclude each other");
    // No tokens: nothing to do.
    cascade = right;
    cascade.call.q.shape[0] = 0;
    EXPECT_EQ(error(), "");
}

const auto kDevices = testing::Values("cpu", "emulated:h200", "emulated:a100", "emulated:rtx-5090");
const auto device_name = [](const auto& info) {
    std::string name = info.param.substr(info.param.find(':') + 1);
    std::erase(name, '-');
    return name;
};
INSTANTIATE_TEST_SUITE_P(Devices, CascadeOn, kDevices, device_name);
INSTANTIATE_TEST_SUITE_P(Devices, CascadeForms, kDevices, device_name);

}  // namespace
}  // namespace warpwright
