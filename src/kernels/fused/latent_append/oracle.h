// SPDX-License-Identifier: Apache-2.0
// Latent append from its definition: all bytes of the pages after a call.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/fused/kv_append/oracle.h"
#include "kernels/fused/latent_append/problem.h"

namespace warpwright {

// One batch as plain arrays.
struct LatentAppendInputs {
    std::vector<float> x;    // [tokens, columns]
    std::vector<u8> stored;  // the same in its type
    std::vector<i32> sequences, positions, page_table;
    i64 max_pages = 0;
    i64 page_bytes = 0, token_bytes = 0;  // from one to the next; of keys from codes to codes
    float least_amax = 0;
};

// Of 128 numbers.
inline float latent_scale(const float* numbers, ScaleType type, float least_amax) {
    double amax = least_amax;
    for (int i = 0; i < 128; ++i) {
        if (std::isnan(numbers[i])) return std::bit_cast<float>(0x7fffffffU);
        amax = std::max(amax, std::abs(double{numbers[i]}));
    }
    amax = std::min(amax, double{std::numeric_limits<float>::max()});
    if (type == ScaleType::power_of_two && amax > 0) amax = 448 * std::exp2(std::ceil(std::log2(amax / 448)));
    return static_cast<float>(std::max(amax / 448, 0x1p-126));
}

// `pages`: before the call.
inline std::vector<u8> latent_append_oracle(const LatentAppendProblem& problem, const LatentAppendInputs& in,
                                            std::vector<u8> pages) {
    const bool records = problem.pages == LatentPages::records;
    const i64 columns = records ? 576 : 128, coded = records ? 512 : 128;
    for (std::size_t token = 0; token < in.positions.size(); ++token) {
        const i64 position = in.positions[token];
        if (position < 0) continue;
        const i64 entry = in.sequences[token] * in.max_pages + position / problem.page_size;
        const i64 slot = position % problem.page_size;
        u8* page =
            &pages[static_cast<std::size_t>(in.page_table[static_cast<std::size_t>(entry)] * in.page_bytes)];
        u8* codes = page + slot * in.token_bytes;
        u8* scales = records ? codes + 512 : page + problem.page_size * 128 + slot * 4;
        const i64 first = static_cast<i64>(token) * columns;
        for (i64 group = 0; group < coded / 128; ++group) {
            const float* numbers = &in.x[static_cast<std::size_t>(first + group * 128)];
            const float scale = latent_scale(numbers, problem.scale, in.least_amax);
            std::memcpy(scales + group * 4, &scale, 4);
            const std::vector<float> made =
                kv_codes({numbers, numbers + 128}, KvFormat::fp8_e4m3, {scale}, 128);
            std::copy(made.begin(), made.end(), codes + group * 128);
        }
        if (records) std::memcpy(codes + 528, &in.stored[static_cast<std::size_t>(first + 512) * 2], 128);
    }
    return pages;
}

}  // namespace warpwright
