// SPDX-License-Identifier: Apache-2.0
// RMSNorm on the host: one row at a time, fp32 sums.
#include <cmath>
#include <vector>

#include "device/host_threads.h"
#include "kernels/fused/quantize/host.h"
#include "kernels/fused/rmsnorm/operation.h"
#include "kernels/host_math.h"

namespace warpwright {
namespace {

template <class T>
void rmsnorm(const void* raw, HostThreads& threads) {
    const RmsNormArgs& args = *static_cast<const RmsNormArgs*>(raw);
    threads.parallel_for(i64{args.tokens} * args.heads, args.heads, [&](i64 begin, i64 end) {
        // What is quantised is rounded to 16 bits; a place for it where the caller has none.
        std::vector<u16> own(args.out == nullptr ? static_cast<std::size_t>(args.hidden) : 0);
        for (i64 row = begin; row < end; ++row) {
            const i64 token = row / args.heads, head = row % args.heads;
            const i64 x = token * args.x_stride + head * args.x_head_stride, r = token * args.residual_stride,
                      y = own.empty() ? token * args.out_stride + head * args.out_head_stride : 0;
            void* out = own.empty() ? args.out : own.data();
            const void* source = args.residual != nullptr ? args.residual : args.x;
            const i64 offset = args.residual != nullptr ? r : x;
            float mean = 0, sum = 0;
            if (args.bias != nullptr) {
                for (i64 i = 0; i < args.hidden; ++i) mean += T::load(source, offset + i);
                mean /= static_cast<float>(args.hidden);
            }
            for (i64 i = 0; i < args.hidden; ++i) {
                if (args.residual != nullptr) {
                    T::store(args.residual, r + i, T::load(args.residual, r + i) + T::load(args.x, x + i));
                }
                const float value = T::load(source, offset + i) - mean;
                sum += value * value;
            }
            const float scale = 1 / std::sqrt(sum / static_cast<float>(args.hidden) + args.epsilon);
            for (i64 i = 0; i < args.hidden; ++i) {
                const float weight = T::load(args.weight, i) + args.weight_offset;
                const float bias = args.bias != nullptr ? T::load(args.bias, i) : 0;
                T::store(out, y + i, (T::load(source, offset + i) - mean) * scale * weight + bias);
            }
            if (args.quantized.format.codes != nullptr)
                quantize_host_row(args.quantized, T::kType, row, static_cast<const u16*>(out) + y);
        }
    });
    if (args.quantized.format.codes != nullptr) store_host_padding(args.quantized.format);
}

}  // namespace

HostFunction RmsNormOp::host_function(const Row& row) {
    return row.dtype == DType::bf16 ? rmsnorm<HostBf16> : rmsnorm<HostHalf>;
}

}  // namespace warpwright
