// SPDX-License-Identifier: Apache-2.0
// A pass with a cache of 16 bits whose numbers are replaced by those that their codes stand for.
#pragma once

#include <map>

#include "engine/latent_forward.h"
#include "kernels/fused/latent_append/oracle.h"
#include "kernels/host_math.h"
#include "kernels/kv_format.h"
#include "run/one_pass.h"

namespace warpwright::test {

// One for all tests of a device: an emulated one keeps its compiled kernels.
inline std::shared_ptr<Context> opened(const std::string& name) {
    static std::map<std::string, std::shared_ptr<Context>> contexts;
    auto& known = contexts[name];
    if (known == nullptr) known = Context::open(name).value();
    return known;
}

template <class T>
std::vector<T> elements_of(OnePass& pass, const Tensor& pages) {
    return pass.from_device<T>(pages.data, static_cast<std::size_t>(pages.num_elements()));
}

// Of the layer's pages, a row of each position, as numbers.
inline std::vector<float> rows_in_order(OnePass& pass, const Tensor& pages, i64 num_tokens) {
    const auto stored = elements_of<u16>(pass, pages);
    const i64 width = pages.shape[2];
    std::vector<float> numbers;
    for (i64 token = 0; token < num_tokens; ++token) {
        for (i64 i = 0; i < width; ++i)
            numbers.push_back(load_float(stored.data(), pages.dtype, pass.page_slot(token) * width + i));
    }
    return numbers;
}

// The rows of the first positions become round(row).
template <class Round>
void round_rows(OnePass& pass, const Tensor& pages, i64 num_tokens, Round&& round) {
    auto stored = elements_of<u16>(pass, pages);
    const std::vector<float> rows = rows_in_order(pass, pages, num_tokens);
    const i64 width = pages.shape[2];
    for (i64 token = 0; token < num_tokens; ++token) {
        const float* row = &rows[static_cast<std::size_t>(token * width)];
        const std::vector<float> rounded = round(std::vector<float>(row, row + width));
        for (i64 i = 0; i < width; ++i) {
            const i64 at = pass.page_slot(token) * width + i;
            const float stands_for = rounded[static_cast<std::size_t>(i)];
            store_float(stored.data(), pages.dtype, at, stands_for);
            EXPECT_EQ(load_float(stored.data(), pages.dtype, at), stands_for) << "is not of the type";
        }
    }
    EXPECT_TRUE(pass.device().copy_in(pages.data, stored.data(), stored.size() * sizeof(u16), {}).ok());
    EXPECT_TRUE(pass.device().synchronize({}).ok());
}

inline std::vector<float> rounded_to_e4m3(const std::vector<float>& numbers, float scale) {
    std::vector<float> rounded;
    const auto width = static_cast<i64>(numbers.size());
    for (const float code : kv_codes(numbers, KvFormat::fp8_e4m3, {scale}, width)) {
        const float number = formats::decode(small_float_of(KvFormat::fp8_e4m3), static_cast<u8>(code));
        rounded.push_back(number * scale);
    }
    return rounded;
}

// Latent rows of a layer, whose scale it is.
inline void round_latent_rows(OnePass& pass, int layer, float scale, i64 num_tokens) {
    round_rows(pass, pass.pages().latent_pages(layer), num_tokens,
               [&](const std::vector<float>& row) { return rounded_to_e4m3(row, scale); });
}

// Keys of its indexer, each by its own.
inline void round_index_keys(OnePass& pass, int layer, i64 num_tokens) {
    round_rows(pass, pass.pages().index_pages(layer), num_tokens, [](const std::vector<float>& key) {
        return rounded_to_e4m3(key, latent_scale(key.data(), kIndexScale, kIndexLeastAmax));
    });
}

}  // namespace warpwright::test
