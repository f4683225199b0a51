// SPDX-License-Identifier: Apache-2.0
// Delayed scaling on the host: a tensor at a time.
#include <algorithm>
#include <cmath>
#include <limits>

#include "device/host_threads.h"
#include "kernels/fused/scaling/operation.h"

namespace warpwright {
namespace {

void scaling(const void* raw, HostThreads& threads) {
    const ScalingArgs& args = *static_cast<const ScalingArgs*>(raw);
    threads.parallel_for(args.tensors, 16, [&](i64 begin, i64 end) {
        for (i64 tensor = begin; tensor < end; ++tensor) {
            float* const column = args.history + tensor;
            const float newest = *column;
            float largest = std::abs(newest);
            for (i64 row = 0; row < args.length; ++row) {
                const float next = row + 1 < args.length ? column[(row + 1) * args.history_stride] : newest;
                // Once NaN, always NaN.
                if (!(std::abs(next) <= largest) && !std::isnan(largest)) largest = std::abs(next);
                column[row * args.history_stride] = row == 0 ? 0 : next;
            }
            const float amax = args.largest_of_all ? largest : std::abs(newest);
            float& scale = args.scale[tensor];
            if (amax > 0 && std::isfinite(amax))
                scale = std::min(args.scaled_max / amax, std::numeric_limits<float>::max());
            args.scale_inv[tensor] = 1 / scale;
        }
    });
}

}  // namespace

HostFunction ScalingOp::host_function(const Row&) {
    return scaling;
}

}  // namespace warpwright
