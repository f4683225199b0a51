// SPDX-License-Identifier: Apache-2.0
// KV append, portable. Limited by memory: each byte is read once and written once, 16 bytes a thread.
//
//   block = one token        read its position, sequence and page | copy all heads of k, then of v
#include "kernels/fused/kv_append/rows.h"
#include "ptx/launch.cuh"
#include "ptx/memory.cuh"

namespace warpwright {

constexpr KvAppendRow kRow = row_at(kKvAppendRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
constexpr int kElements = kRow.vectors ? 8 : 1;  // that a thread moves at a time

// One token's heads into one slot.
__device__ inline void append(const KvAppendArgs& args, const void* values, KvStrides from, i64 token,
                              void* pages, KvPageStrides to, i64 page, i64 slot) {
    const u16* source = static_cast<const u16*>(values) + token * from.token;
    u16* out = static_cast<u16*>(pages) + page * to.page + slot * to.slot;
    const int per_head = args.head_dim / kElements;
    const int count = args.kv_heads * per_head;
    for (int i = threadIdx.x; i < count; i += kRow.threads) {
        const int head = i / per_head;
        const int column = (i - head * per_head) * kElements;
        if constexpr (kRow.vectors) {
            ptx::store(out + head * to.head + column, ptx::load(source + head * from.head + column));
        } else {
            out[head * to.head + column] = source[head * from.head + column];
        }
    }
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::KvAppendArgs args) {
    using namespace warpwright;
    ptx::wait_for_predecessor();
    const i64 token = blockIdx.x;
    const i32 position = args.positions[token];
    if (position >= 0) {
        const i64 page =
            args.page_table[args.sequences[token] * args.page_table_stride + (position >> args.page_shift)];
        const i64 slot = position & ((1 << args.page_shift) - 1);
        append(args, args.k, args.k_stride, token, args.k_pages, args.k_page_stride, page, slot);
        append(args, args.v, args.v_stride, token, args.v_pages, args.v_page_stride, page, slot);
    }
    ptx::release_successor();
}
