// SPDX-License-Identifier: Apache-2.0
// Embedding on the host: one copy a token.
#include <cstring>

#include "device/host_threads.h"
#include "kernels/fused/embedding/operation.h"

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
            } else {
                std::memcpy(out, static_cast<const char*>(args.table) + id * args.table_stride_bytes,
                            static_cast<std::size_t>(args.width_bytes));
            }
        }
    });
}

}  // namespace

HostFunction EmbeddingOp::host_function(const Row&) {
    return embedding;
}

}  // namespace warpwright
