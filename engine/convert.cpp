// SPDX-License-Identifier: Apache-2.0
#include "engine/convert.h"

#include <algorithm>
#include <cstring>

#include "kernels/host_simd.h"

namespace warpwright {
namespace {

constexpr i64 kBlock = 1024;  // elements that are fp32 on the way between two 16-bit types

const u16* halves(const std::byte* data, i64 at) {
    return reinterpret_cast<const u16*>(data) + at;
}
u16* halves(std::byte* data, i64 at) {
    return reinterpret_cast<u16*>(data) + at;
}

}  // namespace

void convert(DType from, const std::byte* in, DType to, std::byte* out, i64 count) {
    const HostSimd& simd = host_simd();
    if (from == to) {
        std::memcpy(out, in, static_cast<std::size_t>(count * dtype_bytes(from)));
    } else if (from == DType::f32) {
        narrow_of(simd, to)(reinterpret_cast<const float*>(in), count, halves(out, 0));
    } else if (to == DType::f32) {
        widen_of(simd, from)(halves(in, 0), count, reinterpret_cast<float*>(out));
    } else {
        alignas(64) float block[kBlock];
        for (i64 at = 0; at < count; at += kBlock) {
            const i64 size = std::min(kBlock, count - at);
            widen_of(simd, from)(halves(in, at), size, block);
            narrow_of(simd, to)(block, size, halves(out, at));
        }
    }
}

}  // namespace warpwright
