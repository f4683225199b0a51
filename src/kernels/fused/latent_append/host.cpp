// SPDX-License-Identifier: Apache-2.0
// Latent append on the host. A task is some tokens.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "device/host_threads.h"
#include "kernels/fused/latent_append/operation.h"
#include "kernels/kv_codes.h"

namespace warpwright {
namespace {

// fp32's bits.
u32 scale_of(const LatentAppendArgs& args, const u16* numbers) {
    float amax = args.least_amax;
    for (int i = 0; i < kLatentGroup; ++i) {
        const float magnitude = std::abs(load_float(numbers, args.dtype, i));
        if (std::isnan(magnitude)) return kNanLatentScale;
        amax = std::max(amax, magnitude);
    }
    amax = std::min(amax, std::numeric_limits<float>::max());
    if (args.scale == ScaleType::power_of_two) return power_of_two_scale(std::bit_cast<u32>(amax));
    return std::bit_cast<u32>(std::max(amax / facts_of(CodeType::e4m3).max, kLeastLatentScale));
}

void append(const LatentAppendArgs& args, i64 token) {
    const i32 position = args.positions[token];
    if (position < 0) return;
    const i64 page =
        args.page_table[args.sequences[token] * args.page_table_stride + (position >> args.page_shift)];
    const i64 slot = position & ((1 << args.page_shift) - 1);
    const u16* from = static_cast<const u16*>(args.x) + token * args.x_stride;
    u8* to_page = args.pages + page * args.page_stride;
    u8* to = to_page + slot * args.token_stride;
    u8* scales = to_page + args.scales_at + slot * args.scale_stride;
    for (int first = 0; first < args.coded_columns; first += kLatentGroup) {
        const u32 scale = scale_of(args, from + first);
        std::memcpy(scales + first / kLatentGroup * 4, &scale, 4);
        encode_kv(from + first, args.dtype, kLatentGroup, KvFormat::fp8_e4m3, std::bit_cast<float>(scale),
                  to + first);
    }
    std::memcpy(to + args.kept_at, from + args.coded_columns,
                static_cast<std::size_t>(args.columns - args.coded_columns) * sizeof(u16));
}

void latent_append(const void* raw, HostThreads& threads) {
    const LatentAppendArgs& args = *static_cast<const LatentAppendArgs*>(raw);
    // Two tokens never share a slot, so tokens may be written in any order.
    threads.parallel_for(args.tokens, 16, [&](i64 begin, i64 end) {
        for (i64 token = begin; token < end; ++token) append(args, token);
    });
}

}  // namespace

HostFunction LatentAppendOp::host_function(const Row&) {
    return latent_append;
}

}  // namespace warpwright
