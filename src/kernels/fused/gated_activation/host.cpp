// SPDX-License-Identifier: Apache-2.0
// Gated activation on the host, in fp32.
#include "device/host_threads.h"
#include "kernels/fused/gated_activation/operation.h"
#include "kernels/host_math.h"

namespace warpwright {
namespace {

template <class T>
void gated_activation(const void* raw, HostThreads& threads) {
    const GatedActivationArgs& args = *static_cast<const GatedActivationArgs*>(raw);
    threads.parallel_for(args.tokens, 1, [&](i64 begin, i64 end) {
        for (i64 token = begin; token < end; ++token) {
            for (i64 i = 0; i < args.width; ++i) {
                const float gate = T::load(args.gate, token * args.gate_stride + i);
                const float up = T::load(args.up, token * args.up_stride + i);
                T::store(args.out, token * args.out_stride + i, activate(args.activation, gate) * up);
            }
        }
    });
}

}  // namespace

HostFunction GatedActivationOp::host_function(const Row& row) {
    return row.dtype == DType::bf16 ? gated_activation<HostBf16> : gated_activation<HostHalf>;
}

}  // namespace warpwright
