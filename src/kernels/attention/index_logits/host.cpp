// SPDX-License-Identifier: Apache-2.0
// Scores of an indexer on the host: a task is one query and a run of blocks of its keys; products are fp32.
#include <algorithm>
#include <cstring>

#include "device/host_threads.h"
#include "kernels/attention/index_logits/operation.h"
#include "kernels/host_codes.h"
#include "kernels/host_math.h"
#include "kernels/host_simd.h"

namespace warpwright {
namespace {

constexpr int kHeads = 16;  // at a time
constexpr int kKeys = 64;   // at a time
constexpr int kTaskKeys = 1024;

struct Buffers {
    alignas(64) float q[kHeads][kIndexDim];
    alignas(64) float scores[kHeads][kKeys];
    alignas(64) u16 keys[kKeys][kIndexDim];
    float scales[kKeys], sums[kKeys];
};

// A key as bf16, which holds every code exactly, and its scale.
void read_key(const IndexLogitsArgs& args, i64 sequence, int key, u16* to, float& scale) {
    const i64 page = args.page_table[sequence * args.page_table_stride + (key >> args.page_shift)];
    const i64 in_page = key & ((1 << args.page_shift) - 1);
    scale = 1;
    if (args.kv_format == KvFormat::same) {
        std::copy_n(
            static_cast<const u16*>(args.cache) + page * args.page_stride + in_page * args.token_stride,
            kIndexDim, to);
        return;
    }
    const u8* from = static_cast<const u8*>(args.cache) + page * args.page_stride;
    std::memcpy(&scale, from + (i64{kIndexDim} << args.page_shift) + in_page * 4, 4);
    for (int i = 0; i < kIndexDim; ++i) HostBf16::store(to, i, e4m3_numbers()[from[in_page * kIndexDim + i]]);
}

void score(const IndexLogitsArgs& args, i64 sequence, i64 token, int begin, int end, Buffers& b) {
    const HostSimd& simd = host_simd();
    for (int first = begin; first < end; first += kKeys) {
        const int num_keys = std::min(kKeys, end - first);
        for (int j = 0; j < num_keys; ++j) read_key(args, sequence, first + j, b.keys[j], b.scales[j]);
        std::fill_n(b.sums, num_keys, 0.f);
        for (int head = 0; head < args.heads; head += kHeads) {
            const int num_heads = std::min(kHeads, args.heads - head);
            for (int h = 0; h < num_heads; ++h) {
                const i64 at = token * args.q_token_stride + i64{head + h} * args.q_head_stride;
                if (!args.coded_queries) {
                    simd.widen_bf16(static_cast<const u16*>(args.q) + at, kIndexDim, b.q[h]);
                } else {
                    for (int i = 0; i < kIndexDim; ++i)
                        b.q[h][i] = e4m3_numbers()[static_cast<const u8*>(args.q)[at + i]];
                }
            }
            simd.products_bf16(b.q[0], kIndexDim, num_heads, b.keys[0], kIndexDim, num_keys, kIndexDim,
                               b.scores[0], kKeys);
            for (int h = 0; h < num_heads; ++h) {
                const float weight = args.weights[token * args.weights_stride + head + h];
                for (int j = 0; j < num_keys; ++j) b.sums[j] += weight * std::max(b.scores[h][j], 0.f);
            }
        }
        float* to = args.logits + token * args.logits_stride + first;
        for (int j = 0; j < num_keys; ++j) to[j] = b.sums[j] * b.scales[j];
    }
}

void index_logits(const void* raw, HostThreads& threads) {
    const IndexLogitsArgs& args = *static_cast<const IndexLogitsArgs*>(raw);
    const i64 runs = ceil_div(args.max_kv_len, kTaskKeys);
    threads.parallel_for(args.sequences * args.max_q_len * runs, 1, [&](i64 first, i64 last) {
        static thread_local Buffers buffers;
        for (i64 task = first; task < last; ++task) {
            const i64 sequence = task / runs / args.max_q_len;
            const i64 token = args.q_starts[sequence] + task / runs % args.max_q_len;
            if (token >= args.q_starts[sequence + 1]) continue;
            const i64 behind = args.causal != 0 ? args.q_starts[sequence + 1] - token - 1 : 0;
            const i64 visible = std::min<i64>(args.max_kv_len, args.kv_lengths[sequence] - behind);
            const i64 begin = task % runs * kTaskKeys;
            score(args, sequence, token, static_cast<int>(begin),
                  static_cast<int>(std::min(visible, begin + kTaskKeys)), buffers);
        }
    });
}

}  // namespace

HostFunction IndexLogitsOp::host_function(const Row&) {
    return index_logits;
}

}  // namespace warpwright
