// SPDX-License-Identifier: Apache-2.0
// The toolkit's own libraries: counts against a second, independent method (count_payloads.py), and against
// those of CUDA 13.0, where these are its files. Container and headers only: their licences forbid more.
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "image/mapped_file.h"
#include "scan_samples.h"

namespace warpwright::inspect {
namespace {

using Counts = std::map<std::string, int>;

struct Library {
    const char* name;
    u64 bytes_13_0;      // the file that the counts are of
    Counts counts_13_0;  // "fatbin cubin", "bare cubin zstd", ...
};

void PrintTo(const Library& library, std::ostream* out) {
    *out << library.name;
}

std::optional<nlohmann::json> count_by_python(const std::string& path) {
    const std::string command =
        std::string("python3 " WW_SOURCE_DIR "/tests/inspect/count_payloads.py ") + path;
    FILE* pipe = popen(command.c_str(), "r");  // NOLINT: a path of the toolkit
    if (pipe == nullptr) return std::nullopt;
    std::string text(4096, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), pipe));
    if (pclose(pipe) != 0) return std::nullopt;
    return nlohmann::json::parse(text);
}

class ToolkitLibrary : public testing::TestWithParam<Library> {};

TEST_P(ToolkitLibrary, CountsAgree) {
    const Library& library = GetParam();
    const std::string path = std::string("/usr/local/cuda/lib64/") + library.name;
    if (!std::filesystem::exists(path))
        GTEST_SKIP() << "needs the CUDA toolkit's libraries, found no " << path;
    const auto file = MappedFile::open(path);
    ASSERT_TRUE(file.ok()) << file.status().message();

    ScanNotes notes;
    Counts found;
    u64 end = 0;
    for (const Payload& payload : find_payloads(file->bytes(), notes)) {
        const std::string kind = image_kind_name(payload.kind);
        ++found[payload.fatbin ? "fatbin " + kind
                               : "bare " + kind + " " + compression_name(payload.compression)];
        EXPECT_GE(payload.offset, end) << "twice";
        EXPECT_FALSE(payload.section.empty()) << payload.offset;
        end = payload.offset + payload.stored.size();
    }
    EXPECT_TRUE(notes.notes.empty()) << notes.notes[0];
    if (file->bytes().size() == library.bytes_13_0) {
        EXPECT_EQ(found, library.counts_13_0);
    }

    const auto counted = count_by_python(path);
    if (!counted) GTEST_SKIP() << "the second method needs python3";
    EXPECT_EQ(found["fatbin ptx"], (*counted)["ptx"]);
    EXPECT_EQ(found["fatbin cubin"], (*counted)["cubin"]);
    EXPECT_EQ(found["fatbin ltoir"], (*counted)["ltoir"]);
    EXPECT_EQ(found["bare cubin zstd"], (*counted)["frames"]);
    EXPECT_EQ(found["bare cubin none"], (*counted)["bare"]);
}

INSTANTIATE_TEST_SUITE_P(
    Cuda13, ToolkitLibrary,
    testing::Values(
        Library{"libcublasLt.so.13",
                541595600,
                {{"fatbin cubin", 5832}, {"fatbin ptx", 288}, {"bare cubin zstd", 393}}},
        Library{"libnccl.so.2", 217995896, {{"fatbin cubin", 838}, {"fatbin ptx", 138}}},
        Library{"libcudnn_engines_precompiled.so.9", 245391920, {{"fatbin cubin", 4068}, {"fatbin ptx", 93}}},
        Library{"libcufft.so.12",
                286542352,
                {{"fatbin cubin", 3125}, {"fatbin ptx", 8131}, {"fatbin ltoir", 12728}}},
        Library{"libcupti.so.13", 4152208, {{"fatbin cubin", 33}, {"bare cubin none", 42}}}));

}  // namespace
}  // namespace warpwright::inspect
