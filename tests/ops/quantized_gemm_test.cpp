// SPDX-License-Identifier: Apache-2.0
// quantized_gemm: packing there and back, refusals word for word, host rows against the oracle, what is
// chosen where.
#include "warpwright/ops/quantized_gemm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <set>

#include "check/ops/checks.h"
#include "kernels/host_math.h"
#include "kernels/quantized_gemm/operation.h"
#include "kernels/quantized_gemm/pack.h"
#include "ops/check_test.h"

namespace warpwright {
namespace {

using formats::Code;
using formats::QuantizedMatrix;
using formats::ScaleCode;

Target target(std::string_view name) {
    auto found = find_target(name);
    EXPECT_TRUE(found.ok()) << found.status().message();
    return found.value();
}

const QuantizedGemmRow& row(std::string_view name) {
    for (const QuantizedGemmRow& candidate : kQuantizedGemmRows) {
        if (name == candidate.name.text) return candidate;
    }
    ADD_FAILURE() << "no row " << name;
    return kQuantizedGemmRows[0];
}

std::string refusal(std::string_view name, std::string_view gpu, const QuantizedGemmProblem& problem) {
    const Target on = target(gpu);
    const Rejection rejection = QuantizedGemmOp::why_not(row(name), on.facts, problem);
    return rejection ? rejection_text(rejection, on) : "accepted";
}

QuantizedMatrix matrix(Code code, i64 rows, i64 columns, i64 group) {
    std::mt19937 random(static_cast<u32>(rows * columns));
    QuantizedMatrix m{.rows = rows, .columns = columns, .code = code};
    m.group_columns = group;
    const u32 mask = (1u << formats::facts_of(code).bits) - 1;
    for (i64 i = 0; i < rows * columns; ++i) {
        m.codes.push_back(static_cast<u8>(random() & mask & (code == Code::e4m3 ? 0xf7 : 0xff)));
    }
    for (i64 i = 0; i < rows * m.column_groups(); ++i)
        m.scales.push_back(1 + static_cast<float>(random() % 8) / 8);
    return m;
}

std::vector<float> numbers(const QuantizedMatrix& m) {
    std::vector<float> values(static_cast<std::size_t>(m.rows * m.columns));
    formats::dequantise(m, values.data());
    return values;
}

// Every element of what comes back is the number that went in.
void expect_round_trip(const QuantizedMatrix& m, WeightFormat format, DType scale_type) {
    const auto packed = pack_weight(m);
    ASSERT_TRUE(packed.ok()) << packed.status().message();
    EXPECT_EQ(packed->format, format);
    EXPECT_EQ(packed->scale_type, scale_type);
    EXPECT_EQ(static_cast<i64>(packed->data.size()), packed_data_bytes(format, m.rows, m.columns));
    const QuantizedMatrix back = unpack_weight(*packed);
    EXPECT_EQ(numbers(back), numbers(m));
    EXPECT_EQ(back.column_group.empty(), packed->order.empty());
}

TEST(PackWeight, EveryFormatComesBack) {
    for (const auto& [n, k] : {std::pair<i64, i64>{1, 64}, {70, 128}, {64, 320}, {17, 192}}) {
        expect_round_trip(matrix(Code::u4, n, k, 32), WeightFormat::int4, DType::bf16);
        expect_round_trip(matrix(Code::u2, n, k, k), WeightFormat::int4, DType::bf16);
        expect_round_trip(matrix(Code::u3, n, k, 64), WeightFormat::int4, DType::bf16);
        expect_round_trip(matrix(Code::u8, n, k, 64), WeightFormat::int8, DType::bf16);
        expect_round_trip(matrix(Code::i8, n, k, k), WeightFormat::int8, DType::bf16);
        expect_round_trip(matrix(Code::e4m3, n, k, 64), WeightFormat::fp8_e4m3, DType::bf16);
        for (const ScaleCode coded : {ScaleCode::e8m0, ScaleCode::e4m3}) {
            QuantizedMatrix m = matrix(Code::e2m1, n, k, coded == ScaleCode::e8m0 ? 32 : 16);
            m.scale_code = coded;
            m.global_scale = coded == ScaleCode::e8m0 ? 1 : 0.25f;
            for (std::size_t i = 0; i < m.scales.size(); ++i) {
                m.scale_codes.push_back(
                    static_cast<u8>(coded == ScaleCode::e8m0 ? 120 + i % 9 : 0x30 + i % 32));
                m.scales[i] = coded == ScaleCode::e8m0
                                  ? formats::decode_e8m0(m.scale_codes.back())
                                  : formats::decode(formats::kE4M3, m.scale_codes.back()) * m.global_scale;
            }
            expect_round_trip(m, coded == ScaleCode::e8m0 ? WeightFormat::mxfp4 : WeightFormat::nvfp4,
                              DType::u8);
        }
    }
}

TEST(PackWeight, ScalesKeepTheirValues) {
    QuantizedMatrix m = matrix(Code::u4, 4, 128, 64);
    m.scales[3] = 0x1.004p-3f;  // 11 bits: f16
    expect_round_trip(m, WeightFormat::int4, DType::f16);
    m.scales[2] = 0x1.00001p-3f;
    expect_round_trip(m, WeightFormat::int4, DType::f32);
    QuantizedMatrix blocks = matrix(Code::e4m3, 130, 300, 128);  // the last blocks are smaller
    blocks.group_rows = 128;
    blocks.scales = {1, 2, 3, 4, 5, 6};
    expect_round_trip(blocks, WeightFormat::fp8_e4m3, DType::bf16);
}

TEST(PackWeight, ActOrderIsAPermutationOfColumns) {
    QuantizedMatrix m = matrix(Code::u4, 3, 128, 32);
    for (i32 k = 0; k < 128; ++k) m.column_group.push_back(k / 32);
    expect_round_trip(m, WeightFormat::int4, DType::bf16);
    std::shuffle(m.column_group.begin(), m.column_group.end(), std::mt19937(3));
    m.zeros.assign(m.scales.size(), 3);
    expect_round_trip(m, WeightFormat::int4, DType::bf16);
    const auto packed = pack_weight(m);
    ASSERT_TRUE(packed.ok());
    EXPECT_EQ(std::set<i32>(packed->order.begin(), packed->order.end()).size(), 128u);
    for (std::size_t k = 0; k < 128; ++k)
        EXPECT_EQ(m.column_group[packed->order[k]], static_cast<i32>(k / 32));
}

// The layout's formulas, by hand: nibble r of a lane's word is register r's lower half.
TEST(PackWeight, LayoutIsAsWritten) {
    QuantizedMatrix m = matrix(Code::u4, 64, 64, 64);
    std::fill(m.codes.begin(), m.codes.end(), u8{0});
    // Row 32 + 8 + 3 of the first 64: tile 2, group 3, upper. k = 32 + 8 * 1 + 4 + 3: second half, member 1,
    // step 3, register 3, odd.
    m.codes[43 * 64 + 47] = 9;
    const auto packed = pack_weight(m);
    ASSERT_TRUE(packed.ok());
    for (std::size_t i = 0; i < packed->data.size(); ++i) {
        const std::size_t byte = 2 * 512 + (3 * 4 + 1) * 16 + 3 * 4 + 3;
        EXPECT_EQ(packed->data[i], i == byte ? 9 << 4 : 0) << i;
    }
    EXPECT_EQ(packed_scale_index(43, 0, 1), 2 * 16 + 3 * 2 + 1);
}

TEST(PackWeight, BadInputIsNamed) {
    const auto message = [](const auto& change) {
        QuantizedMatrix m = matrix(Code::u4, 2, 128, 64);
        change(m);
        return pack_weight(m).status().message();
    };
    EXPECT_EQ(message([](auto&) {}), "");
    EXPECT_EQ(message([](auto& m) { m.columns = 96, m.codes.resize(192); }),
              "group_columns: 64 does not divide k = 96");
    EXPECT_EQ(message([](auto& m) { m.group_columns = 16; }),
              "group_columns: expected a power of two from 32 on, or all of k = 128, got 16");
    EXPECT_EQ(message([](auto& m) { m.codes.pop_back(); }), "codes: expected 2 x 128 = 256, got 255");
    EXPECT_EQ(message([](auto& m) { m.codes[130] = 16; }), "codes[1, 2]: u4 has no 16");
    EXPECT_EQ(message([](auto& m) { m.scales.pop_back(); }), "scales: expected 2 x 2 = 4, got 3");
    EXPECT_EQ(message([](auto& m) { m.scales[1] = NAN; }),
              "scales[0, 1]: expected a positive number, got nan");
    EXPECT_EQ(message([](auto& m) { m.scales[2] = INFINITY; }),
              "scales[1, 0]: expected a positive number, got inf");
    EXPECT_EQ(message([](auto& m) { m.scales[2] = 0; }), "scales[1, 0]: expected a positive number, got 0");
    EXPECT_EQ(message([](auto& m) { m.scales[2] = -1; }), "scales[1, 0]: expected a positive number, got -1");
    EXPECT_EQ(message([](auto& m) { m.zeros = {1, 2, 3}; }), "zeros: expected 2 x 2 = 4, got 3");
    EXPECT_EQ(message([](auto& m) { m.zeros = {1, 2, 3, 17}; }), "zeros[1, 1]: expected 0 to 16, got 17");
    EXPECT_EQ(message([](auto& m) { m.column_group.assign(128, 2); }),
              "column_group[0]: expected 0 to 1, got 2");
    EXPECT_EQ(message([](auto& m) { m.column_group.assign(128, 1); }),
              "column_group: expected 64 columns of each group, group 0 has 0");
    EXPECT_EQ(message([](auto& m) { m.code = Code::e5m2; }), "code: no kernel multiplies by e5m2");
    EXPECT_EQ(message([](auto& m) { m.code = Code::e4m3, m.codes[5] = 0xff; }),
              "codes[0, 5]: e4m3 has no 255 (NaN)");
    EXPECT_EQ(message([](auto& m) { m.code = Code::e2m1; }),
              "scale_code: e2m1 needs scales in e8m0 (mxfp4) or e4m3 (nvfp4), got numbers");
    EXPECT_EQ(message([](auto& m) { m.code = Code::e2m1, m.scale_code = ScaleCode::e4m3; }),
              "group_columns: nvfp4 has groups of 16, got 64");
}

TEST(QuantizedGemm, RowsHaveNamesOfTheirOwn) {
    std::set<std::string> names;
    for (const QuantizedGemmRow& r : kQuantizedGemmRows) {
        EXPECT_TRUE(names.insert(r.name.text).second) << r.name.text;
        EXPECT_LT(std::string(r.name.text).size(), sizeof(r.name.text) - 1);
        if (r.arch == ArchClass::host) continue;
        EXPECT_TRUE(image_fits(r, BuildTarget::sm_80)) << r.name.text;
        // Only a stream row of 16 rows of A and 64 of W may want more than 99 KiB of shared memory.
        EXPECT_TRUE(image_fits(r, BuildTarget::sm_120f) || (r.max_m == 16 && r.tile_n == 64)) << r.name.text;
        EXPECT_LE(num_threads(r), 512) << r.name.text;
    }
}

// On every GPU: where one block more would fit beside what its row is made for, it must not.
TEST(QuantizedGemm, WideRowsLeaveNoPlaceForOneBlockMore) {
    bool asks_for_more = false;
    for (const Target& gpu : targets()) {
        if (gpu.facts.build_target == BuildTarget::host) continue;
        for (const QuantizedGemmRow& r : kQuantizedGemmRows) {
            if (!r.wide || r.shared_bytes > gpu.facts.shared_per_block_bytes) continue;
            const i64 bytes = launch_shared_bytes(r, gpu.facts);
            EXPECT_GE(bytes, r.shared_bytes);
            EXPECT_LE(bytes, gpu.facts.shared_per_block_bytes) << r.name.text << " on " << gpu.id;
            EXPECT_GT((r.blocks_per_sm + 1) * (bytes + kReservedSharedBytes), gpu.facts.shared_per_sm_bytes)
                << r.name.text << " on " << gpu.id;
            asks_for_more |= bytes > r.shared_bytes;
        }
    }
    EXPECT_TRUE(asks_for_more);
    const QuantizedGemmRow& stream = row("quantized_gemm.stream.bf16.int4.m8.n32");
    EXPECT_EQ(launch_shared_bytes(stream, target("h200").facts), stream.shared_bytes);
}

TEST(QuantizedGemm, RefusalsSayWhatAndHowMuch) {
    constexpr const char* kAny = "quantized_gemm.portable.bf16.int4.any";
    constexpr const char* kTile = "quantized_gemm.portable.bf16.int4.64x128";
    constexpr const char* kStream = "quantized_gemm.stream.bf16.int4.m8.n32";
    constexpr const char* kWide = "quantized_gemm.wide.bf16.int4.m16.n112.k4";
    EXPECT_EQ(refusal(kAny, "h200", {}), "accepted");
    EXPECT_EQ(refusal(kAny, "h200", {.format = WeightFormat::int8}), "int4: needs true, got false");
    EXPECT_EQ(refusal(kAny, "h200", {.dtype = DType::f16, .out = DType::f16}), "dtype: needs bf16, got f16");
    EXPECT_EQ(refusal(kAny, "h200", {.out = DType::f16}), "out: needs bf16, got f16");
    EXPECT_EQ(refusal(kAny, "h200", {.out = DType::u8}), "accepted");
    EXPECT_EQ(refusal(kTile, "h200", {.out = DType::u8}), "accepted");
    EXPECT_EQ(refusal(kStream, "h200", {.out = DType::u8}), "out: needs bf16, got u8");
    EXPECT_EQ(refusal(kAny, "h200", {.out = DType::u8, .grouping = Grouping::masked, .groups = 4}),
              "grouping: needs false, got true");
    EXPECT_EQ(refusal(kAny, "h200", {.k = 4160}), "k: needs a multiple of 128, got 4160");
    EXPECT_EQ(refusal(kAny, "h200", {.group = 16}), "group: needs at least 32, got 16");
    EXPECT_EQ(refusal(kAny, "h200", {.k = 960, .group = 96}), "group: needs a power of two, got 96");
    EXPECT_EQ(refusal(kAny, "h200", {.scale = DType::u8}), "scale: needs bf16, got u8");
    EXPECT_EQ(refusal(kAny, "h200", {.group = 32, .scale = DType::f32}), "group: needs at least 64, got 32");
    EXPECT_EQ(refusal(kAny, "h200", {.order = true}), "accepted");
    EXPECT_EQ(refusal(kTile, "h200", {.order = true}), "order: needs false, got true");
    EXPECT_EQ(refusal(kTile, "h200", {.k = 4100, .group = 0}), "k: needs a multiple of 8, got 4100");
    EXPECT_EQ(refusal(kTile, "h200", {.alignment_bytes = 2}), "alignment: needs a multiple of 16, got 2");
    EXPECT_EQ(refusal(kStream, "h200", {.m = 9}), "m: needs at most 8, got 9");
    EXPECT_EQ(refusal(kStream, "h200", {.m = 8, .grouping = Grouping::masked, .groups = 4}), "accepted");
    EXPECT_EQ(refusal(kStream, "h200", {.m = 8, .grouping = Grouping::contiguous, .groups = 4}),
              "grouping: needs false, got true");
    EXPECT_EQ(refusal(kTile, "h200", {.m = 512, .grouping = Grouping::contiguous, .groups = 4}), "accepted");
    EXPECT_EQ(refusal(kWide, "h200", {.m = 16, .group = 0, .zeros = true}), "accepted");
    EXPECT_EQ(refusal(kWide, "h200", {.m = 17}), "m: needs at most 16, got 17");
    EXPECT_EQ(refusal(kWide, "h200", {.group = 32}), "group: needs at least 64, got 32");
    EXPECT_EQ(refusal(kWide, "h200", {.scale = DType::f32}), "scale: needs bf16, got f32");
    EXPECT_EQ(refusal(kWide, "h200", {.k = 4100, .group = 0}), "k: needs a multiple of 8, got 4100");
    EXPECT_EQ(refusal(kAny, "cpu", {}), "architecture: needs compute capability 8.0 or later, cpu is a CPU");
    EXPECT_EQ(refusal("quantized_gemm.host.bf16.int4", "h200", {}),
              "architecture: runs on the CPU, h200 is a GPU");
}

TEST(QuantizedGemm, EveryTargetHasARowForEveryFormat) {
    std::set<WeightFormat> there_are;
    for (const QuantizedGemmRow& r : kQuantizedGemmRows) there_are.insert(r.format);
    for (const Target& on : targets()) {
        for (const WeightFormat format : there_are) {
            for (DType dtype : {DType::bf16, DType::f16}) {
                const i64 group = facts_of(format).group;
                QuantizedGemmProblem odd{.m = 5,
                                         .n = 33,
                                         .k = group == 0 ? 7 : 96,
                                         .dtype = dtype,
                                         .out = dtype,
                                         .format = format,
                                         .group = group,
                                         .scale = group == 0 ? dtype : DType::u8,
                                         .alignment_bytes = 2};
                EXPECT_TRUE(choose<QuantizedGemmOp>(on, odd).ok()) << on.id << " " << facts_of(format).name;
                odd.out = DType::u8;
                EXPECT_TRUE(choose<QuantizedGemmOp>(on, odd).ok()) << on.id << " " << facts_of(format).name;
            }
        }
    }
}

// Weights of groups without rows are not read, nor places that are expected to be empty multiplied.
TEST(QuantizedGemm, CostCountsOnTheGroupsThatHaveRows) {
    const Target on = target("h100-sxm");
    const auto us = [&](Grouping grouping, i64 m, i64 expected_groups, i64 expected_m) {
        const QuantizedGemmProblem problem{.m = m,
                                           .n = 768,
                                           .k = 2048,
                                           .grouping = grouping,
                                           .groups = 128,
                                           .expected_groups = expected_groups,
                                           .expected_m = expected_m};
        const auto choice = choose<QuantizedGemmOp>(on, problem);
        EXPECT_TRUE(choice.ok()) << choice.status().message();
        return QuantizedGemmOp::predict(**choice, on.facts, problem).us;
    };
    EXPECT_LT(us(Grouping::masked, 1, 8, 1), 0.5 * us(Grouping::masked, 1, 0, 0));
    EXPECT_LT(us(Grouping::contiguous, 17280, 128, 8), 0.5 * us(Grouping::contiguous, 17280, 0, 0));
    EXPECT_EQ(us(Grouping::masked, 8, 0, 0), us(Grouping::masked, 8, 128, 8));
}

TEST(QuantizedGemm, ColumnsInOrderEqualTheOracle) {
    expect_check_passes("gather_columns");
}

TEST(QuantizedGemm, HostRowsEqualTheOracle) {
    auto context = Context::open("cpu");
    ASSERT_TRUE(context.ok()) << context.status().message();
    int passed = 0;
    CheckAnswers answers;
    for (const CheckResult& result : quantized_gemm_check().run(**context, {}, answers)) {
        if (result.outcome == CheckResult::Outcome::passed) ++passed;
        EXPECT_NE(result.outcome, CheckResult::Outcome::failed)
            << result.row << " " << result.problem << ": " << result.text;
    }
    EXPECT_GT(passed, 50);
}

// With a workspace the columns of A come in order first: the same numbers are summed in the same order.
TEST(QuantizedGemm, OrdersColumnsInAWorkspace) {
    auto context = Context::open("cpu");
    ASSERT_TRUE(context.ok()) << context.status().message();
    constexpr i64 kM = 5, kN = 70, kK = 192, kGroups = 3;
    std::mt19937 random(7);
    for (const Grouping grouping : {Grouping::none, Grouping::contiguous, Grouping::masked}) {
        const bool masked = grouping == Grouping::masked;
        const i64 groups = grouping == Grouping::none ? 1 : kGroups, rows = masked ? groups * kM : kM;
        std::vector<u16> a(static_cast<std::size_t>(rows * kK));
        for (u16& x : a) x = float_to_bf16(static_cast<float>(random() % 64) - 31);
        std::vector<i32> order;
        for (i64 g = 0; g < groups; ++g) {
            std::vector<i32> columns(kK);
            std::iota(columns.begin(), columns.end(), 0);
            std::shuffle(columns.begin(), columns.end(), random);
            order.insert(order.end(), columns.begin(), columns.end());
        }
        alignas(16) static u8 codes[kGroups * 128 * kK / 2], space[2 * kGroups * kM * kK];
        for (u8& code : codes) code = static_cast<u8>(random());
        alignas(16) static u16 scales[kGroups * 128 * kK / 32];
        for (u16& scale : scales) scale = float_to_bf16(0.25f * static_cast<float>(1 + random() % 8));
        std::vector<i32> of_row{0, 2, -1, 1, 2}, of_group{2, 0, 5};
        std::vector<float> d[2];
        for (const bool ordered : {false, true}) {
            std::vector<float>& out = d[ordered];
            out.assign(static_cast<std::size_t>(rows * kN), -1);
            QuantizedGemm call{.a = Tensor::dense(a.data(), DType::bf16, {kM, kK}),
                               .b = {.groups = groups, .n = kN, .k = kK, .group = 32},
                               .d = Tensor::dense(out.data(), DType::f32, {kM, kN})};
            if (masked) {
                call.a = Tensor::dense(a.data(), DType::bf16, {groups, kM, kK});
                call.d = Tensor::dense(out.data(), DType::f32, {groups, kM, kN});
                call.rows_of_group = Tensor::dense(of_group.data(), DType::i32, {groups});
            } else if (grouping == Grouping::contiguous) {
                call.group_of_row = Tensor::dense(of_row.data(), DType::i32, {kM});
            }
            call.b.data =
                Tensor::dense(codes, DType::u8, {groups * packed_data_bytes(call.b.format, kN, kK)});
            call.b.scales = Tensor::dense(scales, DType::bf16, {groups * packed_scales(kN, kK, 32)});
            call.b.order = Tensor::dense(order.data(), DType::i32, {groups * kK});
            if (ordered) call.workspace = Tensor::dense(space, DType::u8, {2 * rows * kK});
            Prepared prepared;
            ASSERT_EQ(prepare(**context, call, prepared).message(), "");
            EXPECT_EQ(prepared.steps.size(), ordered ? 2u : 1u);
            EXPECT_EQ(std::string(prepared.steps[0].row),
                      ordered ? "gather_columns.host" : "quantized_gemm.host.bf16.int4");
            ASSERT_EQ(quantized_gemm(**context, {}, call).message(), "");
        }
        EXPECT_EQ(d[0], d[1]);
    }
}

TEST(QuantizedGemm, BadCallsAreNamed) {
    auto context = Context::open("cpu");
    ASSERT_TRUE(context.ok()) << context.status().message();
    alignas(16) static u8 data[64 * 64];
    const auto message = [&](const auto& change) {
        QuantizedGemm call{.a = Tensor::dense(data, DType::bf16, {2, 64}),
                           .b = {.n = 3, .k = 64, .group = 32},
                           .d = Tensor::dense(data, DType::bf16, {2, 3})};
        call.b.data = Tensor::dense(data, DType::u8, {64 * 64 / 2});
        call.b.scales = Tensor::dense(data, DType::bf16, {64 * 2});
        change(call);
        Prepared prepared;
        return prepare(**context, call, prepared).message();
    };
    EXPECT_EQ(message([](auto&) {}), "");
    EXPECT_EQ(message([](auto& call) { call.b.k = 128; }),
              "quantized_gemm: b: n and k are 3 and 128, but d has 3 and a 64");
    EXPECT_EQ(message([](auto& call) { call.b.group = 48; }),
              "quantized_gemm: b.group: 48 does not divide k = 64");
    EXPECT_EQ(message([](auto& call) { call.b.format = WeightFormat::nvfp4; }),
              "quantized_gemm: b.group: nvfp4 has groups of 16, got 32");
    EXPECT_EQ(message([](auto& call) { call.b.format = WeightFormat::int8; }),
              "quantized_gemm: b.data must have 4096 elements, got 2048");
    EXPECT_EQ(message([](auto& call) { call.b.scales = Tensor::dense(data, DType::bf16, {3 * 2}); }),
              "quantized_gemm: b.scales must have 128 elements, got 6");
    EXPECT_EQ(message([](auto& call) { call.b.scales = {}; }), "quantized_gemm: b.scales is null");
    EXPECT_EQ(message([](auto& call) { call.b.order = Tensor::dense(data, DType::i32, {32}); }),
              "quantized_gemm: b.order must have 64 elements, got 32");
    const auto ordered_in = [](i64 bytes, i64 first) {
        return [=](QuantizedGemm& call) {
            call.b.order = Tensor::dense(data, DType::i32, {64});
            call.workspace = Tensor::dense(data + first, DType::u8, {bytes});
        };
    };
    EXPECT_EQ(message(ordered_in(256, 0)), "");
    EXPECT_EQ(message(ordered_in(255, 0)), "quantized_gemm: workspace must have 256 bytes, got 255");
    EXPECT_EQ(message(ordered_in(256, 8)), "quantized_gemm: workspace must start at a multiple of 16 bytes");
    const Tensor codes = Tensor::dense(data, DType::u8, {2, 3}), scale = Tensor::dense(data, DType::f32, {1});
    EXPECT_EQ(message([&](auto& call) { call.d = codes, call.d_scale = scale; }), "");
    EXPECT_EQ(message([&](auto& call) { call.d = codes; }), "quantized_gemm: d_scale is null");
    EXPECT_EQ(message([&](auto& call) { call.d_scale = scale; }),
              "quantized_gemm: d_scale and d_amax go with codes: d in u8");
    EXPECT_EQ(message([&](auto& call) { call.d_amax = scale; }),
              "quantized_gemm: d_scale and d_amax go with codes: d in u8");
    EXPECT_EQ(
        message([&](auto& call) { call.d = codes, call.d_scale = scale, call.d_code = CodeType::e5m2; }),
        "quantized_gemm: d_code must be e4m3 or i8, got e5m2");
    EXPECT_EQ(
        message([&](auto& call) { call.d = codes, call.d_scale = Tensor::dense(data, DType::f32, {2}); }),
        "quantized_gemm: d_scale and d_amax must have one element");
    EXPECT_EQ(message([&](auto& call) { call.d = call.residual = codes, call.d_scale = scale; }),
              "quantized_gemm: residual must be bf16, got u8");
    const Tensor lists = Tensor::dense(data, DType::i32, {2});
    EXPECT_EQ(message([&](auto& call) { call.d = codes, call.d_scale = scale, call.group_of_row = lists; }),
              "quantized_gemm: codes of d are not made of groups of rows");
    EXPECT_EQ(message([](auto& call) { call.b.groups = 2; }),
              "quantized_gemm: b.groups: 2 without groups of rows");
    EXPECT_EQ(message([&](auto& call) { call.group_of_row = lists; }), "");
    EXPECT_EQ(message([&](auto& call) { call.group_of_row = call.rows_of_group = lists; }),
              "quantized_gemm: group_of_row and rows_of_group exclude each other");
    EXPECT_EQ(message([&](auto& call) { call.group_of_row = lists, call.b.groups = 2; }),
              "quantized_gemm: b.data must have 4096 elements, got 2048");
    EXPECT_EQ(message([&](auto& call) { call.rows_of_group = lists; }),
              "quantized_gemm: a must have 3 dimensions, got 2");
    EXPECT_EQ(message([&](auto& call) {
                  call.rows_of_group = lists;
                  call.a = Tensor::dense(data, DType::bf16, {2, 1, 64});
                  call.d = Tensor::dense(data, DType::bf16, {2, 1, 3});
              }),
              "quantized_gemm: b.groups: expected 2, got 1");
    EXPECT_EQ(message([](auto& call) { call.b.data.data = data + 8; }),
              "quantized_gemm: b: data, scales and zeros must start at multiples of 16 bytes");
}

}  // namespace
}  // namespace warpwright
