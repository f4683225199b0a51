// SPDX-License-Identifier: Apache-2.0
// shfl, vote, match, redux, elect, activemask, against their definitions in PTX ISA 9.7.9.6 and 9.7.13.
#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <set>

#include "tests/emulator/run_ptx.h"

namespace warpwright::emulator {
namespace {

std::mt19937 generator(7);

std::vector<u32> random_words(u32 bound = 0) {
    std::vector<u32> words(32);
    for (u32& word : words)
        word = bound == 0 ? static_cast<u32>(generator()) : static_cast<u32>(generator()) % bound;
    return words;
}

// The pseudo-code of 9.7.9.6.
struct Shuffled {
    u32 value;
    bool predicate;
};
Shuffled shuffled(std::string_view mode, const std::vector<u32>& a, int lane, u32 b, u32 c) {
    const int bval = static_cast<int>(b & 31), cval = static_cast<int>(c & 31);
    const int segmask = static_cast<int>(c >> 8 & 31);
    const int max_lane = (lane & segmask) | (cval & ~segmask), min_lane = lane & segmask;
    int j = 0;
    bool pval = false;
    if (mode == "up") {
        j = lane - bval;
        pval = j >= max_lane;
    } else if (mode == "down") {
        j = lane + bval;
        pval = j <= max_lane;
    } else if (mode == "bfly") {
        j = lane ^ bval;
        pval = j <= max_lane;
    } else {
        j = min_lane | (bval & ~segmask);
        pval = j <= max_lane;
    }
    if (!pval) j = lane;
    return {a[static_cast<std::size_t>(j)], pval};
}

TEST(EmulatedWarp, ShuffleFollowsItsPseudoCode) {
    for (const std::string mode : {"up", "down", "bfly", "idx"}) {
        for (int trial = 0; trial < 20; ++trial) {
            const std::vector<u32> a = random_words();
            std::vector<u32> b = random_words(), c = random_words();
            if (trial < 10) {  // as compilers write them: the same in all lanes, segments of 2^n lanes
                const u32 segment = 32u - (1u << trial % 6);
                std::fill(b.begin(), b.end(), b[0]);
                std::fill(c.begin(), c.end(), segment << 8 | (mode == "up" ? 0 : 31));
            }
            const auto values = run_lanes<u32>("shfl.sync." + mode + ".b32 %d, %a, %b, %c, -1;", a, b, c);
            const auto aliased = run_lanes<u32>(
                "shfl.sync." + mode + ".b32 %a|%p, %a, %b, %c, 0xffffffff; selp.b32 %d, %a, 0x80000000, %p;",
                a, b, c);
            for (int l = 0; l < 32; ++l) {
                const auto i = static_cast<std::size_t>(l);
                const Shuffled expected = shuffled(mode, a, l, b[i], c[i]);
                EXPECT_EQ(values[i], expected.value) << mode << " lane " << l;
                EXPECT_EQ(aliased[i], expected.predicate ? expected.value : 0x8000'0000u)
                    << mode << " lane " << l;
            }
        }
    }
}

TEST(EmulatedWarp, LanesThatNameDisjointGroupsShuffleAtOnce) {
    const std::vector<u32> a = random_words();
    std::vector<u32> mask(32);
    for (u32 l = 0; l < 32; ++l) mask[l] = l % 3 == 0 ? 0x4924'9249u : ~0x4924'9249u;
    // Each lane reads the lowest of its group; the others are not among those that it may read.
    const auto values = run_lanes<u32>(
        "rem.u32 %x, %lane, 3; setp.eq.u32 %p, %x, 0; selp.b32 %x, 0, 1, %p;"
        "shfl.sync.idx.b32 %d, %a, %x, 31, %b;",
        a, mask);
    for (u32 l = 0; l < 32; ++l) EXPECT_EQ(values[l], a[l % 3 == 0 ? 0 : 1]);
    EXPECT_EQ(run_lanes<u32>("redux.sync.or.b32 %d, %lane, %b;", a, mask), [] {
        std::vector<u32> expected(32);
        for (u32 l = 0; l < 32; ++l) expected[l] = l % 3 == 0 ? 31 & (3 | 6 | 9 | 12 | 24) : 31;
        return expected;
    }());
}

// The kernel stores what %d holds in the end, for each lane; it starts at 77.
LaunchReport launch(RunPtx& run, std::vector<u32>& result, u32 threads = 32) {
    const u64 out = run.put(std::vector<u32>(32, 99));
    LaunchConfig config;
    config.block.x = static_cast<int>(threads);
    const LaunchReport report = run.launch(config, out);
    result = run.get<u32>(out, 32);
    return report;
}

std::string kernel(std::string_view body, std::string_view target = "sm_90a") {
    return ptx_kernel(".param .u64 out",
                      fmt::format(R"(
        .reg .pred %p, %q, %odd;  .reg .b32 %d, %x, %y, %lane;  .reg .b64 %to, %offset;  .reg .f32 %f;
        mov.u32 %lane, %laneid;  mov.u32 %d, 77;
        and.b32 %x, %lane, 1;  setp.eq.u32 %odd, %x, 1;
        {}
        ld.param.u64 %to, [out];  mul.wide.u32 %offset, %lane, 4;  add.s64 %to, %to, %offset;
        st.global.b32 [%to], %d;)",
                                  body),
                      target);
}

TEST(EmulatedWarp, AReadFromALaneThatIsAwayIsAFinding) {
    const std::string text = kernel("@%odd bra done; shfl.sync.down.b32 %d, %lane, 1, 31, 0x55555555; done:");
    std::vector<u32> result;
    RunPtx run(text);
    const LaunchReport report = launch(run, result);
    ASSERT_TRUE(report.finding.has_value());
    EXPECT_EQ(report.finding->kind, FindingKind::bad_operand);
    EXPECT_EQ(report.finding->instruction, "shfl.sync.down.b32");
    EXPECT_EQ(report.finding->lanes, 0x5555'5555u);

    RunPtx unchecked(text);
    unchecked.options.level = CheckLevel::off;
    EXPECT_FALSE(launch(unchecked, result).finding);
    for (u32 l = 0; l < 32; ++l) EXPECT_EQ(result[l], l % 2 == 0 ? l : 77);
}

TEST(EmulatedWarp, ALaneOutsideOfItsOwnMaskIsAFinding) {
    std::vector<u32> result;
    RunPtx run(kernel("shfl.sync.bfly.b32 %d, %lane, 1, 31, 0x7fffffff;"));
    const LaunchReport report = launch(run, result);
    ASSERT_TRUE(report.finding.has_value());
    EXPECT_EQ(report.finding->kind, FindingKind::bad_operand);
    EXPECT_EQ(report.finding->lanes, 0x8000'0000u);
}

TEST(EmulatedWarp, LanesOfAMaskMustAgreeOnIt) {
    std::vector<u32> result;
    RunPtx run(
        kernel("selp.b32 %y, 0xffffffff, 0x0000ffff, %odd; shr.u32 %x, %lane, 4;"
               "setp.eq.u32 %p, %x, 1; selp.b32 %y, 0xffffffff, %y, %p;"
               "redux.sync.add.u32 %d, %lane, %y;"));
    const LaunchReport report = launch(run, result);
    ASSERT_TRUE(report.finding.has_value());
    EXPECT_EQ(report.finding->kind, FindingKind::non_convergent);
}

TEST(EmulatedWarp, LanesWaitForThoseTheyName) {
    std::vector<u32> result;
    // The odd lanes take a longer way to the same instruction.
    RunPtx run(
        kernel("mov.u32 %y, %lane; @!%odd bra meet; add.u32 %y, %y, 100; add.u32 %y, %y, 100; meet:"
               "shfl.sync.bfly.b32 %d, %y, 1, 31, 0xffffffff;"));
    EXPECT_FALSE(launch(run, result).finding);
    for (u32 l = 0; l < 32; ++l) EXPECT_EQ(result[l], (l ^ 1) + (l % 2 == 0 ? 200 : 0));
}

TEST(EmulatedWarp, NobodyWaitsForLanesThatHaveExited) {
    std::vector<u32> result;
    RunPtx run(kernel("@%odd exit; redux.sync.add.u32 %d, %lane, 0xffffffff;"));
    EXPECT_FALSE(launch(run, result).finding);
    for (u32 l = 0; l < 32; ++l) EXPECT_EQ(result[l], l % 2 == 0 ? 240 : 99);

    RunPtx small(kernel("vote.sync.ballot.b32 %d, !%odd, 0xffffffff;"));
    EXPECT_FALSE(launch(small, result, 5).finding);
    for (u32 l = 0; l < 32; ++l) EXPECT_EQ(result[l], l < 5 ? 0b10101 : 99);
}

TEST(EmulatedWarp, AWaitForALaneThatNeverComesIsAFinding) {
    std::vector<u32> result;
    RunPtx run(
        kernel("@%odd bra other; redux.sync.add.u32 %d, %lane, 0xffffffff; bra done;"
               "other: bar.warp.sync 0xffffffff; done:"));
    const LaunchReport report = launch(run, result);
    ASSERT_TRUE(report.finding.has_value());
    EXPECT_EQ(report.finding->kind, FindingKind::non_convergent) << report.finding->text;
}

TEST(EmulatedWarp, Votes) {
    for (int trial = 0; trial < 12; ++trial) {
        std::vector<u32> a = trial == 0   ? std::vector<u32>(32, 0)
                             : trial == 1 ? std::vector<u32>(32, 1)
                                          : random_words(trial < 6 ? 2 : 20);
        const auto is_set = [&](u32 l) { return a[l] == 1; };
        u32 ballot = 0;
        for (u32 l = 0; l < 32; ++l) ballot |= is_set(l) ? 1u << l : 0;
        const std::string set = "setp.eq.u32 %p, %a, 1;";
        EXPECT_EQ(run_lanes<u32>(set + "vote.sync.ballot.b32 %d, %p, -1;", a), std::vector<u32>(32, ballot));
        EXPECT_EQ(run_lanes<u32>(set + "vote.sync.ballot.b32 %d, !%p, -1;", a),
                  std::vector<u32>(32, ~ballot));
        const auto vote = [&](const std::string& mode, const std::string& source) {
            const auto result = run_lanes<u32>(
                set + "vote.sync." + mode + ".pred %q, " + source + ", -1; selp.b32 %d, 1, 0, %q;", a);
            EXPECT_EQ(result, std::vector<u32>(32, result[0]));
            return result[0] == 1;
        };
        EXPECT_EQ(vote("all", "%p"), ballot == ~0u);
        EXPECT_EQ(vote("any", "%p"), ballot != 0);
        EXPECT_EQ(vote("uni", "%p"), ballot == 0 || ballot == ~0u);
        EXPECT_EQ(vote("all", "!%p"), ballot == 0);
        EXPECT_EQ(vote("any", "!%p"), ballot != ~0u);
        EXPECT_EQ(vote("uni", "!%p"), ballot == 0 || ballot == ~0u);
    }
}

TEST(EmulatedWarp, VotesOfAGroup) {
    // The odd lanes alone: the others keep their register.
    std::vector<u32> result;
    RunPtx run(
        kernel("setp.lt.u32 %p, %lane, 8; @!%odd bra done; vote.sync.ballot.b32 %d, %p, 0xaaaaaaaa; done:"));
    EXPECT_FALSE(launch(run, result).finding);
    for (u32 l = 0; l < 32; ++l) EXPECT_EQ(result[l], l % 2 == 1 ? 0xaau : 77);
    RunPtx all(
        kernel("setp.lt.u32 %p, %lane, 33; @!%odd bra done; vote.sync.all.pred %q, %p, 0xaaaaaaaa;"
               "selp.b32 %d, 1, 2, %q; done:"));
    EXPECT_FALSE(launch(all, result).finding);
    for (u32 l = 0; l < 32; ++l) EXPECT_EQ(result[l], l % 2 == 1 ? 1 : 77);
}

TEST(EmulatedWarp, Matches) {
    for (u32 bound : {1u, 2u, 5u, 40u, 0u}) {
        const std::vector<u32> a = random_words(bound);
        std::vector<u32> expected(32);
        for (u32 l = 0; l < 32; ++l) {
            for (u32 k = 0; k < 32; ++k) expected[l] |= a[k] == a[l] ? 1u << k : 0;
        }
        EXPECT_EQ(run_lanes<u32>("match.any.sync.b32 %d, %a, -1;", a), expected);
        // As the upper half of 64 bits: the lower ones are equal.
        EXPECT_EQ(run_lanes<u32>("mov.b64 %u, {7, %a}; match.any.sync.b64 %d, %u, -1;", a), expected);
        const u32 all = std::set<u32>(a.begin(), a.end()).size() == 1 ? ~0u : 0;
        EXPECT_EQ(run_lanes<u32>("match.all.sync.b32 %d, %a, -1;", a), std::vector<u32>(32, all));
        EXPECT_EQ(run_lanes<u32>(
                      "mov.b64 %u, {7, %a}; match.all.sync.b64 %x|%p, %u, -1; selp.b32 %d, %x, 5, %p;", a),
                  std::vector<u32>(32, all != 0 ? all : 5));
    }
}

TEST(EmulatedWarp, MatchesOfAGroup) {
    std::vector<u32> result;
    RunPtx run(
        kernel("@!%odd bra done; match.all.sync.b32 %d|%p, %x, 0xaaaaaaaa; @!%p mov.u32 %d, 1; done:"));
    EXPECT_FALSE(launch(run, result).finding);
    for (u32 l = 0; l < 32; ++l) EXPECT_EQ(result[l], l % 2 == 1 ? 0xaaaa'aaaau : 77);
}

TEST(EmulatedWarp, Reductions) {
    struct Case {
        const char* name;
        std::function<u32(u32, u32)> combine;
    };
    const Case cases[] = {
        {"add.u32", [](u32 x, u32 y) { return x + y; }},
        {"add.s32", [](u32 x, u32 y) { return x + y; }},
        {"min.u32", [](u32 x, u32 y) { return std::min(x, y); }},
        {"max.u32", [](u32 x, u32 y) { return std::max(x, y); }},
        {"min.s32",
         [](u32 x, u32 y) { return static_cast<u32>(std::min(static_cast<i32>(x), static_cast<i32>(y))); }},
        {"max.s32",
         [](u32 x, u32 y) { return static_cast<u32>(std::max(static_cast<i32>(x), static_cast<i32>(y))); }},
        {"and.b32", [](u32 x, u32 y) { return x & y; }},
        {"or.b32", [](u32 x, u32 y) { return x | y; }},
        {"xor.b32", [](u32 x, u32 y) { return x ^ y; }},
    };
    for (const Case& c : cases) {
        for (u32 mask : {~0u, 0xffff'0000u, 0x8000'0001u, 0x0000'0010u}) {
            const std::vector<u32> a = random_words();
            u32 expected = a[static_cast<std::size_t>(std::countr_zero(mask))];
            for (u32 l = static_cast<u32>(std::countr_zero(mask)) + 1; l < 32; ++l) {
                if ((mask >> l & 1u) != 0) expected = c.combine(expected, a[l]);
            }
            const auto result = run_lanes<u32>(
                fmt::format("mov.u32 %d, 3; shr.u32 %x, {0}, %lane; and.b32 %x, %x, 1; setp.eq.u32 %p, %x, 1;"
                            "@!%p bra done; redux.sync.{1} %d, %a, {0}; done:",
                            mask, c.name),
                a);
            for (u32 l = 0; l < 32; ++l)
                EXPECT_EQ(result[l], (mask >> l & 1u) != 0 ? expected : 3) << c.name << " " << mask;
        }
    }
}

TEST(EmulatedWarp, ReductionsOfF32) {
    const float nan = std::numeric_limits<float>::quiet_NaN(),
                infinity = std::numeric_limits<float>::infinity();
    const auto reduce = [&](const std::string& form, const std::vector<float>& a) {
        const std::string text = ptx_kernel(".param .u64 in, .param .u64 out", R"(
            .reg .b32 %lane;  .reg .f32 %a, %d;  .reg .b64 %from, %to, %offset;
            mov.u32 %lane, %laneid;  mul.wide.u32 %offset, %lane, 4;
            ld.param.u64 %from, [in];  add.s64 %from, %from, %offset;  ld.global.f32 %a, [%from];
            redux.sync.)" + form + R"(.f32 %d, %a, 0xffffffff;
            ld.param.u64 %to, [out];  add.s64 %to, %to, %offset;  st.global.f32 [%to], %d;)",
                                            "sm_100a");
        RunPtx run(text, "b200");
        std::vector<float> values = a;
        values.resize(32, a.back());
        const u64 in = run.put(values), out = run.allocate(128);
        LaunchConfig config;
        config.block.x = 32;
        EXPECT_FALSE(run.launch(config, in, out).finding);
        const auto result = run.get<u32>(out, 32);
        EXPECT_EQ(result, std::vector<u32>(32, result[0]));
        return result[0];
    };
    const auto bits = [](float value) { return std::bit_cast<u32>(value); };
    EXPECT_EQ(reduce("min", {3, -2, 7, nan, 5}), bits(-2));
    EXPECT_EQ(reduce("max", {3, -2, 7, nan, 5}), bits(7));
    EXPECT_EQ(reduce("max.NaN", {3, -2, 7, nan, 5}), 0x7fff'ffffu);
    EXPECT_EQ(reduce("min.abs", {3, -2, 7, nan, 5}), bits(2));
    EXPECT_EQ(reduce("max.abs", {3, -9, 7, nan, 5}), bits(9));
    EXPECT_EQ(reduce("min.abs.NaN", {3, -2, 7, 5}), bits(2));
    EXPECT_EQ(reduce("min", {nan}), 0x7fff'ffffu);
    EXPECT_EQ(reduce("min", {0.0f, -0.0f}), bits(-0.0f));
    EXPECT_EQ(reduce("max", {-0.0f, 0.0f, -0.0f}), bits(0.0f));
    EXPECT_EQ(reduce("max", {-infinity, -1, -2}), bits(-1));
    EXPECT_EQ(reduce("min", {-infinity, -1, -2}), bits(-infinity));
}

TEST(EmulatedWarp, TheLowestLaneIsElected) {
    std::vector<u32> result;
    RunPtx run(kernel("elect.sync %d|%p, 0xffffffff; @%p add.u32 %d, %d, 1000;"));
    EXPECT_FALSE(launch(run, result).finding);
    for (u32 l = 0; l < 32; ++l) EXPECT_EQ(result[l], l == 0 ? 1000 : 0);
    RunPtx odd(kernel("@!%odd bra done; elect.sync _|%p, 0xaaaaaaaa; selp.b32 %d, 1, 0, %p; done:"));
    EXPECT_FALSE(launch(odd, result).finding);
    for (u32 l = 0; l < 32; ++l) EXPECT_EQ(result[l], l % 2 == 0 ? 77 : l == 1 ? 1 : 0);
}

TEST(EmulatedWarp, TheActiveMaskIsThatOfTheGroup) {
    std::vector<u32> result;
    RunPtx run(kernel("@%odd activemask.b32 %d; @!%odd activemask.b32 %x; @!%odd mov.u32 %d, %x;"));
    EXPECT_FALSE(launch(run, result).finding);
    for (u32 l = 0; l < 32; ++l) EXPECT_EQ(result[l], l % 2 == 1 ? 0xaaaa'aaaau : 0x5555'5555u);
}

TEST(EmulatedWarp, WhatIsNotCoveredDoesNotLoad) {
    const auto error = [](const std::string& body, const std::string& target = "h100-sxm") {
        return RunPtx(kernel(body), target).load_error();
    };
    EXPECT_NE(error("shfl.idx.b32 %d, %lane, 0, 31;").find("not covered yet"), std::string::npos);
    EXPECT_NE(error("vote.any.pred %p, %odd;").find("not covered yet"), std::string::npos);
    EXPECT_NE(error("redux.sync.max.f32 %f, %f, -1;"), "");
    EXPECT_NE(error("redux.sync.add.b32 %d, %x, -1;"), "");
    EXPECT_NE(error("redux.sync.and.u32 %d, %x, -1;"), "");
    EXPECT_NE(error("match.any.sync.b32 %d|%p, %x, -1;"), "");
    EXPECT_NE(error("shfl.sync.b32 %d, %lane, 0, 31, -1;"), "");
    EXPECT_NE(error("elect.sync _|%p, -1;", "a100-80"), "");
    EXPECT_NE(error("vote.sync.ballot.pred %p, %odd, -1;"), "");
}

}  // namespace
}  // namespace warpwright::emulator
