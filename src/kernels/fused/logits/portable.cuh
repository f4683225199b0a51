// SPDX-License-Identifier: Apache-2.0
// Logits before sampling, portable. Limited by memory: every logit moves once, or only the listed ones do.
//
//   block = a chunk of a row           load, softcap, store | the list's tokens that lie in the chunk
//   or, in place without a softcap     a part of the row's list
//
// A block adjusts what it wrote itself, so that one launch is enough: it reads the whole list of its row,
// which comes from L2 but for the first time. A thread reads what it overwrites before it does: out may be
// in.
#include "kernels/fused/logits/rows.h"
#include "ptx/launch.cuh"
#include "ptx/memory.cuh"
#include "tile/tanh.cuh"

namespace warpwright {

constexpr LogitsRow kRow = row_at(kLogitsRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");

__device__ inline float capped(float x, float softcap) {
    return softcap * tanh_by_exp2(x / softcap);
}

__device__ inline u32 capped_bits(u32 bits, float softcap) {
    return __float_as_uint(capped(__uint_as_float(bits), softcap));
}

// Logits begin up to end of a row, through the softcap.
__device__ inline void write_chunk(const LogitsArgs& args, const float* in, float* out, int begin, int end) {
    if constexpr (kRow.vectors > 0) {
        U32x4 kept[kRow.vectors > 0 ? kRow.vectors : 1];
#pragma unroll
        for (int i = 0; i < kRow.vectors; ++i) {
            const int index = begin + (i * kRow.threads + threadIdx.x) * 4;
            if (index < end) kept[i] = ptx::load(in + index);
        }
#pragma unroll
        for (int i = 0; i < kRow.vectors; ++i) {
            const int index = begin + (i * kRow.threads + threadIdx.x) * 4;
            if (index >= end) break;
            U32x4 v = kept[i];
            if (args.softcap > 0) {
                v = {capped_bits(v.x, args.softcap), capped_bits(v.y, args.softcap),
                     capped_bits(v.z, args.softcap), capped_bits(v.w, args.softcap)};
            }
            ptx::store(out + index, v);
        }
    } else {
        for (int index = begin + threadIdx.x; index < end; index += kRow.threads) {
            out[index] = args.softcap > 0 ? capped(in[index], args.softcap) : in[index];
        }
    }
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::LogitsArgs args) {
    using namespace warpwright;
    ptx::wait_for_predecessor();
    const int row = blockIdx.x;
    float* out = args.out + row * args.out_stride;
    // The list's bounds are under way with the logits.
    int entry = 0, last_entry = 0;
    if (args.starts != nullptr) {
        entry = args.starts[row] + threadIdx.x;
        last_entry = min(args.starts[row + 1], args.entries);
    }
    int begin = 0, end = args.vocabulary, stride = kRow.threads;
    if (args.dense) {
        begin = blockIdx.y * chunk_elements(kRow);
        end = min(begin + chunk_elements(kRow), args.vocabulary);
        write_chunk(args, args.in + row * args.in_stride, out, begin, end);
        __syncthreads();
    } else {
        entry += blockIdx.y * kRow.threads;
        stride *= gridDim.y;
    }
    for (; entry < last_entry; entry += stride) {
        const int token = args.tokens[entry];
        if (token >= begin && token < end) out[token] = adjusted(args, entry, out[token]);
    }
    ptx::release_successor();
}
