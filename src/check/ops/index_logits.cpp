// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/index_logits.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "check/ops/checks.h"
#include "check/ops/key_sequences.h"
#include "kernels/attention/index_logits/operation.h"
#include "kernels/attention/index_logits/oracle.h"

namespace warpwright {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr i64 kSpareTokens = 2;    // rows of q and logits that belong to no sequence
constexpr i64 kSpareColumns = 24;  // of the cache and of logits, between their rows

u8 random_code(std::mt19937_64& random) {
    std::normal_distribution<float> normal(0, 2);
    return formats::encode(formats::kE4M3, normal(random));
}

// The cache with room between its rows and its pages. What no sequence reads is NaN.
Tensor make_cache(Workbench& bench, const IndexLogitsProblem& problem, IndexLogitsInputs& in, i64 num_pages) {
    const i64 columns = kIndexDim + kSpareColumns, page_rows = problem.page_size + 1;
    const Tensor all =
        bench.input(DType::bf16, {num_pages, page_rows, columns}, 1, problem.alignment_bytes < 16);
    const std::vector<float> drawn = bench.read(all);
    std::vector<float> values(drawn.size(), kNan);
    for (i64 s = 0; s < in.sequences(); ++s) {
        for (i64 key = 0; key < in.kv_lengths[static_cast<std::size_t>(s)]; ++key) {
            const i64 slot = in.slot(s, key);
            const i64 at = (slot / problem.page_size * page_rows + slot % problem.page_size) * columns;
            std::copy_n(drawn.begin() + at, kIndexDim, values.begin() + at);
            std::copy_n(drawn.begin() + at, kIndexDim, in.cache.begin() + slot * kIndexDim);
        }
    }
    bench.write(all, values);
    Tensor cache = Tensor::dense(all.data, DType::bf16, {num_pages, problem.page_size, kIndexDim});
    cache.stride[0] = page_rows * columns;
    cache.stride[1] = columns;
    return cache;
}

// The same of codes, with room between pages.
Tensor make_codes(Workbench& bench, const IndexLogitsProblem& problem, IndexLogitsInputs& in, i64 num_pages) {
    const i64 page_bytes = round_up(problem.page_size * kIndexRecordBytes, 16) + 16;
    std::vector<std::byte> bytes(static_cast<std::size_t>(num_pages * page_bytes), std::byte{0xff});  // NaN
    in.scales.assign(static_cast<std::size_t>(num_pages * problem.page_size), kNan);
    std::uniform_real_distribution<float> scales(0.5f, 1.5f);
    for (i64 s = 0; s < in.sequences(); ++s) {
        for (i64 key = 0; key < in.kv_lengths[static_cast<std::size_t>(s)]; ++key) {
            const i64 slot = in.slot(s, key), in_page = slot % problem.page_size;
            std::byte* page = bytes.data() + slot / problem.page_size * page_bytes;
            const float scale = scales(bench.random());
            std::memcpy(page + problem.page_size * kIndexDim + in_page * 4, &scale, 4);
            in.scales[static_cast<std::size_t>(slot)] = scale;
            for (int i = 0; i < kIndexDim; ++i) {
                const u8 code = random_code(bench.random());
                page[in_page * kIndexDim + i] = std::byte{code};
                in.cache[static_cast<std::size_t>(slot * kIndexDim + i)] =
                    formats::decode(formats::kE4M3, code);
            }
        }
    }
    Tensor cache = Tensor::dense(bench.bytes(bytes, DType::u8).data, DType::u8,
                                 {num_pages, problem.page_size, kIndexRecordBytes});
    cache.stride[0] = page_bytes;
    return cache;
}

struct IndexLogitsCheck {
    using Op = IndexLogitsOp;

    static std::vector<IndexLogitsProblem> problems() {
        std::vector<IndexLogitsProblem> problems;
        // sequences, max_q_len, max_kv_len, q_tokens, heads, causal, page_size
        for (const KvFormat format : {KvFormat::same, KvFormat::fp8_e4m3}) {
            const auto add = [&](IndexLogitsProblem problem) {
                problem.alignment_bytes = problem.alignment_bytes < 16 ? 2 : 16;
                problem.kv_format = format;
                problem.coded_queries = format != KvFormat::same;
                problems.push_back(problem);
            };
            add({6, 1, 300, 0, 64, true, 64});   // decode
            add({6, 3, 91, 0, 20, true, 1});     // drafted tokens; heads that fill no step
            add({1, 1, 1500, 0, 8, true, 64});   // one long sequence
            add({1, 70, 300, 0, 33, true, 32});  // prefill: tiles of queries, keys that none of them sees
            add({4, 7, 45, 0, 10, false, 16});   // no mask
            if (format == KvFormat::same) add({6, 3, 70, 0, 3, true, 16, 2});  // nothing is aligned
        }
        for (IndexLogitsProblem problem : {IndexLogitsProblem{6, 1, 300, 0, 64, true, 64},
                                           {6, 3, 91, 0, 20, true, 1},
                                           {1, 70, 300, 0, 33, true, 32}}) {
            problem.kv_format = KvFormat::fp8_e4m3;
            problems.push_back(problem);
        }
        return problems;
    }

    static void run(Workbench& bench, const IndexLogitsProblem& problem, CheckResult& result) {
        IndexLogitsInputs in{.heads = problem.heads, .causal = problem.causal};
        choose_lengths(problem, bench.random(), in);
        const i64 num_pages = choose_pages(problem, bench.random(), in, [](i64) { return i64{0}; });
        in.cache.assign(static_cast<std::size_t>(num_pages * problem.page_size * kIndexDim), kNan);
        const bool codes = problem.kv_format != KvFormat::same;
        const i64 q_rows = in.q_starts.back() + kSpareTokens, columns = problem.max_kv_len + kSpareColumns;
        Tensor q;
        if (problem.coded_queries) {
            std::vector<std::byte> bytes(static_cast<std::size_t>(q_rows * problem.heads * kIndexDim));
            for (std::byte& byte : bytes) {
                const u8 code = random_code(bench.random());
                byte = std::byte{code};
                in.q.push_back(formats::decode(formats::kE4M3, code));
            }
            q = Tensor::dense(bench.bytes(bytes, DType::u8).data, DType::u8,
                              {q_rows, problem.heads, kIndexDim});
        } else {
            q = bench.input(DType::bf16, {q_rows, problem.heads, kIndexDim}, 1, problem.alignment_bytes < 16);
            in.q = bench.read(q);
        }
        const Tensor weights = bench.input(DType::f32, {q_rows, problem.heads});
        in.weights = bench.read(weights);
        const Tensor logits = bench.output(DType::f32, {q_rows, columns});
        const Tensor pages = bench.integers(in.page_table);
        const IndexLogits call{
            .q = q,
            .weights = weights,
            .logits = logits,
            .cache =
                codes ? make_codes(bench, problem, in, num_pages) : make_cache(bench, problem, in, num_pages),
            .page_table = Tensor::dense(pages.data, DType::i32, {problem.sequences, in.max_pages}),
            .kv_lengths = bench.integers(in.kv_lengths),
            .q_starts = bench.integers(in.q_starts),
            .max_q_len = problem.max_q_len,
            .max_kv_len = problem.max_kv_len,
            .causal = problem.causal};
        const Status status = index_logits(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        struct Answer {
            std::vector<double> exact;
            std::vector<float> reference;
            std::vector<std::size_t> places;
            double magnitude = 0;
        };
        const Answer& answer = bench.answer("oracle", [&] {
            Answer made;
            index_logits_oracle<double>(in, [&](i64 token, i64 key, double logit, double magnitude) {
                made.places.push_back(static_cast<std::size_t>(token * columns + key));
                made.exact.push_back(logit);
                made.magnitude = std::max(made.magnitude, magnitude);
            });
            index_logits_oracle<float>(
                in, [&](i64, i64, float logit, float) { made.reference.push_back(logit); });
            return made;
        });
        std::vector<float> all = bench.read(logits), got;
        for (const std::size_t place : answer.places) {
            got.push_back(all[place]);
            all[place] = kNan;
        }
        if (!std::all_of(all.begin(), all.end(), [](float value) { return std::isnan(value); }))
            return judge(result, bench, {false, 0, 0, "wrote a logit of a key that its query does not see"},
                         "logits");
        judge(result, bench, compare(got, answer.exact, answer.reference, answer.magnitude), "logits");
    }
};

}  // namespace

const OperationCheck& index_logits_check() {
    static const OperationCheckOf<IndexLogitsCheck> check;
    return check;
}

}  // namespace warpwright
