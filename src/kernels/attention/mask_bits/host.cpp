// SPDX-License-Identifier: Apache-2.0
// A mask of bytes as bits on the host: a row at a time.
#include <algorithm>

#include "device/host_threads.h"
#include "kernels/attention/mask_bits/operation.h"

namespace warpwright {
namespace {

void mask_bits(const void* raw, HostThreads& threads) {
    const MaskBitsArgs& args = *static_cast<const MaskBitsArgs*>(raw);
    const i64 words = words_of(args.columns);
    threads.parallel_for(args.rows, 4, [&](i64 begin, i64 end) {
        for (i64 row = begin; row < end; ++row) {
            const u8* from = args.mask + row * args.row_stride;
            for (i64 word = 0; word < words; ++word) {
                u32 bits = 0;
                const i64 count = std::min<i64>(32, args.columns - 32 * word);
                for (i64 i = 0; i < count; ++i) bits |= u32{from[32 * word + i] != 0} << i;
                args.bits[row * words + word] = bits;
            }
        }
    });
}

}  // namespace

HostFunction MaskBitsOp::host_function(const Row&) {
    return mask_bits;
}

}  // namespace warpwright
