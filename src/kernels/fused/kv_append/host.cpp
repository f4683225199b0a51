// SPDX-License-Identifier: Apache-2.0
// KV append on the host: one copy a head.
#include <cstring>

#include "device/host_threads.h"
#include "kernels/fused/kv_append/operation.h"

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
            const auto append = [&](const void* from, KvStrides stride, void* pages, KvPageStrides to) {
                for (i64 head = 0; head < args.kv_heads; ++head) {
                    std::memcpy(static_cast<u16*>(pages) + page * to.page + slot * to.slot + head * to.head,
                                static_cast<const u16*>(from) + token * stride.token + head * stride.head,
                                head_bytes);
                }
            };
            append(args.k, args.k_stride, args.k_pages, args.k_page_stride);
            append(args.v, args.v_stride, args.v_pages, args.v_page_stride);
        }
    });
}

}  // namespace

HostFunction KvAppendOp::host_function(const Row&) {
    return kv_append;
}

}  // namespace warpwright
