// SPDX-License-Identifier: Apache-2.0
// Embedding on the host: one copy a token, or one product an element.
#include <cstring>

#include "device/host_threads.h"
#include "kernels/fused/embedding/operation.h"
#include "kernels/host_math.h"

namespace warpwright {
namespace {

void embedding(const void* raw, HostThreads& threads) {
    const EmbeddingArgs& args = *static_cast<const EmbeddingArgs*>(raw);
    threads.parallel_for(args.tokens, 16, [&](i64 begin, i64 end) {
        for (i64 token = begin; token < end; ++token) {
            char* out = static_cast<char*>(args.out) + token * args.out_stride_bytes;
            const i32 id = args.ids[token];
            if (id < 0 || id >= args.num_rows) {
                std::memset(out, 0, static_cast<std::size_t>(args.width_bytes));
                continue;
            }
            const char* source = static_cast<const char*>(args.table) + id * args.table_stride_bytes;
            if (args.scale == 1) {
                std::memcpy(out, source, static_cast<std::size_t>(args.width_bytes));
                continue;
            }
            for (i64 i = 0; i < args.width_bytes / dtype_bytes(args.dtype); ++i) {
                store_float(out, args.dtype, i, args.scale * load_float(source, args.dtype, i));
            }
        }
    });
}

}  // namespace

HostFunction EmbeddingOp::host_function(const Row&) {
    return embedding;
}

}  // namespace warpwright
