// SPDX-License-Identifier: Apache-2.0
// What is found does not depend on where the log lies or how it arrives; repetitions, context, speed.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <random>

#include "inspect/diagnose_lines.h"

namespace warpwright::diagnose {
namespace {

const std::string kInt8 =
    "NotImplementedError: Int8 not supported on SM120. Use FP8 quantization instead, or run on older arch "
    "(SM < 100).";
const std::string kNoImage =
    "RuntimeError: CUDA error: no kernel image is available for execution on the device";
const std::string kOrdinary =
    "INFO 11-26 10:00:00 [loggers.py:123] Engine 000: Avg prompt throughput: 812.4 tokens/s, Running: 3 "
    "reqs\n";

std::string traceback_of(const std::string& frame, const std::string& error) {
    return "Traceback (most recent call last):\n  File \"/v/lib/main.py\", line 3, in <module>\n    run()\n  "
           "File \"" +
           frame + "\", line 91, in forward\n    out = kernel(x)\n" + error + "\n";
}

TEST(DiagnoseLiterals, RequiredLiteralsAreTheLongestOutsideOfOptionalParts) {
    const auto one = [](std::string_view pattern) { return required_literals(pattern).at(0); };
    EXPECT_EQ(one("plain text"), "plain text");
    EXPECT_EQ(one("some \\(escaped\\) text"), "some (escaped) text");
    EXPECT_EQ(one("short.*much longer"), "much longer");
    EXPECT_EQ(one("ab(?:cdefghij|k)lm"), "ab");
    EXPECT_EQ(one("abc(de(f[)]g)h)longest(x)"), "longest");
    EXPECT_EQ(one("abcd?efgh"), "efgh");
    EXPECT_EQ(one("abcd*ef"), "abc");
    EXPECT_EQ(one("abcd+ef"), "abc");
    EXPECT_EQ(one("abcd{0,3}ef"), "abc");
    EXPECT_EQ(one("\\d+ errors[]x] at \\w+"), " errors");
    EXPECT_EQ(one("(only|groups)"), "");
    EXPECT_EQ(required_literals("first one|second"), (std::vector<std::string>{"first one", "second"}));
}

TEST(DiagnoseLiterals, ScannerFindsWhatASlowSearchFinds) {
    const std::vector<std::string> literals = {"Error: ", "error: ", "CUDA error", "abcabcabd", "aaaaaab"};
    const LiteralScanner scanner(literals);
    std::mt19937 random(1);
    for (int round = 0; round < 400; ++round) {
        std::string text;
        while (text.size() < 300) {
            if (random() % 6 == 0)
                text += literals[random() % literals.size()].substr(0, 1 + random() % 10);
            else
                text += "abcErorCUDA: \n"[random() % 14];
        }
        const size_t from = random() % 20, to = text.size() - random() % 20;
        size_t expected = text.size();
        for (const std::string& literal : literals) {
            const size_t at = text.find(literal, from);
            if (at < to) expected = std::min(expected, at);
        }
        EXPECT_EQ(scanner.find(text, from, to), expected) << text;
    }
}

TEST(Diagnose, NamesLineAndText) {
    const Report report = diagnose(kOrdinary + kOrdinary + kInt8 + "\r\n" + kOrdinary);
    ASSERT_EQ(report.findings.size(), 1u);
    const Finding& finding = report.findings[0];
    EXPECT_EQ(finding.failure->id, "vllm-int8-refused");
    EXPECT_EQ(finding.place.first_line, 3u);
    EXPECT_EQ(finding.place.text, kInt8);
    EXPECT_EQ(finding.library, "vllm");
}

TEST(Diagnose, FoldsRepetitions) {
    std::string log;
    for (int i = 0; i < 1000; ++i) log += kOrdinary + kInt8 + "\n";
    const Report report = diagnose(log);
    ASSERT_EQ(report.findings.size(), 1u);
    EXPECT_EQ(report.findings[0].place.count, 1000u);
    EXPECT_EQ(report.findings[0].place.first_line, 2u);
    EXPECT_EQ(report.findings[0].place.last_line, 2000u);
}

TEST(Diagnose, GroupsFillCauseAndFix) {
    const Report report = diagnose(
        "OutOfResources: out of resource: shared memory, Required: 147456, Hardware limit: 101376. x");
    ASSERT_EQ(report.findings.size(), 1u);
    EXPECT_NE(report.findings[0].cause.find("147456 bytes"), std::string::npos);
    EXPECT_NE(report.findings[0].cause.find("101376 here"), std::string::npos);
}

TEST(Diagnose, ColoursAreNoObstacle) {
    const Report report = diagnose("\x1b[31mERROR\x1b[0m \x1b[1m" + kInt8 + "\x1b[0m\n");
    ASSERT_EQ(report.findings.size(), 1u);
    EXPECT_EQ(report.findings[0].place.text, "ERROR " + kInt8);
}

// The bytes may arrive in any pieces, and the line lie on any border of the buffer.
TEST(Diagnose, PiecesDoNotMatter) {
    std::string filler;
    while (filler.size() < (1 << 20) + 4096) filler += kOrdinary;
    const std::string part =
        traceback_of("/v/site-packages/flash_attn/flash_attn_interface.py", kNoImage) + kOrdinary;
    for (const size_t before :
         {size_t{0}, size_t{(1 << 20) - 26000}, size_t{(1 << 20) - 12400}, size_t{(1 << 20) - 12200},
          size_t{(1 << 20) - 300}, size_t{(1 << 20) - 200}}) {
        const std::string log = filler.substr(0, before) + "\n" + part + filler;
        const u64 line =
            static_cast<u64>(std::count(log.begin(), log.begin() + static_cast<i64>(before), '\n')) + 7;
        for (const size_t chunk : {size_t{1} << 20, size_t{4096}, size_t{777}}) {
            const Report report = diagnose(log, 0, chunk);
            ASSERT_EQ(report.findings.size(), 1u) << before << " " << chunk;
            EXPECT_EQ(report.findings[0].failure->id, "fa2-no-image") << before << " " << chunk;
            EXPECT_EQ(report.findings[0].place.first_line, line) << before << " " << chunk;
        }
    }
}

TEST(Diagnose, VeryLongLinesAreCut) {
    const std::string log =
        std::string(3 << 20, 'x') + kInt8 + std::string(3 << 20, 'y') + "\n" + kOrdinary + kInt8;
    const Report report = diagnose(log);
    ASSERT_EQ(report.findings.size(), 1u);
    EXPECT_EQ(report.findings[0].place.first_line, 1u);
    EXPECT_EQ(report.findings[0].place.last_line, 3u);
    EXPECT_EQ(report.findings[0].place.count, 2u);
    EXPECT_EQ(report.num_cut, 1u);
    EXPECT_NE(report.findings[0].place.text.find("Int8 not supported"), std::string::npos);
    EXPECT_LT(report.findings[0].place.text.size(), Diagnoser::kMaxShownBytes + 16);
}

// The parts of a cut line overlap; what lies in the overlap counts once.
TEST(Diagnose, OverlapsOfCutLinesCountOnce) {
    std::string line;
    for (int i = 0; i < 40; ++i) line += std::string(1000, 'x') + kInt8;
    const Report report = diagnose(line + "\n");
    ASSERT_EQ(report.findings.size(), 1u);
    EXPECT_GE(report.findings[0].place.count, 3u);
    EXPECT_LE(report.findings[0].place.count, 8u);  // one finding for each part of 16 KiB
}

TEST(Diagnose, TracebackNamesTheLibrary) {
    const auto library = [](const std::string& log) {
        const Report report = diagnose(log);
        return report.findings.size() == 1 ? report.findings[0].library : "?";
    };
    EXPECT_EQ(library(kNoImage), "");
    EXPECT_EQ(library(traceback_of("/v/site-packages/flash_attn/flash_attn_interface.py", kNoImage)),
              "flash-attention-2");
    EXPECT_EQ(
        library(traceback_of("/v/site-packages/vllm/vllm_flash_attn/flash_attn_interface.py", kNoImage)),
        "flash-attention-2");
    EXPECT_EQ(library(traceback_of("/v/site-packages/xformers/ops/fmha.py", kNoImage)), "xformers");
    EXPECT_EQ(library(traceback_of("/v/site-packages/vllm/_custom_ops.py", kNoImage)), "vllm");
    // torch calls everything; whatever else is in the traceback is the one.
    EXPECT_EQ(library(traceback_of("/v/site-packages/torch/nn/functional.py", kNoImage)), "pytorch");
    const std::string deep =
        traceback_of("/v/site-packages/xformers/ops/fmha.py",
                     "  File \"/v/site-packages/torch/_ops.py\", line 1, in __call__\n" + kNoImage);
    EXPECT_EQ(library(deep), "xformers");
    // An older traceback is another matter.
    EXPECT_EQ(library(traceback_of("/v/site-packages/xformers/ops/fmha.py", "OSError: x") + kOrdinary +
                      traceback_of("/v/site-packages/sgl_kernel/elementwise.py", kNoImage)),
              "sgl-kernel");
    // The backtrace behind the line.
    EXPECT_EQ(
        library(kNoImage + "\nException raised from c10_cuda_check\nframe #0: c10::Error (/v/libc10.so)\n"
                           "frame #1: f() (/v/site-packages/transformer_engine/common.so)\n"),
        "transformer-engine");
}

TEST(Diagnose, RepetitionsKeepTheirLibrary) {
    const Report report = diagnose(traceback_of("/v/site-packages/xformers/ops/fmha.py", kNoImage) +
                                   kNoImage + "\n" + kNoImage + "\n");
    ASSERT_EQ(report.findings.size(), 1u);
    EXPECT_EQ(report.findings[0].library, "xformers");
    EXPECT_EQ(report.findings[0].place.count, 3u);
    EXPECT_NE(report.findings[0].named_by.find("xformers/ops/fmha.py"), std::string::npos);
}

TEST(Diagnose, OnlyWhatHappensOnTheGpu) {
    const Report workstation = diagnose(kInt8, 120);
    EXPECT_EQ(workstation.findings.size(), 1u);
    EXPECT_TRUE(workstation.elsewhere.empty());
    const Report hopper = diagnose(kInt8, 90);
    EXPECT_TRUE(hopper.findings.empty());
    ASSERT_EQ(hopper.elsewhere.size(), 1u);
    EXPECT_EQ(hopper.elsewhere[0].failure->id, "vllm-int8-refused");
    // Where the specific one does not apply, the general one does.
    const std::string flashinfer =
        "RMSNorm failed with error code no kernel image is available for execution on the device";
    EXPECT_EQ(diagnose(flashinfer, 120).findings.at(0).failure->id, "flashinfer-rmsnorm-no-image");
    EXPECT_EQ(diagnose(flashinfer, 90).findings.at(0).failure->id, "no-image");
}

TEST(Diagnose, LinesThatAreFailuresOnSomeGpusOnlyNeedTheGpu) {
    const std::string line = "INFO [fp8.py:180] Using 'TRITON' Fp8 MoE backend out of potential backends: []";
    EXPECT_TRUE(diagnose(line).findings.empty());
    EXPECT_TRUE(diagnose(line, 90).findings.empty());
    EXPECT_EQ(diagnose(line, 121).findings.size(), 1u);
}

TEST(Diagnose, UnknownErrorsAreToldApart) {
    const Report report = diagnose(kOrdinary + "ValueError: quantum flux 17 out of range\n" + kOrdinary +
                                   "ValueError: quantum flux 4711 out of range\nOSError: no such file\n");
    EXPECT_TRUE(report.findings.empty());
    ASSERT_EQ(report.unknown.size(), 2u);
    EXPECT_EQ(report.unknown[0].place.count, 2u);
    EXPECT_EQ(report.unknown[0].place.first_line, 2u);
    EXPECT_EQ(report.unknown[0].place.last_line, 4u);
    EXPECT_FALSE(report.unknown[0].sign->next.empty());
}

TEST(Diagnose, ManyUnknownErrorsAreBounded) {
    std::string log;
    for (char a = 'g'; a <= 'z'; ++a)
        for (char b = 'g'; b <= 'z'; ++b) log += std::string("ValueError: ") + a + b + "\n";
    const Report report = diagnose(log);
    EXPECT_EQ(report.unknown.size(), Diagnoser::kMaxUnknown);
    EXPECT_EQ(report.num_unknown_left_out, 400u - Diagnoser::kMaxUnknown);
}

TEST(Diagnose, AnyBytesAreALog) {
    std::mt19937 random(2);
    std::string log(1 << 16, '\0');
    for (char& c : log) c = static_cast<char>(random());
    log.insert(log.size() / 2, "\n" + kInt8 + "\n");
    EXPECT_EQ(diagnose(log).findings.size(), 1u);
    EXPECT_TRUE(diagnose("").findings.empty());
    EXPECT_TRUE(diagnose("\n\n\r\n").findings.empty());
}

// The figure is for a person to read; the floor is one that only a slip in the search would miss.
TEST(Diagnose, IsFast) {
    std::string log;
    std::mt19937 random(3);
    while (log.size() < (64 << 20)) {
        log += kOrdinary;
        log += "DEBUG step " + std::to_string(random()) + " loss 2.3711 grad_norm 0.91 lr 3.0e-4 tokens/s " +
               std::to_string(random() % 100000) + " mem 61.2 GiB, no errors\n";
    }
    log += kInt8;
    const auto begin = std::chrono::steady_clock::now();
    const std::clock_t begin_cpu = std::clock();
    const Report report = diagnose(log);
    const double seconds = static_cast<double>(std::clock() - begin_cpu) / CLOCKS_PER_SEC;
    const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    ASSERT_EQ(report.findings.size(), 1u);
    const double megabytes = static_cast<double>(log.size()) / 1e6;
    std::printf("%.0f MB in %.3f s of one core: %.0f MB/s (%.0f MB/s of wall time)\n", megabytes, seconds,
                megabytes / seconds, megabytes / wall);
    EXPECT_GT(megabytes / seconds, 50);
}

}  // namespace
}  // namespace warpwright::diagnose
