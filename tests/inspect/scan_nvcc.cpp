// SPDX-License-Identifier: Apache-2.0
// What nvcc 13.0 embeds, option by option, against what is found.
#include <gtest/gtest.h>

#include <algorithm>

#include "container_samples.h"
#include "inspect/toolkit.h"
#include "scan_samples.h"

namespace warpwright::inspect {
namespace {

using namespace samples;

const std::string kSource =
    "__global__ void kernel(int* p) { *p = 1; }\nint main() { kernel<<<1, 1>>>(nullptr); }\n";

// "cubin sm_90a zstd .nv_fatbin", a "*" behind what is an input of the device link.
std::vector<std::string> found_in(const std::string& file) {
    ScanNotes notes;
    std::vector<std::string> lines;
    Expander expander;
    for (const Payload& payload : find_payloads(span_of(file), notes)) {
        std::string line = std::string(image_kind_name(payload.kind)) + " " +
                           architecture_name(payload.architecture) + " " +
                           compression_name(payload.compression);
        if (!payload.section.empty()) line += " " + payload.section;
        lines.push_back(line + (payload.link_input ? " *" : ""));
        const auto bytes = expander.expand(payload, 1 << 24);
        EXPECT_TRUE(bytes.ok()) << line << ": " << bytes.status().message();
        if (!bytes.ok() || payload.kind == ImageKind::ltoir) continue;
        EXPECT_EQ(file_type(*bytes), payload.kind == ImageKind::ptx ? "ptx" : "cubin") << line;
    }
    EXPECT_TRUE(notes.notes.empty()) << notes.notes[0];
    std::sort(lines.begin(), lines.end());
    return lines;
}

struct Case {
    const char* options;
    std::vector<std::string> expected;  // sorted
};

void PrintTo(const Case& c, std::ostream* out) {
    *out << c.options;
}

class Nvcc : public testing::TestWithParam<Case> {};

TEST_P(Nvcc, EmbedsWhatIsFound) {
    WW_NEED_PROGRAM("nvcc");
    const auto sample = compile_sample(kSource, GetParam().options);
    ASSERT_TRUE(sample);
    if (sample->exit_code != 0) GTEST_SKIP() << "this nvcc does not take " << GetParam().options;
    EXPECT_EQ(found_in(sample->bytes), GetParam().expected);
}

#define WW_80 "-gencode arch=compute_80,code=[sm_80,compute_80]"
INSTANTIATE_TEST_SUITE_P(
    Options, Nvcc,
    testing::Values(
        // Three images for a target with a suffix: PTX without it, too.
        Case{"-fatbin -arch=sm_100a", {"cubin sm_100a none", "ptx sm_100 zstd", "ptx sm_100a zstd"}},
        Case{"-fatbin -compress-mode=size " WW_80, {"cubin sm_80 zstd", "ptx sm_80 zstd"}},
        Case{"-fatbin -compress-mode=speed " WW_80, {"cubin sm_80 none", "ptx sm_80 lz4"}},
        Case{"-fatbin -compress-mode=none " WW_80, {"cubin sm_80 none", "ptx sm_80 none"}},
        Case{"-cubin -arch=sm_90a", {"cubin unknown none"}},  // what it is for stands in itself
        Case{"-ptx -arch=compute_90a", {"ptx unknown none"}},
        Case{"-c -G -gencode arch=compute_120f,code=sm_121", {"cubin sm_121f zstd .nv_fatbin"}},
        Case{"-c -rdc=true -gencode arch=compute_90,code=sm_90 -gencode arch=compute_80,code=sm_80",
             {"cubin sm_80 zstd __nv_relfatbin", "cubin sm_90 zstd __nv_relfatbin"}},
        Case{"-c -dlto -arch=sm_90", {"ltoir sm_90 none __nv_relfatbin", "ptx sm_90 zstd __nv_relfatbin"}}));

// An executable keeps the inputs of the device link beside its result.
TEST(NvccLink, InputsAreTold) {
    WW_NEED_PROGRAM("nvcc");
    const auto sample = compile_sample(kSource, "-rdc=true -gencode arch=compute_80,code=sm_80");
    ASSERT_TRUE(sample);
    if (sample->exit_code != 0) GTEST_SKIP() << "nvcc cannot link here: " << sample->log;
    int linked = 0, inputs = 0;
    for (const std::string& line : found_in(sample->bytes)) {
        inputs += line.ends_with(" *");
        linked += line.ends_with(" .nv_fatbin");
    }
    EXPECT_GE(linked, 1);
    EXPECT_GE(inputs, 1);
}

TEST(NvccOptions, AreKeptForTheJit) {
    WW_NEED_PROGRAM("nvcc");
    const auto sample = compile_sample(kSource, "-fatbin -lineinfo -maxrregcount=64 " WW_80);
    ASSERT_TRUE(sample);
    ASSERT_EQ(sample->exit_code, 0) << sample->log;
    ScanNotes notes;
    const auto found = find_payloads(span_of(sample->bytes), notes);
    ASSERT_EQ(found.size(), 2u);
    const Payload& ptx = found[0].kind == ImageKind::ptx ? found[0] : found[1];
    EXPECT_NE(ptx.options.find("maxrregcount"), std::string::npos) << ptx.options;
    EXPECT_EQ(ptx.major, 9);
    EXPECT_TRUE(ptx.source_name.ends_with(".cu")) << ptx.source_name;
}

TEST(NvccLibrary, MembersAreFiles) {
    WW_NEED_PROGRAM("nvcc");
    const auto sample = compile_sample(kSource, "-lib " WW_80);
    ASSERT_TRUE(sample);
    ASSERT_EQ(sample->exit_code, 0) << sample->log;
    const Seen seen = visit_text("lib.a", sample->bytes);
    ASSERT_EQ(seen.files.size(), 1u) << seen.refusal();
    EXPECT_TRUE(seen.files.begin()->first.starts_with("lib.a!/")) << seen.files.begin()->first;
    EXPECT_EQ(found_in(seen.files.begin()->second),
              (std::vector<std::string>{"cubin sm_80 none .nv_fatbin", "ptx sm_80 zstd .nv_fatbin"}));
}

}  // namespace
}  // namespace warpwright::inspect
