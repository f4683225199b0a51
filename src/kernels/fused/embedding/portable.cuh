// SPDX-License-Identifier: Apache-2.0
// Embedding, portable. Limited by memory: each byte is read once and written once, 16 bytes a thread.
//
//   block = one chunk of one token        read the id | copy, scaled where asked for, or zeros
#include "kernels/fused/embedding/rows.h"
#include "ptx/convert.cuh"
#include "ptx/launch.cuh"
#include "ptx/memory.cuh"

namespace warpwright {

constexpr EmbeddingRow kRow = row_at(kEmbeddingRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");

// The scaled elements of 4 bytes.
__device__ inline u32 scaled(u32 bits, DType dtype, float scale) {
    switch (dtype) {
        case DType::bf16:
            return ptx::pack<Bf16>(ptx::low_float<Bf16>(bits) * scale, ptx::high_float<Bf16>(bits) * scale);
        case DType::f16:
            return ptx::pack<Half>(ptx::low_float<Half>(bits) * scale, ptx::high_float<Half>(bits) * scale);
        default: return __float_as_uint(__uint_as_float(bits) * scale);
    }
}

// source is null for a row of zeros.
template <class Element>
__device__ inline void copy_element(const EmbeddingArgs& args, const char* source, char* out, i64 index) {
    const i64 offset = index * static_cast<i64>(sizeof(Element));
    if (offset >= args.width_bytes) return;
    Element element{};
    if (source != nullptr) {
        element = *reinterpret_cast<const Element*>(source + offset);
        if (args.scale != 1) element = static_cast<Element>(scaled(element, args.dtype, args.scale));
    }
    *reinterpret_cast<Element*>(out + offset) = element;
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::EmbeddingArgs args) {
    using namespace warpwright;
    ptx::wait_for_predecessor();
    ptx::release_successor();
    const i64 token = blockIdx.x;
    const i64 index = static_cast<i64>(blockIdx.y) * kRow.threads + threadIdx.x;
    const i32 id = args.ids[token];
    const bool known = id >= 0 && id < args.num_rows;
    const char* source =
        known ? static_cast<const char*>(args.table) + id * args.table_stride_bytes : nullptr;
    char* out = static_cast<char*>(args.out) + token * args.out_stride_bytes;
    if constexpr (kRow.vectors) {
        const i64 offset = index * 16;
        if (offset < args.width_bytes) {
            U32x4 v = known ? ptx::load(source + offset) : U32x4{};
            if (known && args.scale != 1) {
                v = {scaled(v.x, args.dtype, args.scale), scaled(v.y, args.dtype, args.scale),
                     scaled(v.z, args.dtype, args.scale), scaled(v.w, args.dtype, args.scale)};
            }
            ptx::store(out + offset, v);
        }
    } else if (args.dtype == DType::f32) {
        copy_element<u32>(args, source, out, index);
    } else {
        copy_element<u16>(args, source, out, index);
    }
}
