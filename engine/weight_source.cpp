// SPDX-License-Identifier: Apache-2.0
#include "engine/weight_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>

#include "engine/convert.h"
#include "engine/packed_rows.h"
#include "formats/quantise.h"
#include "kernels/host_math.h"

namespace warpwright {
namespace {

constexpr i64 kConvertElements = 64 << 10;         // at once: what was read is in a core's cache still
constexpr i64 kQuantizedElements = 1 << 20;        // likewise: runs of a column-wise layout are long enough
constexpr i64 kPoolElements = (i64{1} << 22) - 3;  // odd, so that a matrix's rows do not repeat

std::size_t bytes_of(i64 count, DType dtype) {
    return static_cast<std::size_t>(count * dtype_bytes(dtype));
}

// The rows that a part touches, as numbers; what stands before and after it in them is left out.
Status read_quantized(const PiecePart& part, DType dtype, std::byte* out) {
    const formats::StoredWeight& weight = *part.piece->quantized;
    thread_local std::vector<float> values;
    const i64 end = part.first + part.count;
    const i64 rows_at_once = std::max<i64>(1, kQuantizedElements / weight.columns);
    for (i64 at = part.first; at < end;) {
        const i64 first = at / weight.columns;
        const i64 last = std::min((end + weight.columns - 1) / weight.columns, first + rows_at_once);
        WW_ASSIGN(const formats::QuantizedMatrix rows, read_rows(weight, first, last - first));
        values.resize(static_cast<std::size_t>(rows.rows * rows.columns));
        dequantise(rows, values.data());
        const i64 count = std::min(end, last * weight.columns) - at;
        convert(DType::f32, reinterpret_cast<const std::byte*>(values.data() + (at - first * weight.columns)),
                dtype, out + bytes_of(at - part.first, dtype), count);
        at += count;
    }
    return {};
}

// Of a piece that is spread over a tensor. Of a row's columns one after the other, over all rows: those are
// neighbours there.
void read_view(const PiecePart& part, const StoredTensor& stored, DType dtype, std::byte* out) {
    const ParameterPiece& piece = *part.piece;
    const ParameterPiece::View& view = *piece.view;
    const i64 columns = piece.shape.size() == 1 ? 1 : piece.shape[1];
    const i64 end = part.first + part.count;
    for (i64 column = 0; column < columns; ++column) {
        const i64 first_row = (part.first - column + columns - 1) / columns;
        for (i64 row = first_row; row * columns + column < end; ++row) {
            const i64 from = view.first + row * view.row_stride + column * view.column_stride;
            const i64 to = row * columns + column - part.first;
            if (stored.dtype == dtype) {
                std::memcpy(out + bytes_of(to, dtype), stored.bytes.data() + bytes_of(from, dtype),
                            bytes_of(1, dtype));
            } else {
                store_float(out, dtype, to, load_float(stored.bytes.data(), stored.dtype, from));
            }
        }
    }
}

}  // namespace

Status CheckpointSource::read(const PiecePart& part, DType dtype, std::byte* out) const {
    if (part.piece->quantized) return read_quantized(part, dtype, out);
    WW_ASSIGN(const StoredTensor stored, checkpoint_.find(part.piece->name));
    if (part.piece->view) {
        read_view(part, stored, dtype, out);
        return {};
    }
    const u64 begin = stored.file_offset + bytes_of(part.first, stored.dtype);
    if (stored.dtype == dtype) return stored.mapped->read(begin, {out, bytes_of(part.count, dtype)});
    thread_local std::vector<std::byte> block;
    block.resize(bytes_of(kConvertElements, DType::f32));
    for (i64 at = 0; at < part.count; at += kConvertElements) {
        const i64 count = std::min(kConvertElements, part.count - at);
        WW_TRY(stored.mapped->read(begin + bytes_of(at, stored.dtype),
                                   std::span(block).first(bytes_of(count, stored.dtype))));
        convert(stored.dtype, block.data(), dtype, out + bytes_of(at, dtype), count);
    }
    return {};
}

namespace {

// Rows [first, first + count) of all pieces.
Result<formats::QuantizedMatrix> read_pieces(const Parameter& parameter, i64 first, i64 count) {
    formats::QuantizedMatrix rows;
    for (const ParameterPiece& piece : parameter.pieces) {
        const i64 begin = std::max(first, piece.first_row);
        const i64 end = std::min(first + count, piece.first_row + piece.shape[0]);
        if (begin >= end) continue;
        WW_ASSIGN(const formats::QuantizedMatrix read,
                  read_rows(*piece.quantized, begin - piece.first_row, end - begin));
        append_rows(read, rows);
    }
    return rows;
}

}  // namespace

Result<PackedWeight> CheckpointSource::read_packed(const Parameter& parameter, i64 first, i64 count) const {
    WW_ASSIGN(formats::QuantizedMatrix rows, read_pieces(parameter, first, count));
    auto packed = pack_rows(std::move(rows), parameter.form);
    if (packed.ok()) return packed;
    return caller_error(fmt::format("{}: {}", parameter.pieces[0].name, packed.status().message()));
}

Result<CodedRows> CheckpointSource::read_coded(const Parameter& parameter, i64 first, i64 count) const {
    WW_ASSIGN(const formats::QuantizedMatrix rows, read_pieces(parameter, first, count));
    return coded_rows(rows, parameter.form);
}

// The address in the mapping: file by file, from front to back.
u64 CheckpointSource::position_of(const ParameterPiece& piece) const {
    if (piece.quantized) {
        const formats::StoredRows& codes = piece.quantized->codes;
        return reinterpret_cast<std::uintptr_t>(codes.file->bytes().data()) + codes.file_offset;
    }
    const auto stored = checkpoint_.find(piece.name);
    return stored.ok() ? reinterpret_cast<std::uintptr_t>(stored->bytes.data()) : 0;
}

RandomSource::RandomSource(u64 seed, DType dtype)
    : seed_(seed), dtype_(dtype), pool_(bytes_of(kPoolElements, dtype)) {
    // why: 16 billion normal values take minutes to draw; a long pool, read from a place that depends on the
    // tensor's name, serves as well for timing and for comparing devices.
    std::mt19937_64 random(seed);
    std::normal_distribution<float> normal(0, 0.02f);
    for (i64 i = 0; i < kPoolElements; ++i) store_float(pool_.data(), dtype, i, normal(random));
}

// FNV-1a.
u64 RandomSource::place_of(const ParameterPiece& piece) const {
    u64 hash = 0xcbf29ce484222325u ^ seed_;
    for (const char c : piece.name) hash = (hash ^ static_cast<u8>(c)) * 0x100000001b3u;
    return piece.view ? (hash ^ static_cast<u64>(piece.view->first)) * 0x100000001b3u : hash;
}

Status RandomSource::read(const PiecePart& part, DType dtype, std::byte* out) const {
    if (part.parameter->is_norm) {
        for (i64 i = 0; i < part.count; ++i) {
            store_float(out, dtype, i, static_cast<float>(part.parameter->neutral));
        }
        return {};
    }
    i64 offset = (static_cast<i64>(place_of(*part.piece) % kPoolElements) + part.first) % kPoolElements;
    for (i64 left = part.count; left > 0;) {
        const i64 count = std::min(left, kPoolElements - offset);
        const std::byte* from = pool_.data() + bytes_of(offset, dtype_);
        if (dtype == dtype_) {
            std::memcpy(out, from, bytes_of(count, dtype));
        } else {
            for (i64 i = 0; i < count; ++i) store_float(out, dtype, i, load_float(from, dtype_, i));
        }
        out += bytes_of(count, dtype);
        left -= count;
        offset = 0;
    }
    return {};
}

namespace {

// What gives codes of the form.
formats::Recipe recipe_of(const WeightForm& form) {
    formats::Recipe recipe{.group_columns = form.group};
    switch (form.format) {
        case WeightFormat::int4: recipe.code = formats::Code::u4; break;
        case WeightFormat::int8: recipe.code = form.coded ? formats::Code::i8 : formats::Code::u8; break;
        case WeightFormat::fp8_e4m3: recipe.code = formats::Code::e4m3; break;
        case WeightFormat::mxfp4:
        case WeightFormat::nvfp4: recipe.code = formats::Code::e2m1; break;
    }
    recipe.symmetric = !form.zeros;
    if (form.coded) recipe.group_rows = weight_format(form).group_rows;
    if (form.format == WeightFormat::mxfp4 || (form.coded && form.scale == DType::u8))
        recipe.scale_code = formats::ScaleCode::e8m0;
    if (form.format == WeightFormat::nvfp4) recipe.scale_code = formats::ScaleCode::e4m3;
    if (form.scale != DType::u8) recipe.scale_type = form.scale;
    return recipe;
}

// The largest odd number of blocks of rows whose numbers are in the pool, at least 3: odd, so that gate's are
// not up's.
i64 pool_blocks(i64 columns, i64 block_rows) {
    return std::max<i64>(3, (kPoolElements / (block_rows * columns) - 1) | 1);
}

// `count` of the pool's blocks from number `place` on, around its end.
template <class Value>
std::vector<Value> blocks_of(const std::vector<Value>& pool, i64 num_blocks, u64 place, i64 count) {
    std::vector<Value> out;
    const auto each = static_cast<std::ptrdiff_t>(pool.size()) / num_blocks;
    for (i64 i = 0; i < count; ++i) {
        const auto block = static_cast<std::ptrdiff_t>((place + static_cast<u64>(i)) % num_blocks);
        out.insert(out.end(), pool.begin() + block * each, pool.begin() + (block + 1) * each);
    }
    return out;
}

}  // namespace

// why: as above; quantising and packing 16 billion values takes half a minute.
Result<const RandomSource::PackedPool*> RandomSource::packed_pool(const WeightForm& form, i64 columns) const {
    const std::lock_guard lock(mutex_);
    for (const PackedPool& known : packed_) {
        if (known.form == form && known.columns == columns) return &known;
    }
    const i64 block_rows = form.coded ? kCodedRows : kPackedRows;
    const i64 num_blocks = pool_blocks(columns, block_rows), rows = num_blocks * block_rows;
    std::vector<float> values(static_cast<std::size_t>(rows * columns));
    for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = load_float(pool_.data(), dtype_, static_cast<i64>(i) % kPoolElements);
    const float largest = formats::largest_magnitude(values.data(), static_cast<i64>(values.size()));
    formats::QuantizedMatrix matrix;
    quantise_rows(recipe_of(form), values.data(), rows, columns, largest, matrix);
    if (form.coded) {
        formats::QuantizedMatrix by_rows;
        append_rows(matrix, by_rows);
        packed_.push_back({form, columns, num_blocks, {}, coded_rows(by_rows, form)});
        return &packed_.back();
    }
    if (form.order) {
        for (i64 k = 0; k < columns; ++k) {
            matrix.column_group.push_back(static_cast<i32>(k / matrix.group_columns));
        }
        std::shuffle(matrix.column_group.begin(), matrix.column_group.end(), std::mt19937_64(seed_));
    }
    WW_ASSIGN(PackedWeight packed, pack_rows(std::move(matrix), form));
    packed_.push_back({form, columns, num_blocks, std::move(packed), {}});
    return &packed_.back();
}

Result<PackedWeight> RandomSource::read_packed(const Parameter& parameter, i64 first, i64 count) const {
    WW_ASSIGN(const PackedPool* pool, packed_pool(parameter.form, parameter.shape[1]));
    const PackedWeight& from = pool->weight;
    const i64 blocks = pool->num_blocks, wanted = ceil_div(count, i64{kPackedRows});
    const i64 expert = parameter.experts == 0 ? 0 : first / parameter.pieces[0].shape[0];
    const ParameterPiece& piece = parameter.pieces[static_cast<std::size_t>(expert)];
    const u64 place = place_of(piece) % blocks + static_cast<u64>((first - piece.first_row) / kPackedRows);
    PackedWeight packed{.format = from.format, .n = count, .k = from.k, .group = from.group};
    packed.data = blocks_of(from.data, blocks, place, wanted);
    packed.scale_type = from.scale_type;
    packed.scales = blocks_of(from.scales, blocks, place, wanted);
    packed.zeros = blocks_of(from.zeros, blocks, place, wanted);
    packed.order = from.order;
    packed.global_scale = from.global_scale;
    return packed;
}

Result<CodedRows> RandomSource::read_coded(const Parameter& parameter, i64 first, i64 count) const {
    WW_ASSIGN(const PackedPool* pool, packed_pool(parameter.form, parameter.shape[1]));
    const i64 blocks = pool->num_blocks, wanted = ceil_div(count, kCodedRows);
    const u64 place = place_of(parameter.pieces[0]) % blocks + static_cast<u64>(first / kCodedRows);
    CodedRows rows{.codes = blocks_of(pool->coded.codes, blocks, place, wanted),
                   .scales = blocks_of(pool->coded.scales, blocks, place, wanted)};
    // The last block may be cut off.
    const CodedLayout layout = coded_layout(parameter.form, count, parameter.shape[1]);
    rows.codes.resize(static_cast<std::size_t>(count * parameter.shape[1]));
    rows.scales.resize(static_cast<std::size_t>(layout.scale_rows * layout.scale_columns *
                                                dtype_bytes(parameter.form.scale)));
    return rows;
}

}  // namespace warpwright
