// SPDX-License-Identifier: Apache-2.0
// KV append, portable. Limited by memory: each byte is read once and written once, 16 bytes a thread.
//
//   block = one token        its first keys and values, beside its position, sequence and page | to the page,
//   then the rest
#include "kernels/fused/kv_append/rows.h"
#include "ptx/launch.cuh"
#include "ptx/memory.cuh"

namespace warpwright {

constexpr KvAppendRow kRow = row_at(kKvAppendRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");

// What a thread moves at a time: 8 elements, or one.
struct Moved {
    U32x4 vector;
    u16 element;
};
constexpr int kElements = kRow.vectors ? 8 : 1;

__device__ inline Moved load(const void* values, i64 at) {
    const u16* source = static_cast<const u16*>(values) + at;
    if constexpr (kRow.vectors) {
        return {ptx::load(source), 0};
    } else {
        return {{}, *source};
    }
}

__device__ inline void store(void* pages, i64 at, const Moved& moved) {
    u16* out = static_cast<u16*>(pages) + at;
    if constexpr (kRow.vectors) {
        ptx::store(out, moved.vector);
    } else {
        *out = moved.element;
    }
}

// One token's heads into one slot. Where they come from is known before where they go.
__device__ inline void append(const KvAppendArgs& args, i64 token) {
    const int per_head = args.head_dim / kElements;
    const int count = args.kv_heads * per_head;
    const auto head_of = [&](int i) { return i / per_head; };
    const auto column_of = [&](int i) { return (i - head_of(i) * per_head) * kElements; };
    const auto load_one = [&](const void* values, KvStrides from, int i) {
        return load(values, token * from.token + head_of(i) * from.head + column_of(i));
    };
    const auto load_value = [&](int i) {
        return args.v != nullptr ? load_one(args.v, args.v_stride, i) : Moved{};
    };
    int i = threadIdx.x;
    if (i >= count) return;
    Moved key = load_one(args.k, args.k_stride, i), value = load_value(i);
    const i32 position = args.positions[token];
    if (position < 0) return;
    const i64 page =
        args.page_table[args.sequences[token] * args.page_table_stride + (position >> args.page_shift)];
    const i64 slot = position & ((1 << args.page_shift) - 1);
    const auto store_one = [&](void* pages, KvPageStrides to, const Moved& moved) {
        store(pages, page * to.page + slot * to.slot + head_of(i) * to.head + column_of(i), moved);
    };
    while (true) {
        store_one(args.k_pages, args.k_page_stride, key);
        if (args.v != nullptr) store_one(args.v_pages, args.v_page_stride, value);
        i += kRow.threads;
        if (i >= count) return;
        key = load_one(args.k, args.k_stride, i);
        value = load_value(i);
    }
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::KvAppendArgs args) {
    using namespace warpwright;
    ptx::wait_for_predecessor();
    ptx::release_successor();
    append(args, blockIdx.x);
}
