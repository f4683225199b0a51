// SPDX-License-Identifier: Apache-2.0
#include "device/tensor_map.h"

#include <cstdint>

#include <fmt/format.h>

namespace warpwright {

Status check_tensor_map(const TensorMapSpec& spec) {
    const u64 element_bytes = dtype_bytes(spec.dtype);
    if (spec.rank < 1 || spec.rank > 5) {
        return caller_error(fmt::format("tensor map: rank is {}, expected 1 to 5", spec.rank));
    }
    if (spec.base == nullptr || reinterpret_cast<std::uintptr_t>(spec.base) % 16 != 0) {
        return caller_error(
            fmt::format("tensor map: base is {}, expected a multiple of 16 bytes", fmt::ptr(spec.base)));
    }
    const int swizzle = spec.swizzle_bytes;
    if (swizzle != 0 && swizzle != 32 && swizzle != 64 && swizzle != 128) {
        return caller_error(
            fmt::format("tensor map: swizzle_bytes is {}, expected 0, 32, 64 or 128", swizzle));
    }
    for (int i = 0; i < spec.rank; ++i) {
        if (spec.extent[i] == 0 || spec.extent[i] > u64{1} << 32) {
            return caller_error(
                fmt::format("tensor map: extent[{}] is {}, expected 1 to 2^32", i, spec.extent[i]));
        }
        if (spec.box[i] == 0 || spec.box[i] > 256) {
            return caller_error(fmt::format("tensor map: box[{}] is {}, expected 1 to 256", i, spec.box[i]));
        }
        if (i == 0) continue;
        const u64 stride = spec.stride_bytes[i];
        if (stride % 16 != 0 || stride >= u64{1} << 40) {
            return caller_error(fmt::format(
                "tensor map: stride_bytes[{}] is {}, expected a multiple of 16 below 2^40", i, stride));
        }
    }
    const u64 inner_bytes = spec.box[0] * element_bytes;
    if (inner_bytes % 16 != 0) {
        return caller_error(
            fmt::format("tensor map: box[0] is {} bytes, expected a multiple of 16", inner_bytes));
    }
    if (swizzle != 0 && inner_bytes > static_cast<u64>(swizzle)) {
        return caller_error(fmt::format("tensor map: box[0] is {} bytes, expected at most swizzle_bytes = {}",
                                        inner_bytes, swizzle));
    }
    return {};
}

}  // namespace warpwright
