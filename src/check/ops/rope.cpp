// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/rope.h"

#include <algorithm>
#include <span>

#include "check/ops/checks.h"
#include "kernels/fused/kv_append/oracle.h"
#include "kernels/fused/rope/operation.h"
#include "kernels/fused/rope/oracle.h"
#include "kernels/kv_format.h"

namespace warpwright {
namespace {

struct RopeCheck {
    using Op = RopeOp;

    static std::vector<RopeProblem> problems() {
        std::vector<RopeProblem> problems;
        for (bool appends : {false, true}) {
            for (DType dtype : {DType::bf16, DType::f16}) {
                for (bool interleaved : {false, true}) {
                    for (RopeProblem problem : appends ? appending() : in_place()) {
                        problem.dtype = dtype;
                        problem.interleaved = interleaved;
                        problems.push_back(problem);
                        if (!appends) continue;
                        // Both kinds of codes, and of scales, with both ways of turning.
                        problem.kv_format = interleaved ? KvFormat::fp8_e5m2 : KvFormat::fp8_e4m3;
                        problems.push_back(problem);
                        if (problem.tokens != 7) continue;
                        problem.kv_format = interleaved ? KvFormat::fp8_e4m3 : KvFormat::fp8_e5m2;
                        problems.push_back(problem);
                    }
                }
            }
        }
        for (DType dtype : {DType::bf16, DType::f16}) {
            for (RopeProblem problem : latent()) {
                problem.dtype = dtype;
                problems.push_back(problem);
                if (problem.page_size == 0) continue;
                problem.kv_format = KvFormat::fp8_e4m3;
                problems.push_back(problem);
            }
        }
        return problems;
    }
    static std::vector<RopeProblem> in_place() {
        return {
            {.tokens = 7},
            {.tokens = 5, .heads = 4, .kv_heads = 4, .head_dim = 64, .rotary_dim = 64},
            {.tokens = 5, .heads = 6, .kv_heads = 2, .head_dim = 80, .rotary_dim = 32},
            {.tokens = 5, .heads = 2, .kv_heads = 1, .head_dim = 512, .rotary_dim = 512},
            {.tokens = 3, .heads = 3, .kv_heads = 1, .head_dim = 96, .rotary_dim = 24},
            {.tokens = 3, .heads = 3, .kv_heads = 1, .head_dim = 33, .rotary_dim = 26, .alignment_bytes = 2},
            {.tokens = 3, .heads = 5, .kv_heads = 1, .alignment_bytes = 2},
            {.tokens = 300, .heads = 32, .kv_heads = 8},
        };
    }
    static std::vector<RopeProblem> appending() {
        return {{.tokens = 7, .page_size = 16},
                {.tokens = 5, .heads = 6, .kv_heads = 2, .head_dim = 80, .rotary_dim = 32, .page_size = 2},
                {.tokens = 4, .heads = 3, .kv_heads = 2, .head_dim = 72, .rotary_dim = 24, .page_size = 1},
                {.tokens = 4,
                 .heads = 3,
                 .kv_heads = 2,
                 .head_dim = 33,
                 .rotary_dim = 26,
                 .page_size = 4,
                 .alignment_bytes = 2}};
    }
    // Latent attention's: one head of keys, with as much of values as there is beside it in the cache.
    static std::vector<RopeProblem> latent() {
        return {{.tokens = 9,
                 .heads = 5,
                 .kv_heads = 1,
                 .head_dim = 64,
                 .rotary_dim = 64,
                 .interleaved = true,
                 .page_size = 16,
                 .value_dim = 512,
                 .q_out = true},
                {.tokens = 6,
                 .heads = 3,
                 .kv_heads = 2,
                 .head_dim = 40,
                 .rotary_dim = 24,
                 .page_size = 4,
                 .alignment_bytes = 2,
                 .value_dim = 13,
                 .q_out = true},
                {.tokens = 4, .heads = 4, .kv_heads = 2, .head_dim = 96, .rotary_dim = 32, .q_out = true}};
    }

    // Positions up to a million: the reduction of large angles is part of what is checked. The magnitude is
    // not 1, as with yarn.
    static void run(Workbench& bench, const RopeProblem& problem, CheckResult& result) {
        const bool misaligned = problem.alignment_bytes < 16;
        const RopeFrequencies frequencies =
            rope_frequencies(10000, static_cast<int>(problem.rotary_dim), RopeScaling{});
        const i64 pairs = problem.rotary_dim / 2;
        const Tensor frequency = bench.input(DType::f32, {pairs});
        bench.write(frequency, frequencies.frequency);
        std::vector<i32> positions(static_cast<std::size_t>(problem.tokens));
        for (std::size_t i = 0; i < positions.size(); ++i) {
            const i32 limit = i % 2 == 0 ? 8192 : 1 << 20;
            positions[i] = static_cast<i32>(bench.random()() % static_cast<u64>(limit));
        }
        positions[0] = 0;
        Pages pages;
        if (problem.page_size > 0) pages = Pages(bench, problem, positions, misaligned);
        const Tensor q =
            bench.in_place(problem.dtype, {problem.tokens, problem.heads, problem.head_dim}, 1, misaligned);
        const Tensor k = bench.in_place(problem.dtype, {problem.tokens, problem.kv_heads, problem.head_dim},
                                        1, misaligned);
        const std::vector<float> q_before = bench.read(q), k_before = bench.read(k);
        const float magnitude = 1.25f;
        Rope call{.q = q,
                  .k = k,
                  .positions = bench.integers(positions),
                  .frequency = frequency,
                  .magnitude = magnitude,
                  .interleaved = problem.interleaved};
        if (problem.q_out) {
            call.q_out =
                bench.output(problem.dtype, {problem.tokens, problem.heads, problem.rotary_dim}, misaligned);
        }
        pages.add_to(call);
        call.kv_format = problem.kv_format;
        const Status status = rope(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        const auto turned = [&](const std::vector<float>& before, i64 heads) {
            return rope_oracle(before, positions, frequencies.frequency, heads, problem.head_dim, magnitude,
                               problem.interleaved);
        };
        const auto verify = [&](const Tensor& after, const std::vector<double>& answer,
                                const std::vector<float>& before, const char* what) {
            float peak = 0;
            for (float value : before) peak = std::max(peak, std::abs(value));
            // Two products cancel: each is at most peak x magnitude.
            judge(result, bench,
                  compare(bench.read(after), answer, rounded(answer, problem.dtype), 2 * peak * magnitude),
                  what);
        };
        const auto unchanged = [](const std::vector<float>& values) {
            return std::vector<double>(values.begin(), values.end());
        };
        if (problem.q_out) {
            verify(q, unchanged(q_before), {}, "q");
            verify(call.q_out, first_columns(turned(q_before, problem.heads), problem), q_before, "q_out");
        } else {
            verify(q, turned(q_before, problem.heads), q_before, "q");
        }
        if (problem.page_size == 0) return verify(k, turned(k_before, problem.kv_heads), k_before, "k");
        verify(k, unchanged(k_before), {}, "k");
        if (problem.kv_format != KvFormat::same) {
            pages.verify_codes(bench, problem, turned(k_before, problem.kv_heads), result);
            return;
        }
        verify(pages.k, appended_oracle(turned(k_before, problem.kv_heads), pages.k_before, pages.slots),
               k_before, "k_pages");
        verify(pages.v, appended_oracle(unchanged(bench.read(pages.values)), pages.v_before, pages.slots), {},
               "v_pages");
    }

    static i64 value_dim(const RopeProblem& problem) {
        return problem.value_dim > 0 ? problem.value_dim : problem.head_dim;
    }
    // Those of every head that turn.
    static std::vector<double> first_columns(const std::vector<double>& heads, const RopeProblem& problem) {
        std::vector<double> first;
        for (auto head = heads.begin(); head != heads.end(); head += problem.head_dim)
            first.insert(first.end(), head, head + problem.rotary_dim);
        return first;
    }

    // Two sequences that take turns, with their pages in no order; one token in three is padding.
    struct Pages {
        Tensor values, sequences, table, k, v, k_scale, v_scale;
        std::vector<float> k_before, v_before, k_scales, v_scales;
        std::vector<i64> slots;

        Pages() = default;
        Pages(Workbench& bench, const RopeProblem& problem, std::vector<i32>& positions, bool misaligned) {
            const i64 tokens = problem.tokens, page_size = problem.page_size;
            const i64 max_pages = ceil_div(tokens + 3, page_size), num_pages = 2 * max_pages + 1;
            std::vector<i32> owners, entries;
            for (i64 i = 0; i < 2 * max_pages; ++i) entries.push_back(static_cast<i32>(num_pages - 1 - i));
            std::swap(entries.front(), entries.back());
            for (i64 token = 0; token < tokens; ++token) {
                const i64 owner = token % 2, position = token % 3 == 2 ? -1 - token : token / 2 + 3;
                owners.push_back(static_cast<i32>(owner));
                positions[static_cast<std::size_t>(token)] = static_cast<i32>(position);
                const i64 page = entries[static_cast<std::size_t>(owner * max_pages +
                                                                  std::max<i64>(position, 0) / page_size)];
                slots.push_back(position < 0 ? -1 : page * page_size + position % page_size);
            }
            values =
                bench.input(problem.dtype, {tokens, problem.kv_heads, value_dim(problem)}, 1, misaligned);
            sequences = bench.integers(owners);
            table = Tensor::dense(bench.integers(entries).data, DType::i32, {2, max_pages});
            const bool has_codes = problem.kv_format != KvFormat::same;
            const auto cache = [&](i64 head_dim) {
                const std::initializer_list<i64> shape = {num_pages, page_size, problem.kv_heads, head_dim};
                if (!has_codes) return bench.in_place(problem.dtype, shape, 1, misaligned);
                const Tensor codes = bench.output(DType::u8, shape, misaligned);
                std::vector<float> before(static_cast<std::size_t>(codes.num_elements()));
                for (float& code : before) code = static_cast<float>(bench.random()() % 0x7b);
                bench.write(codes, before);
                return codes;
            };
            k = cache(problem.head_dim);
            v = cache(value_dim(problem));
            k_before = bench.read(k);
            v_before = bench.read(v);
            if (!has_codes) return;
            // Keys share one; values have one a head, and one of them is none.
            k_scales.assign(static_cast<std::size_t>(problem.kv_heads), 0.03f);
            k_scale = bench.bytes(std::as_bytes(std::span(k_scales).first(1)), DType::f32);
            for (i64 head = 0; head < problem.kv_heads; ++head)
                v_scales.push_back(0.007f * static_cast<float>(head + 1));
            if (v_scales.size() > 2) v_scales[1] = -v_scales[1];
            v_scale = bench.bytes(std::as_bytes(std::span(v_scales)), DType::f32);
        }
        // Codes of values are those of kv_append's definition. A key's is compared by what it stands for:
        // that of a number next to the oracle's may be the next one.
        void verify_codes(Workbench& bench, const RopeProblem& problem, const std::vector<double>& turned,
                          CheckResult& result) const {
            const auto codes = kv_codes(bench.read(values), problem.kv_format, v_scales, value_dim(problem));
            const auto answer = appended_oracle({codes.begin(), codes.end()}, v_before, slots);
            judge(result, bench, compare(bench.read(v), answer, rounded(answer, DType::f32), 0), "v_pages");

            const auto numbers_of = [&](std::vector<float> all) {
                for (float& code : all)
                    code = k_scales[0] *
                           formats::decode(small_float_of(problem.kv_format), static_cast<u8>(code));
                return all;
            };
            const std::vector<float> before = numbers_of(k_before);
            const std::vector<float> nearest = numbers_of(
                kv_codes(rounded(turned, problem.dtype), problem.kv_format, k_scales, problem.head_dim));
            const auto kept = appended_oracle(turned, before, slots);
            const auto expected = appended_oracle({nearest.begin(), nearest.end()}, before, slots);
            judge(result, bench,
                  compare(numbers_of(bench.read(k)), kept, {expected.begin(), expected.end()}, 0), "k_pages");
        }
        void add_to(Rope& call) const {
            call.v = values;
            call.sequences = sequences;
            call.page_table = table;
            call.k_pages = k;
            call.v_pages = v;
            call.k_scale = k_scale;
            call.v_scale = v_scale;
        }
    };
};

}  // namespace

const OperationCheck& rope_check() {
    static const OperationCheckOf<RopeCheck> check;
    return check;
}

}  // namespace warpwright
