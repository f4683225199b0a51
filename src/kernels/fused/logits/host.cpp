// SPDX-License-Identifier: Apache-2.0
// Logits before sampling, on the host: all logits in pieces, then the lists row by row.
#include <algorithm>
#include <cstring>

#include "device/host_threads.h"
#include "kernels/fused/logits/operation.h"
#include "kernels/host_math.h"

namespace warpwright {
namespace {

constexpr i64 kPiece = 4096;

void write_piece(const LogitsArgs& args, i64 row, i64 begin) {
    const i64 count = std::min(kPiece, args.vocabulary - begin);
    const float* in = args.in + row * args.in_stride + begin;
    float* out = args.out + row * args.out_stride + begin;
    if (args.softcap > 0) {
        for (i64 i = 0; i < count; ++i) out[i] = args.softcap * tanh_fp32(in[i] / args.softcap);
    } else {
        std::memmove(out, in, static_cast<std::size_t>(count) * sizeof(float));
    }
}

void logits(const void* raw, HostThreads& threads) {
    const LogitsArgs& args = *static_cast<const LogitsArgs*>(raw);
    if (args.dense != 0) {
        const i64 pieces = ceil_div(args.vocabulary, kPiece);
        threads.parallel_for(args.rows * pieces, 1, [&](i64 begin, i64 end) {
            for (i64 i = begin; i < end; ++i) write_piece(args, i / pieces, i % pieces * kPiece);
        });
    }
    if (args.starts == nullptr) return;
    threads.parallel_for(args.rows, 1, [&](i64 begin, i64 end) {
        for (i64 row = begin; row < end; ++row) {
            float* out = args.out + row * args.out_stride;
            const i32 last_entry = std::min(args.starts[row + 1], args.entries);
            for (i32 entry = args.starts[row]; entry < last_entry; ++entry) {
                const i32 token = args.tokens[entry];
                if (token >= 0 && token < args.vocabulary) out[token] = adjusted(args, entry, out[token]);
            }
        }
    });
}

}  // namespace

HostFunction LogitsOp::host_function(const Row&) {
    return logits;
}

}  // namespace warpwright
