// SPDX-License-Identifier: Apache-2.0
// RoPE on the host: the cosines and sines of a token once, then all of its heads.
#include <algorithm>
#include <cmath>
#include <vector>

#include "device/host_threads.h"
#include "kernels/fused/rope/operation.h"
#include "kernels/kv_codes.h"

namespace warpwright {
namespace {

// A token's heads: where they are, and where they go.
struct Heads {
    const u16* from;
    u16* to;
    i64 from_stride, to_stride;
    i64 count;
};

// Of a token in the pages: where its first key and value go, in elements.
struct Slot {
    i64 k, v;

    Slot(const RopeArgs& args, i64 token) {
        const RopePages& pages = args.pages;
        const i32 position = args.positions[token];
        const i64 page = pages.page_table[pages.sequences[token] * pages.page_table_stride +
                                          (position >> pages.page_shift)];
        const i64 slot = position & ((1 << pages.page_shift) - 1);
        k = page * pages.k_page_stride.page + slot * pages.k_page_stride.slot;
        v = page * pages.v_page_stride.page + slot * pages.v_page_stride.slot;
    }
};

// Heads, one behind the other in `from`, to a slot as codes.
void encode(const u16* from, i64 from_stride, i64 size, const RopeArgs& args, DType dtype,
            const float* scales, i32 scale_stride, u8* to, i64 to_stride) {
    for (i64 head = 0; head < args.kv_heads; ++head) {
        encode_kv(from + head * from_stride, dtype, size, args.pages.kv_format,
                  scales == nullptr ? 1 : scales[head * scale_stride], to + head * to_stride);
    }
}

// Elements begin .. end - 1 of each head.
void move(const Heads& heads, i64 begin, i64 end) {
    for (i64 head = 0; head < heads.count; ++head) {
        std::copy(heads.from + head * heads.from_stride + begin, heads.from + head * heads.from_stride + end,
                  heads.to + head * heads.to_stride + begin);
    }
}

template <class T, DType dtype>
void rope(const void* raw, HostThreads& threads) {
    const RopeArgs& args = *static_cast<const RopeArgs*>(raw);
    threads.parallel_for(args.tokens, 1, [&](i64 begin, i64 end) {
        const RopePages& pages = args.pages;
        const bool has_codes = pages.k_pages != nullptr && pages.kv_format != KvFormat::same;
        std::vector<float> cosine(static_cast<std::size_t>(args.pairs)), sine(cosine.size());
        std::vector<u16> turned(
            static_cast<std::size_t>(has_codes ? i64{args.kv_heads} * pages.head_dim : 0));
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
            const u16* const q = static_cast<const u16*>(args.q) + token * args.q_token_stride;
            u16* const q_out = static_cast<u16*>(args.q_out) + token * args.q_out_token_stride;
            u16* const k = static_cast<u16*>(args.k) + token * args.k_token_stride;
            rotate({q, q_out, args.q_head_stride, args.q_out_head_stride, args.heads});
            if (pages.k_pages == nullptr) {
                rotate({k, k, args.k_head_stride, args.k_head_stride, args.kv_heads});
                continue;
            }
            if (args.positions[token] < 0) continue;
            const Slot slot(args, token);
            const u16* v = static_cast<const u16*>(pages.v) + token * pages.v_stride.token;
            Heads keys{k, turned.data(), args.k_head_stride, pages.head_dim, args.kv_heads};
            if (!has_codes) {
                keys.to = static_cast<u16*>(pages.k_pages) + slot.k;
                keys.to_stride = pages.k_page_stride.head;
            }
            rotate(keys);
            move(keys, 2 * i64{args.pairs}, pages.head_dim);
            if (has_codes) {
                encode(turned.data(), pages.head_dim, pages.head_dim, args, dtype, pages.k_scale,
                       pages.k_scale_stride, static_cast<u8*>(pages.k_pages) + slot.k,
                       pages.k_page_stride.head);
                encode(v, pages.v_stride.head, pages.value_dim, args, dtype, pages.v_scale,
                       pages.v_scale_stride, static_cast<u8*>(pages.v_pages) + slot.v,
                       pages.v_page_stride.head);
            } else {
                move({v, static_cast<u16*>(pages.v_pages) + slot.v, pages.v_stride.head,
                      pages.v_page_stride.head, args.kv_heads},
                     0, pages.value_dim);
            }
        }
    });
}

}  // namespace

HostFunction RopeOp::host_function(const Row& row) {
    return row.dtype == DType::bf16 ? rope<HostBf16, DType::bf16> : rope<HostHalf, DType::f16>;
}

}  // namespace warpwright
