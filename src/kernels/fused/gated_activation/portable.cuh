// SPDX-License-Identifier: Apache-2.0
// Gated activation, portable. Limited by memory: gate, up and out each move once, 16 bytes a thread.
//
//   block = one chunk of one token        load gate, up | activate, multiply in fp32, round | store
//
// A thread reads exactly what it overwrites, before it does: out may be gate or up.
#include "kernels/fused/gated_activation/vector.cuh"
#include "ptx/launch.cuh"

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::GatedActivationArgs args) {
    using namespace warpwright;
    ptx::release_successor();
    ptx::wait_for_predecessor();
    const Row row(args, blockIdx.x);
    const i64 column = (static_cast<i64>(blockIdx.y) * kRow.threads + threadIdx.x) * thread_elements(kRow);
    if (column < args.width) {
        if constexpr (kRow.vectors > 0) {
            const U32x4 gate = ptx::load(row.gate + column), up = ptx::load(row.up + column);
            if (args.limited) return ptx::store(row.out + column, limited(args, gate, up));
            with_activation(args.activation, [&](auto tag) {
                ptx::store(row.out + column, activated<decltype(tag)::kKind>(row, column, gate, up));
            });
        } else {
            row.out[column] = args.limited ? limited_element(args, row, column)
                                           : activated_element(args.activation, row, column);
        }
    }
}
