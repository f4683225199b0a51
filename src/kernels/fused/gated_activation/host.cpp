// SPDX-License-Identifier: Apache-2.0
// Gated activation on the host, in fp32.
#include <vector>

#include "device/host_threads.h"
#include "kernels/fused/gated_activation/operation.h"
#include "kernels/fused/quantize/host.h"
#include "kernels/host_gate.h"
#include "kernels/host_math.h"

namespace warpwright {
namespace {

template <class T>
void gated_activation(const void* raw, HostThreads& threads) {
    const GatedActivationArgs& args = *static_cast<const GatedActivationArgs*>(raw);
    threads.parallel_for(args.tokens, 1, [&](i64 begin, i64 end) {
        // What is quantised is rounded to 16 bits; a place for it where the caller has none.
        std::vector<u16> own(args.out == nullptr ? static_cast<std::size_t>(args.width) : 0);
        for (i64 token = begin; token < end; ++token) {
            void* out = own.empty() ? args.out : own.data();
            const i64 y = own.empty() ? token * args.out_stride : 0;
            for (i64 i = 0; i < args.width; ++i) {
                const float gate = T::load(args.gate, token * args.gate_stride + i);
                const float up = T::load(args.up, token * args.up_stride + i);
                T::store(out, y + i,
                         args.limited ? gated(args.gate_by, args.activation, gate, up)
                                      : activate(args.activation, gate) * up);
            }
            if (args.quantized.format.codes != nullptr)
                quantize_host_row(args.quantized, T::kType, token, static_cast<const u16*>(out) + y);
        }
    });
    if (args.quantized.format.codes != nullptr) store_host_padding(args.quantized.format);
}

}  // namespace

HostFunction GatedActivationOp::host_function(const Row& row) {
    return row.dtype == DType::bf16 ? gated_activation<HostBf16> : gated_activation<HostHalf>;
}

}  // namespace warpwright
