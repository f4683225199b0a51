// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/scaled_gemm.h"

#include <fmt/format.h>

#include <cstdint>

#include "dispatch/prepare.h"
#include "kernels/scaled_gemm/operation.h"
#include "ops/group_tensors.h"
#include "ops/match.h"
#include "ops/product_args.h"
#include "warpwright/ops/gemm.h"

namespace warpwright {
namespace {

bool is_outer(const QuantizeFormat& format) {
    return (format.group_rows == 0 || format.group_rows == 1) && format.group_columns == 0;
}
bool has_groups_of(const QuantizeFormat& format, i64 rows, i64 columns) {
    return format.group_rows == rows && format.group_columns == columns;
}

std::string text_of(const QuantizeFormat& format) {
    const auto size = [](i64 group) { return group == 0 ? "all" : std::to_string(group); };
    return fmt::format("{} with {} scales of {} x {}", enum_text(format.code), scale_type_name(format.scale),
                       size(format.group_rows), size(format.group_columns));
}

Result<Scaling> scaling_of(const QuantizeFormat& a, const QuantizeFormat& b) {
    const bool codes = a.code == b.code && (a.code == CodeType::e4m3 || a.code == CodeType::i8);
    const bool fp32 = dtype_of(a.scale) == DType::f32 && dtype_of(b.scale) == DType::f32;
    const auto is_e8m0 = [](ScaleType s) { return s == ScaleType::e8m0 || s == ScaleType::e8m0_up; };
    if (codes && fp32 && is_outer(a) && is_outer(b)) return Scaling::outer;
    if (codes && a.code == CodeType::e4m3) {
        if (fp32 && has_groups_of(a, 1, 128) && has_groups_of(b, 128, 128)) return Scaling::blocks;
        if (is_e8m0(a.scale) && is_e8m0(b.scale) && has_groups_of(a, 1, 32) && has_groups_of(b, 1, 32))
            return Scaling::mx;
    }
    return caller_error(fmt::format(
        "scaled_gemm: a is {} and b {}: expected e4m3 or i8 in both, with f32 scales of rows or of all; or "
        "e4m3 with f32 scales of 1 x 128 and 128 x 128, or with e8m0 scales of 1 x 32",
        text_of(a), text_of(b)));
}

// A matrix of each group, or of all.
class GroupMatcher {
public:
    GroupMatcher(Matcher& match, bool a_has_groups, bool b_has_groups)
        : match_(match), a_(a_has_groups), b_(b_has_groups) {}

    void of_a(const char* name, const Tensor& t, const char* columns, std::initializer_list<DType> types,
              bool optional = false) {
        match_matrix(match_, name, t, a_, "m", columns, types, optional);
    }
    void of_b(const char* name, const Tensor& t, const char* columns, std::initializer_list<DType> types) {
        match_matrix(match_, name, t, b_, "n", columns, types);
    }
    void vector_of_b(const char* name, const Tensor& t, std::initializer_list<DType> types) {
        const Matcher::Options optional{.optional = true};
        b_ ? match_.tensor(name, t, {"groups", "n"}, types, optional)
           : match_.tensor(name, t, {"n"}, types, optional);
    }

    // Scales of `rows` x k elements in groups: what quantize makes of them.
    void scales(const char* name, const Tensor& t, const QuantizeFormat& format, bool groups, i64 rows,
                i64 k) {
        const i64 of_rows = format.group_rows == 0 ? rows : format.group_rows;
        const i64 of_k = format.group_columns == 0 ? k : format.group_columns;
        const i64 expected[] = {match_["groups"], ceil_div(rows, of_rows), ceil_div(k, of_k)};
        const int skip = groups ? 0 : 1;
        const DType type = dtype_of(format.scale);
        match_.require(static_cast<bool>(t), fmt::format("{} is null", name));
        match_.require(t.dtype == type,
                       fmt::format("{} must be {}, got {}", name, dtype_name(type), dtype_name(t.dtype)));
        bool fits = t.rank == 3 - skip;
        std::string wanted, got;
        for (int i = skip; i < 3; ++i) {
            fits = fits && t.shape[i - skip] == expected[i];
            wanted += fmt::format("{}{}", i == skip ? "" : ", ", expected[i]);
        }
        for (int i = 0; i < t.rank; ++i) got += fmt::format("{}{}", i == 0 ? "" : ", ", t.shape[i]);
        match_.require(fits, fmt::format("{} must be [{}], got [{}]", name, wanted, got));
    }

private:
    Matcher& match_;
    bool a_, b_;
};

ScaleArgs scale_args(const Tensor& scales, bool groups) {
    const Tensor inner = of_group(scales, groups);
    return {.data = scales.data,
            .row_stride = inner.shape[0] == 1 ? 0 : inner.stride[0],
            .k_stride = inner.stride[1],
            .group_stride = group_stride(scales, groups)};
}

// Whether four scales of a row, from a multiple of four on, are a word that is there.
bool are_words(const Tensor& scales, bool groups, i64 k) {
    const Tensor inner = of_group(scales, groups);
    bool aligned = reinterpret_cast<std::uintptr_t>(scales.data) % 4 == 0 && inner.stride[1] == 1;
    aligned = aligned && (inner.shape[0] == 1 || inner.stride[0] % 4 == 0);
    return aligned && group_stride(scales, groups) % 4 == 0 && k % 128 == 0;
}

}  // namespace

Status prepare(Context& context, const ScaledGemm& call, Prepared& prepared) {
    Matcher match("scaled_gemm");
    const bool contiguous = static_cast<bool>(call.group_of_row);
    const bool masked = static_cast<bool>(call.rows_of_group);
    const bool grouped = contiguous || masked;
    match.require(!contiguous || !masked, "group_of_row and rows_of_group exclude each other");
    GroupMatcher groups(match, masked, grouped);
    groups.of_b("b", call.b, "k", {DType::u8});
    groups.of_a("a", call.a, "k", {DType::u8});
    groups.of_a("d", call.d, "n", {DType::bf16, DType::f16, DType::f32, DType::u8});
    const bool has_codes = call.d.dtype == DType::u8;
    const DType dtype = [&] {
        if (call.d.dtype != DType::f32 && !has_codes) return call.d.dtype;
        if (call.bias) return call.bias.dtype;
        if (call.gate) return call.gate.dtype;
        return has_codes && call.residual.dtype == DType::f16 ? DType::f16 : DType::bf16;
    }();
    groups.vector_of_b("bias", call.bias, {dtype});
    groups.of_a("gate", call.gate, "n", {dtype}, true);
    groups.of_a("residual", call.residual, "n", {has_codes ? dtype : call.d.dtype}, true);
    match_codes(match, call, has_codes);
    match.require(!has_codes || !grouped, "codes of d are not made of groups of rows");
    match.tensor("group_of_row", call.group_of_row, {"m"}, {DType::i32}, {.optional = true})
        .tensor("rows_of_group", call.rows_of_group, {"groups"}, {DType::i32}, {.optional = true})
        .require(!call.a || match["k"] > 0, "k must be at least 1, got 0")
        .require(call.expected_m >= 0, fmt::format("expected_m must be 0 or more, got {}", call.expected_m));
    WW_TRY(match.status());
    const Result<Scaling> scaling = scaling_of(call.a_format, call.b_format);
    WW_TRY(scaling.status());
    const i64 m = match["m"], n = match["n"], k = match["k"], num_groups = grouped ? match["groups"] : 1;
    if (m == 0 || n == 0 || num_groups == 0) return {};
    require_product_sizes(match, m, n, k);
    groups.scales("a_scales", call.a_scales, call.a_format, masked, m, k);
    groups.scales("b_scales", call.b_scales, call.b_format, grouped, n, k);
    const bool is_integer = call.a_format.code == CodeType::i8;
    match.require(!is_integer || k < kLargestIntegerK,
                  fmt::format("k must be below {}, where sums of i8 are exact, got {}", kLargestIntegerK, k));
    if (call.a_zeros) {
        const i64 zeros = call.a_zeros.rank == 1 ? call.a_zeros.shape[0] : 0;
        match.tensor("a_zeros", call.a_zeros, {"zeros"}, {DType::i32})
            .require(zeros == m || zeros == 1, fmt::format("a_zeros must be [{}] or [1], got [{}]", m, zeros))
            .require(is_integer, "a_zeros: e4m3 has no zero points")
            .require(!masked, "a_zeros: masked groups have no zero points")
            .require(static_cast<bool>(call.b_sums), "a_zeros: needs b_sums");
    }
    groups.vector_of_b("b_sums", call.b_sums, {DType::i32});
    WW_TRY(match.status());

    const ScaledGemmProblem problem{
        .m = m,
        .n = n,
        .k = k,
        .code = call.a_format.code,
        .scaling = *scaling,
        .dtype = dtype,
        .out = call.d.dtype,
        .bias = static_cast<bool>(call.bias),
        .gate = static_cast<bool>(call.gate),
        .residual = static_cast<bool>(call.residual),
        .activation = call.activation,
        .grouping = contiguous ? Grouping::contiguous
                    : masked   ? Grouping::masked
                               : Grouping::none,
        .groups = num_groups,
        .expected_m = masked ? call.expected_m : 0,
        .alignment_bytes = alignment_of({&call.a, &call.b}, prepared.batch_invariant)};
    const Gemm one{.a = of_group(call.a, masked),
                   .b = of_group(call.b, grouped),
                   .d = of_group(call.d, masked),
                   .bias = of_group(call.bias, grouped),
                   .gate = of_group(call.gate, masked),
                   .residual = of_group(call.residual, masked),
                   .activation = call.activation,
                   .b_is_constant = call.b_is_constant};
    GemmArgs gemm = product_args(one, m, n, k, context.target().facts.num_sms);
    gemm.b = one.b.data;
    gemm.b_stride = one.b.stride[0];
    gemm.out_aligned = alignment_of({&call.d, &call.bias, &call.gate, &call.residual}) >= 16;
    set_codes(gemm, call);
    const ScaledGemmArgs args{.gemm = gemm,
                              .groups = {.of_row = static_cast<const i32*>(call.group_of_row.data),
                                         .num_rows = static_cast<const i32*>(call.rows_of_group.data),
                                         .a_stride = group_stride(call.a, masked),
                                         .b_stride = group_stride(call.b, grouped),
                                         .d_stride = group_stride(call.d, masked),
                                         .bias_stride = group_stride(call.bias, grouped),
                                         .gate_stride = group_stride(call.gate, masked),
                                         .residual_stride = group_stride(call.residual, masked),
                                         .groups = static_cast<i32>(num_groups),
                                         .kind = problem.grouping},
                              .a_scale = scale_args(call.a_scales, masked),
                              .b_scale = scale_args(call.b_scales, grouped),
                              .a_zeros = static_cast<const i32*>(call.a_zeros.data),
                              .b_sums = static_cast<const i32*>(call.b_sums.data),
                              .a_zero_stride = call.a_zeros && call.a_zeros.shape[0] == 1 ? 0 : 1,
                              .b_sum_group_stride = group_stride(call.b_sums, grouped),
                              .scale_words = *scaling == Scaling::mx && are_words(call.a_scales, masked, k) &&
                                             are_words(call.b_scales, grouped, k),
                              .dtype = dtype};
    return prepare_step<ScaledGemmOp>(context, problem, args, prepared);
}

Status scaled_gemm(Context& context, Stream stream, const ScaledGemm& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
