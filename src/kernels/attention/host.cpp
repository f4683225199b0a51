// SPDX-License-Identifier: Apache-2.0
// Attention on the host: a task is up to 16 queries of one head; scores and outputs are fp32 with an online
// softmax in base 2. Which thread runs a task changes nothing.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "device/host_threads.h"
#include "kernels/attention/host_finish.h"
#include "kernels/attention/operation.h"
#include "kernels/host_math.h"
#include "kernels/host_simd.h"

namespace warpwright {
namespace {

constexpr int kQueries = 16;  // of a task
constexpr int kKeys = 64;     // of a block
constexpr int kLanes = 8;     // partial results of a reduction, so that the compiler may use vectors
constexpr int kMaxHeadDim = 256;
constexpr float kInfinity = std::numeric_limits<float>::infinity(), kLog2E = 1.4426950408889634f;

inline float largest_of(const float* values) {
    float lanes[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = values[lane];
    for (int i = kLanes; i < kKeys; i += kLanes) {
        for (int lane = 0; lane < kLanes; ++lane) {
            lanes[lane] = lanes[lane] < values[i + lane] ? values[i + lane] : lanes[lane];
        }
    }
    return *std::max_element(lanes, lanes + kLanes);
}

inline float sum_of(const float* values) {
    float lanes[kLanes] = {};
    for (int i = 0; i < kKeys; i += kLanes) {
        for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += values[i + lane];
    }
    return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

// The 256 numbers of an 8-bit format, as bf16 or f16, which have them all.
template <DType kType>
struct CodeTable {
    u16 numbers[256];

    explicit CodeTable(const formats::SmallFloat& format) {
        for (int code = 0; code < 256; ++code)
            store_float(numbers, kType, code, formats::decode(format, static_cast<u8>(code)));
    }
    static const CodeTable& of(KvFormat format) {
        static const CodeTable kE4m3(formats::kE4M3), kE5m2(formats::kE5M2);
        return format == KvFormat::fp8_e4m3 ? kE4m3 : kE5m2;
    }
};

struct Buffers {
    alignas(64) u16 decoded[kKeys][kMaxHeadDim];  // of one run of keys or values
    alignas(64) float q[kQueries][kMaxHeadDim];
    alignas(64) float out[kQueries][kMaxHeadDim];
    alignas(64) float weights[kQueries][kKeys];
    float max[kQueries], sum[kQueries];
};

struct Sequence {
    const AttentionArgs& args;
    const i32* pages;
    i64 kv_start, q_start;
    int q_len, kv_len;

    Sequence(const AttentionArgs& a, i64 index)
        : args(a),
          pages(a.page_table == nullptr ? nullptr : a.page_table + index * a.page_table_stride),
          kv_start(a.page_table == nullptr ? a.kv_starts[index] : 0),
          q_start(a.q_starts[index]),
          q_len(a.q_starts[index + 1] - a.q_starts[index]),
          kv_len(a.page_table == nullptr ? a.kv_starts[index + 1] - a.kv_starts[index]
                                         : a.kv_lengths[index]) {}

    i64 row(int key, i64 page_stride, i64 token_stride) const {
        if (pages == nullptr) return (kv_start + key) * token_stride;
        return pages[key >> args.page_shift] * page_stride +
               (key & ((1 << args.page_shift) - 1)) * token_stride;
    }
    // How many keys from this one on, up to `most`, are one stride apart.
    int run(int key, int most) const {
        return pages == nullptr
                   ? most
                   : std::min(most, (1 << args.page_shift) - (key & ((1 << args.page_shift) - 1)));
    }
    // The keys that a query sees: from first_visible up to visible.
    int own_key(int query) const { return kv_len - q_len + query; }
    int visible(int query) const { return std::clamp(own_key(query) + 1 + args.window_right, 0, kv_len); }
    int first_visible(int query) const {
        const int own = std::max(0, own_key(query));
        return std::max(own - args.window_left, args.chunk.multiple_below(own));
    }
    // Whether the mask, if there is one, has the bit of a key.
    bool is_in_mask(int query, int key) const {
        const int bit = key - (args.mask_of_queries ? kv_len - q_len : 0);
        if (args.mask == nullptr || bit < 0) return true;
        const u32* words = args.mask + (q_start + query) * args.mask_stride;
        return bit / 32 < args.mask_words && (words[bit / 32] >> bit % 32 & 1) != 0;
    }
};

// Blocks of keys that a task's queries see, all of one block; no blocks: all keys.
struct ListedBlocks {
    std::vector<u8> is_listed;
    int shift = 0;

    void find(const Sequence& sequence, const AttentionArgs& args, i64 index, i64 kv_head, int query) {
        is_listed.clear();
        if (args.block_queries == 0) return;
        shift = args.block_shift;
        is_listed.resize(static_cast<std::size_t>((i64{sequence.kv_len} >> shift) + 1));
        const i32* starts = args.block_starts + index * args.block_sequence_stride +
                            kv_head * args.block_head_stride + query / args.block_queries;
        for (i32 i = starts[0]; i < starts[1]; ++i) {
            const auto column = static_cast<std::size_t>(args.block_columns[i]);
            if (column < is_listed.size()) is_listed[column] = 1;
        }
    }
    bool has(int key) const {
        return is_listed.empty() || is_listed[static_cast<std::size_t>(key >> shift)] != 0;
    }
    // How many keys from this one on, up to `most`, are of its block.
    int run(int key, int most) const {
        return is_listed.empty() ? most : std::min(most, (1 << shift) - (key & ((1 << shift) - 1)));
    }
};

// Keys or values of a kv head: as they are, or decoded.
template <DType kType>
struct HostRows {
    const void* first;
    i64 page_stride, token_stride;
    const u16* table = nullptr;  // of codes of 8 bits
    float scale = 1;
    KvBlockScales blocks{};  // of packed codes

    // Keys' or values' elements from `offset` on.
    HostRows(const void* data, i64 offset, i64 page, i64 token, KvFormat format)
        : page_stride(page), token_stride(token) {
        const int bytes = dtype_bytes(kv_dtype(format, kType));
        first = static_cast<const std::byte*>(data) + offset * bytes;
        if (format == KvFormat::fp8_e4m3 || format == KvFormat::fp8_e5m2)
            table = CodeTable<kType>::of(format).numbers;
    }

    // `count` keys from this one on, which are one stride apart; the stride between them.
    std::pair<const u16*, i64> read(const Sequence& sequence, int key, int count, i64 columns,
                                    Buffers& buffers) const {
        const i64 at = sequence.row(key, page_stride, token_stride);
        if (table == nullptr && blocks.first == nullptr)
            return {static_cast<const u16*>(first) + at, token_stride};
        const u8* codes = static_cast<const u8*>(first) + at;
        const u8* scales = nullptr;
        if (blocks.first != nullptr)
            scales = blocks.first + sequence.row(key, blocks.page_stride, blocks.token_stride);
        for (int row = 0; row < count; ++row) {
            if (scales != nullptr) {
                unpack(codes + row * token_stride, scales + i64{row} * blocks.token_stride, columns,
                       buffers.decoded[row]);
            } else {
                for (i64 i = 0; i < columns; ++i)
                    buffers.decoded[row][i] = table[codes[row * token_stride + i]];
            }
        }
        return {buffers.decoded[0], kMaxHeadDim};
    }

    // Exact: a product has six bits.
    static void unpack(const u8* codes, const u8* scales, i64 columns, u16* numbers) {
        for (i64 i = 0; i < columns; ++i) {
            const u8 code = codes[i / 2] >> (i % 2 * 4) & 15;
            store_float(numbers, kType, i,
                        formats::decode(formats::kE2M1, code) *
                            formats::decode(formats::kE4M3, scales[i / kKvBlock]));
        }
    }
};

template <DType kType>
void attend(const AttentionArgs& args, const Sequence& sequence, i64 head, int first_query,
            const ListedBlocks& listed, const HostSimd& simd, Buffers& buffers) {
    const int num_queries = std::min(kQueries, sequence.q_len - first_query);
    const int head_dim = args.head_dim, value_dim = args.head_dim_v;
    const i64 kv_head = head / (args.heads / args.kv_heads);
    HostRows<kType> k(args.k, kv_head * args.k_head_stride, args.k_page_stride, args.k_token_stride,
                      args.kv_format);
    HostRows<kType> v(args.v, kv_head * args.v_head_stride, args.v_page_stride, args.v_token_stride,
                      args.kv_format);
    if (args.k_scale != nullptr) k.scale = args.k_scale[kv_head * args.k_scale_stride];
    if (args.v_scale != nullptr) v.scale = args.v_scale[kv_head * args.v_scale_stride];
    if (args.kv_format == KvFormat::nvfp4) {
        k.blocks = args.k_blocks, v.blocks = args.v_blocks;
        k.blocks.first += kv_head * k.blocks.head_stride;
        v.blocks.first += kv_head * v.blocks.head_stride;
    }
    const auto products = products_of(simd, kType);
    const auto add_scaled = add_scaled_of(simd, kType);
    for (int i = 0; i < num_queries; ++i) {
        const i64 token = sequence.q_start + first_query + i;
        widen_of(simd, kType)(
            static_cast<const u16*>(args.q) + token * args.q_token_stride + head * args.q_head_stride,
            head_dim, buffers.q[i]);
        std::fill_n(buffers.out[i], value_dim, 0.f);
        buffers.max[i] = -kInfinity;
        buffers.sum[i] = 0;
    }
    const int end = sequence.visible(first_query + num_queries - 1);
    // Blocks begin at multiples of their size, whatever the window, as the steps of the kernels do. Keys that
    // no query of the task sees are not read.
    const int first_seen = sequence.first_visible(first_query);
    for (int first_key = first_seen / kKeys * kKeys; first_key < end; first_key += kKeys) {
        const int num_keys = std::min(kKeys, end - first_key), skipped = std::max(0, first_seen - first_key);
        for (int j = skipped, run = 0; j < num_keys; j += run) {
            run = listed.run(first_key + j, sequence.run(first_key + j, num_keys - j));
            if (!listed.has(first_key + j)) continue;
            const auto [rows, stride] = k.read(sequence, first_key + j, run, head_dim, buffers);
            products(buffers.q[0], kMaxHeadDim, num_queries, rows, stride, run, head_dim,
                     &buffers.weights[0][j], kKeys);
        }
        for (int i = 0; i < num_queries; ++i) {
            const int seen = std::clamp(sequence.visible(first_query + i) - first_key, 0, num_keys);
            const int first = std::clamp(sequence.first_visible(first_query + i) - first_key, 0, seen);
            float* weights = buffers.weights[i];
            float max = buffers.max[i];
            if (args.kv_format != KvFormat::same) {
                for (int j = first; j < seen; ++j) weights[j] *= k.scale;
            }
            if (args.tanh_scale != 0) {
                for (int j = first; j < seen; ++j) weights[j] = tanh_fp32(weights[j] * args.tanh_scale);
            }
            if (args.alibi_slopes != nullptr) {
                const float slope = args.alibi_slopes[head] * (kLog2E / args.scale_log2);
                const int own = sequence.own_key(first_query + i) - first_key;
                for (int j = first; j < seen; ++j)
                    weights[j] = std::fma(-slope, std::abs(static_cast<float>(own - j)), weights[j]);
            }
            if (args.mask != nullptr) {
                for (int j = first; j < seen; ++j) {
                    if (!sequence.is_in_mask(first_query + i, first_key + j)) weights[j] = -kInfinity;
                }
            }
            for (int j = first, run = 0; j < seen; j += run) {
                run = listed.run(first_key + j, seen - j);
                if (!listed.has(first_key + j)) std::fill_n(weights + j, run, -kInfinity);
            }
            std::fill_n(weights, first, -kInfinity);
            for (int j = seen; j < kKeys; ++j) weights[j] = -kInfinity;
            for (int j = 0; j < kKeys; ++j) weights[j] *= args.scale_log2;
            max = std::max(max, largest_of(weights));
            if (max > buffers.max[i]) {
                const float factor = exp2_nonpositive(buffers.max[i] - max);
                buffers.sum[i] *= factor;
                for (int c = 0; c < value_dim; ++c) buffers.out[i][c] *= factor;
                buffers.max[i] = max;
            }
            const float offset = max == -kInfinity ? 0 : max;
            for (int j = 0; j < kKeys; ++j) weights[j] = exp2_nonpositive(weights[j] - offset);
            buffers.sum[i] += sum_of(weights);
        }
        for (int j = skipped, run = 0; j < num_keys; j += run) {
            run = listed.run(first_key + j, sequence.run(first_key + j, num_keys - j));
            if (!listed.has(first_key + j)) continue;
            const auto [rows, stride] = v.read(sequence, first_key + j, run, value_dim, buffers);
            for (int i = 0; i < num_queries; ++i) {
                const int seen = std::min(run, sequence.visible(first_query + i) - first_key - j);
                const int first = std::max(0, sequence.first_visible(first_query + i) - first_key - j);
                for (int key = first; key < seen; ++key) {
                    add_scaled(buffers.weights[i][j + key], rows + key * stride, value_dim, buffers.out[i]);
                }
            }
        }
    }
    for (int i = 0; i < num_queries; ++i) {
        const i64 token = sequence.q_start + first_query + i;
        const auto [unscaled, lse] =
            host_finish(buffers.max[i], buffers.sum[i], args.sinks, head, args.lse_factor);
        const float scale = unscaled * v.scale;
        const i64 out = token * args.out_token_stride + head * args.out_head_stride;
        for (int c = 0; c < value_dim; ++c) store_float(args.out, kType, out + c, buffers.out[i][c] * scale);
        if (args.lse != nullptr) args.lse[token * args.lse_token_stride + head] = lse;
    }
}

template <DType kType>
void attention(const void* raw, HostThreads& threads) {
    const AttentionArgs& args = *static_cast<const AttentionArgs*>(raw);
    const i64 chunks = ceil_div(args.max_q_len, kQueries);
    threads.parallel_for(args.sequences * chunks * args.heads, 1, [&](i64 begin, i64 end) {
        static thread_local Buffers buffers;
        ListedBlocks listed;
        for (i64 task = begin; task < end; ++task) {
            const i64 head = task % args.heads, chunk = task / args.heads % chunks;
            const i64 index = task / args.heads / chunks;
            const Sequence sequence(args, index);
            const i64 first_query = chunk * kQueries;
            if (first_query >= sequence.q_len) continue;
            const i64 kv_head = head / (args.heads / args.kv_heads);
            listed.find(sequence, args, index, kv_head, static_cast<int>(first_query));
            attend<kType>(args, sequence, head, static_cast<int>(first_query), listed, host_simd(), buffers);
        }
    });
}

}  // namespace

HostFunction AttentionOp::host_function(const Row& row) {
    return row.dtype == DType::bf16 ? attention<DType::bf16> : attention<DType::f16>;
}

}  // namespace warpwright
