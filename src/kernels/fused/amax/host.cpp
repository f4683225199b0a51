// SPDX-License-Identifier: Apache-2.0
// Largest magnitudes on the host: a part is every parts-th row.
#include <cmath>

#include "device/host_threads.h"
#include "kernels/fused/amax/operation.h"
#include "kernels/host_math.h"

namespace warpwright {
namespace {

template <class T>
void amax(const void* raw, HostThreads& threads) {
    const AmaxArgs& args = *static_cast<const AmaxArgs*>(raw);
    threads.parallel_for(args.parts, 1, [&](i64 begin, i64 end) {
        for (i64 part = begin; part < end; ++part) {
            float most = 0;
            for (i64 row = part; row < args.rows; row += args.parts) {
                for (i64 column = 0; column < args.columns; ++column) {
                    const float magnitude = std::abs(T::load(args.x, row * args.x_stride + column));
                    // Once NaN, always NaN.
                    most = magnitude > most || std::isnan(magnitude) ? magnitude : most;
                    if (std::isnan(most)) break;
                }
                if (std::isnan(most)) break;
            }
            args.out[part] = most;
        }
    });
}

}  // namespace

HostFunction AmaxOp::host_function(const Row& row) {
    return row.dtype == DType::bf16 ? amax<HostBf16> : amax<HostHalf>;
}

}  // namespace warpwright
