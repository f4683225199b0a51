// SPDX-License-Identifier: Apache-2.0
#include "kernels/attention/mask_bits/oracle.h"

#include <span>

#include "check/ops/checks.h"
#include "dispatch/prepare.h"
#include "kernels/attention/mask_bits/operation.h"

namespace warpwright {
namespace {

struct MaskBitsCheck {
    using Op = MaskBitsOp;

    static std::vector<MaskBitsProblem> problems() {
        std::vector<MaskBitsProblem> problems;
        for (const i64 columns : {1, 31, 32, 100, 1024, 1057, 3000}) {
            for (const i64 rows : {1, 5, 70}) problems.push_back({.rows = rows, .columns = columns});
        }
        for (const i64 columns : {4080, 4096}) problems.push_back({.rows = 7, .columns = columns});
        return problems;
    }

    static void run(Workbench& bench, const MaskBitsProblem& problem, CheckResult& result) {
        // Rows that begin anywhere, or of many columns at vectors; any byte but 0 is true.
        const bool is_aligned = problem.columns > 4000;
        const i64 before = is_aligned ? 16 : 1;
        const i64 stride = problem.columns + (is_aligned ? 16 : 3), words = words_of(problem.columns);
        std::vector<u8> bytes(static_cast<std::size_t>(problem.rows * stride + before)), mask;
        for (u8& byte : bytes) byte = static_cast<u8>(bench.random()() % 2 * (1 + bench.random()() % 255));
        for (i64 row = 0; row < problem.rows; ++row) {
            const auto first = bytes.begin() + before + row * stride;
            mask.insert(mask.end(), first, first + problem.columns);
        }
        const auto* start =
            static_cast<const u8*>(bench.bytes(std::as_bytes(std::span(bytes)), DType::u8).data);
        const Tensor bits =
            bench.integers(std::vector<i32>(static_cast<std::size_t>(problem.rows * words + 1), 7));
        const MaskBitsArgs args{.mask = start + before,
                                .bits = static_cast<u32*>(bits.data),
                                .row_stride = stride,
                                .rows = static_cast<i32>(problem.rows),
                                .columns = static_cast<i32>(problem.columns)};
        Prepared prepared;
        Status status = prepare_step<MaskBitsOp>(bench.context(), problem, args, prepared);
        if (status.ok()) status = prepared.launch(bench.context().device(), bench.stream());
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        std::vector<i32> got = bench.read_integers(bits);
        if (got.back() != 7) return judge(result, bench, {false, 0, 0, "wrote behind the last row"}, "bits");
        got.pop_back();
        std::vector<float> halves;
        for (const i32 word : got) {
            halves.push_back(static_cast<float>(word & 0xffff));
            halves.push_back(static_cast<float>(static_cast<u32>(word) >> 16));
        }
        const std::vector<double> answer = mask_bits_oracle(mask, problem.rows, problem.columns);
        judge(result, bench, compare(halves, answer, rounded(answer, DType::f32), 0), "bits");
    }
};

}  // namespace

const OperationCheck& mask_bits_check() {
    static const OperationCheckOf<MaskBitsCheck> check;
    return check;
}

}  // namespace warpwright
