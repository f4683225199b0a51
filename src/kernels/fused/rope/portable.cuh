// SPDX-License-Identifier: Apache-2.0
// RoPE on queries and keys, portable: in place, or keys with their values to the pages of their sequence.
// Limited by memory: each element is read and written once, 32 bytes a thread.
//
//   block = one token        cos, sin of every pair -> shared memory, beside them the token's slot |
//                            turn or move all heads of q, then of k, then of v
//
// One element turns together with its partner: half a head away (neox) or beside it (interleaved). Positions
// and pages that are ready are followed while the predecessor still runs: they are a chain of three accesses.
#include "kernels/fused/rope/rows.h"
#include "ptx/convert.cuh"
#include "ptx/launch.cuh"
#include "ptx/memory.cuh"
#include "tile/kv_codes.cuh"
#include "tile/sincos.cuh"

namespace warpwright {

constexpr RopeRow kRow = row_at(kRopeRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
using T = Storage<kRow.dtype>;

// why: with the registers that it would like, two items at once cost a tenth of the speed of many tokens.
constexpr int kBlocksPerSm = kRow.max_pairs == 0 ? 1 : kRow.codes ? 4 : 6;
constexpr bool kConvertsFp8 = facts_of(static_cast<BuildTarget>(WW_TARGET)).first_capability >= 89;

struct alignas(16) Rotations {
    float cosine[kRow.max_pairs > 0 ? kRow.max_pairs : 4];
    float sine[kRow.max_pairs > 0 ? kRow.max_pairs : 4];
};

// What the caller may have promised to be ready.
__device__ inline i32 load_ready(const RopeArgs& args, const i32* address) {
    return args.positions_are_ready ? ptx::load_constant_i32(address) : ptx::load_i32(address);
}

__device__ inline SinCos rotation(const RopeArgs& args, i32 position, int pair) {
    const i32* frequency = reinterpret_cast<const i32*>(args.frequency) + pair;
    const SinCos turn = sin_cos(static_cast<float>(position) * __int_as_float(load_ready(args, frequency)));
    return {turn.sine * args.magnitude, turn.cosine * args.magnitude};
}

// A token's heads: where they are, and where they go; where they become codes `to` counts bytes.
struct Heads {
    const T* from;
    T* to;
    i64 from_stride, to_stride;  // of heads
    int count;
    const float* scales = nullptr;
    i32 scale_stride = 0;
    bool are_codes = false;

    __device__ T* target(int head, int element) const {
        if constexpr (kRow.codes) {
            if (are_codes)
                return reinterpret_cast<T*>(reinterpret_cast<u8*>(to) + head * to_stride + element);
        }
        return to + head * to_stride + element;
    }
    // Of codes; 0: of what is none.
    __device__ float scale(int head) const {
        return kRow.codes && are_codes ? kv_scale_of(scales, scale_stride, head) : 0;
    }
};

// Of a pair, in the low bytes.
__device__ inline u32 codes_of(const RopeArgs& args, u32 pair, float scale) {
    return args.pages.kv_format == KvFormat::fp8_e4m3
               ? kv_codes_of<T, KvFormat::fp8_e4m3, kConvertsFp8>(pair, scale)
               : kv_codes_of<T, KvFormat::fp8_e5m2, kConvertsFp8>(pair, scale);
}

__device__ inline void store_codes(const RopeArgs& args, u8* at, const U32x4& numbers, float scale) {
    *reinterpret_cast<U32x2*>(at) = {
        codes_of(args, numbers.x, scale) | codes_of(args, numbers.y, scale) << 16,
        codes_of(args, numbers.z, scale) | codes_of(args, numbers.w, scale) << 16};
}

// As it is where the scale is 0.
__device__ inline void store_element(const RopeArgs& args, T* at, T number, float scale) {
    if constexpr (kRow.codes) {
        if (scale != 0) {
            *reinterpret_cast<u8*>(at) = static_cast<u8>(codes_of(args, number.bits, scale));
            return;
        }
    }
    *at = number;
}
struct Token {
    Heads q, k, v;

    __device__ Token(const RopeArgs& args, i64 token, i32 position) {
        T* const own_k = static_cast<T*>(args.k) + token * args.k_token_stride;
        q = {static_cast<const T*>(args.q) + token * args.q_token_stride,
             static_cast<T*>(args.q_out) + token * args.q_out_token_stride, args.q_head_stride,
             args.q_out_head_stride, args.heads};
        k = {own_k, own_k, args.k_head_stride, args.k_head_stride, args.kv_heads};
        v = {};
        const RopePages& pages = args.pages;
        if (pages.k_pages == nullptr) return;
        if (position < 0) {  // padding
            k.count = 0;
            return;
        }
        const i64 page = load_ready(
            args, pages.page_table + load_ready(args, pages.sequences + token) * pages.page_table_stride +
                      (position >> pages.page_shift));
        const i64 slot = position & ((1 << pages.page_shift) - 1);
        const auto place = [&](void* base, const KvPageStrides& to) {
            const i64 offset = page * to.page + slot * to.slot;
            return kRow.codes ? reinterpret_cast<T*>(static_cast<u8*>(base) + offset)
                              : static_cast<T*>(base) + offset;
        };
        k.to = place(pages.k_pages, pages.k_page_stride);
        k.to_stride = pages.k_page_stride.head;
        v = {static_cast<const T*>(pages.v) + token * pages.v_stride.token,
             place(pages.v_pages, pages.v_page_stride), pages.v_stride.head, pages.v_page_stride.head,
             args.kv_heads};
        if constexpr (kRow.codes) {
            k.scales = pages.k_scale, k.scale_stride = pages.k_scale_stride, k.are_codes = true;
            v.scales = pages.v_scale, v.scale_stride = pages.v_scale_stride, v.are_codes = true;
        }
    }
};

// neox: two elements of the first half and their partners of the second, packed in pairs.
__device__ inline void turn_halves(u32& first, u32& second, const float* cosine, const float* sine) {
    const float a0 = ptx::low_float<T>(first), a1 = ptx::high_float<T>(first);
    const float b0 = ptx::low_float<T>(second), b1 = ptx::high_float<T>(second);
    first = ptx::pack<T>(a0 * cosine[0] - b0 * sine[0], a1 * cosine[1] - b1 * sine[1]);
    second = ptx::pack<T>(b0 * cosine[0] + a0 * sine[0], b1 * cosine[1] + a1 * sine[1]);
}

// interleaved: an element and its partner are one packed pair.
__device__ inline u32 turn_pair(u32 pair, float cosine, float sine) {
    const float a = ptx::low_float<T>(pair), b = ptx::high_float<T>(pair);
    return ptx::pack<T>(a * cosine - b * sine, b * cosine + a * sine);
}

// What a thread moves at a time: 16 elements of a head in two vectors, 8 pairs where they turn.
struct Item {
    const T* from;
    T* to;
    float scale;
    int apart;  // the two vectors, in elements
    int pair;   // the first one; negative: they do not turn
    U32x4 first, second;

    __device__ Item(const RopeArgs& args, const Heads& heads, int index, int per_head, int turning) {
        const int head = index / per_head, item = index - head * per_head;
        const bool halves = item < turning && !args.interleaved;
        const int element = halves ? item * 8 : item * 16;
        apart = halves ? args.pairs : 8;
        pair = item < turning ? item * 8 : -1;
        from = heads.from + head * heads.from_stride + element;
        to = heads.target(head, element);
        scale = heads.scale(head);
        first = ptx::load(from);
        second = ptx::load(from + apart);
    }
    __device__ void finish(const RopeArgs& args, const Rotations& rotations) {
        const float* cosine = rotations.cosine + pair;
        const float* sine = rotations.sine + pair;
        if (pair < 0) {
        } else if (args.interleaved) {
            first = {turn_pair(first.x, cosine[0], sine[0]), turn_pair(first.y, cosine[1], sine[1]),
                     turn_pair(first.z, cosine[2], sine[2]), turn_pair(first.w, cosine[3], sine[3])};
            second = {turn_pair(second.x, cosine[4], sine[4]), turn_pair(second.y, cosine[5], sine[5]),
                      turn_pair(second.z, cosine[6], sine[6]), turn_pair(second.w, cosine[7], sine[7])};
        } else {
            turn_halves(first.x, second.x, cosine, sine);
            turn_halves(first.y, second.y, cosine + 2, sine + 2);
            turn_halves(first.z, second.z, cosine + 4, sine + 4);
            turn_halves(first.w, second.w, cosine + 6, sine + 6);
        }
        if constexpr (kRow.codes) {
            if (scale != 0) {
                u8* const codes = reinterpret_cast<u8*>(to);
                store_codes(args, codes, first, scale);
                store_codes(args, codes + apart, second, scale);
                return;
            }
        }
        ptx::store(to, first);
        ptx::store(to + apart, second);
    }
};

// rotary_dim is a multiple of 16, what pages get too, and everything is 16-byte aligned.
__device__ inline void move_vectors(const RopeArgs& args, const Token& token, const Rotations& rotations) {
    const int turning = args.pairs / 8, per_value = args.pages.value_dim / 16;
    const int per_key = args.pages.k_pages != nullptr ? args.pages.head_dim / 16 : turning;
    const int of_q = token.q.count * turning;
    const int of_k = of_q + token.k.count * per_key;
    const int of_v = of_k + token.v.count * per_value;
    const auto item_at = [&](int i) {
        if (i < of_q) return Item(args, token.q, i, turning, turning);
        if (i < of_k) return Item(args, token.k, i - of_q, per_key, turning);
        return Item(args, token.v, i - of_k, per_value, 0);
    };
    for (int i = threadIdx.x; i < of_v; i += 2 * kRow.threads) {
        Item item = item_at(i);
        if (i + kRow.threads < of_v) {
            Item other = item_at(i + kRow.threads);  // both are under way at once
            other.finish(args, rotations);
        }
        item.finish(args, rotations);
    }
}

__device__ inline void turn_elements(const Heads& heads, int pair, SinCos turn, const RopeArgs& args) {
    const int first = args.interleaved ? 2 * pair : pair;
    const int second = first + (args.interleaved ? 1 : args.pairs);
    for (int head = 0; head < heads.count; ++head) {
        const T* from = heads.from + head * heads.from_stride;
        const float scale = heads.scale(head);
        const float a = ptx::to_float(from[first]), b = ptx::to_float(from[second]);
        store_element(args, heads.target(head, first), ptx::from_float<T>(a * turn.cosine - b * turn.sine),
                      scale);
        store_element(args, heads.target(head, second), ptx::from_float<T>(b * turn.cosine + a * turn.sine),
                      scale);
    }
}

__device__ inline void move_elements(const RopeArgs& args, const Heads& heads, int begin, int end) {
    for (int head = 0; head < heads.count; ++head) {
        const float scale = heads.scale(head);
        for (int i = begin + static_cast<int>(threadIdx.x); i < end; i += kRow.threads)
            store_element(args, heads.target(head, i), heads.from[head * heads.from_stride + i], scale);
    }
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads, warpwright::kBlocksPerSm)
    WW_ENTRY(const __grid_constant__ warpwright::RopeArgs args) {
    using namespace warpwright;
    __shared__ Rotations rotations;
    const auto wait = [] {
        ptx::wait_for_predecessor();
        ptx::release_successor();
    };
    if (!args.positions_are_ready) wait();
    const i32 position = load_ready(args, args.positions + blockIdx.x);
    const Token token(args, blockIdx.x, position);
    if constexpr (kRow.max_pairs > 0) {
        for (int pair = threadIdx.x; pair < args.pairs; pair += kRow.threads) {
            const SinCos turn = rotation(args, position, pair);
            rotations.cosine[pair] = turn.cosine;
            rotations.sine[pair] = turn.sine;
        }
        __syncthreads();
    }
    if (args.positions_are_ready) wait();
    if constexpr (kRow.max_pairs > 0) {
        move_vectors(args, token, rotations);
    } else {
        for (int pair = threadIdx.x; pair < args.pairs; pair += kRow.threads) {  // a thread owns pairs
            const SinCos turn = rotation(args, position, pair);
            turn_elements(token.q, pair, turn, args);
            turn_elements(token.k, pair, turn, args);
        }
        if (args.pages.k_pages != nullptr) {
            move_elements(args, token.k, 2 * args.pairs, args.pages.head_dim);
            move_elements(args, token.v, 0, args.pages.value_dim);
        }
    }
}
