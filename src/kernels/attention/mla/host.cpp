// SPDX-License-Identifier: Apache-2.0
// Multi-head latent attention on the host: a task is up to 16 heads of one query, which see the same keys;
// scores and outputs are fp32 with an online softmax in base 2. Which thread runs a task changes nothing.
#include <algorithm>
#include <cstring>
#include <limits>

#include "device/host_threads.h"
#include "kernels/attention/host_finish.h"
#include "kernels/attention/mla/operation.h"
#include "kernels/host_codes.h"
#include "kernels/host_math.h"
#include "kernels/host_simd.h"
#include "kernels/kv_format.h"

namespace warpwright {
namespace {

constexpr int kHeads = 16;  // of a task
constexpr int kKeys = 64;   // of a block
constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Buffers {
    alignas(64) float q[kHeads][kMlaKeyDim];
    alignas(64) float out[kHeads][kMlaValueDim];
    alignas(64) float weights[kHeads][kKeys];
    alignas(64) u16 rows[kKeys][kMlaKeyDim];  // of a block, where the cache has codes
    i32 slots[kKeys];                         // of a block, of the cache
    float max[kHeads], sum[kHeads];
};

// A record's numbers: code x scale, rounded.
template <class T>
void widen_record(const u8* record, u16* to) {
    const std::array<float, 256>& numbers = e4m3_numbers();
    float scales[kMlaValueDim / kMlaGroup];
    std::memcpy(scales, record + kMlaScalesAt, sizeof(scales));
    for (int i = 0; i < kMlaValueDim; ++i) T::store(to, i, numbers[record[i]] * scales[i / kMlaGroup]);
    std::memcpy(to + kMlaValueDim, record + kMlaRopeAt, kMlaRopeDim * 2);
}

// Codes as they are: every one is a number of T.
template <class T>
void widen_codes(const u8* codes, u16* to) {
    const std::array<float, 256>& numbers = e4m3_numbers();
    for (int i = 0; i < kMlaKeyDim; ++i) T::store(to, i, numbers[codes[i]]);
}

template <class T>
void attend(const MlaArgs& args, i64 sequence, i64 token, i64 first_head, Buffers& buffers) {
    const bool indexed = args.indices != nullptr;
    constexpr bool is_bf16 = T::kType == DType::bf16;
    const HostSimd& simd = host_simd();
    const auto products = is_bf16 ? simd.products_bf16 : simd.products_f16;
    const auto add_scaled = is_bf16 ? simd.add_scaled_bf16 : simd.add_scaled_f16;
    const auto widen = is_bf16 ? simd.widen_bf16 : simd.widen_f16;
    const int num_heads = static_cast<int>(std::min<i64>(kHeads, args.heads - first_head));
    for (int i = 0; i < num_heads; ++i) {
        widen(static_cast<const u16*>(args.q) + token * args.q_token_stride +
                  (first_head + i) * args.q_head_stride,
              kMlaKeyDim, buffers.q[i]);
        std::fill_n(buffers.out[i], kMlaValueDim, 0.f);
        buffers.max[i] = -kInfinity;
        buffers.sum[i] = 0;
    }
    int visible = args.max_indices;
    if (!indexed) {
        const auto behind = static_cast<int>(args.q_starts[sequence + 1] - token - 1);  // queries
        visible = args.kv_lengths[sequence] - (args.causal != 0 ? behind : 0);
    } else if (args.index_lengths != nullptr) {
        visible = std::min(visible, args.index_lengths[token]);
    }
    const i32* entries = indexed ? args.indices + token * args.index_stride
                                 : args.page_table + sequence * args.page_table_stride;
    const int page_size = 1 << args.page_shift;
    const bool codes = args.kv_format != KvFormat::same;
    const float k_scale = args.k_scale != nullptr ? *args.k_scale : 1, scale_log2 = args.scale_log2 * k_scale;
    const i64 stride = codes ? kMlaKeyDim : args.token_stride;
    // Entries of a list that are no slots are left out.
    const auto find_slots = [&](int first_key) {
        int count = 0;
        for (int key = first_key; key < std::min(first_key + kKeys, visible); ++key) {
            const i32 slot =
                indexed ? entries[key]
                        : entries[key >> args.page_shift] << args.page_shift | (key & (page_size - 1));
            if (!indexed || static_cast<u32>(slot) < static_cast<u32>(args.num_slots))
                buffers.slots[count++] = slot;
        }
        return count;
    };
    // The rows from a key of the block on that follow each other in a page, and where they are.
    const auto run_of = [&](int first, int num_keys) {
        const i32* slots = buffers.slots;
        int run = 1;
        while (first + run < num_keys && slots[first + run] == slots[first] + run &&
               (slots[first + run] & (page_size - 1)) != 0)
            ++run;
        return run;
    };
    const auto offset_of = [&](int j) {
        const i32 slot = buffers.slots[j];
        return i64{slot >> args.page_shift} * args.page_stride +
               i64{slot & (page_size - 1)} * args.token_stride;
    };
    const auto row_of = [&](int j) {
        return codes ? buffers.rows[j] : static_cast<const u16*>(args.cache) + offset_of(j);
    };
    for (int first_key = 0; first_key < visible; first_key += kKeys) {
        const int num_keys = find_slots(first_key);
        if (num_keys == 0) continue;
        for (int j = 0; codes && j < num_keys; ++j) {
            const u8* latent = static_cast<const u8*>(args.cache) + offset_of(j);
            args.one_scale != 0 ? widen_codes<T>(latent, buffers.rows[j])
                                : widen_record<T>(latent, buffers.rows[j]);
        }
        for (int j = 0, run = 0; j < num_keys; j += run) {
            run = run_of(j, num_keys);
            products(buffers.q[0], kMlaKeyDim, num_heads, row_of(j), stride, run, kMlaKeyDim,
                     &buffers.weights[0][j], kKeys);
        }
        for (int i = 0; i < num_heads; ++i) {
            float* weights = buffers.weights[i];
            float max = buffers.max[i];
            for (int j = 0; j < num_keys; ++j) {
                weights[j] *= scale_log2;
                max = std::max(max, weights[j]);
            }
            if (max > buffers.max[i]) {
                const float factor = exp2_nonpositive(buffers.max[i] - max);
                buffers.sum[i] *= factor;
                for (float& value : buffers.out[i]) value *= factor;
                buffers.max[i] = max;
            }
            for (int j = 0; j < num_keys; ++j) {
                weights[j] = exp2_nonpositive(weights[j] - max);
                buffers.sum[i] += weights[j];
            }
        }
        for (int j = 0, run = 0; j < num_keys; j += run) {
            run = run_of(j, num_keys);
            const u16* rows = row_of(j);
            for (int i = 0; i < num_heads; ++i) {
                for (int key = 0; key < run; ++key)
                    add_scaled(buffers.weights[i][j + key], rows + key * stride, kMlaValueDim,
                               buffers.out[i]);
            }
        }
    }
    for (int i = 0; i < num_heads; ++i) {
        const i64 head = first_head + i, out = token * args.out_token_stride + head * args.out_head_stride;
        const auto [scale, lse] = host_finish(buffers.max[i], buffers.sum[i], nullptr, head, args.lse_factor);
        for (int c = 0; c < kMlaValueDim; ++c)
            T::store(args.out, out + c, buffers.out[i][c] * (scale * k_scale));
        if (args.lse != nullptr) args.lse[token * args.lse_token_stride + head] = lse;
    }
}

template <class T>
void mla(const void* raw, HostThreads& threads) {
    const MlaArgs& args = *static_cast<const MlaArgs*>(raw);
    const i64 groups = ceil_div(args.heads, kHeads);
    if (args.indices != nullptr) {
        const i64 first = args.q_starts[0], tokens = args.q_starts[args.sequences] - first;
        threads.parallel_for(tokens * groups, 1, [&](i64 begin, i64 end) {
            static thread_local Buffers buffers;
            for (i64 task = begin; task < end; ++task)
                attend<T>(args, 0, first + task / groups, task % groups * kHeads, buffers);
        });
        return;
    }
    threads.parallel_for(args.sequences * args.max_q_len * groups, 1, [&](i64 begin, i64 end) {
        static thread_local Buffers buffers;
        for (i64 task = begin; task < end; ++task) {
            const i64 sequence = task / groups / args.max_q_len;
            const i64 token = args.q_starts[sequence] + task / groups % args.max_q_len;
            if (token < args.q_starts[sequence + 1])
                attend<T>(args, sequence, token, task % groups * kHeads, buffers);
        }
    });
}

}  // namespace

HostFunction MlaOp::host_function(const Row& row) {
    return row.dtype == DType::bf16 ? mla<HostBf16> : mla<HostHalf>;
}

}  // namespace warpwright
