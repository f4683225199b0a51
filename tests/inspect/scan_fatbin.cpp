// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "inspect/expanded.h"
#include "scan_samples.h"

namespace warpwright::inspect {
namespace {

using namespace samples;
using Found = std::vector<Payload>;

std::string expanded(const Payload& payload) {
    const auto bytes = expand(payload, 1 << 20);
    EXPECT_TRUE(bytes.ok()) << bytes.status().message();
    return bytes.ok() ? std::string(as_text(*bytes)) : "";
}

// The first bytes of what nvcc 13.0.88 writes for `-gencode arch=compute_100,code=sm_100a -fatbin`, the cubin
// cut off.
constexpr unsigned char kNvccBytes[] = {
    0x50, 0xed, 0x55, 0xba, 0x01, 0x00, 0x10, 0x00, 0xd8, 0x31, 0,    0,    0,    0, 0, 0,  //
    0x02, 0x00, 0x01, 0x01, 0x70, 0x00, 0x00, 0x00, 0x68, 0x31, 0,    0,    0,    0, 0, 0,  //
    0,    0,    0,    0,    0x40, 0,    0,    0,    0x08, 0x00, 0x01, 0x00, 0x64, 0, 0, 0,  //
    0,    0,    0,    0,    0,    0,    0,    0,    0x11, 0x00, 0x10, 0x01, 0,    0, 0, 0,  //
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0, 0, 0,  //
    0x48, 0,    0,    0,    0x24, 0,    0,    0,    0x00, 0x02, 0x09, 0x01, 0x00};

TEST(Fatbin, ReadsTheBytesOfNvcc) {
    std::string file(reinterpret_cast<const char*>(kNvccBytes), sizeof kNvccBytes);
    file.resize(16 + 0x31d8);
    ScanNotes notes;
    const Found found = find_payloads(span_of(file), notes);
    ASSERT_EQ(found.size(), 1u);
    EXPECT_TRUE(notes.notes.empty());
    EXPECT_EQ(found[0].kind, ImageKind::cubin);
    EXPECT_EQ(found[0].fatbin, 0u);
    EXPECT_EQ(architecture_name(found[0].architecture), "sm_100a");
    EXPECT_EQ(found[0].compression, Compression::none);
    EXPECT_EQ(found[0].offset, 0x80u);
    EXPECT_EQ(found[0].bytes, 0x3168u);
    EXPECT_EQ(found[0].minor, 8);
    EXPECT_EQ(found[0].major, 1);
    EXPECT_EQ(found[0].flags, 0x01100011u);
    EXPECT_EQ(found[0].options, "") << "a cubin's record is its .nv.compat";
}

TEST(Fatbin, EveryKindAndCompression) {
    const std::string text = kPtx + std::string(500, ' ') + "\n";
    for (const Compression compression : {Compression::none, Compression::lz4, Compression::zstd}) {
        const std::string file = fatbin({
            {.kind = 2,
             .content = cubin(),
             .sm = 120,
             .flags = 0x1200011,
             .compression = compression,
             .source_name = "k2.cu"},
            {.kind = 1,
             .content = text,
             .compression = compression,
             .options = "-O1 -maxrregcount=64",
             .minor = 0,
             .major = 9},
            {.kind = 8, .content = "opaque", .options = "-ftz=0 -prec_div=1"},
        });
        ScanNotes notes;
        const Found found = find_payloads(span_of(file), notes);
        ASSERT_EQ(found.size(), 3u) << compression_name(compression);
        EXPECT_TRUE(notes.notes.empty());
        EXPECT_EQ(architecture_name(found[0].architecture), "sm_120f");
        EXPECT_EQ(found[0].source_name, "k2.cu");
        EXPECT_EQ(found[0].compression, compression);
        EXPECT_EQ(found[0].bytes,
                  cubin().size() +
                      (compression == Compression::none ? padded(cubin()).size() - cubin().size() : 0));
        EXPECT_EQ(expanded(found[0]).substr(0, cubin().size()), cubin());
        EXPECT_EQ(found[1].kind, ImageKind::ptx);
        EXPECT_EQ(found[1].options, "-O1 -maxrregcount=64");
        EXPECT_EQ(found[1].major, 9);
        EXPECT_EQ(expanded(found[1]), text) << "PTX ends before its padding";
        EXPECT_EQ(found[2].kind, ImageKind::ltoir);
        EXPECT_EQ(found[2].options, "-ftz=0 -prec_div=1");
    }
}

TEST(Fatbin, AccidentalMagicIsNothing) {
    std::string file(4096, 'x');
    file.replace(100, 4, "\x50\xED\x55\xBA");                              // another version
    file.replace(200, 8, std::string("\x50\xED\x55\xBA\x01\0\x10\0", 8));  // no entry behind it
    file.replace(4090, 4, "\x50\xED\x55\xBA");                             // no header to the end
    ScanNotes notes;
    EXPECT_TRUE(find_payloads(span_of(file), notes).empty());
    EXPECT_TRUE(notes.notes.empty());
}

TEST(Fatbin, DamageIsSaidAndTheRestIsFound) {
    const std::string good = entry({.kind = 1, .content = kPtx});
    std::string bad = good;
    bad[8] = '\xFF';  // stored bytes
    bad[9] = '\xFF';
    const std::string file = fatbin_of(good + bad) + fatbin({{.content = cubin()}});
    ScanNotes notes;
    const Found found = find_payloads(span_of(file), notes);
    ASSERT_EQ(notes.notes.size(), 1u);
    EXPECT_EQ(notes.notes[0].find("fatbin at 0x0: entry 2 at "), 0u) << notes.notes[0];
    // The damaged entry's text is bare PTX now.
    ASSERT_EQ(found.size(), 3u);
    EXPECT_EQ(found[0].fatbin, 0u);
    EXPECT_FALSE(found[1].fatbin);
    EXPECT_EQ(found[2].kind, ImageKind::cubin);
}

TEST(Fatbin, CutOffIsSaid) {
    const std::string whole = fatbin({{.kind = 1, .content = kPtx}, {.content = cubin()}});
    const std::string file = whole.substr(0, whole.size() - 40);
    ScanNotes notes;
    const Found found = find_payloads(span_of(file), notes);
    ASSERT_GE(notes.notes.size(), 1u);
    EXPECT_NE(notes.notes[0].find("says "), std::string::npos) << notes.notes[0];
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(expanded(found[0]), kPtx);
}

TEST(Fatbin, UnknownKindIsSaid) {
    ScanNotes notes;
    const std::string file = fatbin({{.kind = 16, .content = "tiles"}, {.kind = 1, .content = kPtx}});
    EXPECT_EQ(find_payloads(span_of(file), notes).size(), 1u);
    ASSERT_EQ(notes.notes.size(), 1u);
    EXPECT_NE(notes.notes[0].find("is of kind 16"), std::string::npos);
}

}  // namespace
}  // namespace warpwright::inspect
