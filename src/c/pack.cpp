// SPDX-License-Identifier: Apache-2.0
// Plain weights into the layout that kernels read: ww_pack_weight.
#include "kernels/quantized_gemm/pack.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "c/arguments.h"
#include "kernels/host_math.h"

using namespace warpwright;
using namespace warpwright::c;

namespace {

using formats::Code;
using formats::QuantizedMatrix;
using formats::ScaleCode;

constexpr std::array<Code, WW_PLAIN_E2M1 + 1> kCodes = {Code::u2, Code::u3,   Code::u4,  Code::u8,
                                                        Code::i8, Code::e4m3, Code::e2m1};

Status error(const std::string& text) {
    return caller_error("pack_weight: " + text);
}

// The caller's words, with what is left to the library filled in.
struct Source {
    Tensor codes, scales, zeros, column_group, global_scales;
    Code code = Code::u4;
    ScaleCode scale_code = ScaleCode::none;  // of what the caller has; packed e4m3 has numbers
    bool has_groups = false;
    i64 groups = 1, n = 0, k = 0, group_rows = 1, group_columns = 1;
};

Status check_shape(const char* name, const Tensor& tensor, std::initializer_list<i64> expected,
                   std::initializer_list<DType> types) {
    std::string names, wanted, got;
    bool is_type = false, fits = tensor.rank == static_cast<int>(expected.size());
    for (const DType type : types) {
        is_type |= type == tensor.dtype;
        names += fmt::format("{}{}", names.empty() ? "" : " or ", dtype_name(type));
    }
    int axis = 0;
    for (const i64 extent : expected) {
        fits = fits && tensor.shape[axis++] == extent;
        wanted += fmt::format("{}{}", wanted.empty() ? "" : ", ", extent);
    }
    for (int i = 0; i < tensor.rank; ++i) got += fmt::format("{}{}", i == 0 ? "" : ", ", tensor.shape[i]);
    if (!is_type) return error(fmt::format("{} must be {}, got {}", name, names, dtype_name(tensor.dtype)));
    if (!fits) return error(fmt::format("{} must be [{}], got [{}]", name, wanted, got));
    return {};
}

Status check_tensors(const Source& s) {
    const bool coded = s.scale_code != ScaleCode::none, grouped = s.has_groups;
    const auto matrix = [&](const char* name, const Tensor& t, i64 rows, i64 columns,
                            std::initializer_list<DType> types) {
        return grouped ? check_shape(name, t, {s.groups, rows, columns}, types)
                       : check_shape(name, t, {rows, columns}, types);
    };
    const i64 rows = ceil_div(s.n, s.group_rows), columns = ceil_div(s.k, s.group_columns);
    if (!s.scales) return error("scales is null");
    if (coded) {
        WW_TRY(matrix("scales", s.scales, rows, columns, {DType::u8}));
    } else {
        WW_TRY(matrix("scales", s.scales, rows, columns, {DType::f32, DType::bf16, DType::f16}));
    }
    if (s.zeros) WW_TRY(matrix("zeros", s.zeros, rows, columns, {DType::u8, DType::i32}));
    if (s.column_group) {
        WW_TRY(grouped ? check_shape("column_group", s.column_group, {s.groups, s.k}, {DType::i32})
                       : check_shape("column_group", s.column_group, {s.k}, {DType::i32}));
    }
    if (!s.global_scales) return {};
    if (s.code != Code::e2m1) return error("global_scales: only e2m1 has one");
    return check_shape("global_scales", s.global_scales, {s.groups}, {DType::f32});
}

Result<Source> source_of(const ww_plain_weight& c) {
    Arguments arg("pack_weight", nullptr);
    Source s{.codes = arg("codes", c.codes),
             .scales = arg("scales", c.scales),
             .zeros = arg("zeros", c.zeros),
             .column_group = arg("column_group", c.column_group),
             .global_scales = arg("global_scales", c.global_scales)};
    const auto code =
        arg.choice("code", c.code, static_cast<int32_t>(WW_PLAIN_E2M1), "WW_PLAIN_U2 to WW_PLAIN_E2M1");
    WW_TRY(arg.status());
    s.code = kCodes[static_cast<std::size_t>(code)];
    const bool is_e2m1 = s.code == Code::e2m1;
    if (c.scale == WW_SCALE_E8M0 && (is_e2m1 || s.code == Code::e4m3)) {
        s.scale_code = ScaleCode::e8m0;
    } else if (c.scale == WW_SCALE_E4M3 && is_e2m1) {
        s.scale_code = ScaleCode::e4m3;
    } else if (is_e2m1) {
        return error("scale: e2m1 needs WW_SCALE_E8M0 (MXFP4) or WW_SCALE_E4M3 (NVFP4)");
    } else if (c.scale != WW_SCALE_F32) {
        return error(fmt::format("scale: {} needs {}WW_SCALE_F32", formats::facts_of(s.code).name,
                                 s.code == Code::e4m3 ? "WW_SCALE_E8M0 (MXFP8) or " : ""));
    }
    if (!s.codes) return error("codes is null");
    if (s.codes.rank != 2 && s.codes.rank != 3)
        return error(fmt::format("codes must have 2 dimensions, or 3 with groups, got {}", s.codes.rank));
    if (s.codes.dtype != DType::u8)
        return error(fmt::format("codes must be u8, got {}", dtype_name(s.codes.dtype)));
    s.has_groups = s.codes.rank == 3;
    s.groups = s.has_groups ? s.codes.shape[0] : 1;
    s.n = s.codes.shape[s.codes.rank - 2];
    s.k = s.codes.shape[s.codes.rank - 1] * (s.code == Code::e2m1 ? 2 : 1);
    if (s.groups < 1 || s.n < 1 || s.k < 1)
        return error(
            fmt::format("codes: expected groups, n and k from 1 on, got {}, {} and {}", s.groups, s.n, s.k));
    if (c.group_rows < 0 || c.group_columns < 0) {
        return error(fmt::format("group_rows and group_columns must be 0 (all) or more, got {} and {}",
                                 c.group_rows, c.group_columns));
    }
    s.group_rows = c.group_rows == 0 ? s.n : c.group_rows;
    s.group_columns = c.group_columns == 0 ? s.k : c.group_columns;
    WW_TRY(check_tensors(s));
    return s;
}

// visit(index of the element) for a [rows, columns] part of group g, row by row.
template <class Visit>
void each(const Tensor& tensor, i64 g, bool has_groups, Visit visit) {
    const int row = has_groups ? 1 : 0;
    const i64 first = has_groups ? g * tensor.stride[0] : 0;
    for (i64 r = 0; r < tensor.shape[row]; ++r) {
        for (i64 c = 0; c < tensor.shape[row + 1]; ++c)
            visit(first + r * tensor.stride[row] + c * tensor.stride[row + 1]);
    }
}

QuantizedMatrix matrix_of(const Source& s, i64 g) {
    QuantizedMatrix m{.rows = s.n, .columns = s.k, .code = s.code};
    m.group_rows = s.group_rows;
    m.group_columns = s.group_columns;
    if (s.code == Code::e2m1) m.scale_code = s.scale_code;
    m.codes.reserve(static_cast<std::size_t>(s.n * s.k));
    each(s.codes, g, s.has_groups, [&](i64 at) {
        const u8 code = static_cast<const u8*>(s.codes.data)[at];
        m.codes.push_back(s.code == Code::e2m1 ? code & 0xf : code);
        if (s.code == Code::e2m1) m.codes.push_back(code >> 4);
    });
    if (s.global_scales)
        m.global_scale = load_float(s.global_scales.data, DType::f32, g * s.global_scales.stride[0]);
    each(s.scales, g, s.has_groups, [&](i64 at) {
        if (s.scale_code == ScaleCode::none) {
            m.scales.push_back(load_float(s.scales.data, s.scales.dtype, at));
            return;
        }
        const u8 code = static_cast<const u8*>(s.scales.data)[at];
        m.scale_codes.push_back(code);
        // Without the global scale, which is checked by itself: packing only looks whether they are numbers.
        m.scales.push_back(s.scale_code == ScaleCode::e8m0 ? formats::decode_e8m0(code)
                                                           : formats::decode(formats::kE4M3, code));
    });
    if (s.zeros) {
        each(s.zeros, g, s.has_groups, [&](i64 at) {
            const float zero = load_float(s.zeros.data, s.zeros.dtype, at);
            m.zeros.push_back(static_cast<i16>(std::clamp(zero, -32768.0F, 32767.0F)));
        });
    }
    if (s.column_group) {
        const i64 first = s.has_groups ? g * s.column_group.stride[0] : 0;
        const i64 step = s.column_group.stride[s.column_group.rank - 1];
        for (i64 i = 0; i < s.k; ++i)
            m.column_group.push_back(static_cast<const i32*>(s.column_group.data)[first + i * step]);
    }
    return m;
}

// A weight of the library's own memory; what is handed out is the base.
struct Packed : ww_quantized_weight {
    std::vector<u8> bytes, zero_bytes;
    std::vector<std::byte> scale_bytes;
    std::vector<i32> columns;
    std::vector<float> globals;
};

template <class Value>
ww_tensor vector_of(std::vector<Value>& values, DType dtype) {
    ww_tensor tensor{};
    if (values.empty()) return tensor;
    tensor.data = values.data();
    tensor.dtype = static_cast<int32_t>(dtype);
    tensor.rank = 1;
    tensor.shape[0] = static_cast<i64>(values.size() * sizeof(Value)) / dtype_bytes(dtype);
    tensor.stride[0] = 1;
    tensor.device_type = 1;  // kDLCPU
    return tensor;
}

template <class Value>
void append(const std::vector<Value>& values, std::vector<Value>& to) {
    to.insert(to.end(), values.begin(), values.end());
}

// Weights beside each other have one type of scales.
void use_fp32(PackedWeight& packed) {
    const auto count = static_cast<i64>(packed.scales.size()) / dtype_bytes(packed.scale_type);
    std::vector<std::byte> scales(static_cast<std::size_t>(count) * sizeof(float));
    for (i64 i = 0; i < count; ++i)
        store_float(scales.data(), DType::f32, i, load_float(packed.scales.data(), packed.scale_type, i));
    packed.scales = std::move(scales);
    packed.scale_type = DType::f32;
}

Result<std::unique_ptr<Packed>> pack(const Source& s) {
    std::vector<PackedWeight> parts;
    bool one_type = true, ordered = false;
    for (i64 g = 0; g < s.groups; ++g) {
        const QuantizedMatrix m = matrix_of(s, g);
        const std::string place = s.has_groups ? fmt::format("group {}: ", g) : "";
        if (!(m.global_scale > 0 && std::isfinite(m.global_scale))) {
            return error(fmt::format("{}global_scales[{}]: expected a positive number, got {}", place, g,
                                     m.global_scale));
        }
        Result<PackedWeight> part = pack_weight(m);
        if (!part.ok()) return error(place + part.status().message());
        one_type = one_type && (parts.empty() || parts[0].scale_type == part->scale_type);
        ordered = ordered || !part->order.empty();
        parts.push_back(std::move(*part));
    }
    auto packed = std::make_unique<Packed>();
    for (PackedWeight& part : parts) {
        if (!one_type) use_fp32(part);
        if (ordered && part.order.empty()) {
            part.order.resize(static_cast<std::size_t>(s.k));
            std::iota(part.order.begin(), part.order.end(), 0);
        }
        append(part.data, packed->bytes);
        append(part.scales, packed->scale_bytes);
        append(part.zeros, packed->zero_bytes);
        append(part.order, packed->columns);
        packed->globals.push_back(part.global_scale);
    }
    const PackedWeight& first = parts[0];
    static_cast<ww_quantized_weight&>(*packed) = {
        .struct_size = sizeof(ww_quantized_weight),
        .format = static_cast<int32_t>(first.format),
        .global_scale = first.global_scale,
        .groups = s.groups,
        .n = s.n,
        .k = s.k,
        .group = first.group,
        .data = vector_of(packed->bytes, DType::u8),
        .scales = vector_of(packed->scale_bytes, first.scale_type),
        .zeros = vector_of(packed->zero_bytes, DType::u8),
        .order = vector_of(packed->columns, DType::i32),
        .global_scales =
            s.groups > 1 && s.global_scales ? vector_of(packed->globals, DType::f32) : ww_tensor{}};
    return packed;
}

}  // namespace

ww_status ww_pack_weight(const ww_plain_weight* weight, const ww_quantized_weight** packed) {
    return guarded([&]() -> Status {
        WW_TRY(need(packed, "ww_pack_weight", "where to put the weight"));
        WW_ASSIGN(const ww_plain_weight known, read_struct("ww_pack_weight", weight));
        WW_ASSIGN(const Source source, source_of(known));
        WW_ASSIGN(auto made, pack(source));
        *packed = made.release();
        return {};
    });
}

void ww_quantized_weight_free(const ww_quantized_weight* packed) {
    delete static_cast<const Packed*>(packed);
}
