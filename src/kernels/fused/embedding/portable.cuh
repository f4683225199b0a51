// SPDX-License-Identifier: Apache-2.0
// Embedding, portable. Limited by memory: each byte is read once and written once, 16 bytes a thread.
//
//   block = one chunk of one token        read the id | copy, or zeros
#include "kernels/fused/embedding/rows.h"
#include "ptx/launch.cuh"
#include "ptx/memory.cuh"

namespace warpwright {

constexpr EmbeddingRow kRow = row_at(kEmbeddingRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");

// source is null for a row of zeros.
template <class Element>
__device__ inline void copy_element(const char* source, char* out, i64 index, i64 width_bytes) {
    const i64 offset = index * static_cast<i64>(sizeof(Element));
    if (offset >= width_bytes) return;
    *reinterpret_cast<Element*>(out + offset) =
        source == nullptr ? Element{} : *reinterpret_cast<const Element*>(source + offset);
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::EmbeddingArgs args) {
    using namespace warpwright;
    ptx::wait_for_predecessor();
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
            ptx::store(out + offset, known ? ptx::load(source + offset) : U32x4{});
        }
    } else if (args.element_bytes == 2) {
        copy_element<u16>(source, out, index, args.width_bytes);
    } else {
        copy_element<u32>(source, out, index, args.width_bytes);
    }
    ptx::release_successor();
}
