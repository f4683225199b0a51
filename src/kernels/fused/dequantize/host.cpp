// SPDX-License-Identifier: Apache-2.0
// Numbers of codes and scales on the host, with the codecs of checkpoints. A task is some rows.
#include <array>
#include <limits>

#include "device/host_threads.h"
#include "formats/codecs.h"
#include "kernels/fused/dequantize/operation.h"
#include "kernels/host_math.h"

namespace warpwright {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

float decode(CodeType code, u8 bits) {
    switch (code) {
        case CodeType::e4m3: return formats::decode(formats::kE4M3, bits);
        case CodeType::e5m2: return f16_to_float(static_cast<u16>(bits << 8));  // the upper byte of binary16
        case CodeType::e2m1: return formats::decode(formats::kE2M1, bits);
        case CodeType::i8: return static_cast<float>(static_cast<i8>(bits));
    }
    return 0;
}

float scale_at(const DequantizeArgs& args, i64 group_row, i64 group_column, float global) {
    const i64 at = args.swizzled
                       ? swizzled_offset(group_row, group_column, args.scale_columns)
                       : group_row * args.scale_row_stride + group_column * args.scale_column_stride;
    if (dtype_of(args.scale) == DType::f32) return static_cast<const float*>(args.scales)[at];
    const u8 code = static_cast<const u8*>(args.scales)[at];
    if (args.scale == ScaleType::e4m3) return formats::decode(formats::kE4M3, code) * global;
    return code == 0xff ? kNan : formats::decode_e8m0(code);
}

template <DType out>
void dequantize(const void* raw, HostThreads& threads) {
    const DequantizeArgs& args = *static_cast<const DequantizeArgs*>(raw);
    const float global = args.global_scale != nullptr ? *args.global_scale : 1;
    const int bits = facts_of(args.code).bits;
    std::array<float, 256> numbers;
    for (int i = 0; i < 256; ++i)
        numbers[static_cast<std::size_t>(i)] = decode(args.code, static_cast<u8>(i & ((1 << bits) - 1)));
    threads.parallel_for(args.rows, 1, [&](i64 begin, i64 end) {
        for (i64 row = begin; row < end; ++row) {
            const u8* codes = static_cast<const u8*>(args.codes) + row * args.codes_stride;
            for (i64 first = 0; first < args.columns; first += args.group_columns) {
                const float scale = scale_at(args, row / args.group_rows, first / args.group_columns, global);
                const i64 last = std::min<i64>(first + args.group_columns, args.columns);
                for (i64 column = first; column < last; ++column) {
                    const u8 byte =
                        bits == 8 ? codes[column] : static_cast<u8>(codes[column / 2] >> column % 2 * 4 & 15);
                    store_float(args.out, out, row * args.out_stride + column, numbers[byte] * scale);
                }
            }
        }
    });
}

}  // namespace

HostFunction DequantizeOp::host_function(const Row& row) {
    return row.out == DType::bf16  ? dequantize<DType::bf16>
           : row.out == DType::f16 ? dequantize<DType::f16>
                                   : dequantize<DType::f32>;
}

}  // namespace warpwright
