// SPDX-License-Identifier: Apache-2.0
#include "bench/make_cases.h"
#include "warpwright/ops/gemm.h"

namespace warpwright::bench {

Case gemm_case(i64 m, i64 n, i64 k) {
    return {"gemm",
            fmt::format("m={} n={} k={} bf16", m, n, k),
            fields({{"m", m}, {"n", n}, {"k", k}}),
            2.0 * (m * k + n * k + m * n),
            2.0 * m * n * k,
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                const Gemm call{.a = b.random(kType, {m, k}),
                                .b = b.random(kType, {n, k}, 0.05f),
                                .d = b.zeros(kType, {m, n}),
                                .b_is_constant = true};  // weights, as the engine's
                return preparer(context, call);
            },
            m <= 16            ? "gemm m=1, 16"
            : m <= 512         ? "gemm m=64 to 512"
            : n != k || m != n ? "gemm m=4096"
                               : "gemm square",
            "cuBLAS",
            m <= 16 ? Roof::read : Roof::none};
}

}  // namespace warpwright::bench
