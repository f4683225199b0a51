// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>
#include <random>

#include "bench/make_cases.h"
#include "kernels/fused/quantize/problem.h"
#include "kernels/quantized_gemm/layout.h"
#include "kernels/scaled_gemm/problem.h"
#include "warpwright/ops/gemm.h"
#include "warpwright/ops/quantized_gemm.h"
#include "warpwright/ops/scaled_gemm.h"

namespace warpwright::bench {

Case gemm_case(i64 m, i64 n, i64 k) {
    return {"gemm",
            fmt::format("m={} n={} k={} bf16", m, n, k),
            fields({{"m", m}, {"n", n}, {"k", k}}),
            2.0 * (m * k + n * k + m * n),
            2.0 * m * n * k,
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                const Gemm call{.a = b.random(kType, {m, k}),
                                .b = b.random(kType, {n, k}, 0.05f),
                                .d = b.zeros(kType, {m, n}),
                                .b_is_constant = true};  // weights, as the engine's
                return preparer(context, call);
            },
            m <= 16            ? "gemm m=1, 16"
            : m <= 512         ? "gemm m=64 to 512"
            : n != k || m != n ? "gemm m=4096"
                               : "gemm square",
            "cuBLAS",
            m <= 16 ? Roof::read : Roof::none};
}

namespace {

// Random codes, four a word; no NaN among those of e4m3.
Tensor random_codes(Buffers& b, i64 bytes) {
    std::mt19937 random(static_cast<u32>(bytes));
    std::vector<i32> words(static_cast<std::size_t>(ceil_div(bytes, 4)));
    constexpr std::size_t kPeriod = (1 << 22) - 3;
    for (std::size_t i = 0; i < words.size(); ++i)  // the rest repeats, at an odd period
        words[i] = i < kPeriod ? static_cast<i32>(random() & 0xf7f7f7f7u) : words[i - kPeriod];
    return Tensor::dense(b.integers(words).data, DType::u8, {bytes});
}

}  // namespace

QuantizedWeight random_weight(Buffers& b, WeightFormat format, i64 groups, i64 n, i64 k, i64 group) {
    QuantizedWeight weight{.format = format, .groups = groups, .n = n, .k = k, .group = group};
    const i64 num_scales = groups * packed_scales(n, k, group), own_group = facts_of(format).group;
    weight.data = random_codes(b, groups * packed_data_bytes(format, n, k));
    // Bytes are 1.0 as e8m0 and 1.875 as e4m3.
    const auto words = [&](i32 word) {
        return b.integers(std::vector<i32>(static_cast<std::size_t>(num_scales / 4), word)).data;
    };
    weight.scales = own_group == 0 ? b.random(kType, {num_scales}, 0.05f)
                                   : Tensor::dense(words(own_group == 32 ? 0x7f7f7f7f : 0x3f3f3f3f),
                                                   DType::u8, {num_scales});
    return weight;
}

Case quantized_gemm_case(WeightFormat format, i64 m, i64 n, i64 k, i64 group, i64 groups, bool order) {
    const WeightFormatFacts facts = facts_of(format);
    const DType scale = facts.group != 0 ? DType::u8 : kType;
    const i64 all = std::max<i64>(1, groups);
    const i64 num_scales = all * packed_scales(n, k, group),
              data_bytes = all * packed_data_bytes(format, n, k);
    FieldTexts problem = fields({{"m", m}, {"n", n}, {"k", k}, {"group", group}, {"groups", all}});
    if (groups > 0) problem.emplace_back("grouping", enum_text(Grouping::masked));
    problem.emplace_back("format", facts.name);
    problem.emplace_back("scale", field_text(scale));
    return {order ? "act_order" : "quantized_gemm",  // of two launches, with a peer of its own
            fmt::format("m={} n={} k={} bf16 {} group={}", m, n, k, facts.name, group) +
                (groups > 0 ? fmt::format(" masked groups={}", groups) : "") + (order ? " act-order" : ""),
            std::move(problem),
            2.0 * all * (m * k + m * n) + static_cast<double>(data_bytes + num_scales * dtype_bytes(scale)),
            2.0 * all * m * n * k,
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                QuantizedGemm call{.a = b.random(kType, {all * m, k}),
                                   .b = random_weight(b, format, all, n, k, group),
                                   .d = b.zeros(kType, {all * m, n}),
                                   .b_is_constant = true};  // weights, as the engine's
                if (groups > 0) {                           // all their rows exist
                    call.a = Tensor::dense(call.a.data, kType, {groups, m, k});
                    call.d = Tensor::dense(call.d.data, kType, {groups, m, n});
                    const std::vector<i32> rows(static_cast<std::size_t>(groups), static_cast<i32>(m));
                    call.rows_of_group = b.integers(rows);
                }
                if (order) {
                    std::vector<i32> columns(static_cast<std::size_t>(k));
                    std::iota(columns.begin(), columns.end(), 0);
                    std::shuffle(columns.begin(), columns.end(), std::mt19937(static_cast<u32>(k)));
                    call.b.order = b.integers(columns);
                    call.workspace = Tensor::dense(b.zeros(kType, {m, k}).data, DType::u8, {2 * m * k});
                }
                return preparer(context, call);
            },
            fmt::format("quantized gemm {}", facts.name),
            "cuBLAS bf16",
            m <= 16 ? Roof::read : Roof::none,
            "quantized_gemm"};
}

Case scaled_gemm_case(const char* name, const QuantizeFormat& b_format, i64 m, i64 n, i64 k, i64 groups) {
    const i64 of_k = b_format.group_columns;
    const Scaling scaling = of_k == 0 ? Scaling::outer : of_k == 128 ? Scaling::blocks : Scaling::mx;
    const QuantizeFormat a_format = scaling == Scaling::blocks ? kFp8Groups : b_format;
    FieldTexts problem = fields({{"m", m}, {"n", n}, {"k", k}});
    problem.emplace_back("code", enum_text(b_format.code));
    problem.emplace_back("scaling", enum_text(scaling));
    if (groups > 0) {
        problem.emplace_back("grouping", enum_text(Grouping::masked));
        problem.emplace_back("groups", field_text(groups));
    }
    const i64 all = std::max<i64>(1, groups);
    return {"scaled_gemm",
            fmt::format("m={} n={} k={} bf16 {}", m, n, k, name) +
                (groups > 0 ? fmt::format(" masked groups={}", groups) : ""),
            std::move(problem),
            static_cast<double>(all * (m * k + n * k + 2 * m * n)),
            2.0 * all * m * n * k,
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                const auto grouped = [&](Tensor t, i64 rows, i64 columns) {
                    return groups == 0 ? Tensor::dense(t.data, t.dtype, {rows, columns})
                                       : Tensor::dense(t.data, t.dtype, {groups, rows, columns});
                };
                const auto scales = [&](const QuantizeFormat& format, i64 rows) {
                    const i64 r = format.group_rows == 0 ? 1 : ceil_div(rows, format.group_rows);
                    const i64 c = format.group_columns == 0 ? 1 : ceil_div(k, format.group_columns);
                    if (dtype_of(format.scale) == DType::f32)
                        return grouped(b.random(DType::f32, {all * r * c}, 0.05f), r, c);
                    const std::vector<i32> ones(static_cast<std::size_t>(ceil_div(all * r * c, 4)),
                                                0x7f7f7f7f);
                    return grouped(Tensor::dense(b.integers(ones).data, DType::u8, {all * r * c}), r, c);
                };
                ScaledGemm call{.a = grouped(random_codes(b, all * m * k), m, k),
                                .b = grouped(random_codes(b, all * n * k), n, k),
                                .a_scales = scales(a_format, m),
                                .b_scales = scales(b_format, n),
                                .a_format = a_format,
                                .b_format = b_format,
                                .d = grouped(b.zeros(kType, {all * m * n}), m, n),
                                .b_is_constant = true};  // weights, as the engine's
                if (groups > 0)
                    call.rows_of_group =
                        b.integers(std::vector<i32>(static_cast<std::size_t>(groups), static_cast<i32>(m)));
                return preparer(context, call);
            },
            fmt::format("scaled gemm {}", name),
            "torch._scaled_mm",
            m <= 16 ? Roof::read : Roof::none};
}

}  // namespace warpwright::bench
