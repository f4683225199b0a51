// SPDX-License-Identifier: Apache-2.0
// One instruction over many values, at every SIMD level, with whole warps and with divergent ones:
//
//     const std::vector<u32> d = elementwise<u32>("add.u32 %d, %a, %b;", a, b);
//
// Thread i has element i of the sources in %a, %b, %c, registers of the elements' size, and leaves %d. Levels
// and divergence must not show in the results: the test fails where they do. Free for the body: %p, %q
// (predicates), %h0..3 (b16), %x0..3 (b32), %y0..3 (b64).
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/execute/simd.h"
#include "tests/emulator/run_ptx.h"

namespace warpwright::emulator {

constexpr u32 kElementwiseThreads = 256;

// Elements whose lane is 0 keep what is in `before`. All vectors have whole blocks of elements.
template <class D, class... Sources>
std::vector<D> run_elementwise(std::string_view target, std::string_view body, const std::vector<u32>& lanes,
                               const std::vector<D>& before, const std::vector<Sources>&... sources) {
    std::string params = ".param .u64 out, .param .u64 lanes";
    std::string text =
        ".reg .pred %p, %q, %s;\n.reg .b16 %h<4>;\n.reg .b32 %x<4>, %i, %j, %k, %m;\n"
        ".reg .b64 %y<4>, %to, %offset, %at;\n"
        "mov.u32 %i, %tid.x;\nmov.u32 %j, %ctaid.x;\nmov.u32 %k, %ntid.x;\nmad.lo.u32 %i, %j, %k, %i;\n";
    int index = 0;
    const auto source = [&](std::size_t bytes) {
        params += fmt::format(", .param .u64 in{}", index);
        text += fmt::format(
            ".reg .b{1} %{0};\nld.param.u64 %at, [in{2}];\nmul.wide.u32 %offset, %i, {3};\n"
            "add.s64 %at, %at, %offset;\nld.global.b{1} %{0}, [%at];\n",
            static_cast<char>('a' + index), bytes * 8, index, bytes);
        ++index;
    };
    (source(sizeof(Sources)), ...);
    text += fmt::format(
        ".reg .b{0} %d;\nld.param.u64 %to, [out];\nmul.wide.u32 %offset, %i, {2};\nadd.s64 %to, %to, "
        "%offset;\n"
        "ld.global.b{0} %d, [%to];\nld.param.u64 %at, [lanes];\nmul.wide.u32 %offset, %i, 4;\n"
        "add.s64 %at, %at, %offset;\nld.global.b32 %m, [%at];\nsetp.eq.u32 %s, %m, 0;\n@%s bra "
        "skip;\n{1}\nskip:\n"
        "st.global.b{0} [%to], %d;\n",
        sizeof(D) * 8, body, sizeof(D));
    RunPtx run(ptx_kernel(params, text, target), target == "sm_90a" ? "h100-sxm" : "rtx-5090");
    run.options.num_threads = 1;
    const u64 out = run.put(before);
    LaunchConfig config;
    config.grid.x = static_cast<u32>(before.size() / kElementwiseThreads);
    config.block.x = kElementwiseThreads;
    const LaunchReport report = run.launch(config, out, run.put(lanes), run.put(sources)...);
    if (report.finding) ADD_FAILURE() << body << ": " << finding_text(*report.finding);
    return run.get<D>(out, before.size());
}

template <class D, class... Sources>
std::vector<D> elementwise_on(std::string_view target, std::string_view body,
                              std::vector<Sources>... sources) {
    std::size_t count = 0;
    ((count = sources.size()), ...);
    const std::size_t padded = (count + kElementwiseThreads - 1) / kElementwiseThreads * kElementwiseThreads;
    (sources.resize(padded, sources[0]), ...);
    std::mt19937_64 random(1);
    std::vector<D> before(padded);
    for (D& value : before) value = static_cast<D>(random());
    std::vector<u32> some(padded);
    for (u32& lane : some) lane = static_cast<u32>(random() & 1u);
    const std::vector<u32> all(padded, 1);

    std::vector<D> expected;
    const SimdLevel level_before = simd_level();
    for (const SimdLevel level : {SimdLevel::baseline, SimdLevel::avx2, SimdLevel::avx512}) {
        set_simd_level(level);
        if (simd_level() != level) continue;
        for (const bool is_divergent : {false, true}) {
            const std::vector<D> got =
                run_elementwise<D>(target, body, is_divergent ? some : all, before, sources...);
            if (expected.empty()) expected = got;
            for (std::size_t i = 0; i < padded; ++i) {
                const D want = is_divergent && some[i] == 0 ? before[i] : expected[i];
                if (got[i] == want) continue;
                ADD_FAILURE() << body << " at " << simd_name(level) << ", element " << i
                              << fmt::format(": 0x{:x}, expected 0x{:x}", got[i], want)
                              << (is_divergent ? " in a divergent warp" : "");
                break;
            }
        }
    }
    set_simd_level(level_before);
    expected.resize(count);
    return expected;
}
// What is new with Blackwell.
constexpr std::string_view kBlackwell = "sm_120a";

template <class D, class... Sources>
std::vector<D> elementwise(std::string_view body, const std::vector<Sources>&... sources) {
    return elementwise_on<D>("sm_90a", body, sources...);
}

// Fails at the first element whose result is not what `expected` makes of its sources.
template <class D, class F, class... Sources>
void expect_elementwise_on(std::string_view target, std::string_view body, F expected,
                           const std::vector<Sources>&... sources) {
    const std::vector<D> got = elementwise_on<D>(target, body, sources...);
    for (std::size_t i = 0; i < got.size(); ++i) {
        const D want = expected(sources[i]...);
        if (got[i] == want) continue;
        std::string text;
        ((text += fmt::format(" 0x{:x}", sources[i])), ...);
        ADD_FAILURE() << body << " of" << text << fmt::format(": 0x{:x}, expected 0x{:x}", got[i], want);
        return;
    }
}
template <class D, class F, class... Sources>
void expect_elementwise(std::string_view body, F expected, const std::vector<Sources>&... sources) {
    expect_elementwise_on<D>("sm_90a", body, expected, sources...);
}

// Operands of instructions: every combination of the edges, then random ones.
template <class T, int count>
std::array<std::vector<T>, count> operands_of(const std::vector<T>& edges, std::size_t num_random = 512) {
    std::array<std::vector<T>, count> operands;
    std::size_t combinations = 1;
    for (int k = 0; k < count; ++k) combinations *= edges.size();
    std::mt19937_64 random(7);
    for (std::size_t i = 0; i < combinations + num_random; ++i) {
        std::size_t rest = i;
        for (auto& operand : operands) {
            operand.push_back(i < combinations ? edges[rest % edges.size()] : static_cast<T>(random()));
            rest /= edges.size();
        }
    }
    return operands;
}

}  // namespace warpwright::emulator
