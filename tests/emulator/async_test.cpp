// SPDX-License-Identifier: Apache-2.0
// cp.async: what lands, when it lands, and what reads too soon.
#include <cstring>

#include "emulator/machine/warp.h"
#include "one_instruction.h"
#include "run_ptx.h"

namespace warpwright::emulator {
namespace {

// A kernel of one warp: %to is the lane's 16 bytes of `tile` in shared memory, %from its 16 bytes of `in`,
// %out its 16 bytes of `out`, %lane its number; %r, %d, %p are free.
std::string kernel(std::string_view body) {
    return ptx_kernel(".param .u64 in, .param .u64 out", fmt::format(R"(
.shared .align 16 .b8 tile[2048];
.reg .b32 %r<10>, %to, %lane, %size;
.reg .b64 %d<10>, %from, %out;
.reg .pred %p<4>;
mov.u32 %lane, %tid.x;
shl.b32 %r0, %lane, 4;
mov.u32 %to, tile;
add.s32 %to, %to, %r0;
cvt.u64.u32 %d0, %r0;
ld.param.u64 %from, [in];
add.s64 %from, %from, %d0;
ld.param.u64 %out, [out];
add.s64 %out, %out, %d0;
{})",
                                                                     body));
}

constexpr const char* kStoreOut =
    "ld.shared.v4.b32 {%r1, %r2, %r3, %r4}, [%to]; st.global.v4.b32 [%out], {%r1, %r2, %r3, %r4};\n";

std::vector<u8> numbered(std::size_t bytes) {
    std::vector<u8> values(bytes);
    for (std::size_t i = 0; i < bytes; ++i) values[i] = static_cast<u8>(i * 37 + i / 256 + 1);
    return values;
}

class Copies {
public:
    explicit Copies(const std::string& body, CheckLevel level = CheckLevel::all) : run(kernel(body)) {
        EXPECT_EQ(run.load_error(), "") << body;
        run.options.level = level;
        run.options.num_threads = 1;
        in = run.put(numbered(2048));
        out = run.allocate(512);
    }
    LaunchReport launch() {
        LaunchConfig config;
        config.block.x = 32;
        return run.launch(config, in, out);
    }
    // The line of the text that has this in it.
    int line_of(const std::string& body, std::string_view part) const {
        const std::string text = kernel(body);
        const std::size_t at = text.find(part);
        return 1 + static_cast<int>(
                       std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
    }
    RunPtx run;
    u64 in = 0, out = 0;
};

const CheckLevel kLevels[] = {CheckLevel::off, CheckLevel::bounds, CheckLevel::all};

void check_sizes() {
    for (const CheckLevel level : kLevels) {
        for (
            const char* copy :
            {"cp.async.ca.shared.global [%to], [%from], 16;", "cp.async.cg.shared.global [%to], [%from], 16;",
             "cp.async.cg.shared::cta.global.L2::128B [%to], [%from], 16;",
             "cp.async.ca.shared.global.L2::64B [%to], [%from], 8;\n"
             "cp.async.ca.shared.global [%to+8], [%from+8], 8;",
             "cp.async.ca.shared.global [%to], [%from], 4; cp.async.ca.shared.global [%to+4], [%from+4], 4;\n"
             "cp.async.ca.shared.global [%to+8], [%from+8], 4; cp.async.ca.shared.global [%to+12], "
             "[%from+12], 4;",
             "mov.b64 %d1, 7; cp.async.cg.shared.global.L2::cache_hint [%to], [%from], 16, %d1;"}) {
            for (const char* wait :
                 {"cp.async.wait_all;", "cp.async.commit_group; cp.async.wait_group 0;",
                  "cp.async.commit_group; cp.async.commit_group; cp.async.wait_group 1;"}) {
                Copies copies(fmt::format("{}\n{}\n{}", copy, wait, kStoreOut), level);
                const LaunchReport report = copies.launch();
                ASSERT_FALSE(report.finding) << finding_text(*report.finding);
                const std::vector<u8> expected = numbered(512);
                EXPECT_EQ(copies.run.get<u8>(copies.out, 512), expected) << copy << wait;
            }
        }
    }
}

TEST(CpAsync, CopiesOfEverySize) {
    at_every_simd_level(check_sizes);
}

void check_cut_copies() {
    // Lane l reads l % 17 bytes, or nothing when its number is odd.
    for (const CheckLevel level : kLevels) {
        for (const bool by_predicate : {false, true}) {
            Copies copies(
                fmt::format("rem.u32 %size, %lane, 17; and.b32 %r5, %lane, 1; setp.eq.u32 %p0, %r5, 0;\n"
                            "cp.async.cg.shared.global [%to], [%from], 16, {};\ncp.async.wait_all;\n{}",
                            by_predicate ? "!%p0" : "%size", kStoreOut),
                level);
            const LaunchReport report = copies.launch();
            ASSERT_FALSE(report.finding) << finding_text(*report.finding);
            std::vector<u8> expected = numbered(512);
            for (u32 i = 0; i < 512; ++i) {
                const u32 lane = i / 16;
                const u32 size = by_predicate ? (lane % 2 == 0 ? 16 : 0) : lane % 17;
                if (i % 16 >= size) expected[i] = 0;
            }
            EXPECT_EQ(copies.run.get<u8>(copies.out, 512), expected) << by_predicate;
        }
    }
}

TEST(CpAsync, WhatIsNotReadIsZero) {
    at_every_simd_level(check_cut_copies);
}

TEST(CpAsync, SourcesThatAreNotReadNeedNotBe) {
    Copies copies(
        fmt::format("mov.b64 %d1, 64; cp.async.cg.shared.global [%to], [%d1], 16, 0;\n"
                    "cp.async.wait_all;\n{}",
                    kStoreOut));
    const LaunchReport report = copies.launch();
    ASSERT_FALSE(report.finding) << finding_text(*report.finding);
    EXPECT_EQ(copies.run.get<u8>(copies.out, 512), std::vector<u8>(512));
}

// The source is read when the copy lands, not when it is issued: a kernel must not write it in between.
TEST(CpAsync, LandsAsLateAsItMay) {
    for (const CheckLevel level : kLevels) {
        Copies copies(fmt::format("cp.async.cg.shared.global [%to], [%from], 16;\n"
                                  "mov.b32 %r5, 5; st.global.b32 [%from], %r5;\n"
                                  "cp.async.wait_all;\n{}",
                                  kStoreOut),
                      level);
        ASSERT_FALSE(copies.launch().finding);
        EXPECT_EQ(copies.run.get<u32>(copies.out, 128)[4], 5u);
    }
    // And what was there is there until then, where nothing is checked.
    Copies copies(fmt::format("st.shared.v4.b32 [%to], {{%lane, %lane, %lane, %lane}};\n"
                              "cp.async.cg.shared.global [%to], [%from], 16;\n{}cp.async.wait_all;\n",
                              kStoreOut),
                  CheckLevel::bounds);
    ASSERT_FALSE(copies.launch().finding);
    EXPECT_EQ(copies.run.get<u32>(copies.out, 128)[4 * 9], 9u);
}

TEST(CpAsync, GroupsLandInTheirOrder) {
    // Four groups to four parts; after `wait_group n` the last n may be on their way.
    for (int n = 0; n < 4; ++n) {
        const std::string body = fmt::format(
            "cp.async.cg.shared.global [%to], [%from], 16; cp.async.commit_group;\n"
            "cp.async.cg.shared.global [%to+512], [%from+512], 16; cp.async.commit_group;\n"
            "cp.async.cg.shared.global [%to+1024], [%from+1024], 16; cp.async.commit_group;\n"
            "cp.async.cg.shared.global [%to+1536], [%from+1536], 16; cp.async.commit_group;\n"
            "cp.async.wait_group {};\nld.shared.v4.b32 {{%r1, %r2, %r3, %r4}}, [%to+{}];\n"
            "st.global.v4.b32 [%out], {{%r1, %r2, %r3, %r4}};\n",
            n, 512 * (3 - n));
        Copies copies(body);
        const LaunchReport report = copies.launch();
        ASSERT_FALSE(report.finding) << finding_text(*report.finding);
        const std::vector<u8> all = numbered(2048);
        const auto first = all.begin() + 512 * (3 - n);
        EXPECT_EQ(copies.run.get<u8>(copies.out, 512), std::vector<u8>(first, first + 512)) << n;
        if (n == 0) continue;
        // The next one has not landed.
        std::string too_soon = body;
        const std::string offset = fmt::format("[%to+{}];", 512 * (3 - n));
        too_soon.replace(too_soon.find(offset + "\n"), offset.size(),
                         fmt::format("[%to+{}];", 512 * (4 - n)));
        Copies early(too_soon);
        const auto finding = early.launch().finding;
        ASSERT_TRUE(finding) << n;
        EXPECT_EQ(finding->kind, FindingKind::async_not_waited);
    }
}

TEST(CpAsync, WaitAllWaitsForWhatWasNotCommittedAndGroupsDoNot) {
    const std::string issue = "cp.async.cg.shared.global [%to], [%from], 16;\n";
    Copies all(issue + "cp.async.wait_all;\n" + kStoreOut);
    EXPECT_FALSE(all.launch().finding);
    Copies groups(issue + "cp.async.wait_group 0;\n" + kStoreOut);
    const auto finding = groups.launch().finding;
    ASSERT_TRUE(finding);
    EXPECT_EQ(finding->kind, FindingKind::async_not_waited);
}

TEST(CpAsync, LanesWaitForThemselves) {
    // The copies of the odd lanes are in another group than those of the even ones.
    const std::string body =
        "and.b32 %r5, %lane, 1; setp.eq.u32 %p0, %r5, 1;\n"
        "@%p0 cp.async.commit_group;\n"
        "cp.async.cg.shared.global [%to], [%from], 16;\ncp.async.commit_group;\n"
        "@%p0 cp.async.wait_group 0;\n@%p0 ld.shared.b32 %r1, [%to];\n"
        "@!%p0 cp.async.wait_group 0;\n";
    Copies copies(body + kStoreOut);
    const LaunchReport report = copies.launch();
    ASSERT_FALSE(report.finding) << finding_text(*report.finding);
    EXPECT_EQ(copies.run.get<u8>(copies.out, 512), numbered(512));
    // One lane's wait is no other's.
    Copies other(
        "setp.eq.u32 %p0, %lane, 0;\ncp.async.cg.shared.global [%to], [%from], 16;\n"
        "@%p0 cp.async.wait_all;\n" +
        std::string(kStoreOut));
    const auto finding = other.launch().finding;
    ASSERT_TRUE(finding);
    EXPECT_EQ(finding->lanes, 0xffff'fffeu);
    EXPECT_EQ(finding->lane, 1);
}

TEST(CpAsync, ReadingOrWritingTheTargetTooSoonIsFound) {
    const std::string issue = "cp.async.cg.shared.global [%to], [%from], 16;\ncp.async.commit_group;\n";
    for (const std::string use : {"ld.shared.b32 %r1, [%to+4];", "st.shared.b32 [%to+4], %lane;",
                                  "cvt.u64.u32 %d1, %to; cvta.shared.u64 %d1, %d1; ld.b32 %r1, [%d1+4];",
                                  "atom.shared.add.u32 %r1, [%to+4], 1;",
                                  "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r1, %r2, %r3, %r4}, [%to];"}) {
        const std::string body = issue + use;
        for (const CheckLevel level : kLevels) {
            Copies copies(body, level);
            const auto finding = copies.launch().finding;
            ASSERT_EQ(finding.has_value(), level == CheckLevel::all) << use;
            if (!finding) continue;
            EXPECT_EQ(finding->kind, FindingKind::async_not_waited) << use;
            EXPECT_EQ(finding->lanes, kAllLanes);
            const char* done = use[0] == 's' ? "written" : use[0] == 'a' ? "changed" : "read";
            const int byte = use.find("matrix") != std::string::npos ? 0 : 4;
            EXPECT_EQ(
                finding->text,
                fmt::format(
                    "byte {} of shared variable tile {} while a copy to it was on its way: the cp.async "
                    "of line {}, which was not waited for",
                    byte, done, copies.line_of(body, "cp.async.cg")))
                << use;
        }
    }
}

TEST(CpAsync, OverlappingCopiesAreFound) {
    {
        const std::string body =
            "cp.async.cg.shared.global [%to], [%from], 16;\ncp.async.ca.shared.global [%to+8], [%from], 8;\n";
        Copies copies(body);
        const auto finding = copies.launch().finding;
        ASSERT_TRUE(finding);
        EXPECT_EQ(finding->kind, FindingKind::async_not_waited);
        EXPECT_EQ(finding->instruction, "cp.async.ca.shared.global");
        EXPECT_NE(finding->text.find("byte 8 of shared variable tile written while"), std::string::npos)
            << finding->text;
    }
    {
        Copies copies("and.b32 %to, %to, 0xffffffef;\ncp.async.cg.shared.global [%to], [%from], 16;\n");
        const auto finding = copies.launch().finding;
        ASSERT_TRUE(finding);
        EXPECT_EQ(finding->lanes, 3u);
        EXPECT_EQ(finding->text,
                  "lanes 0 and 1 copy to the same 16 bytes, at byte 0 of shared variable tile");
    }
}

TEST(CpAsync, BothSidesAreCheckedWhereItIsIssued) {
    struct Case {
        const char* copy;
        FindingKind kind;
        const char* text;
    };
    const Case kCases[] = {
        {"cp.async.cg.shared.global [%to+1552], [%from], 16;", FindingKind::out_of_bounds,
         "16 bytes written at offset 3072 of shared memory, where there are 1024 to 3071, 0 bytes past the "
         "end of "
         "tile of 2048 bytes"},
        {"cp.async.cg.shared.global [%to], [%from+1552], 16;", FindingKind::out_of_bounds,
         "16 bytes read: 0 bytes past the end of allocation 1 of 2048 bytes"},
        {"mov.b32 %size, 12; cp.async.cg.shared.global [%to], [%from+1552], 16, %size;",
         FindingKind::out_of_bounds, "12 bytes read: 0 bytes past the end of allocation 1 of 2048 bytes"},
        {"cp.async.cg.shared.global [%to], [1024], 16;", FindingKind::out_of_bounds,
         "16 bytes read: a null pointer plus 1024"},
        {"cp.async.cg.shared.global [%to+4], [%from], 16;", FindingKind::misaligned,
         "expected a multiple of 16, got one plus 4"},
        {"cp.async.ca.shared.global [%to], [%from+4], 8;", FindingKind::misaligned,
         "expected a multiple of 8, got one plus 4"},
        {"mov.b32 %size, 4; cp.async.ca.shared.global [%to], [%from+4], 8, %size;", FindingKind::misaligned,
         "expected a multiple of 8, got one plus 4"},
        {"mov.b32 %size, 17; cp.async.cg.shared.global [%to], [%from], 16, %size;", FindingKind::bad_operand,
         "the size of the source is 17, more than the 16 bytes copied"},
    };
    for (const Case& c : kCases) {
        Copies copies(std::string(c.copy) + "\n");
        const auto finding = copies.launch().finding;
        ASSERT_TRUE(finding) << c.copy;
        EXPECT_EQ(finding->kind, c.kind) << c.copy;
        EXPECT_EQ(finding->text, c.text) << c.copy;
    }
}

TEST(CpAsync, SourcesThatWereNotWrittenAreFoundWhereTheyAreRead) {
    for (const char* size : {"", ", %size"}) {
        const std::string body = fmt::format(
            "mov.b32 %size, 12;\ncp.async.cg.shared.global [%to], [%out], 16{};\n"
            "cp.async.wait_all;\n",
            size);
        Copies copies(body);
        const auto finding = copies.launch().finding;
        ASSERT_TRUE(finding);
        EXPECT_EQ(finding->kind, FindingKind::uninitialized);
        EXPECT_EQ(finding->instruction, "cp.async.cg.shared.global");  // not the wait
        const int bytes = *size == 0 ? 16 : 12;
        EXPECT_EQ(finding->text,
                  fmt::format("{0} of {0} bytes were never written, the first is byte 0 of allocation 2 "
                              "of 512 bytes",
                              bytes));
    }
}

TEST(CpAsync, CopiesThatNobodyWaitsForAreNoFinding) {
    Copies copies("cp.async.cg.shared.global [%to], [%from], 16;\ncp.async.commit_group;\n");
    EXPECT_FALSE(copies.launch().finding);
}

// A loop that never waits: older copies land by themselves, and memory stays bounded.
TEST(CpAsync, EndlessCopiesLandByThemselves) {
    Copies copies(fmt::format("mov.b32 %r5, 0;\nAGAIN:\ncp.async.cg.shared.global [%to], [%from], 16;\n"
                              "add.s32 %r5, %r5, 1;\nsetp.lt.u32 %p0, %r5, 5000;\n@%p0 bra AGAIN;\n{}",
                              kStoreOut),
                  CheckLevel::bounds);
    ASSERT_FALSE(copies.launch().finding);
    EXPECT_EQ(copies.run.get<u8>(copies.out, 512), numbered(512));
}

// What one lane never waits for does not stand in the way of what the others do.
TEST(CpAsync, CopiesThatLandOutOfOrder) {
    for (const CheckLevel level : {CheckLevel::off, CheckLevel::all}) {
        Copies copies(fmt::format("setp.eq.u32 %p0, %lane, 0; mov.b32 %r5, 0;\n"
                                  "cp.async.cg.shared.global [%to+1024], [%from], 16;\n"
                                  "@!%p0 cp.async.commit_group;\n"
                                  "AGAIN:\n"
                                  "@!%p0 cp.async.cg.shared.global [%to], [%from], 16;\n"
                                  "@!%p0 cp.async.commit_group;\n"
                                  "@!%p0 cp.async.wait_group 0;\n"
                                  "add.s32 %r5, %r5, 1; setp.lt.u32 %p1, %r5, 3000; @%p1 bra AGAIN;\n"
                                  "cp.async.wait_all;\n"
                                  "@%p0 ld.shared.v4.b32 {{%r1, %r2, %r3, %r4}}, [%to+1024];\n"
                                  "@!%p0 ld.shared.v4.b32 {{%r1, %r2, %r3, %r4}}, [%to];\n"
                                  "st.global.v4.b32 [%out], {{%r1, %r2, %r3, %r4}};\n"),
                      level);
        const LaunchReport report = copies.launch();
        ASSERT_FALSE(report.finding) << finding_text(*report.finding);
        EXPECT_EQ(copies.run.get<u8>(copies.out, 512), numbered(512));
    }
}

void check_pipeline() {
    // Three stages of 512 bytes over 4 x 512 bytes: the sum of all words.
    const std::string body = R"(
cp.async.cg.shared.global [%to], [%from], 16; cp.async.commit_group;
cp.async.cg.shared.global [%to+512], [%from+512], 16; cp.async.commit_group;
cp.async.wait_group 1;
ld.shared.b32 %r1, [%to];
cp.async.cg.shared.global [%to], [%from+1024], 16; cp.async.commit_group;
cp.async.wait_group 1;
ld.shared.b32 %r2, [%to+512]; add.s32 %r1, %r1, %r2;
cp.async.cg.shared.global [%to+512], [%from+1536], 16; cp.async.commit_group;
cp.async.wait_group 1;
ld.shared.b32 %r2, [%to]; add.s32 %r1, %r1, %r2;
cp.async.wait_group 0;
ld.shared.b32 %r2, [%to+512]; add.s32 %r1, %r1, %r2;
st.global.b32 [%out], %r1;
)";
    for (const CheckLevel level : kLevels) {
        Copies copies(body, level);
        const LaunchReport report = copies.launch();
        ASSERT_FALSE(report.finding) << finding_text(*report.finding);
        const std::vector<u8> in = numbered(2048);
        for (u32 l = 0; l < 32; ++l) {
            u32 sum = 0;
            for (u32 part = 0; part < 4; ++part) {
                u32 word;
                std::memcpy(&word, in.data() + 512 * part + 16 * l, 4);
                sum += word;
            }
            EXPECT_EQ(copies.run.get<u32>(copies.out, 128)[4 * l], sum) << l;
        }
    }
}

TEST(CpAsync, PipelinesReuseTheirStages) {
    at_every_simd_level(check_pipeline);
}

TEST(CpAsync, FormsThatPtxHasNotOrThatAreNotCoveredAreErrors) {
    const auto error = [](const std::string& body) { return RunPtx(kernel(body)).load_error(); };
    EXPECT_NE(error("cp.async.cg.shared.global [%to], [%from], 8;").find("expected a size of 16, got 8"),
              std::string::npos);
    EXPECT_NE(error("cp.async.ca.shared.global [%to], [%from], 12;").find("expected a size of 4, 8 or 16"),
              std::string::npos);
    EXPECT_NE(error("cp.async.mbarrier.arrive.shared.b64 [%to];").find("not covered yet"), std::string::npos);
    EXPECT_NE(error("cp.async.bulk.commit_group;").find("not covered yet: cp.async.bulk"), std::string::npos);
    EXPECT_NE(error("cp.async.cg.shared::cluster.global [%to], [%from], 16;"), "");
    EXPECT_NE(error("cp.async.wait_group %r0;"), "");
}

}  // namespace
}  // namespace warpwright::emulator
