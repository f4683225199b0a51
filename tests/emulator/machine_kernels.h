// SPDX-License-Identifier: Apache-2.0
// Kernels of one block that leave a word for each thread.
#pragma once

#include "run_ptx.h"

namespace warpwright::emulator {

// %r0: thread, %r1: lane, %rd1: &out[thread].
inline constexpr const char* kStart = R"(
    .reg .pred %p<8>;
    .reg .b32 %r<32>;
    .reg .b64 %rd<16>;
    ld.param.u64 %rd0, [out];
    mov.u32 %r0, %tid.x;
    mov.u32 %r1, %laneid;
    mul.wide.u32 %rd1, %r0, 4;
    add.s64 %rd1, %rd0, %rd1;
)";

struct Outcome {
    LaunchReport report;
    std::vector<u32> out;
};

inline Outcome run_warps(u32 threads, const std::string& body, const LaunchOptions& options = {}) {
    RunPtx run(ptx_kernel(".param .u64 out", kStart + body));
    EXPECT_EQ(run.load_error(), "");
    run.options = options;
    const u64 out = run.put(std::vector<u32>(threads, 0));
    Outcome outcome;
    outcome.report = run.launch({.block = {threads}}, out);
    outcome.out = run.get<u32>(out, threads);
    return outcome;
}

inline std::vector<u32> run_clean(u32 threads, const std::string& body) {
    Outcome outcome = run_warps(threads, body);
    if (outcome.report.finding) ADD_FAILURE() << finding_text(*outcome.report.finding);
    return outcome.out;
}

template <class F>
std::vector<u32> each_thread(u32 threads, F f) {
    std::vector<u32> values;
    for (u32 t = 0; t < threads; ++t) values.push_back(f(t));
    return values;
}

}  // namespace warpwright::emulator
