// SPDX-License-Identifier: Apache-2.0
// Latent append, portable. Limited by memory: each number is read once, 16 bytes a lane.
//
//   16 lanes = 128 numbers of a token   the largest magnitude, by shuffles; the scale, in every lane; codes
//
// The lanes of a record's last group keep what they have: 64 numbers of 16 bits, 8 lanes.
#include "kernels/fused/latent_append/rows.h"
#include "ptx/launch.cuh"
#include "ptx/memory.cuh"
#include "tile/kv_codes.cuh"
#include "tile/magnitude.cuh"

namespace warpwright {

constexpr LatentAppendRow kRow = row_at(kLatentAppendRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");

constexpr bool kConvertsFp8 = facts_of(static_cast<BuildTarget>(WW_TARGET)).first_capability >= 89;
constexpr int kLanes = kLatentLanes, kElements = kLatentGroup / kLanes;

__device__ inline U32x4 load(const u16* from) {
    if constexpr (kRow.vectors) return ptx::load(from);
    const auto pair = [&](int i) { return from[i] | static_cast<u32>(from[i + 1]) << 16; };
    return {pair(0), pair(2), pair(4), pair(6)};
}

__device__ inline void store_bytes(u8* to, u32 word) {
#pragma unroll
    for (int i = 0; i < 4; ++i) to[i] = static_cast<u8>(word >> 8 * i);
}
__device__ inline void store_word(u8* to, u32 word) {
    if constexpr (kRow.vectors) {
        *reinterpret_cast<u32*>(to) = word;
    } else {
        store_bytes(to, word);
    }
}
__device__ inline void store_codes(u8* to, U32x2 codes) {
    if constexpr (kRow.vectors) {
        *reinterpret_cast<U32x2*>(to) = codes;
    } else {
        store_bytes(to, codes.x), store_bytes(to + 4, codes.y);
    }
}
__device__ inline void store_numbers(u8* to, U32x4 v) {
    if constexpr (kRow.vectors) {
        ptx::store(to, v);
    } else {
        store_bytes(to, v.x), store_bytes(to + 4, v.y), store_bytes(to + 8, v.z), store_bytes(to + 12, v.w);
    }
}

// The largest magnitude of a group, fp32's bits, in each of its lanes.
template <class T>
__device__ inline u32 group_magnitude(U32x4 v) {
    u32 pair = larger_pair<T>(v);
#pragma unroll
    for (int mask = kLanes / 2; mask > 0; mask /= 2)
        pair = ptx::max_pair<T>(pair, __shfl_xor_sync(~0u, pair, mask));
    return __float_as_uint(ptx::to_float(T{static_cast<u16>(larger_of(pair))}));
}

// fp32's bits.
__device__ inline u32 scale_of(const LatentAppendArgs& args, u32 magnitude) {
    constexpr u32 kInfinity = 0x7f800000, kLargest = kInfinity - 1;
    const u32 amax = max(min(magnitude, kLargest), __float_as_uint(args.least_amax));
    u32 scale = power_of_two_scale(amax);
    if (args.scale == ScaleType::f32) {
        const float quotient = __fdiv_rn(__uint_as_float(amax), facts_of(CodeType::e4m3).max);
        scale = __float_as_uint(fmaxf(quotient, kLeastLatentScale));
    }
    return magnitude > kInfinity ? kNanLatentScale : scale;
}

template <class T>
__device__ inline void append(const LatentAppendArgs& args) {
    const u32 unit = blockIdx.x * (kRow.threads / kLanes) + threadIdx.x / kLanes;
    const u32 token = unit / args.groups, group = unit - token * args.groups;
    const int lane = threadIdx.x % kLanes;
    const int column = static_cast<int>(group) * kLatentGroup + lane * kElements;
    // All lanes of a warp take part in the shuffles, those without numbers with zeros.
    const bool has_numbers = token < static_cast<u32>(args.tokens) && column < args.columns;
    U32x4 v = {0, 0, 0, 0};
    i32 position = -1;
    if (has_numbers) {
        v = load(static_cast<const u16*>(args.x) + token * args.x_stride + column);
        position = args.positions[token];
    }
    const u32 magnitude = group_magnitude<T>(v);
    if (position < 0) return;
    const i64 page =
        args.page_table[args.sequences[token] * args.page_table_stride + (position >> args.page_shift)];
    const int slot = position & ((1 << args.page_shift) - 1);
    u8* to_page = args.pages + page * args.page_stride;
    u8* to = to_page + i64{slot} * args.token_stride;
    if (column >= args.coded_columns) {
        store_numbers(to + args.kept_at + (column - args.coded_columns) * 2, v);
        return;
    }
    const u32 stored = scale_of(args, magnitude);
    if (lane == 0) store_word(to_page + args.scales_at + i64{slot} * args.scale_stride + group * 4, stored);
    const float scale = __uint_as_float(stored);
    const auto codes_of = [&](u32 pair) {
        return kv_codes_of<T, KvFormat::fp8_e4m3, kConvertsFp8>(pair, scale);
    };
    store_codes(to + column, {codes_of(v.x) | codes_of(v.y) << 16, codes_of(v.z) | codes_of(v.w) << 16});
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::LatentAppendArgs args) {
    using namespace warpwright;
    ptx::wait_for_predecessor();
    if (args.dtype == DType::bf16) {
        append<Bf16>(args);
    } else {
        append<Half>(args);
    }
    ptx::release_successor();
}
