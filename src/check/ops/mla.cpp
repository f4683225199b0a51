// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/mla.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <numeric>
#include <span>

#include "check/ops/checks.h"
#include "check/ops/key_sequences.h"
#include "kernels/attention/mla/operation.h"
#include "kernels/attention/mla/oracle.h"
#include "kernels/kv_format.h"

namespace warpwright {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr i64 kSpareTokens = 2;    // rows of q and out that belong to no sequence
constexpr i64 kSpareColumns = 16;  // of the cache, between its rows
constexpr i64 kFiniteCodes = 254;  // of e4m3: all but 0x7f and 0xff

// The cache with room between its rows and its pages. What no sequence reads is NaN.
Tensor make_cache(Workbench& bench, const MlaProblem& problem, MlaInputs& in, i64 num_pages,
                  double magnitude) {
    const i64 columns = kMlaKeyDim + kSpareColumns, page_rows = problem.page_size + 1;
    const Tensor all =
        bench.input(problem.dtype, {num_pages, page_rows, columns}, magnitude, problem.alignment_bytes < 16);
    const std::vector<float> drawn = bench.read(all);
    std::vector<float> values(drawn.size(), kNan);
    in.cache.assign(static_cast<std::size_t>(num_pages * problem.page_size * kMlaKeyDim), kNan);
    for (i64 s = 0; s < in.sequences(); ++s) {
        for (i64 key = 0; key < in.kv_lengths[static_cast<std::size_t>(s)]; ++key) {
            const i64 row = in.row(s, key) / kMlaKeyDim;
            const i64 at = (row / problem.page_size * page_rows + row % problem.page_size) * columns;
            std::copy_n(drawn.begin() + at, kMlaKeyDim, values.begin() + at);
            std::copy_n(drawn.begin() + at, kMlaKeyDim, in.cache.begin() + row * kMlaKeyDim);
        }
    }
    bench.write(all, values);
    Tensor cache = Tensor::dense(all.data, problem.dtype, {num_pages, problem.page_size, kMlaKeyDim});
    cache.stride[0] = page_rows * columns;
    cache.stride[1] = columns;
    return cache;
}

// The same of records: codes, scales, and the rotated part in 16 bits.
Tensor make_records(Workbench& bench, const MlaProblem& problem, MlaInputs& in, i64 num_pages,
                    double magnitude) {
    const i64 page_bytes = (problem.page_size + 1) * kMlaRecordBytes;
    std::vector<std::byte> bytes(static_cast<std::size_t>(num_pages * page_bytes), std::byte{0xff});  // NaN
    in.cache.assign(static_cast<std::size_t>(num_pages * problem.page_size * kMlaKeyDim), kNan);
    std::normal_distribution<float> normal(0, static_cast<float>(magnitude));
    std::uniform_real_distribution<float> scales(0.5f, 1.5f);
    for (i64 s = 0; s < in.sequences(); ++s) {
        for (i64 key = 0; key < in.kv_lengths[static_cast<std::size_t>(s)]; ++key) {
            const i64 row = in.row(s, key) / kMlaKeyDim;
            std::byte* record = bytes.data() + row / problem.page_size * page_bytes +
                                row % problem.page_size * kMlaRecordBytes;
            float scale = 0;
            for (int i = 0; i < kMlaKeyDim; ++i) {
                float& value = in.cache[static_cast<std::size_t>(row * kMlaKeyDim + i)];
                if (i < kMlaValueDim) {
                    if (i % kMlaGroup == 0) {
                        scale = scales(bench.random());
                        std::memcpy(record + kMlaScalesAt + i / kMlaGroup * 4, &scale, 4);
                    }
                    const u8 code = formats::encode(formats::kE4M3, normal(bench.random()));
                    record[i] = std::byte{code};
                    value = round_to(problem.dtype, formats::decode(formats::kE4M3, code) * scale);
                } else {
                    value = round_to(problem.dtype, normal(bench.random()));
                    store_float(record + kMlaRopeAt, problem.dtype, i - kMlaValueDim, value);
                }
            }
        }
    }
    Tensor cache = Tensor::dense(bench.bytes(bytes, DType::u8).data, DType::u8,
                                 {num_pages, problem.page_size, kMlaRecordBytes});
    cache.stride[0] = page_bytes;
    return cache;
}

// The same of codes with one scale: random ones; where there is one key, every finite code.
Tensor make_codes(Workbench& bench, const MlaProblem& problem, MlaInputs& in, i64 num_pages,
                  double magnitude) {
    const i64 columns = kMlaKeyDim + (problem.alignment_bytes < 16 ? 1 : kSpareColumns);
    const i64 page_bytes = (problem.page_size + 1) * columns;
    std::vector<std::byte> bytes(static_cast<std::size_t>(num_pages * page_bytes), std::byte{0x7f});  // NaN
    in.cache.assign(static_cast<std::size_t>(num_pages * problem.page_size * kMlaKeyDim), kNan);
    std::normal_distribution<float> normal(0, static_cast<float>(magnitude));
    for (i64 s = 0; s < in.sequences(); ++s) {
        for (i64 key = 0; key < in.kv_lengths[static_cast<std::size_t>(s)]; ++key) {
            const i64 row = in.row(s, key) / kMlaKeyDim;
            const i64 at = row / problem.page_size * page_bytes + row % problem.page_size * columns;
            for (int i = 0; i < kMlaKeyDim; ++i) {
                const i64 nth = (row * kMlaRopeDim + i) % kFiniteCodes;
                const u8 code = problem.max_kv_len == 1
                                    ? static_cast<u8>(nth < kFiniteCodes / 2 ? nth : nth + 1)
                                    : formats::encode(formats::kE4M3, normal(bench.random()));
                bytes[static_cast<std::size_t>(at + i)] = std::byte{code};
                in.cache[static_cast<std::size_t>(row * kMlaKeyDim + i)] =
                    formats::decode(formats::kE4M3, code);
            }
        }
    }
    Tensor cache = Tensor::dense(bench.bytes(bytes, DType::u8).data, DType::u8,
                                 {num_pages, problem.page_size, kMlaKeyDim});
    cache.stride[0] = page_bytes;
    cache.stride[1] = columns;
    return cache;
}

// For each query a list of slots that hold a row of some sequence, in any order: full; with holes and with
// numbers that are no slots; none at all; where lists have lengths, slots without a row from there on.
void choose_lists(const MlaProblem& problem, std::mt19937_64& random, MlaInputs& in, i64 num_pages,
                  bool with_lengths) {
    const i32 num_slots = static_cast<i32>(num_pages * problem.page_size);
    in.max_indices = problem.max_kv_len;
    std::vector<i32> used, unused;
    for (i32 slot = 0; slot < num_slots; ++slot)
        (std::isnan(in.cache[static_cast<std::size_t>(slot) * kMlaKeyDim]) ? unused : used).push_back(slot);
    const i32 none[] = {-1, num_slots, std::numeric_limits<i32>::max(), std::numeric_limits<i32>::min()};
    const auto below = [&](i64 end) { return static_cast<i64>(random() % static_cast<u64>(end)); };
    for (i32 token = 0; token < in.q_starts.back(); ++token) {
        std::shuffle(used.begin(), used.end(), random);
        const i64 length = token % 4 == 3 && with_lengths ? below(in.max_indices) : in.max_indices;
        for (i64 i = 0; i < in.max_indices; ++i) {
            i32 slot = i < static_cast<i64>(used.size()) ? used[static_cast<std::size_t>(i)] : -1;
            if (token % 4 == 2 || (token % 4 == 1 && below(3) == 0)) slot = none[below(4)];
            if (i >= length) slot = unused.empty() ? -1 : unused.back();
            in.indices.push_back(slot);
        }
        if (with_lengths) in.index_lengths.push_back(static_cast<i32>(length));
    }
}

struct MlaCheck {
    using Op = MlaOp;

    static std::vector<MlaProblem> problems() {
        std::vector<MlaProblem> problems;
        const auto add = [&](MlaProblem problem) {
            problem.alignment_bytes = problem.alignment_bytes < 16 ? 2 : 16;
            for (DType dtype : {DType::bf16, DType::f16}) {
                problem.dtype = dtype;
                problems.push_back(problem);
            }
        };
        // sequences, max_q_len, max_kv_len, q_tokens, heads, dtype, causal, page_size
        const DType any = DType::bf16;
        add({6, 1, 300, 0, 16, any, true, 64});    // decode
        add({6, 2, 131, 0, 16, any, true, 16});    // drafted tokens; large scores
        add({6, 4, 90, 0, 20, any, true, 1});      // heads that fill no tile
        add({2, 3, 100, 0, 128, any, true, 64});   // two tiles for a query
        add({1, 1, 3000, 0, 8, any, true, 64});    // one long sequence, many splits
        add({5, 1, 40000, 0, 16, any, true, 64});  // most splits are empty
        add({3, 30, 70, 0, 5, any, true, 32});     // prefill
        add({4, 7, 45, 0, 10, any, false, 8});     // no mask; large scores
        add({6, 3, 70, 0, 3, any, true, 16, 2});   // nothing is aligned

        const auto add_records = [&](MlaProblem problem) {
            problem.kv_format = KvFormat::fp8_e4m3;
            add(problem);
        };
        add_records({6, 1, 300, 0, 16, any, true, 64});
        add_records({6, 3, 91, 0, 20, any, true, 1});    // large scores
        add_records({1, 1, 3000, 0, 8, any, true, 64});  // many splits
        add_records({2, 2, 80, 0, 128, any, true, 16});
        add_records({3, 30, 70, 0, 5, any, false, 32});

        const auto add_indexed = [&](MlaProblem problem, KvFormat format) {
            problem.causal = false;
            problem.indexed = true;
            problem.kv_format = format;
            add(problem);
        };
        for (const KvFormat format : {KvFormat::same, KvFormat::fp8_e4m3}) {
            add_indexed({7, 1, 100, 0, 16, any, false, 64}, format);
            add_indexed({12, 1, 93, 0, 20, any, false, 1}, format);   // lists have lengths; large scores
            add_indexed({7, 1, 70, 0, 128, any, false, 16}, format);  // two tiles for a query
            add_indexed({1, 1, 2048, 0, 8, any, false, 64}, format);  // many splits
        }
        add_indexed({8, 1, 50, 0, 5, any, false, 8, 2}, KvFormat::same);  // nothing is aligned

        const auto add_codes = [&](MlaProblem problem, bool indexed) {
            problem.one_scale = true;
            if (indexed) {
                add_indexed(problem, KvFormat::fp8_e4m3);
            } else {
                add_records(problem);
            }
        };
        for (const bool indexed : {false, true}) {
            add_codes({9, 1, 93, 0, 20, any, true, 1}, indexed);    // large scores; without a scale
            add_codes({1, 1, 2048, 0, 8, any, true, 64}, indexed);  // many splits
            add_codes({2, indexed ? 1 : 2, 80, 0, 128, any, true, 16}, indexed);
            add_codes({6, indexed ? 1 : 3, 70, 0, 3, any, true, 16, 2}, indexed);  // nothing is aligned
        }
        for (const bool indexed : {false, true}) {  // one key: what comes out is its numbers
            add_codes({7, 1, 1, 0, 16, any, true, 64}, indexed);
            add_codes({7, 1, 1, 0, 16, any, true, 64, 2}, indexed);
        }
        return problems;
    }

    template <class Real>
    static AttentionAnswer<Real> answer_of(const MlaInputs& in, const MlaProblem& problem, bool natural) {
        AttentionAnswer<Real> answer = mla_oracle<Real>(in, problem.dtype);
        if (natural) {
            for (Real& lse : answer.lse) lse *= std::numbers::ln2_v<Real>;
        }
        return answer;
    }

    static void run(Workbench& bench, const MlaProblem& problem, CheckResult& result) {
        MlaInputs in{.heads = problem.heads, .causal = problem.causal, .scale = 1 / std::sqrt(192.0)};
        choose_lengths(problem, bench.random(), in);
        const i64 num_pages = choose_pages(problem, bench.random(), in, [](i64) { return i64{0}; });
        const bool misaligned = problem.alignment_bytes < 16;
        const double magnitude = problem.max_kv_len % 2 == 1 ? 4 : 1;  // odd capacities: large scores
        const bool natural = problem.max_q_len % 2 == 0;

        const bool has_lengths = problem.indexed && problem.sequences % 2 == 0;
        const i64 q_rows = in.q_starts.back() + kSpareTokens;
        const Tensor q =
            bench.input(problem.dtype, {q_rows, problem.heads, kMlaKeyDim}, magnitude, misaligned);
        const Tensor out = bench.output(problem.dtype, {q_rows, problem.heads, kMlaValueDim}, misaligned);
        const Tensor lse = bench.output(DType::f32, {q_rows, problem.heads});
        in.q = bench.read(q);
        const bool has_scale = problem.one_scale && problem.page_size > 1;
        if (has_scale) in.k_scale = std::uniform_real_distribution<float>(0.5f, 1.5f)(bench.random());
        const auto make = problem.one_scale                     ? make_codes
                          : problem.kv_format == KvFormat::same ? make_cache
                                                                : make_records;
        Mla call{.q = q,
                 .out = out,
                 .lse_base2 = natural ? Tensor{} : lse,
                 .lse_base_e = natural ? lse : Tensor{},
                 .cache = make(bench, problem, in, num_pages, magnitude),
                 .kv_format = problem.one_scale ? problem.kv_format : KvFormat::same,
                 .k_scale =
                     has_scale ? bench.bytes(std::as_bytes(std::span(&in.k_scale, 1)), DType::f32) : Tensor{},
                 .page_table = bench.integers(in.page_table),
                 .kv_lengths = bench.integers(in.kv_lengths),
                 .q_starts = bench.integers(in.q_starts),
                 .max_q_len = problem.max_q_len,
                 .max_kv_len = problem.max_kv_len,
                 .causal = problem.causal};
        call.page_table = Tensor::dense(call.page_table.data, DType::i32, {problem.sequences, in.max_pages});
        if (problem.indexed) {
            choose_lists(problem, bench.random(), in, num_pages, has_lengths);
            call.page_table = call.kv_lengths = {};
            std::vector<i32> lists = in.indices, lengths = in.index_lengths;
            lists.resize(static_cast<std::size_t>(q_rows * in.max_indices), 0);
            call.indices = bench.integers(lists);
            call.indices = Tensor::dense(call.indices.data, DType::i32, {q_rows, in.max_indices});
            lengths.resize(static_cast<std::size_t>(q_rows), 1);
            if (has_lengths) call.index_lengths = bench.integers(lengths);
        }
        const Result<i64> workspace_bytes = mla_workspace_bytes(bench.context(), call);
        if (!workspace_bytes.ok())
            return judge(result, bench, {false, 0, 0, workspace_bytes.status().message()}, "workspace");
        if (*workspace_bytes > 0) call.workspace = bench.output(DType::u8, {*workspace_bytes});
        const Status status = mla(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        const auto& answer = bench.answer("oracle", [&] { return answer_of<double>(in, problem, natural); });
        const auto& reference =
            bench.answer("reference", [&] { return answer_of<float>(in, problem, natural); });
        std::vector<float> got = bench.read(out), got_lse = bench.read(lse);
        const auto untouched = [](const std::vector<float>& values, std::size_t from) {
            return std::all_of(values.begin() + static_cast<std::ptrdiff_t>(from), values.end(),
                               [](float value) { return std::isnan(value); });
        };
        if (!untouched(got, answer.out.size()) || !untouched(got_lse, answer.lse.size()))
            return judge(result, bench, {false, 0, 0, "wrote rows that belong to no sequence"}, "out");
        got.resize(answer.out.size());
        got_lse.resize(answer.lse.size());
        judge(result, bench, compare(got, answer.out, answer.bounds), "out");
        judge(result, bench, compare(got_lse, answer.lse, reference.lse, 16 + answer.largest_score), "lse");
    }
};

}  // namespace

const OperationCheck& mla_check() {
    static const OperationCheckOf<MlaCheck> check;
    return check;
}

}  // namespace warpwright
