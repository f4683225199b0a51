// SPDX-License-Identifier: Apache-2.0
#include "engine/weight_source.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>

#include "engine/convert.h"
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

}  // namespace

Status CheckpointSource::read(const PiecePart& part, DType dtype, std::byte* out) const {
    if (part.piece->quantized) return read_quantized(part, dtype, out);
    WW_ASSIGN(const StoredTensor stored, checkpoint_.find(part.piece->name));
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

// The address in the mapping: file by file, from front to back.
u64 CheckpointSource::position_of(const ParameterPiece& piece) const {
    if (piece.quantized) {
        const formats::StoredRows& codes = piece.quantized->codes;
        return reinterpret_cast<std::uintptr_t>(codes.file->bytes().data()) + codes.file_offset;
    }
    const auto stored = checkpoint_.find(piece.name);
    return stored.ok() ? reinterpret_cast<std::uintptr_t>(stored->bytes.data()) : 0;
}

RandomSource::RandomSource(u64 seed, DType dtype) : seed_(seed), pool_(bytes_of(kPoolElements, dtype)) {
    // why: 16 billion normal values take minutes to draw; a long pool, read from a place that depends on the
    // tensor's name, serves as well for timing and for comparing devices.
    std::mt19937_64 random(seed);
    std::normal_distribution<float> normal(0, 0.02f);
    for (i64 i = 0; i < kPoolElements; ++i) store_float(pool_.data(), dtype, i, normal(random));
}

Status RandomSource::read(const PiecePart& part, DType dtype, std::byte* out) const {
    if (part.parameter->is_norm) {
        for (i64 i = 0; i < part.count; ++i) {
            store_float(out, dtype, i, static_cast<float>(part.parameter->neutral));
        }
        return {};
    }
    u64 hash = 0xcbf29ce484222325u ^ seed_;  // FNV-1a
    for (const char c : part.piece->name) hash = (hash ^ static_cast<u8>(c)) * 0x100000001b3u;
    i64 offset = (static_cast<i64>(hash % kPoolElements) + part.first) % kPoolElements;
    for (i64 left = part.count; left > 0;) {
        const i64 count = std::min(left, kPoolElements - offset);
        std::memcpy(out, pool_.data() + bytes_of(offset, dtype), bytes_of(count, dtype));
        out += bytes_of(count, dtype);
        left -= count;
        offset = 0;
    }
    return {};
}

}  // namespace warpwright
