// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/kv_append.h"

#include <algorithm>
#include <limits>
#include <span>

#include "check/ops/appended_slots.h"
#include "check/ops/checks.h"
#include "kernels/fused/kv_append/operation.h"
#include "kernels/fused/kv_append/oracle.h"

namespace warpwright {
namespace {

struct KvAppendCheck {
    using Op = KvAppendOp;

    static std::vector<KvAppendProblem> problems() {
        std::vector<KvAppendProblem> problems;
        for (DType dtype : {DType::bf16, DType::f16}) {
            for (i64 page_size : {1, 16, 64}) {
                problems.push_back({.tokens = 37, .page_size = page_size, .dtype = dtype});
            }
            problems.push_back({.tokens = 5, .kv_heads = 3, .head_dim = 64, .dtype = dtype});
            problems.push_back({.tokens = 9,
                                .kv_heads = 2,
                                .head_dim = 33,
                                .page_size = 8,
                                .dtype = dtype,
                                .alignment_bytes = 2});
            problems.push_back({.tokens = 9, .page_size = 32, .dtype = dtype, .alignment_bytes = 2});
            problems.push_back({.tokens = 300, .kv_heads = 32, .page_size = 16, .dtype = dtype});
        }
        for (KvFormat format : {KvFormat::fp8_e4m3, KvFormat::fp8_e5m2}) {
            for (DType dtype : {DType::bf16, DType::f16}) {
                const auto add = [&](KvAppendProblem problem) {
                    problem.dtype = dtype;
                    problem.kv_format = format;
                    problems.push_back(problem);
                };
                add({.tokens = 37, .page_size = 64});
                add({.tokens = 5, .kv_heads = 3, .head_dim = 64});
                add({.tokens = 9, .kv_heads = 2, .head_dim = 33, .page_size = 8, .alignment_bytes = 2});
                add({.tokens = 50, .kv_heads = 32, .page_size = 1});
            }
        }
        for (KvFormat format : {KvFormat::same, KvFormat::fp8_e4m3}) {  // latent rows
            for (DType dtype : {DType::bf16, DType::f16}) {
                problems.push_back({.tokens = 37,
                                    .kv_heads = 1,
                                    .head_dim = 576,
                                    .page_size = 64,
                                    .dtype = dtype,
                                    .kv_format = format,
                                    .values = false});
            }
        }
        for (KvFormat format : {KvFormat::same, KvFormat::fp8_e4m3}) {
            for (DType dtype : {DType::bf16, DType::f16}) {
                problems.push_back({.tokens = 9,
                                    .kv_heads = 1,
                                    .head_dim = 576,
                                    .page_size = 8,
                                    .dtype = dtype,
                                    .alignment_bytes = 2,
                                    .kv_format = format,
                                    .values = false});
            }
        }
        return problems;
    }

    // Of 8-bit pages: one for all heads, or one for each; with a head whose scale is none.
    static std::vector<float> choose_scales(const KvAppendProblem& problem, std::mt19937_64& random) {
        std::vector<float> scales(static_cast<std::size_t>(problem.kv_heads % 2 == 0 ? problem.kv_heads : 1));
        std::lognormal_distribution<float> distribution(-3, 2);
        for (float& scale : scales) scale = distribution(random);
        if (scales.size() > 2) scales[1] = -scales[1];
        return scales;
    }

    static void run(Workbench& bench, const KvAppendProblem& problem, CheckResult& result) {
        const i64 tokens = problem.tokens;
        const auto [num_pages, max_pages, pages, sequences, positions] =
            choose_slots(tokens, problem.page_size, bench.random());
        const bool misaligned = problem.alignment_bytes < 16;
        const auto values = [&] {
            return bench.input(problem.dtype, {tokens, problem.kv_heads, problem.head_dim}, 1, misaligned);
        };
        const bool coded = problem.kv_format != KvFormat::same;
        const auto cache = [&] {
            const std::initializer_list<i64> shape = {num_pages, problem.page_size, problem.kv_heads,
                                                      problem.head_dim};
            if (!coded) return bench.in_place(problem.dtype, shape, 1, misaligned);
            const Tensor codes = bench.output(DType::u8, shape, misaligned);
            std::vector<float> before(static_cast<std::size_t>(codes.num_elements()));
            for (float& code : before) code = static_cast<float>(bench.random()() % 256);
            bench.write(codes, before);
            return codes;
        };
        const Tensor k = values(), v = values();
        if (coded) {  // what codes have no number for
            std::vector<float> special = bench.read(k);
            const float infinity = std::numeric_limits<float>::infinity();
            for (float value : {infinity, -infinity, std::numeric_limits<float>::quiet_NaN(), -0.0f})
                special[static_cast<std::size_t>(bench.random()() % special.size())] = value;
            bench.write(k, special);
        }
        const Tensor k_pages = cache(), v_pages = cache();
        const std::vector<float> k_before = bench.read(k_pages), v_before = bench.read(v_pages);
        Tensor page_table = bench.integers(pages);
        page_table = Tensor::dense(page_table.data, DType::i32, {AppendedSlots::kSequences, max_pages});
        std::vector<float> k_scales, v_scales;
        if (coded) {
            k_scales = choose_scales(problem, bench.random());
            v_scales = choose_scales(problem, bench.random());
        }
        KvAppend call{.k = k,
                      .v = v,
                      .sequences = bench.integers(sequences),
                      .positions = bench.integers(positions),
                      .page_table = page_table,
                      .k_pages = k_pages,
                      .v_pages = v_pages,
                      .kv_format = problem.kv_format};
        if (coded) {
            call.k_scale = bench.bytes(std::as_bytes(std::span(k_scales)), DType::f32);
            call.v_scale = bench.bytes(std::as_bytes(std::span(v_scales)), DType::f32);
        }
        if (!problem.values) call.v = call.v_pages = call.v_scale = {};
        const Status status = kv_append(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        const auto verify = [&](const Tensor& given, const Tensor& pages_after,
                                const std::vector<float>& before, const std::vector<float>& scales,
                                const char* what) {
            std::vector<float> kept = bench.read(given);
            if (coded) kept = kv_codes(std::move(kept), problem.kv_format, scales, problem.head_dim);
            const std::vector<double> answer =
                kv_append_oracle(kept, before, sequences, positions, pages, max_pages, problem.page_size,
                                 problem.kv_heads * problem.head_dim);
            judge(result, bench,
                  compare(bench.read(pages_after), answer,
                          rounded(answer, coded ? DType::f32 : problem.dtype), 0),
                  what);
        };
        verify(k, k_pages, k_before, k_scales, "k_pages");
        if (problem.values) verify(v, v_pages, v_before, v_scales, "v_pages");
    }
};

}  // namespace

const OperationCheck& kv_append_check() {
    static const OperationCheckOf<KvAppendCheck> check;
    return check;
}

}  // namespace warpwright
