// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <span>

#include "check/ops/checks.h"
#include "check/ops/key_sequences.h"
#include "kernels/attention/operation.h"
#include "kernels/attention/oracle.h"

namespace warpwright {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr i64 kSpareTokens = 2;  // rows of q and out that belong to no sequence

// The first key that some query of a sequence sees.
i64 first_read(const AttentionInputs& in, i64 s) {
    return std::min(in.kv_len(s), in.first_visible(s, 0));
}

// Whether some list of a kv head, -1 for any, has a key's block.
bool is_in_lists(const AttentionInputs& in, i64 s, i64 kv_head, i64 key) {
    if (in.block_starts.empty()) return true;
    for (i64 head = std::max<i64>(0, kv_head); head < (kv_head < 0 ? in.list_heads : kv_head + 1); ++head) {
        for (i64 block = 0; block < in.query_blocks; ++block) {
            if (in.is_listed(s, head, block * in.block_queries, key)) return true;
        }
    }
    return false;
}

// Lists in no order, some of them empty, some with a block that is behind all keys.
void choose_lists(const AttentionProblem& problem, std::mt19937_64& random, AttentionInputs& in) {
    in.block_queries = problem.block_queries, in.block_keys = problem.block_keys;
    in.list_heads = problem.causal ? problem.kv_heads : 1;
    in.query_blocks = ceil_div(problem.max_q_len, problem.block_queries);
    in.block_columns = {0, 0, 0};  // of no list
    for (i64 s = 0; s < in.sequences(); ++s) {
        for (i64 list = 0; list < in.list_heads * in.query_blocks; ++list) {
            if (list % in.query_blocks == 0)
                in.block_starts.push_back(static_cast<i32>(std::ssize(in.block_columns)));
            const auto first = std::ssize(in.block_columns);
            const u64 share = random() % 5;
            const i64 kv_len = in.kv_lengths[static_cast<std::size_t>(s)];
            for (i64 block = 0; block <= kv_len / problem.block_keys; ++block) {
                if (random() % 4 < share) in.block_columns.push_back(static_cast<i32>(block));
            }
            // The last two would begin at kNoWindow, or wrap.
            const i64 behind[] = {problem.max_kv_len, kNoWindow / problem.block_keys,
                                  std::numeric_limits<i32>::max()};
            if (share > 2) in.block_columns.push_back(static_cast<i32>(behind[list % 3]));
            std::shuffle(in.block_columns.begin() + first, in.block_columns.end(), random);
            in.block_starts.push_back(static_cast<i32>(std::ssize(in.block_columns)));
        }
    }
}

// Pages without a listed key must not be followed.
void forget_unlisted_pages(AttentionInputs& in) {
    for (i64 s = 0; s < in.sequences() && !in.block_starts.empty(); ++s) {
        for (i64 page = 0; page < in.max_pages; ++page) {
            bool used = false;
            for (i64 key = page * in.page_size; key < (page + 1) * in.page_size; ++key)
                used = used || is_in_lists(in, s, -1, key);
            if (!used) in.page_table[static_cast<std::size_t>(s * in.max_pages + page)] = 0x7fffffff;
        }
    }
}

// The rows of keys and values that some sequence reads; everything else becomes NaN.
void poison_unused(const AttentionInputs& in, i64 columns, std::vector<float>& values) {
    std::vector<bool> used(values.size());
    for (i64 s = 0; s < in.sequences(); ++s) {
        for (i64 key = first_read(in, s); key < in.kv_len(s); ++key) {
            for (i64 head = 0; head < in.kv_heads; ++head) {
                if (!is_in_lists(in, s, head, key)) continue;
                const i64 row = in.kv_row(s, key, head) / in.head_dim * columns;
                std::fill_n(used.begin() + row, columns, true);
            }
        }
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (!used[i]) values[i] = kNan;
    }
}

// Values that codes have, about normal.
std::vector<float> draw_codes(std::mt19937_64& random, KvFormat format, i64 count, double scale) {
    const formats::SmallFloat& type = small_float_of(format);
    std::normal_distribution<float> normal(0, static_cast<float>(scale));
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) value = formats::decode(type, formats::encode(type, normal(random)));
    return values;
}

// Their codes, of NaN 0x7f, at an odd address where misaligned.
std::vector<u8> codes_of(KvFormat format, const std::vector<float>& values, bool misaligned) {
    std::vector<u8> codes(misaligned ? 1 : 0);
    for (float value : values)
        codes.push_back(std::isnan(value) ? 0x7f : formats::encode(small_float_of(format), value));
    return codes;
}

// Keys and values, the same for every row; what is not read is NaN. They are stored in one tensor, as
// [count, k then v: rows, ...]: strides that are not those of a dense one.
struct Stored {
    std::vector<float> k, v;
    std::vector<u8> codes, scales;  // where they are not of 16 bits, both as they are stored
    std::mt19937_64 random_after;

    std::vector<float> both(i64 count) const {
        const i64 block = std::ssize(k) / count, v_block = std::ssize(v) / count;
        std::vector<float> values;
        values.reserve(k.size() + v.size());
        for (i64 i = 0; i < count; ++i) {
            values.insert(values.end(), k.begin() + i * block, k.begin() + (i + 1) * block);
            values.insert(values.end(), v.begin() + i * v_block, v.begin() + (i + 1) * v_block);
        }
        return values;
    }
};

Stored interleave(std::mt19937_64 random, const AttentionProblem& problem, const AttentionInputs& in,
                  i64 count, i64 rows, double scale, bool misaligned, std::vector<float> values) {
    const i64 block = rows * problem.kv_heads * problem.head_dim;
    const i64 v_block = rows * problem.kv_heads * value_dim(problem), both_blocks = block + v_block;
    const bool coded = problem.kv_format != KvFormat::same;
    if (coded) values = draw_codes(random, problem.kv_format, count * both_blocks, scale);
    Stored stored;
    for (i64 i = 0; i < count; ++i) {
        const auto start = values.begin() + i * both_blocks;
        stored.k.insert(stored.k.end(), start, start + block);
        stored.v.insert(stored.v.end(), start + block, start + both_blocks);
    }
    poison_unused(in, in.head_dim, stored.k);
    poison_unused(in, in.value_dim(), stored.v);
    if (coded) stored.codes = codes_of(problem.kv_format, stored.both(count), misaligned);
    stored.random_after = random;
    return stored;
}

// The same of nvfp4: scales are interleaved as their codes are, of keys that are not read NaN.
Stored interleave_packed(std::mt19937_64 random, const AttentionProblem& problem, const AttentionInputs& in,
                         i64 count, i64 rows, double magnitude, bool misaligned) {
    const i64 heads = rows * problem.kv_heads, columns[] = {problem.head_dim, value_dim(problem)};
    const i64 first[] = {0, heads * columns[0]}, both = heads * (columns[0] + columns[1]);
    Stored stored;
    std::vector<float>* const values[] = {&stored.k, &stored.v};
    const std::size_t before = misaligned ? 1 : 0;
    std::vector<u8>&codes = stored.codes, &scales = stored.scales;
    codes.resize(static_cast<std::size_t>(count * both / 2) + before);
    scales.resize(static_cast<std::size_t>(count * both / kKvBlock) + before);
    std::normal_distribution<float> normal(0, static_cast<float>(magnitude));
    std::uniform_real_distribution<float> share(0.2f, 0.6f);
    for (int part = 0; part < 2; ++part) {
        std::vector<float>& numbers = *values[part];
        numbers.resize(static_cast<std::size_t>(count * heads * columns[part]));
        poison_unused(in, columns[part], numbers);
        for (i64 i = 0; i < std::ssize(numbers); i += kKvBlock) {
            const i64 at = i / (heads * columns[part]) * both + first[part] + i % (heads * columns[part]);
            u8& scale = scales[before + static_cast<std::size_t>(at / kKvBlock)];
            const bool unused = std::isnan(numbers[static_cast<std::size_t>(i)]);
            const float wanted = static_cast<float>(magnitude) * share(random);
            scale = unused ? 0x7f : formats::encode(formats::kE4M3, wanted);
            const float of_block = formats::decode(formats::kE4M3, scale);
            for (i64 c = 0; c < kKvBlock; ++c) {
                const u8 code = formats::encode(formats::kE2M1, unused ? 1.f : normal(random) / of_block);
                u8& byte = codes[before + static_cast<std::size_t>((at + c) / 2)];
                byte = static_cast<u8>(byte | code << c % 2 * 4);
                numbers[static_cast<std::size_t>(i + c)] = formats::decode(formats::kE2M1, code) * of_block;
            }
        }
    }
    stored.random_after = random;
    return stored;
}

struct Keys {
    Tensor k, v, k_blocks, v_blocks;
    const Stored* stored = nullptr;  // null where memory was short
};

Keys store(Workbench& bench, const AttentionProblem& problem, const AttentionInputs& in, i64 count, i64 rows,
           double scale, bool misaligned) {
    const i64 heads = rows * problem.kv_heads;
    const i64 k_block = heads * problem.head_dim, both_blocks = k_block + heads * value_dim(problem);
    const bool packed = problem.kv_format == KvFormat::nvfp4, coded = problem.kv_format != KvFormat::same;
    Tensor both;
    if (!coded) both = bench.input(problem.dtype, {count, 1, both_blocks}, scale, misaligned);
    if (!bench.has_memory()) return {};
    const Stored& stored = bench.answer("keys", [&] {
        if (packed) return interleave_packed(bench.random(), problem, in, count, rows, scale, misaligned);
        return interleave(bench.random(), problem, in, count, rows, scale, misaligned,
                          coded ? std::vector<float>() : bench.read(both));
    });
    bench.random() = stored.random_after;
    // One of both from number `first` on; an element of `dtype` holds some numbers.
    const auto part = [&](void* data, DType dtype, i64 numbers, i64 first, i64 columns) {
        data = static_cast<std::byte*>(data) + first / numbers * dtype_bytes(dtype);
        columns /= numbers;
        Tensor tensor = problem.paged ? Tensor::dense(data, dtype, {count, rows, problem.kv_heads, columns})
                                      : Tensor::dense(data, dtype, {count, problem.kv_heads, columns});
        tensor.stride[0] = both_blocks / numbers;
        return tensor;
    };
    const auto parts = [&](void* data, DType dtype, i64 numbers, Tensor& k, Tensor& v) {
        k = part(data, dtype, numbers, 0, problem.head_dim);
        v = part(data, dtype, numbers, k_block, value_dim(problem));
    };
    const auto write = [&](const std::vector<u8>& bytes) {
        return static_cast<std::byte*>(bench.bytes(std::as_bytes(std::span(bytes)), DType::u8).data) +
               (misaligned ? 1 : 0);
    };
    Keys keys;
    keys.stored = &stored;
    if (packed) {
        // Keys and values each in a copy of both.
        keys.k = part(write(stored.codes), DType::u8, 2, 0, problem.head_dim);
        keys.v = part(write(stored.codes), DType::u8, 2, k_block, value_dim(problem));
        keys.k_blocks = part(write(stored.scales), DType::u8, kKvBlock, 0, problem.head_dim);
        keys.v_blocks = part(write(stored.scales), DType::u8, kKvBlock, k_block, value_dim(problem));
    } else if (coded) {
        parts(write(stored.codes), kv_dtype(problem.kv_format, problem.dtype), 1, keys.k, keys.v);
    } else {
        bench.write(both, stored.both(count));
        parts(both.data, problem.dtype, 1, keys.k, keys.v);
    }
    return keys;
}

struct AttentionCheck {
    using Op = AttentionOp;

    static std::vector<AttentionProblem> problems() {
        std::vector<AttentionProblem> problems;
        const auto add = [&](AttentionProblem problem) {
            problem.alignment_bytes = problem.alignment_bytes < 16 ? 2 : 16;
            for (DType dtype : {DType::bf16, DType::f16}) {
                problem.dtype = dtype;
                problems.push_back(problem);
            }
        };
        // sequences, max_q_len, max_kv_len, q_tokens, heads, kv_heads, head_dim, dtype, causal, paged,
        // page_size
        for (i64 head_dim : {64, 96, 128, 256}) {
            const DType any = DType::bf16;
            add({6, 1, 700, 0, 8, 2, head_dim, any, true, true, 16});    // decode
            add({6, 150, 190, 0, 4, 1, head_dim, any, true, false});     // mixed lengths, causal
            add({4, 70, 131, 0, 2, 2, head_dim, any, false, true, 64});  // no mask, one head a group
            add({6, 5, 301, 0, 8, 1, head_dim, any, true, true, 1});     // speculative; large scores
        }
        const DType any = DType::bf16;
        add({1, 1, 6000, 0, 4, 1, 128, any, true, true, 256});  // one long sequence, many splits
        add({5, 1, 40000, 0, 8, 8, 128, any, true, true, 16});  // most splits are empty
        add({5, 40, 20000, 0, 4, 2, 64, any, true, true, 16});  // the same with many rows
        add({3, 300, 333, 0, 2, 1, 128, any, true, false});     // large scores
        add({2, 1, 2048, 0, 3, 3, 128, any, false, false});     // ragged decode
        add({6, 33, 120, 0, 4, 2, 80, any, true, true, 16});    // padded to the next head size
        add({6, 1, 120, 0, 4, 2, 40, any, true, true, 16});
        add({6, 20, 100, 0, 4, 2, 64, any, true, true, 32, 2});  // nothing is aligned
        add({6, 20, 100, 0, 4, 2, 128, any, true, false, 1, 2});
        add({6, 1, 3000, 0, 2, 2, 256, any, true, true, 16, 2});
        add({6, 9, 100, 0, 3, 1, 33, any, true, true, 4, 2});  // odd head size
        add({6, 9, 100, 0, 3, 1, 1, any, false, false, 1, 2});

        const auto add_limited = [&](AttentionProblem problem, i64 window_left, float softcap) {
            problem.window_left = window_left;
            problem.softcap = softcap;
            add(problem);
        };
        for (i64 head_dim : {64, 96, 128, 256}) {
            add_limited({6, 1, 700, 0, 8, 2, head_dim, any, true, true, 16}, 99, 0);
            add_limited({2, 70, 140, 0, 4, 1, head_dim, any, true, false}, 20, 50);
            add_limited({2, 40, 131, 0, 2, 2, head_dim, any, false, true, 64}, 64, 0);
            add_limited({6, 5, 301, 0, 8, 1, head_dim, any, true, true, 1}, 2, 30);  // large scores
            add_limited({6, 3, 200, 0, 2, 1, head_dim, any, true, true, 16}, -1, 50);
        }
        add_limited({1, 1, 6000, 0, 4, 1, 128, any, true, true, 256}, 4095, 50);  // splits of a window
        add_limited({1, 2, 6001, 0, 4, 1, 256, any, true, true, 16}, 1023, 3);    // nearly all scores capped
        add_limited({5, 1, 40000, 0, 8, 8, 128, any, true, true, 16}, 3000, 0);   // most splits are empty
        add_limited({6, 1, 500, 0, 8, 8, 64, any, true, true, 32}, 0, 0);         // the query's own key only
        add_limited({2, 100, 200, 0, 2, 1, 128, any, true, false}, 1, 0);
        add_limited({6, 50, 133, 0, 2, 1, 128, any, true, true, 8}, 60, 20);  // longer than some sequences
        add_limited({6, 33, 120, 0, 4, 2, 80, any, false, false}, 0, 4);
        add_limited({6, 40, 120, 0, 4, 2, 64, any, true, true, 16}, 500, 0);  // longer than all
        add_limited({6, 20, 100, 0, 4, 2, 64, any, true, true, 32, 2}, 17, 20);
        add_limited({6, 1, 3000, 0, 2, 2, 256, any, true, true, 16, 2}, 1000, 50);
        add_limited({6, 9, 100, 0, 3, 1, 33, any, true, true, 4, 2}, 3, 0);
        add_limited({6, 9, 100, 0, 3, 1, 120, any, false, false, 1, 2}, 40, 0.5f);

        // 8-bit keys and values.
        const auto add_coded = [&](KvFormat format, AttentionProblem problem, i64 window_left = -1,
                                   float softcap = 0) {
            problem.kv_format = format;
            add_limited(problem, window_left, softcap);
        };
        for (KvFormat format : {KvFormat::fp8_e4m3, KvFormat::fp8_e5m2}) {
            add_coded(format, {6, 1, 700, 0, 8, 2, 128, any, true, true, 16});
            add_coded(format, {6, 5, 301, 0, 8, 1, 128, any, true, true, 1}, 99, 30);  // large scores
            add_coded(format, {4, 70, 131, 0, 2, 2, 128, any, false, true, 64});
            add_coded(format, {6, 9, 100, 0, 3, 1, 33, any, true, true, 4, 2});  // nothing is aligned
            add_coded(format, {6, 20, 100, 0, 4, 2, 128, any, true, false, 1, 2}, 17, 20);
        }
        const KvFormat e4m3 = KvFormat::fp8_e4m3;
        add_coded(e4m3, {6, 1, 300, 0, 8, 2, 64, any, true, true, 16});
        add_coded(e4m3, {6, 70, 131, 0, 4, 1, 64, any, true, false}, 20, 50);
        add_coded(e4m3, {6, 3, 200, 0, 2, 1, 96, any, true, true, 16});     // padded
        add_coded(e4m3, {1, 1, 6000, 0, 4, 1, 128, any, true, true, 256});  // many splits
        add_coded(e4m3, {6, 2, 301, 0, 8, 1, 256, any, true, true, 16}, 99);
        add_coded(e4m3, {3, 60, 90, 0, 2, 1, 256, any, true, true, 8});

        // What few calls ask for, alone and together.
        const auto add_asking = [&](AttentionProblem problem, auto... changes) {
            (changes(problem), ...);
            add(problem);
        };
        const auto window = [](i64 left, i64 right) {
            return
                [=](AttentionProblem& p) { p.causal = false, p.window_left = left, p.window_right = right; };
        };
        const auto chunk = [](AttentionProblem& p) { p.chunk = 48; };
        const auto sinks = [](AttentionProblem& p) { p.sinks = true; };
        const auto alibi = [](AttentionProblem& p) { p.alibi = true; };
        const auto mask = [](AttentionProblem& p) { p.mask = true; };
        const auto softcap = [](AttentionProblem& p) { p.softcap = 20; };
        const auto codes = [](AttentionProblem& p) { p.kv_format = KvFormat::fp8_e4m3; };
        for (i64 head_dim : {64, 96, 128, 256}) {
            const AttentionProblem few{6, 1, 700, 0, 8, 2, head_dim, any, true, true, 16};
            const AttentionProblem many{6, 70, 150, 0, 4, 1, head_dim, any, true, false};
            const AttentionProblem tree{6, 7, 300, 0, 8, 1, head_dim, any, true, true, 4};
            add_asking(few, sinks);
            add_asking(many, sinks, window(31, 0));
            add_asking(few, alibi);
            add_asking(many, alibi);
            add_asking(tree, mask);
            add_asking(many, mask, window(-1, -1));
            add_asking(many, window(20, 9));
            add_asking(few, chunk);
            add_asking(tree, sinks, alibi, mask, softcap, window(99, 3));
        }
        for (const AttentionProblem& problem :
             {AttentionProblem{6, 70, 150, 0, 4, 1, 128, any, true, true, 16},
              AttentionProblem{6, 9, 301, 0, 8, 2, 64, any, true, true, 8},
              AttentionProblem{6, 20, 100, 0, 4, 2, 33, any, true, true, 32, 2}}) {
            add_asking(problem, chunk, sinks);
            add_asking(problem, chunk, alibi, mask);
            add_asking(problem, window(-1, 5));
            add_asking(problem, mask, softcap);
        }
        const AttentionProblem split{1, 2, 6000, 0, 4, 1, 128, any, true, true, 256};
        add_asking(split, sinks);
        add_asking(split, alibi, mask);
        add_asking(split, chunk, sinks);
        add_asking({6, 5, 301, 0, 8, 1, 128, any, true, true, 1}, codes, sinks, alibi, mask);
        add_asking({6, 60, 150, 0, 2, 1, 128, any, true, false}, codes, sinks, chunk, mask);

        // Between the sizes of rows. What is new comes last: a GPU's bits are kept by a problem's position.
        add({6, 1, 120, 0, 4, 2, 112, any, true, true, 16});
        add({3, 40, 90, 0, 2, 1, 192, any, true, false});
        add({6, 3, 60, 0, 2, 1, 8, any, true, true, 16});

        // Values of other columns than keys: latent attention's prompts, and what only some rows serve.
        const auto values = [](i64 columns) { return [=](AttentionProblem& p) { p.head_dim_v = columns; }; };
        add_asking({4, 150, 190, 0, 4, 4, 192, any, true, false}, values(128));
        add_asking({4, 70, 131, 0, 2, 2, 192, any, false, true, 64}, values(128));  // large scores
        add_asking({6, 5, 301, 0, 8, 2, 192, any, true, true, 16}, values(128), softcap, window(99, 3));
        add_asking({1, 1, 3000, 0, 4, 4, 192, any, true, true, 16}, values(128), sinks);  // splits
        add_asking({3, 40, 90, 0, 2, 1, 160, any, true, false}, values(72), chunk);
        add_asking({6, 20, 100, 0, 4, 2, 64, any, true, true, 32}, values(200), sinks);  // more than keys
        add_asking({6, 20, 100, 0, 4, 2, 192, any, true, true, 32, 2}, values(128), alibi, mask);
        add_asking({6, 9, 100, 0, 3, 1, 33, any, true, true, 4, 2}, values(7));
        add_asking({6, 5, 301, 0, 8, 1, 192, any, true, true, 1}, values(128), codes);

        // Lists of blocks of keys.
        const auto blocks = [](i64 queries, i64 keys) {
            return [=](AttentionProblem& p) { p.block_queries = queries, p.block_keys = keys; };
        };
        add_asking({4, 200, 520, 0, 4, 2, 128, any, true, false}, blocks(64, 64));
        add_asking({4, 130, 401, 0, 4, 4, 128, any, false, true, 16}, blocks(128, 128));  // large scores
        add_asking({6, 1, 700, 0, 8, 2, 64, any, true, true, 32}, blocks(64, 64), sinks);
        add_asking({6, 70, 301, 0, 8, 2, 96, any, true, true, 1}, blocks(16, 64), softcap, window(99, 3));
        add_asking({2, 150, 300, 0, 4, 1, 128, any, true, true, 8}, blocks(32, 256), chunk);
        add_asking({1, 2, 3000, 0, 4, 1, 128, any, true, true, 64}, blocks(128, 128));  // splits

        // Loops that ALiBi and masks have alone: steps that a mask hides or shows as a whole, keys behind all
        // own ones, a lane's rows of several heads, splits.
        for (i64 head_dim : {64, 128, 256}) {
            add_asking({2, 100, 520, 0, 4, 1, head_dim, any, true, false}, mask);
            add_asking({3, 100, 130, 0, 2, 1, head_dim, any, true, false}, alibi, window(-1, -1));
            add_asking({4, 70, 301, 0, 8, 1, head_dim, any, true, true, 16}, alibi, sinks);  // large scores
        }
        add_asking({2, 100, 520, 0, 2, 1, 64, any, true, false}, alibi, mask, window(-1, -1));
        add_asking({3, 90, 333, 0, 4, 4, 128, any, true, false}, mask, sinks, window(-1, 7));  // large scores
        add_asking({4, 60, 150, 0, 6, 2, 128, any, true, true, 8}, alibi);
        add_asking({4, 60, 150, 0, 8, 2, 128, any, true, false}, alibi, window(-1, 9));
        add_asking(split, alibi);
        add_asking({1, 40, 2000, 0, 4, 1, 128, any, true, true, 256}, mask);

        // Packed keys and values.
        const KvFormat nvfp4 = KvFormat::nvfp4;
        const auto packed = [](AttentionProblem& p) { p.kv_format = KvFormat::nvfp4; };
        add_coded(nvfp4, {6, 1, 700, 0, 8, 2, 128, any, true, true, 16});
        add_coded(nvfp4, {6, 5, 301, 0, 8, 1, 128, any, true, true, 1}, 99, 30);  // large scores
        add_coded(nvfp4, {4, 70, 131, 0, 2, 2, 128, any, false, true, 64});
        add_coded(nvfp4, {6, 1, 300, 0, 8, 2, 64, any, true, true, 16});
        add_coded(nvfp4, {6, 3, 200, 0, 2, 1, 128, any, true, false});
        add_coded(nvfp4, {6, 3, 100, 0, 4, 2, 96, any, true, false});
        add_coded(nvfp4, {1, 1, 6000, 0, 4, 1, 128, any, true, true, 256});  // many splits
        add_coded(nvfp4, {6, 20, 100, 0, 4, 2, 80, any, true, true, 4, 2}, 17, 20);
        add_coded(nvfp4, {3, 40, 90, 0, 2, 1, 256, any, true, true, 8});
        add_asking({6, 5, 301, 0, 8, 1, 192, any, true, true, 1}, values(128), packed);
        add_asking({6, 40, 150, 0, 2, 1, 128, any, true, false}, packed, sinks, alibi, mask);

        // Prompts of them.
        add_coded(nvfp4, {4, 150, 190, 0, 4, 1, 128, any, true, false});
        add_coded(nvfp4, {2, 140, 301, 0, 4, 4, 128, any, true, true, 16}, 99, 30);  // large scores
        add_coded(nvfp4, {6, 70, 131, 0, 4, 2, 64, any, false, true, 64}, 20);
        add_coded(nvfp4, {6, 40, 133, 0, 4, 2, 128, any, true, true, 1});
        add_coded(nvfp4, {1, 40, 2000, 0, 4, 1, 128, any, true, true, 256});  // splits
        add_asking({4, 60, 150, 0, 2, 1, 128, any, true, false}, packed, sinks, window(-1, 5));
        add_asking({4, 60, 150, 0, 2, 1, 64, any, true, true, 8}, packed, chunk);

        // Lists with all else, and of as few queries and keys as there may be: several lists in a tile.
        add_asking({4, 100, 260, 0, 4, 2, 64, any, true, false}, blocks(64, 64));
        add_asking({2, 90, 301, 0, 2, 2, 256, any, false, true, 16}, blocks(16, 16));  // large scores
        add_asking({4, 90, 260, 0, 4, 1, 128, any, true, true, 16}, blocks(32, 64), codes, sinks);
        add_asking({3, 70, 200, 0, 2, 2, 256, any, true, false}, blocks(48, 32), codes);
        add_asking({3, 70, 200, 0, 4, 2, 128, any, true, true, 8}, blocks(16, 32), mask);
        add_asking({6, 7, 300, 0, 8, 1, 64, any, true, true, 4}, blocks(16, 16), mask, chunk);
        add_asking({4, 70, 301, 0, 2, 1, 96, any, true, false}, blocks(32, 64), alibi);  // large scores
        add_asking({3, 60, 200, 0, 4, 4, 128, any, true, false}, blocks(16, 16), alibi, mask, window(99, 3));
        add_asking({3, 60, 200, 0, 4, 1, 256, any, true, true, 64}, blocks(16, 128), window(50, -1), softcap);
        add_asking({3, 60, 200, 0, 3, 1, 33, any, true, true, 4, 2}, blocks(48, 32), mask);
        add_asking({3, 60, 150, 0, 2, 1, 128, any, true, true, 8}, blocks(16, 16), packed);
        add_asking({3, 60, 150, 0, 2, 2, 192, any, true, false}, blocks(32, 32), values(128));
        add_asking({1, 2, 3000, 0, 4, 1, 256, any, true, true, 64}, blocks(128, 128), codes);  // splits
        add_asking({1, 40, 1500, 0, 2, 2, 64, any, true, false}, blocks(16, 64), alibi);       // the same
        add_asking({3, 20, 150, 0, 2, 1, 128, any, true, true, 16}, blocks(16, 16), mask,
                   [](auto& p) { p.kv_format = KvFormat::fp8_e5m2; });
        // Blocks that do not fill a step.
        add_asking({3, 60, 150, 0, 4, 2, 128, any, true, true, 16}, blocks(16, 8));
        add_asking({2, 40, 101, 0, 2, 2, 80, any, true, false}, blocks(16, 1), mask,
                   window(30, 9));  // large scores
        add_asking({3, 40, 120, 0, 2, 1, 64, any, true, true, 1}, blocks(32, 4), codes, alibi);
        add_asking({3, 40, 120, 0, 2, 1, 128, any, true, false}, blocks(16, 2), packed, sinks);
        add_asking({1, 20, 700, 0, 4, 1, 128, any, true, true, 4}, blocks(16, 8), mask);  // splits
        return problems;
    }

    // Of 8-bit keys, or values: one for all heads, or one for each.
    static std::vector<float> choose_scales(const AttentionProblem& problem, std::mt19937_64& random) {
        std::vector<float> scales(static_cast<std::size_t>(problem.causal ? problem.kv_heads : 1));
        for (float& scale : scales) scale = std::uniform_real_distribution<float>(0.5f, 1.5f)(random);
        return scales;
    }

    template <class Real>
    static AttentionAnswer<Real> answer_of(const AttentionInputs& in, const AttentionProblem& problem,
                                           bool natural) {
        AttentionAnswer<Real> answer = attention_oracle<Real>(in, problem.dtype);
        if (natural) {
            for (Real& lse : answer.lse) lse *= std::numbers::ln2_v<Real>;
        }
        return answer;
    }

    struct Expected {
        AttentionAnswer<double> oracle;
        AttentionAnswer<float> reference;
        float largest_value;
    };

    static float largest_value(const AttentionInputs& in) {
        float value = 0, scale = 1;
        for (float of_key : in.v) value = std::max(value, std::isnan(of_key) ? 0 : std::abs(of_key));
        for (float of_head : in.v_scale) scale = std::max(scale, of_head);
        return value * scale;
    }

    // Logits of sinks and slopes of ALiBi, of each head.
    static Tensor choose_of_heads(Workbench& bench, i64 heads, float most, std::vector<float>& values) {
        for (i64 head = 0; head < heads; ++head)
            values.push_back(std::uniform_real_distribution<float>(0, most)(bench.random()));
        return bench.bytes(std::as_bytes(std::span(values)), DType::f32);
    }

    // Rows of words, some of queries that see nothing; of few queries the queries' own keys only; of many
    // keys blocks that are hidden, or seen, as a whole.
    static Tensor choose_mask(Workbench& bench, const AttentionProblem& problem, i64 rows,
                              AttentionInputs& in) {
        in.mask_of_queries = problem.max_q_len <= 32 && problem.causal;
        in.mask_words = ceil_div(in.mask_of_queries ? problem.max_q_len : problem.max_kv_len, 32) + 1;
        for (i64 i = 0; i < rows * in.mask_words; ++i) {
            const u64 bits = bench.random()();
            const i64 row = i / in.mask_words, word = i % in.mask_words;
            const i64 kind = problem.max_kv_len > 500 && !in.mask_of_queries ? (row / 64 + word / 4) % 3 : 0;
            const bool none = row % 5 == 3 || kind == 1;
            in.mask.push_back(none ? 0 : kind == 2 ? ~0u : static_cast<u32>(bits | bits >> 32));
        }
        const Tensor words = bench.bytes(std::as_bytes(std::span(in.mask)), DType::i32);
        Tensor mask = Tensor::dense(words.data, DType::i32, {rows, in.mask_words - 1});
        mask.stride[0] = in.mask_words;  // the last word is no part of it
        for (i64 row = 0; row < rows; ++row)
            in.mask[static_cast<std::size_t>((row + 1) * in.mask_words - 1)] = 0;
        return mask;
    }

    static void run(Workbench& bench, const AttentionProblem& problem, CheckResult& result) {
        AttentionInputs in{.heads = problem.heads,
                           .kv_heads = problem.kv_heads,
                           .head_dim = problem.head_dim,
                           .causal = problem.causal,
                           .scale = 1 / std::sqrt(static_cast<double>(problem.head_dim)),
                           .window_left = problem.window_left,
                           .softcap = problem.softcap,
                           .window_right = problem.window_right,
                           .chunk = problem.chunk,
                           .head_dim_v = problem.head_dim_v};
        choose_lengths(problem, bench.random(), in);
        if (problem.block_queries > 0) choose_lists(problem, bench.random(), in);
        in.kv_starts = {0};
        for (const i32 length : in.kv_lengths) in.kv_starts.push_back(in.kv_starts.back() + length);
        const i64 count = problem.paged ? choose_pages(problem, bench.random(), in,
                                                       [&](i64 s) { return first_read(in, s); })
                                        : std::max<i64>(1, in.kv_starts.back());
        forget_unlisted_pages(in);
        const bool misaligned = problem.alignment_bytes < 16;
        const double magnitude = problem.max_kv_len % 2 == 1 ? 8 : 1;  // odd capacities: large scores

        const i64 q_tokens = in.q_starts.back(), q_rows = q_tokens + kSpareTokens;
        const Tensor q =
            bench.input(problem.dtype, {q_rows, problem.heads, problem.head_dim}, magnitude, misaligned);
        const Tensor out =
            bench.output(problem.dtype, {q_rows, problem.heads, value_dim(problem)}, misaligned);
        const Tensor lse = bench.output(DType::f32, {q_rows, problem.heads});
        const i64 rows = problem.paged ? problem.page_size : 1;
        const Keys kv = store(bench, problem, in, count, rows, magnitude, misaligned);
        if (kv.stored == nullptr) return judge(result, bench, {}, "inputs");

        const bool natural = problem.sinks || problem.alibi;
        Attention call{.q = q,
                       .out = out,
                       .lse_base2 = natural ? Tensor{} : lse,
                       .lse_base_e = natural ? lse : Tensor{},
                       .q_starts = bench.integers(in.q_starts),
                       .max_q_len = problem.max_q_len,
                       .max_kv_len = problem.paged || problem.mask ? problem.max_kv_len : count,
                       .causal = problem.causal,
                       .window_left = problem.window_left,
                       .window_right = problem.window_right,
                       .chunk = problem.chunk,
                       .softcap = problem.softcap,
                       .past_is_ready = problem.max_kv_len % 4 < 2};
        if (problem.paged) {
            call.k_pages = kv.k;
            call.v_pages = kv.v;
            call.page_table = bench.integers(in.page_table);
            call.page_table =
                Tensor::dense(call.page_table.data, DType::i32, {problem.sequences, in.max_pages});
            call.kv_lengths = bench.integers(in.kv_lengths);
        } else {
            call.k = kv.k;
            call.v = kv.v;
            call.kv_starts = bench.integers(in.kv_starts);
        }
        if (problem.kv_format != KvFormat::same) {
            call.kv_format = problem.kv_format;
            const auto draw = [&](std::vector<float>& of_heads) {
                of_heads = choose_scales(problem, bench.random());
                const Tensor tensor = bench.bytes(std::as_bytes(std::span(of_heads)), DType::f32);
                of_heads.resize(static_cast<std::size_t>(problem.kv_heads), of_heads[0]);
                return tensor;
            };
            call.k_scale = draw(in.k_scale);
            call.v_scale = draw(in.v_scale);
            call.k_block_scales = kv.k_blocks;
            call.v_block_scales = kv.v_blocks;
        }
        if (problem.sinks) call.sinks = choose_of_heads(bench, problem.heads, 6, in.sinks);
        if (problem.alibi) call.alibi_slopes = choose_of_heads(bench, problem.heads, 0.5f, in.alibi_slopes);
        if (problem.mask) {
            call.mask = choose_mask(bench, problem, q_rows, in);
            call.mask_of_queries = in.mask_of_queries;
        }
        if (problem.block_queries > 0) {
            const Tensor starts = bench.integers(in.block_starts);
            call.block_starts = Tensor::dense(starts.data, DType::i32,
                                              {problem.sequences, in.list_heads, in.query_blocks + 1});
            call.block_columns = bench.integers(in.block_columns);
            call.block_queries = problem.block_queries;
            call.block_keys = problem.block_keys;
        }
        const Result<i64> workspace_bytes = attention_workspace_bytes(bench.context(), call);
        if (!workspace_bytes.ok()) {
            return judge(result, bench, {false, 0, 0, workspace_bytes.status().message()}, "workspace");
        }
        if (*workspace_bytes > 0) call.workspace = bench.output(DType::u8, {*workspace_bytes});
        const Expected& expected = bench.answer("oracle", [&] {
            in.q = bench.read(q), in.k = kv.stored->k, in.v = kv.stored->v;
            return Expected{answer_of<double>(in, problem, natural), answer_of<float>(in, problem, natural),
                            largest_value(in)};
        });
        const Status status = attention(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        const auto& [answer, reference, largest_value] = expected;
        std::vector<float> got = bench.read(out), got_lse = bench.read(lse);
        const auto untouched = [](const std::vector<float>& values, std::size_t from) {
            return std::all_of(values.begin() + static_cast<std::ptrdiff_t>(from), values.end(),
                               [](float value) { return std::isnan(value); });
        };
        if (!untouched(got, answer.out.size()) || !untouched(got_lse, answer.lse.size())) {
            return judge(result, bench, {false, 0, 0, "wrote rows that belong to no sequence"}, "out");
        }
        got.resize(answer.out.size());
        got_lse.resize(answer.lse.size());
        // why: a weight's relative error is its score's absolute error, which grows with the scores.
        judge(result, bench,
              compare(got, answer.out, reference.out, largest_value * (1 + answer.largest_score)), "out");
        judge(result, bench, compare(got_lse, answer.lse, reference.lse, 16 + answer.largest_score), "lse");
    }
};

}  // namespace

const OperationCheck& attention_check() {
    static const OperationCheckOf<AttentionCheck> check;
    return check;
}

}  // namespace warpwright
