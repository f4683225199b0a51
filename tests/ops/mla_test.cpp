// SPDX-License-Identifier: Apache-2.0
// mla: host rows against the oracle, refusals word for word, what serves where, bits in a batch and alone.
#include "warpwright/ops/mla.h"

#include <cstring>
#include <random>
#include <vector>

#include "kernels/attention/mla/operation.h"
#include "kernels/host_math.h"
#include "ops/check_test.h"

namespace warpwright {
namespace {

constexpr const char* kOp = "mla";

TEST(Mla, AgreesWithItsOracle) {
    expect_check_passes(kOp);
}

TEST(Mla, RefusesWithTheReason) {
    const char *few = "mla.portable.bf16.r16", *many = "mla.portable.bf16.r64";
    EXPECT_EQ(refusal(kOp, few, "h200", {}), "");
    EXPECT_EQ(refusal(kOp, few, "rtx-4090", {}), "");
    EXPECT_EQ(refusal(kOp, many, "h200", {}), "");
    EXPECT_EQ(refusal(kOp, many, "rtx-4090", {}), "shared memory: needs 147840 bytes, rtx-4090 has 101376");
    EXPECT_EQ(refusal(kOp, few, "h200", {{"dtype", "f16"}}), "dtype: needs bf16, got f16");
    EXPECT_EQ(refusal(kOp, few, "h200", {{"page_size", "48"}}), "page size: needs a power of two, got 48");
    EXPECT_EQ(refusal(kOp, few, "h200", {{"alignment_bytes", "2"}}),
              "alignment: needs a multiple of 16, got 2");
    const FieldTexts records = {{"kv_format", "fp8_e4m3"}};
    EXPECT_EQ(refusal(kOp, few, "h200", records), "fp8 e4m3: needs false, got true");
    EXPECT_EQ(refusal(kOp, "mla.portable.bf16.e4m3.r16", "rtx-4090", records), "");
    EXPECT_EQ(refusal(kOp, "mla.portable.bf16.e4m3.r16", "rtx-4090", {}), "fp8 e4m3: needs true, got false");
    const FieldTexts lists = {{"indexed", "true"}};
    EXPECT_EQ(refusal(kOp, few, "h200", lists), "");
    EXPECT_EQ(refusal(kOp, many, "h200", lists), "indexed: needs false, got true");
    EXPECT_EQ(refusal(kOp, "mla.portable.bf16.r64.lists", "h200", lists), "");
    EXPECT_EQ(refusal(kOp, "mla.portable.bf16.r64.lists", "h200", {}), "indexed: needs true, got false");
    EXPECT_EQ(refusal(kOp, "mla.host.bf16", "cpu", records), "");
    EXPECT_EQ(refusal(kOp, "mla.host.bf16", "cpu", {{"kv_format", "fp8_e5m2"}}),
              "fp8 e5m2: needs false, got true");
    const FieldTexts codes = {{"kv_format", "fp8_e4m3"}, {"one_scale", "true"}};
    EXPECT_EQ(refusal(kOp, "mla.portable.bf16.codes.r16", "rtx-4090", codes), "");
    EXPECT_EQ(refusal(kOp, "mla.portable.bf16.codes.r16", "h200", records),
              "one scale: needs true, got false");
    EXPECT_EQ(refusal(kOp, "mla.portable.bf16.e4m3.r16", "h200", codes), "one scale: needs false, got true");
    EXPECT_EQ(refusal(kOp, "mla.portable.bf16.codes.r16", "h200", {}), "fp8 e4m3: needs true, got false");
    EXPECT_EQ(refusal(kOp, "mla.host.bf16", "cpu", codes), "");
    EXPECT_EQ(refusal(kOp, "mla.host.bf16", "cpu", {{"alignment_bytes", "2"}}), "");
    EXPECT_EQ(refusal(kOp, "mla.host.bf16", "h200", {}), "architecture: runs on the CPU, h200 is a GPU");
}

TEST(Mla, ChoosesByTheNumberOfRows) {
    const FieldTexts batch = {{"sequences", "64"}, {"max_kv_len", "8192"}};
    const auto row = [&](const char* target, const char* heads, const char* q_len) {
        FieldTexts set = batch;
        set.insert(set.end(), {{"heads", heads}, {"max_q_len", q_len}});
        return chosen(kOp, target, set);
    };
    EXPECT_EQ(row("h200", "16", "1"), "mla.portable.bf16.r16");
    EXPECT_EQ(row("h200", "128", "1"), "mla.portable.bf16.r64");
    EXPECT_EQ(row("h200", "16", "4"), "mla.portable.bf16.r64");
    EXPECT_EQ(row("rtx-4090", "128", "1"), "mla.portable.bf16.r16");
    const FieldTexts lists = {
        {"sequences", "128"}, {"max_kv_len", "2048"}, {"causal", "false"}, {"indexed", "true"}};
    EXPECT_EQ(chosen(kOp, "h200", lists), "mla.portable.bf16.r64.lists");
    EXPECT_EQ(chosen(kOp, "rtx-4090", lists), "mla.portable.bf16.r16");
    EXPECT_EQ(chosen(kOp, "cpu", {}), "mla.host.bf16");
    FieldTexts codes = {
        {"sequences", "64"}, {"max_kv_len", "8192"}, {"kv_format", "fp8_e4m3"}, {"one_scale", "true"}};
    EXPECT_EQ(chosen(kOp, "h200", codes), "mla.portable.bf16.codes.r64");
    EXPECT_EQ(chosen(kOp, "rtx-4090", codes), "mla.portable.bf16.codes.r16");
    codes.emplace_back("dtype", "f16");
    EXPECT_EQ(chosen(kOp, "h200", codes), "mla.portable.f16.codes.r16");
}

// One decoding call on some device, with its buffers.
class Decode {
public:
    static constexpr i64 kSequences = 3, kQueries = 2, kHeads = 20, kPageSize = 16, kPages = 6;

    explicit Decode(const std::string& device, DType dtype = DType::bf16) {
        auto opened = Context::open(device);
        EXPECT_TRUE(opened.ok()) << opened.status().message();
        context = *opened;
        std::mt19937 random(5);
        std::normal_distribution<float> normal(0, 1);
        const auto draw = [&](i64 count) {
            std::vector<u16> values;
            for (i64 i = 0; i < count; ++i)
                values.push_back(dtype == DType::bf16 ? float_to_bf16(normal(random))
                                                      : float_to_f16(normal(random)));
            return upload(values);
        };
        std::vector<i32> table;
        for (i32 i = 0; i < kSequences * kPages; ++i) table.push_back(i * 7 % (kSequences * kPages));
        call.q = Tensor::dense(draw(kSequences * kQueries * kHeads * 576), dtype,
                               {kSequences * kQueries, kHeads, 576});
        call.cache = Tensor::dense(draw(kSequences * kPages * kPageSize * 576), dtype,
                                   {kSequences * kPages, kPageSize, 576});
        out_values = kSequences * kQueries * kHeads * 512;
        call.out = Tensor::dense(upload(std::vector<u16>(static_cast<std::size_t>(out_values))), dtype,
                                 {kSequences * kQueries, kHeads, 512});
        call.page_table = Tensor::dense(upload(table), DType::i32, {kSequences, kPages});
        call.kv_lengths = Tensor::dense(upload(std::vector<i32>{90, 7, 41}), DType::i32, {kSequences});
        call.q_starts = Tensor::dense(upload(std::vector<i32>{0, 2, 4, 6}), DType::i32, {kSequences + 1});
        call.max_q_len = kQueries;
    }

    Status run(bool batch_invariant = false) {
        Prepared prepared;
        prepared.batch_invariant = batch_invariant;
        WW_TRY(prepare(*context, call, prepared));
        WW_TRY(prepared.launch(context->device(), {}));
        return context->device().synchronize({});
    }

    std::vector<u16> results() {
        std::vector<u16> values(static_cast<std::size_t>(out_values));
        EXPECT_TRUE(context->device().copy_out(values.data(), call.out.data, values.size() * 2, {}).ok());
        return values;
    }

    // Lists of so many slots for every query, in place of pages and lengths.
    void attend_to(std::vector<i32> lists, i64 max_indices) {
        lists.resize(static_cast<std::size_t>(kSequences * kQueries * max_indices), -1);
        call.indices = Tensor::dense(upload(lists), DType::i32, {kSequences * kQueries, max_indices});
        call.page_table = call.kv_lengths = {};
    }

    template <class T>
    void* upload(const std::vector<T>& values) {
        auto buffer = Buffer::allocate(context->shared_device(), values.size() * sizeof(T));
        EXPECT_TRUE(buffer.ok()) << buffer.status().message();
        EXPECT_TRUE(
            context->device().copy_in(buffer->data(), values.data(), values.size() * sizeof(T), {}).ok());
        buffers.push_back(std::move(*buffer));
        return buffers.back().data();
    }

    std::shared_ptr<Context> context;
    std::vector<Buffer> buffers;
    Mla call;
    i64 out_values = 0;
};

TEST(Mla, BadCallsAreRefusedBeforeALaunch) {
    const auto message = [](auto&& change) {
        Decode decode("cpu");
        change(decode);
        return decode.run().message();
    };
    EXPECT_EQ(message([](Decode& d) { d.call.q.shape[2] = d.call.cache.shape[2] = 512; }),
              "mla: q and cache must have 576 columns and out 512, got 512 and 512");
    EXPECT_EQ(message([](Decode& d) { d.call.q_starts.shape[0] = 3; }),
              "mla: q_starts must have 4 elements (page_table has 3 sequences), got 3");
    EXPECT_EQ(message([](Decode& d) { d.call.max_kv_len = 97; }),
              "mla: max_kv_len must be 0 to 96 (what the pages of a sequence hold), got 97");
    EXPECT_EQ(message([](Decode& d) { d.call.max_q_len = 0; }), "mla: max_q_len must be at least 1, got 0");
    EXPECT_EQ(message([](Decode& d) { d.call.scale = -1; }),
              "mla: scale must be finite and not negative, got -1");
    EXPECT_EQ(
        message([](Decode& d) { d.call.cache.dtype = DType::u8; }),
        "mla: a row of a u8 cache must have 656 bytes (a record), or with kv_format fp8_e4m3 576, got 576");
    EXPECT_EQ(message([](Decode& d) { d.call.kv_format = KvFormat::fp8_e4m3; }),
              "mla: cache must be u8, got bf16");
    const auto codes = [&](KvFormat format, i64 num_scales) {
        return message([&](Decode& d) {
            d.call.cache.dtype = DType::u8;
            d.call.kv_format = format;
            d.call.k_scale = Tensor::dense(d.call.q_starts.data, DType::f32, {num_scales});
        });
    };
    EXPECT_EQ(codes(KvFormat::fp8_e4m3, 1), "");
    EXPECT_EQ(codes(KvFormat::fp8_e4m3, 2), "mla: k_scale must have 1 element, got 2");
    EXPECT_EQ(codes(KvFormat::fp8_e5m2, 1), "mla: kv_format must be same or fp8_e4m3, got fp8_e5m2");
    EXPECT_EQ(
        message([](Decode& d) { d.call.k_scale = Tensor::dense(d.call.q_starts.data, DType::f32, {1}); }),
        "mla: k_scale is for kv_format fp8_e4m3, got same");
    EXPECT_EQ(message([](Decode& d) { d.attend_to({}, 4), d.call.kv_lengths = d.call.q_starts; }),
              "mla: indices exclude page_table and kv_lengths");
    EXPECT_EQ(message([](Decode& d) {
                  d.attend_to({}, 4);
                  d.call.q_starts = Tensor::dense(d.call.q_starts.data, DType::i32, {0});
              }),
              "mla: q_starts must have at least one element");
    EXPECT_EQ(message([](Decode& d) { d.call.index_lengths = d.call.kv_lengths; }),
              "mla: index_lengths: dimension 0 (q_tokens) is 3, but q has 6");
    EXPECT_EQ(message([](Decode& d) {
                  d.call.index_lengths = Tensor::dense(d.call.q_starts.data, DType::i32, {6});
              }),
              "mla: index_lengths are of indices, which are null");
    EXPECT_EQ(message([](Decode& d) { d.call.page_table = {}; }), "mla: page_table is null");
    EXPECT_NE(message([](Decode& d) { d.call.out.dtype = DType::f16; }), "");
    EXPECT_NE(message([](Decode& d) { d.call.cache.shape[1] = d.call.cache.shape[1] - 1; }), "");
    EXPECT_EQ(message([](Decode&) {}), "");
}

// Every sequence has the bits of a call of its own; where keys are split they have others.
TEST(Mla, BatchInvariantCallsHaveTheBitsOfOneSequence) {
    for (const char* device : {"cpu", "emulated:h200", "emulated:l40s"}) {
        Decode all(device);
        ASSERT_TRUE(all.run(true).ok()) << device;
        const std::vector<u16> together = all.results();
        for (i32 sequence = 0; sequence < Decode::kSequences; ++sequence) {
            Decode one(device);
            const auto row = [&](Tensor& tensor, i64 count) {
                tensor.data = static_cast<std::byte*>(tensor.data) +
                              sequence * count * tensor.stride[0] * dtype_bytes(tensor.dtype);
                tensor.shape[0] = count;
            };
            row(one.call.page_table, 1);
            row(one.call.kv_lengths, 1);
            row(one.call.q, Decode::kQueries);
            row(one.call.out, Decode::kQueries);
            one.call.q_starts = Tensor::dense(one.upload(std::vector<i32>{0, 2}), DType::i32, {2});
            ASSERT_TRUE(one.run(true).ok()) << device;
            std::vector<u16> alone(static_cast<std::size_t>(one.out_values / Decode::kSequences));
            ASSERT_TRUE(
                one.context->device().copy_out(alone.data(), one.call.out.data, alone.size() * 2, {}).ok());
            EXPECT_EQ(std::memcmp(alone.data(), together.data() + static_cast<i64>(alone.size()) * sequence,
                                  alone.size() * 2),
                      0)
                << device << " sequence " << sequence;
        }
    }
}

// A list of all the keys that a query sees, in their order, gives the bits of the call without lists.
TEST(Mla, ListsOfAllKeysHaveTheBitsOfTheDenseCall) {
    for (const char* device : {"cpu", "emulated:h200", "emulated:l40s"}) {
        Decode dense(device), sparse(device);
        ASSERT_TRUE(dense.run(true).ok()) << device;
        const i32 lengths[] = {90, 7, 41};
        constexpr i64 kMost = 96;
        std::vector<i32> lists;
        for (i32 sequence = 0; sequence < Decode::kSequences; ++sequence) {
            for (i32 query = 0; query < Decode::kQueries; ++query) {
                const i32 visible = lengths[sequence] - Decode::kQueries + query + 1;
                for (i32 key = 0; key < kMost; ++key) {
                    const i32 entry = sequence * static_cast<i32>(Decode::kPages) +
                                      key / static_cast<i32>(Decode::kPageSize);
                    const i32 page = entry * 7 % static_cast<i32>(Decode::kSequences * Decode::kPages);
                    lists.push_back(key < visible ? page * static_cast<i32>(Decode::kPageSize) +
                                                        key % static_cast<i32>(Decode::kPageSize)
                                                  : -1);
                }
            }
        }
        sparse.attend_to(lists, kMost);
        ASSERT_TRUE(sparse.run(true).ok()) << device;
        EXPECT_EQ(sparse.results(), dense.results()) << device;
    }
}

}  // namespace
}  // namespace warpwright
