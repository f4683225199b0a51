// SPDX-License-Identifier: Apache-2.0
// Batch-invariant calls: a row's result has the same bits alone, among others, and in any piece of the batch.
// On every device of this machine and on an emulated GPU.
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <random>

#include "kernels/host_math.h"
#include "kernels/quantized_gemm/layout.h"
#include "warpwright/ops/attention.h"
#include "warpwright/ops/gemm.h"
#include "warpwright/ops/quantized_gemm.h"
#include "warpwright/ops/rmsnorm.h"

namespace warpwright {
namespace {

class Invariant : public testing::TestWithParam<std::string> {
protected:
    void SetUp() override {
        auto opened = Context::open(GetParam());
        ASSERT_TRUE(opened.ok()) << opened.status().message();
        context = *opened;
    }

    template <class T>
    Buffer upload(const std::vector<T>& values) {
        auto buffer = Buffer::allocate(context->shared_device(), values.size() * sizeof(T));
        EXPECT_TRUE(buffer.ok()) << buffer.status().message();
        EXPECT_TRUE(
            context->device().copy_in(buffer->data(), values.data(), values.size() * sizeof(T), {}).ok());
        return std::move(*buffer);
    }
    std::vector<u16> random_bf16(i64 count, float scale) {
        std::normal_distribution<float> normal(0, scale);
        std::vector<u16> values;
        for (i64 i = 0; i < count; ++i) values.push_back(float_to_bf16(normal(random)));
        return values;
    }
    template <class Call>
    void run(const Call& call) {
        Prepared prepared;
        prepared.batch_invariant = true;
        Status status = prepare(*context, call, prepared);
        ASSERT_TRUE(status.ok()) << status.message();
        status = prepared.launch(context->device(), {});
        ASSERT_TRUE(status.ok()) << status.message();
    }
    template <class T>
    std::vector<T> download(const Buffer& buffer) {
        std::vector<T> values(buffer.bytes() / sizeof(T));
        EXPECT_TRUE(context->device().copy_out(values.data(), buffer.data(), buffer.bytes(), {}).ok());
        return values;
    }

    std::shared_ptr<Context> context;
    std::mt19937 random{3};
};

// Rows [begin, end) of the batch in one call.
struct Piece {
    i64 begin, end;
};

std::vector<std::vector<Piece>> ways_to_cut(i64 rows) {
    std::vector<std::vector<Piece>> ways{{{0, rows}}, {}, {}};
    for (i64 i = 0; i < rows; ++i) ways[1].push_back({i, i + 1});
    for (i64 begin = 0, size = 1; begin < rows; begin += size, size = size * 3 % 37 + 1)
        ways[2].push_back({begin, std::min(rows, begin + size)});
    return ways;
}

Tensor rows_of(const Tensor& tensor, Piece piece) {
    Tensor part = tensor;
    part.data =
        static_cast<std::byte*>(tensor.data) + piece.begin * tensor.stride[0] * dtype_bytes(tensor.dtype);
    part.shape[0] = piece.end - piece.begin;
    return part;
}

TEST_P(Invariant, Gemm) {
    constexpr i64 m = 70, n = 72, k = 264;
    const Buffer a = upload(random_bf16(m * k, 1)), b = upload(random_bf16(n * k, 1)),
                 bias = upload(random_bf16(n, 1)), residual = upload(random_bf16(m * n, 1));
    std::vector<std::vector<u16>> results;
    for (const auto& pieces : ways_to_cut(m)) {
        const Buffer d = upload(std::vector<u16>(m * n));
        for (const Piece& piece : pieces) {
            run(Gemm{.a = rows_of(Tensor::dense(a.data(), DType::bf16, {m, k}), piece),
                     .b = Tensor::dense(b.data(), DType::bf16, {n, k}),
                     .d = rows_of(Tensor::dense(d.data(), DType::bf16, {m, n}), piece),
                     .bias = Tensor::dense(bias.data(), DType::bf16, {n}),
                     .residual = rows_of(Tensor::dense(residual.data(), DType::bf16, {m, n}), piece)});
        }
        results.push_back(download<u16>(d));
    }
    EXPECT_TRUE(results[1] == results[0]) << "row by row";
    EXPECT_TRUE(results[2] == results[0]) << "in pieces";
}

// A tile of rows that all exist has a loop of its own.
TEST_P(Invariant, QuantizedGemm) {
    constexpr i64 m = 70, n = 72, k = 640, group = 128;
    for (const WeightFormat format : {WeightFormat::int4, WeightFormat::int8}) {
        const std::string name = facts_of(format).name;
        if (context->target().facts.build_target != BuildTarget::host)
            context->force("quantized_gemm", "quantized_gemm.portable.bf16." + name + ".64x128");
        const auto random_bytes = [&](i64 count, u32 largest) {
            std::vector<u8> values;
            for (i64 i = 0; i < count; ++i) values.push_back(static_cast<u8>(random() % (largest + 1)));
            return values;
        };
        const i64 scales = packed_scales(n, k, group);
        const Buffer a = upload(random_bf16(m * k, 1)), scale = upload(random_bf16(scales, 0.01f)),
                     data = upload(random_bytes(packed_data_bytes(format, n, k), 255)),
                     zero = upload(random_bytes(scales, (1u << facts_of(format).bits) - 1));
        for (const bool zeros : {false, true}) {
            QuantizedWeight b{.format = format, .n = n, .k = k, .group = group};
            b.data = Tensor::dense(data.data(), DType::u8, {packed_data_bytes(format, n, k)});
            b.scales = Tensor::dense(scale.data(), DType::bf16, {scales});
            if (zeros) b.zeros = Tensor::dense(zero.data(), DType::u8, {scales});
            std::vector<std::vector<u32>> results;  // fp32's bits
            for (const auto& pieces : ways_to_cut(m)) {
                const Buffer d = upload(std::vector<u32>(m * n));
                for (const Piece& piece : pieces) {
                    run(QuantizedGemm{.a = rows_of(Tensor::dense(a.data(), DType::bf16, {m, k}), piece),
                                      .b = b,
                                      .d = rows_of(Tensor::dense(d.data(), DType::f32, {m, n}), piece)});
                }
                results.push_back(download<u32>(d));
            }
            EXPECT_TRUE(results[1] == results[0]) << name << (zeros ? ", zero points" : "") << ": row by row";
            EXPECT_TRUE(results[2] == results[0]) << name << (zeros ? ", zero points" : "") << ": in pieces";
        }
    }
}

TEST_P(Invariant, RmsNorm) {
    constexpr i64 tokens = 70, hidden = 520;
    const Buffer x = upload(random_bf16(tokens * hidden, 1)), weight = upload(random_bf16(hidden, 1));
    std::vector<std::vector<u16>> results;
    for (const auto& pieces : ways_to_cut(tokens)) {
        const Buffer out = upload(std::vector<u16>(tokens * hidden));
        for (const Piece& piece : pieces) {
            run(RmsNorm{.x = rows_of(Tensor::dense(x.data(), DType::bf16, {tokens, hidden}), piece),
                        .weight = Tensor::dense(weight.data(), DType::bf16, {hidden}),
                        .out = rows_of(Tensor::dense(out.data(), DType::bf16, {tokens, hidden}), piece)});
        }
        results.push_back(download<u16>(out));
    }
    EXPECT_TRUE(results[1] == results[0]) << "row by row";
    EXPECT_TRUE(results[2] == results[0]) << "in pieces";
}

// The queries of one text, over pages that all sequences of a call share: piece [begin, end) sees keys up to
// its own, as a chunk of a prompt or a decode step does.
struct AttentionCase {
    const char* name;
    i64 head_dim, window_left;
    float softcap;
    bool alibi = false, mask = false;
};

class InvariantAttention : public Invariant {
protected:
    static constexpr i64 kQueries = 150, kHeads = 4, kKvHeads = 2, kPageSize = 16, kPages = 10;
    static constexpr i64 kWords = kPages * kPageSize / 32;

    // The outputs of the pieces, which are the sequences of one call.
    std::vector<u16> attend(const AttentionCase& test, const std::vector<Piece>& pieces) {
        const i64 dim = test.head_dim, sequences = std::ssize(pieces);
        std::vector<i32> table, lengths, starts{0};
        for (const Piece& piece : pieces) {
            for (i32 page = 0; page < kPages; ++page) table.push_back(kPages - 1 - page);
            lengths.push_back(static_cast<i32>(piece.end));
            starts.push_back(starts.back() + static_cast<i32>(piece.end - piece.begin));
        }
        const i64 first = pieces.front().begin, count = starts.back();
        i64 longest = 0;
        for (const Piece& piece : pieces) longest = std::max(longest, piece.end - piece.begin);
        const Buffer out = upload(std::vector<u16>(static_cast<std::size_t>(count * kHeads * dim)));
        const Buffer table_buffer = upload(table), lengths_buffer = upload(lengths),
                     starts_buffer = upload(starts);
        Tensor slopes, mask;
        if (test.alibi) slopes = Tensor::dense(slopes_.data(), DType::f32, {kHeads});
        if (test.mask)
            mask =
                rows_of(Tensor::dense(mask_.data(), DType::i32, {kQueries, kWords}), {first, first + count});
        run(Attention{.q = rows_of(Tensor::dense(q_.data(), DType::bf16, {kQueries, kHeads, dim}),
                                   {first, first + count}),
                      .out = Tensor::dense(out.data(), DType::bf16, {count, kHeads, dim}),
                      .k_pages = Tensor::dense(k_.data(), DType::bf16, {kPages, kPageSize, kKvHeads, dim}),
                      .v_pages = Tensor::dense(v_.data(), DType::bf16, {kPages, kPageSize, kKvHeads, dim}),
                      .page_table = Tensor::dense(table_buffer.data(), DType::i32, {sequences, kPages}),
                      .kv_lengths = Tensor::dense(lengths_buffer.data(), DType::i32, {sequences}),
                      .q_starts = Tensor::dense(starts_buffer.data(), DType::i32, {sequences + 1}),
                      .max_q_len = longest,
                      .window_left = test.window_left,
                      .softcap = test.softcap,
                      .alibi_slopes = slopes,
                      .mask = mask});
        return download<u16>(out);
    }

    Buffer q_, k_, v_, slopes_, mask_;
};

TEST_P(InvariantAttention, PiecesAloneAndTogether) {
    for (const AttentionCase& test :
         {AttentionCase{"plain", 64, -1, 0}, AttentionCase{"d128", 128, -1, 0},
          AttentionCase{"window of 10", 64, 9, 0}, AttentionCase{"window of 100, softcap", 128, 99, 3},
          AttentionCase{"ALiBi", 128, -1, 0, true}, AttentionCase{"mask", 64, -1, 0, false, true},
          AttentionCase{"both, window of 50", 128, 49, 0, true, true}}) {
        q_ = upload(random_bf16(kQueries * kHeads * test.head_dim, 2));
        k_ = upload(random_bf16(kPages * kPageSize * kKvHeads * test.head_dim, 1));
        v_ = upload(random_bf16(kPages * kPageSize * kKvHeads * test.head_dim, 1));
        slopes_ = upload(std::vector<float>{0.9f, 0.31f, 0.07f, 0.003f});
        std::vector<i32> words(kQueries * kWords);
        std::mt19937 random(1);
        for (i32& word : words) word = static_cast<i32>(random() | random());
        mask_ = upload(words);
        const auto ways = ways_to_cut(kQueries);
        const std::vector<u16> whole = attend(test, ways[0]);
        EXPECT_TRUE(attend(test, ways[1]) == whole) << test.name << ": single queries in one call";
        EXPECT_TRUE(attend(test, ways[2]) == whole) << test.name << ": chunks in one call";
        std::vector<u16> one_by_one;
        for (const Piece& piece : ways[2]) {
            const std::vector<u16> part = attend(test, {piece});
            one_by_one.insert(one_by_one.end(), part.begin(), part.end());
        }
        EXPECT_TRUE(one_by_one == whole) << test.name << ": chunk after chunk";
    }
}

// Products with keys that a mask hides may be infinite: they have no weight all the same.
TEST_P(InvariantAttention, HiddenKeysMayBeLarge) {
    const AttentionCase test{"mask", 128, -1, 0, false, true};
    const i64 dim = test.head_dim, keys = kPages * kPageSize;
    q_ = upload(random_bf16(kQueries * kHeads * dim, 2));
    v_ = upload(random_bf16(keys * kKvHeads * dim, 1));
    std::vector<u16> k = random_bf16(keys * kKvHeads * dim, 1);
    std::vector<i32> words(kQueries * kWords);
    for (std::size_t i = 0; i < words.size(); ++i) words[i] = i / kWords % 2 == 0 ? 0x55aa55aa : ~0x00ff0000;
    for (std::size_t i = 0; i < words.size(); ++i) words[i] &= ~0x00030000;  // keys 16 and 17 of each word
    mask_ = upload(words);
    k_ = upload(k);
    const std::vector<u16> before = attend(test, {{0, kQueries}});
    for (i64 key = 0; key < keys; ++key) {
        if (key % 32 != 16 && key % 32 != 17) continue;
        const i64 token = (kPages - 1 - key / kPageSize) * kPageSize + key % kPageSize;
        const auto row = k.begin() + token * kKvHeads * dim;
        std::fill(row, row + kKvHeads * dim, u16{0});
        for (i64 head = 0; head < kKvHeads; ++head) row[head * dim] = float_to_bf16(3e38f);
    }
    k_ = upload(k);
    EXPECT_TRUE(attend(test, {{0, kQueries}}) == before);
}

std::vector<std::string> devices() {
    std::vector<std::string> all{"cpu", "emulated:h100-sxm,checks=off"};
    for (const std::string& id : list_devices().ids) {
        if (id == "cuda:0") all.push_back(id);
    }
    return all;
}

std::string device_name(const testing::TestParamInfo<std::string>& info) {
    return info.param.substr(0, info.param.find(':'));
}

INSTANTIATE_TEST_SUITE_P(Devices, Invariant, testing::ValuesIn(devices()), device_name);
INSTANTIATE_TEST_SUITE_P(Devices, InvariantAttention, testing::ValuesIn(devices()), device_name);

}  // namespace
}  // namespace warpwright
