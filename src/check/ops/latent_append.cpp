// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/latent_append.h"

#include <algorithm>
#include <limits>

#include "check/ops/appended_slots.h"
#include "check/ops/checks.h"
#include "kernels/fused/latent_append/operation.h"
#include "kernels/fused/latent_append/oracle.h"

namespace warpwright {
namespace {

// Groups of zeros, of magnitudes from the least to the largest, and of what codes have no number for. The
// first two tokens, which are written, have some.
void add_special_groups(std::vector<float>& x, i64 columns, DType dtype, std::mt19937_64& random) {
    const float infinity = std::numeric_limits<float>::infinity();
    const float special[] = {infinity, -infinity, std::numeric_limits<float>::quiet_NaN(), -0.0f};
    const i64 groups = std::ssize(x) / columns;
    for (i64 token = 0; token < groups; ++token) {
        for (i64 first = 0; first + kLatentGroup <= columns; first += kLatentGroup) {
            float* group = &x[static_cast<std::size_t>(token * columns + first)];
            const u64 kind = random() % 8;
            if (kind == 0) std::fill_n(group, kLatentGroup, 0.0f);
            if (kind == 1) group[random() % kLatentGroup] = special[random() % std::size(special)];
            if (kind != 2) continue;
            const int exponent = dtype == DType::bf16 ? static_cast<int>(random() % 250) - 135
                                                      : static_cast<int>(random() % 32) - 20;
            for (int i = 0; i < kLatentGroup; ++i) group[i] = std::ldexp(group[i], exponent);
        }
    }
}

struct LatentAppendCheck {
    using Op = LatentAppendOp;

    static std::vector<LatentAppendProblem> problems() {
        std::vector<LatentAppendProblem> problems;
        for (const LatentPages pages : {LatentPages::records, LatentPages::index_keys}) {
            for (const DType dtype : {DType::bf16, DType::f16}) {
                for (const ScaleType scale : {ScaleType::f32, ScaleType::power_of_two}) {
                    const auto add = [&](i64 tokens, i64 page_size, i64 alignment_bytes) {
                        problems.push_back({tokens, pages, page_size, dtype, scale, alignment_bytes});
                    };
                    add(37, 64, 16);
                    add(2, 1, 16);
                    add(9, 16, 1);
                }
            }
            problems.push_back({.tokens = 300, .pages = pages, .page_size = 32});
        }
        return problems;
    }

    static void run(Workbench& bench, const LatentAppendProblem& problem, CheckResult& result) {
        const bool records = problem.pages == LatentPages::records;
        const bool misaligned = problem.alignment_bytes < 16;
        const i64 columns = columns_of(problem.pages), page_size = problem.page_size;
        // A zero of either sign: amaxes are compared as bits on a GPU, where -0 would be the largest.
        LatentAppendInputs in{.least_amax = problem.scale == ScaleType::f32 && !records ? 1e-4f : -0.0f};
        AppendedSlots slots = choose_slots(problem.tokens, problem.page_size, bench.random());
        const i64 num_pages = slots.num_pages;
        in.max_pages = slots.max_pages;
        in.page_table = std::move(slots.page_table);
        in.sequences = std::move(slots.sequences);
        in.positions = std::move(slots.positions);

        const Tensor x = bench.input(problem.dtype, {problem.tokens, columns}, 1, misaligned);
        std::vector<float> drawn = bench.read(x);
        add_special_groups(drawn, columns, problem.dtype, bench.random());
        bench.write(x, drawn);
        const auto stored_bytes = [&](const Tensor& tensor) {
            const i64 bytes = tensor.num_elements() * dtype_bytes(tensor.dtype);
            const std::vector<float> all = bench.read(Tensor::dense(tensor.data, DType::u8, {bytes}));
            return std::vector<u8>(all.begin(), all.end());
        };
        in.x = bench.read(x);
        in.stored = stored_bytes(x);

        // Room between pages and, of records, between tokens, where what is aligned stays so.
        const i64 record_bytes = record_bytes_of(problem.pages);
        const i64 token_stride = record_bytes + (records && !misaligned ? 16 : 0);
        in.token_bytes = records ? token_stride : kIndexDim;
        in.page_bytes = round_up(page_size * token_stride, 16) + (misaligned ? 1 : 32);
        const Tensor all = bench.output(DType::u8, {num_pages, in.page_bytes}, misaligned);
        std::vector<float> before(static_cast<std::size_t>(all.num_elements()));
        for (float& byte : before) byte = static_cast<float>(bench.random()() % 256);
        bench.write(all, before);
        Tensor pages = Tensor::dense(all.data, DType::u8, {num_pages, page_size, record_bytes});
        pages.stride[0] = in.page_bytes;
        pages.stride[1] = token_stride;

        const Tensor table = bench.integers(in.page_table);
        const LatentAppend call{.x = x,
                                .sequences = bench.integers(in.sequences),
                                .positions = bench.integers(in.positions),
                                .page_table = Tensor::dense(table.data, DType::i32, {3, in.max_pages}),
                                .pages = pages,
                                .scale = problem.scale,
                                .least_amax = in.least_amax};
        const Status status = latent_append(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");
        const std::vector<u8> answer =
            latent_append_oracle(problem, in, std::vector<u8>(before.begin(), before.end()));
        const std::vector<double> bytes(answer.begin(), answer.end());
        judge(result, bench, compare(bench.read(all), bytes, rounded(bytes, DType::f32), 0), "pages");
    }
};

}  // namespace

const OperationCheck& latent_append_check() {
    static const OperationCheckOf<LatentAppendCheck> check;
    return check;
}

}  // namespace warpwright
