// SPDX-License-Identifier: Apache-2.0
// KV append into pages of 8 bits, portable. Limited by memory: 16 bytes are read and 8 written a thread.
//
//   block = one token    its first keys and values, beside its position, sequence and page | divide, round,
//   to the page, then the rest
#include "kernels/fused/kv_append/rows.h"
#include "ptx/launch.cuh"
#include "ptx/memory.cuh"
#include "tile/kv_codes.cuh"

namespace warpwright {

constexpr KvAppendRow kRow = row_at(kKvAppendRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");

constexpr bool kConvertsFp8 = facts_of(static_cast<BuildTarget>(WW_TARGET)).first_capability >= 89;
constexpr int kElements = kRow.vectors ? 8 : 1;  // a thread has at a time

// Where keys, or values, come from and go to.
template <class T, KvFormat format>
struct Appender {
    const T* from;  // null: nothing does
    KvStrides stride;
    u8* pages;
    KvPageStrides page_stride;
    const float* scales;
    i32 scale_stride;

    using Moved = U32x4;  // kElements in the low ones

    __device__ Moved load(i64 token, int head, int column) const {
        if (from == nullptr) return {};
        const T* at = from + token * stride.token + head * stride.head + column;
        if constexpr (kRow.vectors) return ptx::load(at);
        return {at->bits, 0, 0, 0};
    }

    __device__ void store(i64 page, i64 slot, int head, int column, const Moved& moved) const {
        if (from == nullptr) return;
        u8* at = pages + page * page_stride.page + slot * page_stride.slot + head * page_stride.head + column;
        const float scale = kv_scale_of(scales, scale_stride, head);
        const auto codes_of = [&](u32 pair) { return kv_codes_of<T, format, kConvertsFp8>(pair, scale); };
        if constexpr (kRow.vectors) {
            const U32x2 codes{codes_of(moved.x) | codes_of(moved.y) << 16,
                              codes_of(moved.z) | codes_of(moved.w) << 16};
            *reinterpret_cast<U32x2*>(at) = codes;
        } else {
            *at = static_cast<u8>(codes_of(moved.x));
        }
    }
};

// One token's heads into one slot. Where they come from is known before where they go.
template <class T, KvFormat format>
__device__ inline void append(const KvAppendArgs& args, i64 token) {
    const Appender<T, format> keys{static_cast<const T*>(args.k),
                                   args.k_stride,
                                   static_cast<u8*>(args.k_pages),
                                   args.k_page_stride,
                                   args.k_scale,
                                   args.k_scale_stride};
    const Appender<T, format> values{static_cast<const T*>(args.v),
                                     args.v_stride,
                                     static_cast<u8*>(args.v_pages),
                                     args.v_page_stride,
                                     args.v_scale,
                                     args.v_scale_stride};
    const int per_head = args.head_dim / kElements;
    const int count = args.kv_heads * per_head;
    int i = threadIdx.x;
    if (i >= count) return;
    int head = i / per_head, column = (i - head * per_head) * kElements;
    U32x4 key = keys.load(token, head, column), value = values.load(token, head, column);
    const i32 position = args.positions[token];
    if (position < 0) return;
    const i64 page =
        args.page_table[args.sequences[token] * args.page_table_stride + (position >> args.page_shift)];
    const i64 slot = position & ((1 << args.page_shift) - 1);
    while (true) {
        keys.store(page, slot, head, column, key);
        values.store(page, slot, head, column, value);
        i += kRow.threads;
        if (i >= count) return;
        head = i / per_head, column = (i - head * per_head) * kElements;
        key = keys.load(token, head, column);
        value = values.load(token, head, column);
    }
}

template <class T>
__device__ inline void append_as(const KvAppendArgs& args, i64 token) {
    if (args.kv_format == KvFormat::fp8_e4m3) {
        append<T, KvFormat::fp8_e4m3>(args, token);
    } else {
        append<T, KvFormat::fp8_e5m2>(args, token);
    }
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::KvAppendArgs args) {
    using namespace warpwright;
    ptx::wait_for_predecessor();
    if (args.dtype == DType::bf16) {
        append_as<Bf16>(args, blockIdx.x);
    } else {
        append_as<Half>(args, blockIdx.x);
    }
    ptx::release_successor();
}
