// SPDX-License-Identifier: Apache-2.0
// Lengths and pages of sequences for the checks of attention and of latent attention.
#pragma once

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "kernels/legality.h"

namespace warpwright {

// Every kind of sequence: full, a single query, none, more queries than keys, no key at all.
template <class Problem, class Inputs>
void choose_lengths(const Problem& problem, std::mt19937_64& random, Inputs& in) {
    const auto up_to = [&](i64 most) { return static_cast<i64>(random() % static_cast<u64>(most + 1)); };
    // A capacity far above every length: most splits are empty.
    const i64 most_keys = problem.max_kv_len > 5000 && problem.sequences > 1 ? 150 : problem.max_kv_len;
    in.q_starts = {0};
    for (i64 s = 0; s < problem.sequences; ++s) {
        i64 q_len = problem.max_q_len, kv_len = most_keys;
        switch (s % 6) {
            case 1: q_len = 1, kv_len = 1 + up_to(most_keys - 1); break;
            case 2: q_len = 0, kv_len = up_to(most_keys); break;
            case 3: kv_len = q_len / 2; break;
            case 4: q_len = 1 + up_to(q_len - 1), kv_len = 0; break;
            case 5: q_len = 1 + up_to(q_len - 1), kv_len = q_len + up_to(most_keys - q_len); break;
            default: break;
        }
        in.q_starts.push_back(in.q_starts.back() + static_cast<i32>(q_len));
        in.kv_lengths.push_back(static_cast<i32>(kv_len));
    }
}

// Pages in shuffled order, entries of pages behind a length or before first_read(sequence) holding what must
// not be followed. Returns the number of pages; one more than is used.
template <class Problem, class Inputs, class FirstRead>
i64 choose_pages(const Problem& problem, std::mt19937_64& random, Inputs& in, FirstRead&& first_read) {
    in.page_size = problem.page_size;
    in.max_pages = ceil_div(problem.max_kv_len, problem.page_size);
    i64 num_pages = 1;
    for (const i32 length : in.kv_lengths) num_pages += ceil_div(length, problem.page_size);
    std::vector<i32> pages(static_cast<std::size_t>(num_pages));
    std::iota(pages.begin(), pages.end(), 0);
    std::shuffle(pages.begin(), pages.end(), random);
    std::vector<i32> table;
    for (i64 s = 0; s < problem.sequences; ++s) {
        const i64 first = first_read(s), length = in.kv_lengths[static_cast<std::size_t>(s)];
        for (i64 i = 0; i < in.max_pages; ++i) {
            const bool used = i * problem.page_size < length && (i + 1) * problem.page_size > first;
            table.push_back(used ? pages.back() : i % 2 == 0 ? -1 : 0x7fffffff);
            if (used) pages.pop_back();
        }
    }
    in.page_table = std::move(table);
    return num_pages;
}

}  // namespace warpwright
