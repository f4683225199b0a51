// SPDX-License-Identifier: Apache-2.0
// A finding against what an inspection saw.
#include "inspect/diagnose/confirm.h"

#include <gtest/gtest.h>

#include "inspect/diagnose/output.h"
#include "inspect/diagnose_lines.h"

namespace warpwright::diagnose {
namespace {

using inspect::Runs;

const std::string kLog =
    "Traceback (most recent call last):\n  File \"/v/site-packages/flash_attn/flash_attn_interface.py\", "
    "line 9\n"
    "RuntimeError: CUDA error: no kernel image is available for execution on the device\n";

// A file of a library with one image, and what it does on each target.
inspect::FileReport file_of(const std::string& library, const std::string& path, std::vector<Runs> runs) {
    inspect::FileReport file;
    file.path = path;
    file.libraries.push_back({library, library});
    inspect::Image image;
    image.architecture = {90, inspect::Suffix::a};
    image.kernels.emplace_back().shared_bytes = 49152;
    file.images.push_back(image);
    for (const Runs r : runs) file.verdicts.push_back({"t", r, "the reason"});
    return file;
}

Confirmation confirmation(const std::string& log, std::vector<inspect::FileReport> files, const char* gpu) {
    std::optional<Target> target;
    if (gpu != nullptr) target = find_target(gpu).value();
    Report report = diagnose(log, target ? target->facts.compute_capability : 0);
    EXPECT_EQ(report.findings.size(), 1u);
    inspect::Report binaries;
    binaries.files = std::move(files);
    confirm(report, binaries, targets_to_inspect(report, target));
    return report.findings.at(0).confirmation.value();
}

TEST(DiagnoseConfirm, AMissingImageIsConfirmed) {
    const Confirmation c = confirmation(
        kLog, {file_of("flash-attention-2", "w.whl!/flash_attn_2_cuda.so", {Runs::no})}, "rtx-5090");
    EXPECT_EQ(c.confirmed, Confirmed::yes);
    EXPECT_EQ(c.text, "w.whl!/flash_attn_2_cuda.so has no image for 12.0 (it has sm_90a): the reason");
}

TEST(DiagnoseConfirm, StubsAndPartsAreSaid) {
    EXPECT_NE(confirmation(kLog, {file_of("flash-attention-2", "a.so", {Runs::stub})}, "h100")
                  .text.find("a.so holds only stubs for 9.0"),
              std::string::npos);
    EXPECT_NE(confirmation(kLog, {file_of("flash-attention-2", "a.so", {Runs::partly})}, "h100")
                  .text.find("has not all kernels for 9.0"),
              std::string::npos);
}

TEST(DiagnoseConfirm, AnImageThatRunsRefutes) {
    for (const Runs runs : {Runs::native, Runs::jit}) {
        const Confirmation c = confirmation(kLog, {file_of("flash-attention-2", "a.so", {runs})}, "h100");
        EXPECT_EQ(c.confirmed, Confirmed::no);
        EXPECT_EQ(c.text, "every image of 1 file of flash-attention-2 runs on 9.0");
    }
}

TEST(DiagnoseConfirm, CodeMadeAtRunTimeLeavesItOpen) {
    auto file = file_of("flash-attention-2", "a.so", {Runs::native});
    file.runtime_code = true;
    EXPECT_EQ(confirmation(kLog, {file}, "h100").confirmed, Confirmed::cannot_tell);
}

// Other libraries' files do not count while there are some of the finding's own.
TEST(DiagnoseConfirm, TheLibrarysOwnFilesAreAsked) {
    const auto other = file_of("marlin", "marlin.so", {Runs::no});
    EXPECT_EQ(
        confirmation(kLog, {other, file_of("flash-attention-2", "a.so", {Runs::native})}, "h100").confirmed,
        Confirmed::no);
    const Confirmation alone = confirmation(kLog, {other}, "h100");
    EXPECT_EQ(alone.confirmed, Confirmed::yes);
    EXPECT_NE(alone.text.find("marlin.so"), std::string::npos);
    EXPECT_EQ(confirmation(kLog, {}, "h100").confirmed, Confirmed::cannot_tell);
}

TEST(DiagnoseConfirm, WithoutAGpuTheFailuresOwnIsTaken) {
    EXPECT_EQ(confirmation(kLog, {file_of("flash-attention-2", "a.so", {})}, nullptr).text,
              "not said for which GPU: give --gpu");
    const std::string gated =
        "RuntimeError: Error in function 'TllmGenFmhaRunner' at fmhaRunner.cuh:30: Unsupported architecture";
    const Confirmation c =
        confirmation(gated, {file_of("trtllm-gen", "a.so", {Runs::native, Runs::no, Runs::no})},
                     nullptr);  // 9.0, 12.0, 12.1
    EXPECT_EQ(c.confirmed, Confirmed::yes);
    EXPECT_NE(c.text.find("for 12.0"), std::string::npos);
}

TEST(DiagnoseConfirm, SharedMemoryIsJudgedByItsStaticPart) {
    const std::string log =
        "OutOfResources: out of resource: shared memory, Required: 106496, Hardware limit: 101376.";
    auto file = file_of("sglang", "a.so", {Runs::native});
    EXPECT_EQ(confirmation(log, {file}, "rtx-5090").confirmed, Confirmed::cannot_tell);
    file.images[0].kernels[0].shared_bytes = 110000;
    file.images[0].kernels[0].name = "big";
    const Confirmation c = confirmation(log, {file}, "rtx-5090");
    EXPECT_EQ(c.confirmed, Confirmed::yes);
    EXPECT_EQ(c.text, "a.so: big has 110000 bytes of static shared memory, a block may have 101376");
}

TEST(DiagnoseConfirm, JsonHasTheAgreedFields) {
    Report report = diagnose(kLog);
    const auto json = to_json(report);
    ASSERT_EQ(json["findings"].size(), 1u);
    for (const char* key : {"id", "library", "line", "text", "cause", "fix", "reference", "confidence"})
        EXPECT_TRUE(json["findings"][0].contains(key)) << key;
    EXPECT_EQ(json["findings"][0]["line"], 3);
    EXPECT_EQ(json["findings"][0]["library"], "flash-attention-2");
}

// Whatever is in a log, what is printed is text.
TEST(DiagnoseConfirm, OutputIsPrintable) {
    const std::string log = "\x01\xff\x9b RuntimeError: CUDA error: invalid device function \x07\n";
    const Report report = diagnose(log);
    const std::string text = to_text(report, std::nullopt, false) + to_json(report).dump();
    for (const char c : text) EXPECT_TRUE(c == '\n' || (c >= ' ' && c < 0x7f)) << static_cast<int>(c);
}

}  // namespace
}  // namespace warpwright::diagnose
