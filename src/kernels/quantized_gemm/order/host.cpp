// SPDX-License-Identifier: Apache-2.0
// Columns in a given order on the host: a row at a time.
#include "device/host_threads.h"
#include "kernels/quantized_gemm/order/operation.h"

namespace warpwright {
namespace {

void gather_columns(const void* raw, HostThreads& threads) {
    const GatherColumnsArgs& args = *static_cast<const GatherColumnsArgs*>(raw);
    threads.parallel_for(args.rows, 4, [&](i64 begin, i64 end) {
        for (i64 row = begin; row < end; ++row) {
            const GatherPlace place = gather_place(args, static_cast<i32>(row));
            if (place.group < 0) continue;
            const i32* order = args.order + i64{place.group} * args.columns;
            const u16* x = static_cast<const u16*>(args.x) + place.first;
            u16* out = static_cast<u16*>(args.out) + row * args.columns;
            for (i32 j = 0; j < args.columns; ++j) out[j] = x[order[j]];
        }
    });
}

}  // namespace

HostFunction GatherColumnsOp::host_function(const Row&) {
    return gather_columns;
}

}  // namespace warpwright
