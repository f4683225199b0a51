// SPDX-License-Identifier: Apache-2.0
// ww_pack_weight makes what pack_weight makes of the same numbers, however they lie, and says by name and
// place what is wrong with them.
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "formats/quantise.h"
#include "kernels/host_math.h"
#include "kernels/quantized_gemm/pack.h"
#include "library/c_calls.h"

namespace warpwright {
namespace {

struct FreeWeight {
    void operator()(const ww_quantized_weight* weight) const { ww_quantized_weight_free(weight); }
};
using WeightHandle = std::unique_ptr<const ww_quantized_weight, FreeWeight>;

WeightHandle packed(const ww_plain_weight& plain) {
    const ww_quantized_weight* weight = nullptr;
    EXPECT_WW_OK(ww_pack_weight(&plain, &weight));
    return WeightHandle(weight);
}

template <class Value>
std::vector<Value> values_of(const ww_tensor& tensor) {
    if (tensor.data == nullptr) return {};
    const auto* first = static_cast<const Value*>(tensor.data);
    return {first, first + tensor.shape[0]};
}

// int4 with zero points and act-order, as plain numbers and as the C ABI's view of them.
struct Int4 {
    static constexpr i64 kRows = 5, kColumns = 64, kGroup = 32;
    formats::QuantizedMatrix matrix{.rows = kRows, .columns = kColumns};
    std::vector<u8> zeros;

    Int4() {
        std::mt19937 random(3);
        matrix.group_columns = kGroup;
        for (i64 i = 0; i < kRows * kColumns; ++i) matrix.codes.push_back(static_cast<u8>(random() & 15));
        for (i64 i = 0; i < kRows * 2; ++i) {
            matrix.scales.push_back(0.5f + static_cast<float>(i) / 16);
            zeros.push_back(static_cast<u8>(random() & 15));
        }
        matrix.zeros.assign(zeros.begin(), zeros.end());
        for (i64 i = 0; i < kColumns; ++i) matrix.column_group.push_back(static_cast<i32>(i % 2));
    }
    ww_plain_weight plain() {
        ww_plain_weight c{sizeof(ww_plain_weight)};
        c.codes = c_tensor(Tensor::dense(matrix.codes.data(), DType::u8, {kRows, kColumns}));
        c.scales = c_tensor(Tensor::dense(matrix.scales.data(), DType::f32, {kRows, 2}));
        c.zeros = c_tensor(Tensor::dense(zeros.data(), DType::u8, {kRows, 2}));
        c.column_group = c_tensor(Tensor::dense(matrix.column_group.data(), DType::i32, {kColumns}));
        c.code = WW_PLAIN_U4;
        c.group_rows = 1;
        c.group_columns = kGroup;
        return c;
    }
};

void expect_equal(const ww_quantized_weight& got, const PackedWeight& expected) {
    EXPECT_EQ(got.struct_size, sizeof(ww_quantized_weight));
    EXPECT_EQ(got.format, static_cast<int32_t>(expected.format));
    EXPECT_EQ(got.n, expected.n);
    EXPECT_EQ(got.k, expected.k);
    EXPECT_EQ(got.group, expected.group);
    EXPECT_EQ(got.groups, 1);
    EXPECT_EQ(got.global_scale, expected.global_scale);
    EXPECT_EQ(got.scales.dtype, static_cast<int32_t>(expected.scale_type));
    EXPECT_EQ(values_of<u8>(got.data), expected.data);
    EXPECT_EQ(values_of<u8>(got.zeros), expected.zeros);
    EXPECT_EQ(values_of<i32>(got.order), expected.order);
    const auto bytes = static_cast<std::size_t>(got.scales.shape[0] * dtype_bytes(expected.scale_type));
    ASSERT_EQ(bytes, expected.scales.size());
    EXPECT_EQ(std::memcmp(got.scales.data, expected.scales.data(), bytes), 0);
    for (const ww_tensor* tensor : {&got.data, &got.scales, &got.zeros}) {
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor->data) % 16, 0u);
    }
}

TEST(PackWeight, IsTheLibrarysPacking) {
    Int4 w;
    const auto expected = pack_weight(w.matrix);
    ASSERT_TRUE(expected.ok()) << expected.status().message();
    expect_equal(*packed(w.plain()), *expected);
}

TEST(PackWeight, TakesAnyStrides) {
    Int4 w;
    std::vector<u8> turned(w.matrix.codes.size());
    for (i64 n = 0; n < Int4::kRows; ++n) {
        for (i64 k = 0; k < Int4::kColumns; ++k)
            turned[k * Int4::kRows + n] = w.matrix.codes[n * Int4::kColumns + k];
    }
    ww_plain_weight plain = w.plain();
    plain.codes.data = turned.data();
    plain.codes.stride[0] = 1;
    plain.codes.stride[1] = Int4::kRows;
    std::vector<i32> zeros(w.zeros.begin(), w.zeros.end());
    plain.zeros = c_tensor(Tensor::dense(zeros.data(), DType::i32, {Int4::kRows, 2}));
    expect_equal(*packed(plain), *pack_weight(w.matrix));
}

TEST(PackWeight, CodedScales) {
    formats::QuantizedMatrix m{.rows = 2, .columns = 32, .code = formats::Code::e2m1};
    m.group_columns = 16;
    m.scale_code = formats::ScaleCode::e4m3;
    m.global_scale = 0.25f;
    std::vector<u8> pairs;
    for (int i = 0; i < 32; ++i) {
        pairs.push_back(static_cast<u8>(i * 7));
        m.codes.push_back(pairs.back() & 15);
        m.codes.push_back(pairs.back() >> 4);
    }
    m.scale_codes = {0x38, 0x40, 0, 0x7e};
    for (const u8 code : m.scale_codes) m.scales.push_back(0.25f * formats::decode(formats::kE4M3, code));
    ww_plain_weight plain{sizeof(ww_plain_weight)};
    plain.codes = c_tensor(Tensor::dense(pairs.data(), DType::u8, {2, 16}));
    plain.scales = c_tensor(Tensor::dense(m.scale_codes.data(), DType::u8, {2, 2}));
    plain.global_scales = c_tensor(Tensor::dense(&m.global_scale, DType::f32, {1}));
    plain.code = WW_PLAIN_E2M1;
    plain.scale = WW_SCALE_E4M3;
    plain.group_rows = 1;
    plain.group_columns = 16;
    expect_equal(*packed(plain), *pack_weight(m));
}

// MXFP8 is multiplied as e4m3 with powers of two as numbers.
TEST(PackWeight, Mxfp8) {
    std::vector<u8> codes(64, 0x38), scales{127, 120};
    ww_plain_weight plain{sizeof(ww_plain_weight)};
    plain.codes = c_tensor(Tensor::dense(codes.data(), DType::u8, {1, 64}));
    plain.scales = c_tensor(Tensor::dense(scales.data(), DType::u8, {1, 2}));
    plain.code = WW_PLAIN_E4M3;
    plain.scale = WW_SCALE_E8M0;
    plain.group_rows = 1;
    plain.group_columns = 32;
    formats::QuantizedMatrix m{.rows = 1, .columns = 64, .code = formats::Code::e4m3, .codes = codes};
    m.group_columns = 32;
    m.scales = {1, 0x1p-7f};
    expect_equal(*packed(plain), *pack_weight(m));
}

// Each group is packed by itself, and all have one type of scales, which holds every one of them.
TEST(PackWeight, Groups) {
    std::vector<u8> codes(2 * 3 * 32);
    for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<u8>(i * 5 % 16);
    const float fine = 1 + 0x1p-20f;  // no 16-bit number
    std::vector<float> scales{1, 2, 3, fine, 5, 6};
    ww_plain_weight plain{sizeof(ww_plain_weight)};
    plain.codes = c_tensor(Tensor::dense(codes.data(), DType::u8, {2, 3, 32}));
    plain.scales = c_tensor(Tensor::dense(scales.data(), DType::f32, {2, 3, 1}));
    plain.code = WW_PLAIN_U4;
    plain.group_rows = 1;
    const WeightHandle weight = packed(plain);
    EXPECT_EQ(weight->groups, 2);
    EXPECT_EQ(weight->group, 0);
    ASSERT_EQ(weight->scales.dtype, WW_F32);
    const auto all = values_of<float>(weight->scales);
    ASSERT_EQ(static_cast<i64>(all.size()), 2 * packed_scales(3, 32, 0));
    std::vector<u8> data;
    for (int g = 0; g < 2; ++g) {
        formats::QuantizedMatrix m{.rows = 3, .columns = 32};
        m.group_columns = 32;
        m.codes.assign(codes.begin() + g * 96, codes.begin() + (g + 1) * 96);
        m.scales.assign(scales.begin() + g * 3, scales.begin() + (g + 1) * 3);
        const auto part = pack_weight(m);
        data.insert(data.end(), part->data.begin(), part->data.end());
        for (int n = 0; n < 3; ++n)
            EXPECT_EQ(all[g * packed_scales(3, 32, 0) + packed_scale_index(n, 0, 1)], m.scales[n]);
    }
    EXPECT_EQ(values_of<u8>(weight->data), data);
}

// Each row by itself, as quantise_rows rounds it; scales in the type that is asked for.
TEST(RoundWeight, IsTheLibrarysRounding) {
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    std::vector<float> weight(3 * 64);
    for (float& value : weight) value = normal(random);
    for (const bool symmetric : {false, true}) {
        formats::QuantizedMatrix expected;
        const formats::Recipe recipe{.group_columns = 32, .symmetric = symmetric, .scale_type = DType::f16};
        quantise_rows(recipe, weight.data(), 3, 64, 0, expected);
        std::vector<u8> codes(3 * 64), zeros(3 * 2);
        std::vector<u16> scales(3 * 2);
        ww_weight_rounding call{sizeof(ww_weight_rounding)};
        call.weight = c_tensor(Tensor::dense(weight.data(), DType::f32, {3, 64}));
        call.codes = c_tensor(Tensor::dense(codes.data(), DType::u8, {3, 64}));
        call.scales = c_tensor(Tensor::dense(scales.data(), DType::f16, {3, 2}));
        if (!symmetric) call.zeros = c_tensor(Tensor::dense(zeros.data(), DType::u8, {3, 2}));
        call.code = WW_PLAIN_U4;
        call.group_columns = 32;
        ASSERT_WW_OK(ww_round_weight(&call));
        EXPECT_EQ(codes, expected.codes);
        for (std::size_t i = 0; i < scales.size(); ++i) {
            EXPECT_EQ(f16_to_float(scales[i]), expected.scales[i]);
            if (!symmetric) {
                EXPECT_EQ(zeros[i], expected.zeros[i]);
            }
        }
        call.scales.shape[1] = 1;
        call.zeros = {};
        EXPECT_EQ(ww_round_weight(&call), WW_ERROR_CALLER);
        EXPECT_STREQ(ww_last_error(), "round_weight: scales must be [3, 2], got [3, 1]");
    }
}

std::string refusal(const ww_plain_weight& plain) {
    const ww_quantized_weight* weight = nullptr;
    EXPECT_EQ(ww_pack_weight(&plain, &weight), WW_ERROR_CALLER);
    EXPECT_EQ(weight, nullptr);
    return ww_last_error();
}

TEST(PackWeight, RefusesByNameAndPlace) {
    Int4 w;
    const float good = w.matrix.scales[3];
    for (const auto& [scale, text] : {std::pair{std::nanf(""), "nan"},
                                      {std::numeric_limits<float>::infinity(), "inf"},
                                      {0.0f, "0"},
                                      {-1.0f, "-1"}}) {
        w.matrix.scales[3] = scale;
        EXPECT_EQ(refusal(w.plain()),
                  std::string("pack_weight: scales[1, 1]: expected a positive number, got ") + text);
    }
    w.matrix.scales[3] = good;
    w.matrix.codes[70] = 16;
    EXPECT_EQ(refusal(w.plain()), "pack_weight: codes[1, 6]: u4 has no 16");
    w.matrix.codes[70] = 15;
    w.zeros[2] = 17;
    EXPECT_EQ(refusal(w.plain()), "pack_weight: zeros[1, 0]: expected 0 to 16, got 17");
    w.zeros[2] = 0;
    w.matrix.column_group[9] = 2;
    EXPECT_EQ(refusal(w.plain()), "pack_weight: column_group[9]: expected 0 to 1, got 2");
    w.matrix.column_group[9] = 0;
    EXPECT_EQ(refusal(w.plain()),
              "pack_weight: column_group: expected 32 columns of each group, group 0 has 33");
}

TEST(PackWeight, RefusesSizesThatDisagree) {
    Int4 w;
    const auto with = [&](auto change) {
        ww_plain_weight plain = w.plain();
        change(plain);
        return refusal(plain);
    };
    EXPECT_EQ(with([](auto& p) { p.scales.shape[1] = 1; }), "pack_weight: scales must be [5, 2], got [5, 1]");
    EXPECT_EQ(with([](auto& p) { p.zeros.shape[0] = 4; }), "pack_weight: zeros must be [5, 2], got [4, 2]");
    EXPECT_EQ(with([](auto& p) { p.column_group.shape[0] = 63; }),
              "pack_weight: column_group must be [64], got [63]");
    EXPECT_EQ(with([](auto& p) { p.scales.dtype = WW_I32; }),
              "pack_weight: scales must be f32 or bf16 or f16, got i32");
    EXPECT_EQ(with([](auto& p) { p.codes.dtype = WW_I32; }), "pack_weight: codes must be u8, got i32");
    EXPECT_EQ(with([](auto& p) { p.codes.rank = 1; }),
              "pack_weight: codes must have 2 dimensions, or 3 with groups, got 1");
    EXPECT_EQ(with([](auto& p) { p.scales.data = nullptr; }), "pack_weight: scales is null");
    EXPECT_EQ(with([](auto& p) { p.codes.data = nullptr; }), "pack_weight: codes is null");
    EXPECT_EQ(with([](auto& p) { p.codes.device_type = 2; }),
              "pack_weight: codes: is in memory of cuda:0, expected the host's");
    EXPECT_EQ(with([](auto& p) { p.code = 7; }),
              "pack_weight: code: expected WW_PLAIN_U2 to WW_PLAIN_E2M1, got 7");
    EXPECT_EQ(with([](auto& p) { p.scale = WW_SCALE_E4M3; }), "pack_weight: scale: u4 needs WW_SCALE_F32");
    EXPECT_EQ(with([](auto& p) { p.code = WW_PLAIN_E2M1; }),
              "pack_weight: scale: e2m1 needs WW_SCALE_E8M0 (MXFP4) or WW_SCALE_E4M3 (NVFP4)");
    EXPECT_EQ(with([](auto& p) { p.group_rows = -1; }),
              "pack_weight: group_rows and group_columns must be 0 (all) or more, got -1 and 32");
}

TEST(PackWeight, RefusesGroups) {
    Int4 w;
    ww_plain_weight plain = w.plain();
    plain.column_group = {};
    plain.zeros = {};
    plain.group_columns = 48;
    EXPECT_EQ(refusal(plain), "pack_weight: group_columns: 48 does not divide k = 64");
    plain.group_columns = 16;
    plain.scales.shape[1] = 4;
    plain.scales.shape[0] = 5;
    plain.scales.stride[0] = 0;
    plain.scales.stride[1] = 1;
    EXPECT_EQ(refusal(plain),
              "pack_weight: group_columns: expected a power of two from 32 on, or all of k = 64, got 16");
    plain = w.plain();
    float negative = -1;
    plain.global_scales = c_tensor(Tensor::dense(&negative, DType::f32, {1}));
    EXPECT_EQ(refusal(plain), "pack_weight: global_scales: only e2m1 has one");
}

}  // namespace
}  // namespace warpwright
