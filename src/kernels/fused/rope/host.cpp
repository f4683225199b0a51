// SPDX-License-Identifier: Apache-2.0
// RoPE on the host: the cosines and sines of a token once, then all of its heads.
#include <algorithm>
#include <cmath>
#include <vector>

#include "device/host_threads.h"
#include "kernels/fused/rope/operation.h"
#include "kernels/host_math.h"

namespace warpwright {
namespace {

// A token's heads: where they are, and where they go.
struct Heads {
    const u16* from;
    u16* to;
    i64 from_stride, to_stride;
    i64 count;
};

// Of a token in the pages.
struct Slot {
    u16 *k, *v;

    Slot(const RopeArgs& args, i64 token) {
        const RopePages& pages = args.pages;
        const i32 position = args.positions[token];
        const i64 page = pages.page_table[pages.sequences[token] * pages.page_table_stride +
                                          (position >> pages.page_shift)];
        const i64 slot = position & ((1 << pages.page_shift) - 1);
        const auto place = [&](void* base, const KvPageStrides& to) {
            return static_cast<u16*>(base) + page * to.page + slot * to.slot;
        };
        k = place(pages.k_pages, pages.k_page_stride);
        v = place(pages.v_pages, pages.v_page_stride);
    }
};

// Elements begin .. end - 1 of each head.
void move(const Heads& heads, i64 begin, i64 end) {
    for (i64 head = 0; head < heads.count; ++head) {
        std::copy(heads.from + head * heads.from_stride + begin, heads.from + head * heads.from_stride + end,
                  heads.to + head * heads.to_stride + begin);
    }
}

template <class T>
void rope(const void* raw, HostThreads& threads) {
    const RopeArgs& args = *static_cast<const RopeArgs*>(raw);
    threads.parallel_for(args.tokens, 1, [&](i64 begin, i64 end) {
        std::vector<float> cosine(static_cast<std::size_t>(args.pairs)), sine(cosine.size());
        for (i64 token = begin; token < end; ++token) {
            for (std::size_t i = 0; i < cosine.size(); ++i) {
                const float angle = static_cast<float>(args.positions[token]) * args.frequency[i];
                cosine[i] = std::cos(angle) * args.magnitude;
                sine[i] = std::sin(angle) * args.magnitude;
            }
            const auto rotate = [&](const Heads& heads) {
                for (i64 head = 0; head < heads.count; ++head) {
                    const u16* const from = heads.from + head * heads.from_stride;
                    u16* const to = heads.to + head * heads.to_stride;
                    for (i64 i = 0; i < args.pairs; ++i) {
                        const i64 first = args.interleaved ? 2 * i : i;
                        const i64 second = first + (args.interleaved ? 1 : args.pairs);
                        const float a = T::load(from, first), b = T::load(from, second);
                        const float c = cosine[static_cast<std::size_t>(i)];
                        const float s = sine[static_cast<std::size_t>(i)];
                        T::store(to, first, a * c - b * s);
                        T::store(to, second, b * c + a * s);
                    }
                }
            };
            u16* const q = static_cast<u16*>(args.q) + token * args.q_token_stride;
            u16* const k = static_cast<u16*>(args.k) + token * args.k_token_stride;
            rotate({q, q, args.q_head_stride, args.q_head_stride, args.heads});
            if (args.pages.k_pages == nullptr) {
                rotate({k, k, args.k_head_stride, args.k_head_stride, args.kv_heads});
            } else if (args.positions[token] >= 0) {
                const Slot slot(args, token);
                rotate({k, slot.k, args.k_head_stride, args.pages.k_page_stride.head, args.kv_heads});
                move({k, slot.k, args.k_head_stride, args.pages.k_page_stride.head, args.kv_heads},
                     2 * i64{args.pairs}, args.pages.head_dim);
                const u16* v = static_cast<const u16*>(args.pages.v) + token * args.pages.v_stride.token;
                move({v, slot.v, args.pages.v_stride.head, args.pages.v_page_stride.head, args.kv_heads}, 0,
                     args.pages.head_dim);
            }
        }
    });
}

}  // namespace

HostFunction RopeOp::host_function(const Row& row) {
    return row.dtype == DType::bf16 ? rope<HostBf16> : rope<HostHalf>;
}

}  // namespace warpwright
