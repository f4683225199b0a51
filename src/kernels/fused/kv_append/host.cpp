// SPDX-License-Identifier: Apache-2.0
// KV append on the host: one copy a head, or its codes.
#include <cstring>

#include "device/host_threads.h"
#include "kernels/fused/kv_append/operation.h"
#include "kernels/kv_codes.h"

namespace warpwright {
namespace {

void kv_append(const void* raw, HostThreads& threads) {
    const KvAppendArgs& args = *static_cast<const KvAppendArgs*>(raw);
    const std::size_t head_bytes = static_cast<std::size_t>(args.head_dim) * sizeof(u16);
    // Two tokens never share a slot, so tokens may be written in any order.
    threads.parallel_for(args.tokens, 16, [&](i64 begin, i64 end) {
        for (i64 token = begin; token < end; ++token) {
            const i32 position = args.positions[token];
            if (position < 0) continue;
            const i64 page = args.page_table[args.sequences[token] * args.page_table_stride +
                                             (position >> args.page_shift)];
            const i64 slot = position & ((1 << args.page_shift) - 1);
            const auto append = [&](const void* from, KvStrides stride, void* pages, KvPageStrides to,
                                    const float* scales, i32 scale_stride) {
                for (i64 head = 0; head < args.kv_heads; ++head) {
                    const u16* values =
                        static_cast<const u16*>(from) + token * stride.token + head * stride.head;
                    const i64 at = page * to.page + slot * to.slot + head * to.head;
                    if (args.kv_format == KvFormat::same) {
                        std::memcpy(static_cast<u16*>(pages) + at, values, head_bytes);
                    } else {
                        const float scale = scales == nullptr ? 1 : scales[head * scale_stride];
                        encode_kv(values, args.dtype, args.head_dim, args.kv_format, scale,
                                  static_cast<u8*>(pages) + at);
                    }
                }
            };
            append(args.k, args.k_stride, args.k_pages, args.k_page_stride, args.k_scale,
                   args.k_scale_stride);
            if (args.v == nullptr) continue;
            append(args.v, args.v_stride, args.v_pages, args.v_page_stride, args.v_scale,
                   args.v_scale_stride);
        }
    });
}

}  // namespace

HostFunction KvAppendOp::host_function(const Row&) {
    return kv_append;
}

}  // namespace warpwright
