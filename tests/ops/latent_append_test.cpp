// SPDX-License-Identifier: Apache-2.0
// latent_append: host row against the oracle, refusals word for word, and that mla and index_logits read from
// the pages what was appended.
#include "warpwright/ops/latent_append.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/fused/latent_append/problem.h"
#include "kernels/host_math.h"
#include "ops/check_test.h"
#include "warpwright/ops/index_logits.h"
#include "warpwright/ops/mla.h"

namespace warpwright {
namespace {

constexpr const char* kOp = "latent_append";

TEST(LatentAppend, AgreesWithItsOracle) {
    expect_check_passes(kOp);
}

TEST(LatentAppend, RefusesWithTheReason) {
    const char *fast = "latent_append.portable.t128v1", *any = "latent_append.portable.any";
    EXPECT_EQ(refusal(kOp, fast, "h200", {}), "");
    EXPECT_EQ(refusal(kOp, fast, "a100", {{"pages", "index_keys"}, {"scale", "power_of_two"}}), "");
    EXPECT_EQ(refusal(kOp, fast, "h200", {{"alignment_bytes", "4"}}),
              "alignment: needs a multiple of 16, got 4");
    EXPECT_EQ(refusal(kOp, any, "h200", {{"alignment_bytes", "1"}}), "");
    EXPECT_EQ(refusal(kOp, any, "h200", {{"page_size", "24"}}), "page size: needs a power of two, got 24");
    EXPECT_EQ(refusal(kOp, any, "h200", {{"scale", "e8m0"}}), "scales f32: needs true, got false");
    EXPECT_EQ(refusal(kOp, "latent_append.host", "cpu", {{"alignment_bytes", "1"}}), "");
    EXPECT_EQ(chosen(kOp, "h200", {}), fast);
    EXPECT_EQ(chosen(kOp, "l4", {{"alignment_bytes", "2"}}), any);
}

TEST(LatentAppend, BadCallsAreRefusedBeforeALaunch) {
    const auto message = [&](auto&& change) {
        static u64 memory[1024];
        const auto tensor = [](DType type, std::initializer_list<i64> shape) {
            return Tensor::dense(memory, type, shape);
        };
        LatentAppend call{.x = tensor(DType::bf16, {0, 576}),
                          .sequences = tensor(DType::i32, {0}),
                          .positions = tensor(DType::i32, {0}),
                          .page_table = tensor(DType::i32, {1, 2}),
                          .pages = tensor(DType::u8, {3, 4, 656})};
        change(call);
        Prepared prepared;
        return prepare(cpu_context(), call, prepared).message();
    };
    EXPECT_EQ(message([](LatentAppend&) {}), "");
    EXPECT_EQ(message([](LatentAppend& c) { c.x.shape[1] = 512; }),
              "latent_append: x must have 576 columns (latent rows) or 128 (keys of an indexer), got 512");
    EXPECT_EQ(message([](LatentAppend& c) { c.x.shape[1] = 128; }),
              "latent_append: a token of the pages must have 132 bytes, as x has 128 columns, got 656");
    EXPECT_EQ(message([](LatentAppend& c) { c.x.shape[1] = 128, c.pages.shape[2] = 132; }),
              "latent_append: a page of keys must be without gaps, got a stride of 656 bytes");
    EXPECT_EQ(message([](LatentAppend& c) { c.pages.dtype = DType::bf16; }),
              "latent_append: pages must be u8, got bf16");
    EXPECT_EQ(message([](LatentAppend& c) { c.scale = ScaleType::e8m0; }),
              "latent_append: scale must be f32 or power_of_two, got e8m0");
    EXPECT_EQ(message([](LatentAppend& c) { c.least_amax = -1; }),
              "latent_append: least_amax must be finite and not negative, got -1");
    EXPECT_EQ(message([](LatentAppend& c) { c.positions.shape[0] = 2; }),
              "latent_append: positions: dimension 0 (tokens) is 2, but x has 0");
}

// Tokens of one sequence, in pages of four whose order is not the memory's.
struct Appended {
    static constexpr i64 kTokens = 7;
    std::vector<u16> x;
    std::vector<u8> pages;
    i32 page_table[2] = {1, 0}, sequences[kTokens] = {}, positions[kTokens] = {0, 1, 2, 3, 4, 5, 6};

    Tensor table() { return Tensor::dense(page_table, DType::i32, {1, 2}); }
    Tensor cache(i64 bytes) { return Tensor::dense(pages.data(), DType::u8, {2, 4, bytes}); }

    Appended(std::vector<u16> numbers, i64 columns, i64 bytes, ScaleType scale = ScaleType::f32)
        : x(std::move(numbers)), pages(static_cast<std::size_t>(8 * bytes)) {
        const i64 tokens = std::ssize(x) / columns;
        const Status status = latent_append(cpu_context(), {},
                                            {.x = Tensor::dense(x.data(), DType::bf16, {tokens, columns}),
                                             .sequences = Tensor::dense(sequences, DType::i32, {tokens}),
                                             .positions = Tensor::dense(positions, DType::i32, {tokens}),
                                             .page_table = table(),
                                             .pages = cache(bytes),
                                             .scale = scale});
        EXPECT_TRUE(status.ok()) << status.message();
    }
};

std::vector<u16> normal_numbers(i64 count) {
    std::mt19937_64 random(7);
    std::normal_distribution<float> normal(0, 1);
    std::vector<u16> numbers(static_cast<std::size_t>(count));
    for (u16& number : numbers) number = float_to_bf16(normal(random));
    return numbers;
}

// Half a step of e4m3 between two numbers of magnitude x, where `amax` became 448.
float half_step(float x, float amax, ScaleType scale) {
    const float most = scale == ScaleType::power_of_two ? 2 * amax : amax;
    return std::max(std::abs(x) / 16, most / 448 * 0x1p-10f);
}
float amax_of(const u16* group) {
    float amax = 0;
    for (int i = 0; i < 128; ++i) amax = std::max(amax, std::abs(bf16_to_float(group[i])));
    return amax;
}

// A query that sees one key gets its values.
TEST(LatentAppend, MlaReadsTheRecords) {
    for (const ScaleType scale : {ScaleType::f32, ScaleType::power_of_two}) {
        Appended appended(normal_numbers(Appended::kTokens * 576), 576, 656, scale);
        std::vector<u16> q(Appended::kTokens * 576), out(Appended::kTokens * 512);
        i32 slots[Appended::kTokens] = {4, 5, 6, 7, 0, 1, 2}, q_starts[] = {0, Appended::kTokens};
        const Status status = mla(cpu_context(), {},
                                  {.q = Tensor::dense(q.data(), DType::bf16, {Appended::kTokens, 1, 576}),
                                   .out = Tensor::dense(out.data(), DType::bf16, {Appended::kTokens, 1, 512}),
                                   .cache = appended.cache(656),
                                   .indices = Tensor::dense(slots, DType::i32, {Appended::kTokens, 1}),
                                   .q_starts = Tensor::dense(q_starts, DType::i32, {2}),
                                   .max_q_len = Appended::kTokens});
        ASSERT_TRUE(status.ok()) << status.message();
        for (i64 token = 0; token < Appended::kTokens; ++token) {
            for (i64 i = 0; i < 512; ++i) {
                const u16* row = &appended.x[static_cast<std::size_t>(token * 576)];
                const float x = bf16_to_float(row[i]);
                const float got = bf16_to_float(out[static_cast<std::size_t>(token * 512 + i)]);
                const float rounding = std::abs(got) / 256;  // of the product, to bf16
                EXPECT_LE(std::abs(got - x), half_step(x, amax_of(row + i / 128 * 128), scale) + rounding);
            }
            const u8* record = &appended.pages[static_cast<std::size_t>(slots[token]) * 656];
            EXPECT_EQ(
                std::memcmp(record + 528, &appended.x[static_cast<std::size_t>(token * 576 + 512)], 128), 0);
        }
    }
}

// Queries that are unit vectors, of codes: their logits are the keys' numbers where those are positive.
TEST(LatentAppend, IndexLogitsReadsTheKeys) {
    Appended appended(normal_numbers(Appended::kTokens * 128), 128, 132);
    std::vector<u8> q(128 * 128);
    for (std::size_t i = 0; i < 128; ++i) q[i * 129] = 0x38;  // 1
    std::vector<float> weights(128, 1.0f), logits(128 * 8);
    i32 length = Appended::kTokens, q_starts[] = {0, 128};
    const Status status = index_logits(cpu_context(), {},
                                       {.q = Tensor::dense(q.data(), DType::u8, {128, 1, 128}),
                                        .weights = Tensor::dense(weights.data(), DType::f32, {128, 1}),
                                        .logits = Tensor::dense(logits.data(), DType::f32, {128, 8}),
                                        .cache = appended.cache(132),
                                        .page_table = appended.table(),
                                        .kv_lengths = Tensor::dense(&length, DType::i32, {1}),
                                        .q_starts = Tensor::dense(q_starts, DType::i32, {2}),
                                        .max_q_len = 128,
                                        .causal = false});
    ASSERT_TRUE(status.ok()) << status.message();
    for (std::size_t token = 0; token < Appended::kTokens; ++token) {
        const u16* key = &appended.x[token * 128];
        for (std::size_t i = 0; i < 128; ++i) {
            const float x = std::max(0.0f, bf16_to_float(key[i]));
            EXPECT_LE(std::abs(logits[i * 8 + token] - x), half_step(x, amax_of(key), ScaleType::f32));
        }
    }
}

TEST(LatentAppend, ScalesAreWhatTheHeaderSays) {
    const auto scale_bits = [](std::vector<float> numbers, ScaleType scale, u8 first_code) {
        std::vector<u16> x(128);
        for (std::size_t i = 0; i < numbers.size(); ++i) x[i] = float_to_bf16(numbers[i]);
        const Appended appended(x, 128, 132, scale);
        const u8* page = &appended.pages[4 * 132];
        EXPECT_EQ(page[0], first_code);
        u32 bits;
        std::memcpy(&bits, page + 4 * 128, 4);
        return bits;
    };
    const auto scale_of = [&](std::vector<float> numbers, ScaleType scale, u8 first_code) {
        return std::bit_cast<float>(scale_bits(std::move(numbers), scale, first_code));
    };
    const float infinity = std::numeric_limits<float>::infinity();
    EXPECT_EQ(scale_of({3, -5}, ScaleType::f32, 0x78), 5.0f / 448);  // 268.8: 256 is nearer than 288
    EXPECT_EQ(scale_of({0}, ScaleType::f32, 0x00), 0x1p-126f);
    EXPECT_EQ(scale_of({-0.0f}, ScaleType::power_of_two, 0x80), 0x1p-126f);
    EXPECT_EQ(scale_of({448}, ScaleType::power_of_two, 0x7e), 1.0f);
    EXPECT_EQ(scale_of({450}, ScaleType::power_of_two, 0x76), 2.0f);
    EXPECT_EQ(scale_of({infinity, 1}, ScaleType::f32, 0x7e), std::numeric_limits<float>::max() / 448);
    EXPECT_EQ(scale_of({-infinity}, ScaleType::power_of_two, 0xfe), 0x1p120f);
    for (const ScaleType scale : {ScaleType::f32, ScaleType::power_of_two})
        EXPECT_EQ(scale_bits({1, std::nanf("")}, scale, 0x7f), kNanLatentScale);
}

}  // namespace
}  // namespace warpwright
