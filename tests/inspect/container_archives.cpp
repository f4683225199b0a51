// SPDX-License-Identifier: Apache-2.0
// tar, ar and compressed files.
#include <gtest/gtest.h>

#include "container_samples.h"
#include "scan_samples.h"

namespace warpwright::inspect {
namespace {

using namespace samples;

const std::string kCode = cubin(std::string(70000, 'c'));
const std::string kLongName = std::string(120, 'd') + "/" + std::string(60, 'n') + ".cubin";

TEST(Tar, EveryPackingAndKindOfNames) {
    for (const TarNames names : {TarNames::gnu, TarNames::pax}) {
        const std::string file =
            tar({{.name = "pkg/", .type = '5'},
                 {.name = "./pkg/a.cubin", .content = kCode},
                 {.name = "pkg/b.py", .content = "import torch\n" + std::string(100000, ' ')},
                 {.name = "pkg/link", .type = '2', .link = "a.cubin"},
                 {.name = kLongName, .content = kPtx},
                 {.name = "empty"}},
                names);
        for (const Packing packing : {Packing::plain, Packing::gzip, Packing::xz, Packing::zstd}) {
            const Seen seen = visit_text("a.tar", packed(file, packing));
            EXPECT_TRUE(seen.refused.empty()) << seen.refusal();
            EXPECT_EQ(seen.files, (std::map<std::string, std::string>{{"a.tar!/pkg/a.cubin", kCode},
                                                                      {"a.tar!/" + kLongName, kPtx}}))
                << static_cast<int>(names) << static_cast<int>(packing);
        }
    }
}

TEST(Tar, GzipOfSeveralMembersIsOneStream) {
    const std::string file = tar({{.name = "a.cubin", .content = kCode}});
    const std::string packed_file =
        packed(file.substr(0, 1000), Packing::gzip) + packed(file.substr(1000), Packing::gzip);
    EXPECT_EQ(visit_text("a.tgz", packed_file).files.at("a.tgz!/a.cubin"), kCode);
    const std::string frames =
        packed(file.substr(0, 1000), Packing::zstd) + packed(file.substr(1000), Packing::zstd);
    EXPECT_EQ(visit_text("a.tar.zst", frames).files.at("a.tar.zst!/a.cubin"), kCode);
}

TEST(Tar, WhatIsWrongIsSaid) {
    const TarMember good{.name = "a.cubin", .content = kCode};
    std::string wrong_checksum = tar({good, good});
    wrong_checksum[512 + padded(kCode).size() / 512 * 512 + 512 + 10] ^= 1;
    struct Case {
        std::string file, refusal;
        size_t num_files;
    };
    for (const Case& c :
         {Case{tar({{.name = "../a", .content = kCode}, good}), "member '../a' leads out", 1},
          Case{tar({good}, TarNames::ustar, false), "ends without its last block", 1},
          Case{tar({good}).substr(0, 5000), "which are not there", 0},
          Case{wrong_checksum, "a header with a wrong checksum", 1},
          Case{tar({{.name = "a", .content = kCode, .type = 'S'}, good}), "is stored with holes: refused", 1},
          Case{tar({{.name = "a", .content = kCode, .bytes = u64{1} << 60}}), "which are not there", 0}}) {
        const Seen seen = visit_text("a.tar", c.file);
        EXPECT_NE(seen.refusal().find(c.refusal), std::string::npos) << c.refusal << ": " << seen.refusal();
        EXPECT_EQ(seen.files.size(), c.num_files) << c.refusal;
    }
}

TEST(Tar, WhatIsWrongInAStreamIsSaid) {
    for (const Packing packing : {Packing::gzip, Packing::xz, Packing::zstd}) {
        const std::string whole = packed(
            tar({{.name = "a.cubin", .content = kCode}, {.name = "b", .content = std::string(5000, '\1')}}),
            packing);
        const Seen cut = visit_text("a.tar.x", whole.substr(0, whole.size() / 2));
        EXPECT_EQ(cut.refused.size(), 1u) << static_cast<int>(packing);
        std::string damaged = whole;
        for (size_t i = damaged.size() / 2; i < damaged.size(); ++i) damaged[i] = static_cast<char>(i * 7);
        EXPECT_EQ(visit_text("a.tar.x", damaged).refused.size(), 1u) << static_cast<int>(packing);
    }
    const Seen large = visit_text(
        "a.tgz", packed(tar({{.name = "a", .content = kCode, .bytes = u64{1} << 40}}), Packing::gzip));
    ASSERT_FALSE(large.refused.empty());
    EXPECT_NE(large.refused[0].find("is 1099511627776 bytes, at most"), std::string::npos)
        << large.refused[0];
}

TEST(Tar, ABombInAStreamEnds) {
    std::string content = kCode;
    content.resize(80 << 20);
    Limits limits;
    limits.max_expansion = 10;
    const Seen seen =
        visit_text("a.tar.zst", packed(tar({{.name = "bomb", .content = content}}), Packing::zstd), limits);
    EXPECT_TRUE(seen.files.empty());
    EXPECT_NE(seen.refusal().find("expands to more than 10 times its size: refused"), std::string::npos)
        << seen.refusal();
}

TEST(Compressed, OneFile) {
    EXPECT_EQ(visit_text("x/a.cubin.gz", packed(kCode, Packing::gzip)).files.at("x/a.cubin.gz!/a.cubin"),
              kCode);
    EXPECT_EQ(visit_text("x/a.cubin.zst", packed(kCode, Packing::zstd)).files.at("x/a.cubin.zst!/a.cubin"),
              kCode);
    EXPECT_EQ(visit_text("x/a.cubin.xz", packed(kCode, Packing::xz)).files.at("x/a.cubin.xz!/a.cubin"),
              kCode);
    EXPECT_TRUE(visit_text("x/a.txt.gz", packed(std::string(100000, 't'), Packing::gzip)).files.empty());
}

TEST(Compressed, Bzip2IsRefusedInASentence) {
    const Seen seen = visit_text("a.tar.bz2", "BZh91AY&SY");
    EXPECT_EQ(seen.refusal(), "a.tar.bz2: bzip2 is not read: unpack it first");
}

TEST(Conda, IsAZipOfTars) {
    const std::string inner = packed(tar({{.name = "lib/a.so", .content = kCode}}), Packing::zstd);
    const std::string file = zip({{.name = "metadata.json", .content = "{}", .method = 0},
                                  {.name = "pkg-cuda-1.0.tar.zst", .content = inner, .method = 0}});
    const Seen seen = visit_text("cuda-1.0.conda", file);
    EXPECT_TRUE(seen.refused.empty()) << seen.refusal();
    EXPECT_EQ(seen.files.count("cuda-1.0.conda!/pkg-cuda-1.0.tar.zst!/lib/a.so"), 1u);
}

TEST(Ar, BothKindsOfNames) {
    const std::vector<std::pair<std::string, std::string>> members = {
        {"a.o", kCode}, {"a_name_of_more_than_fifteen.o", kPtx + "\n"}, {"odd.o", kCode + "x"}};
    for (const ArNames names : {ArNames::gnu, ArNames::bsd}) {
        const Seen seen = visit_text("lib.a", ar(members, names));
        EXPECT_TRUE(seen.refused.empty()) << seen.refusal();
        EXPECT_EQ(seen.files.size(), 3u);
        for (const auto& [name, content] : members)
            EXPECT_EQ(seen.files.at("lib.a!/" + name), content) << name;
    }
}

TEST(Ar, WhatIsWrongIsSaid) {
    const std::string good = ar({{"a.o", kCode}});
    EXPECT_NE(visit_text("lib.a", good.substr(0, 1000)).refusal().find("which are not there: cut off"),
              std::string::npos);
    EXPECT_NE(visit_text("lib.a", good + std::string(80, 'x')).refusal().find("no member's header at"),
              std::string::npos);
    EXPECT_EQ(visit_text("lib.a", "!<thin>\n").refusal(),
              "lib.a: a thin archive holds the names of its members only: give those files");
    std::string bad_name = ar({{"a_name_of_more_than_fifteen.o", kCode}});
    bad_name.replace(bad_name.find("/0 "), 3, "/99");
    EXPECT_NE(visit_text("lib.a", bad_name).refusal().find("a long name that is not there"),
              std::string::npos);
}

}  // namespace
}  // namespace warpwright::inspect
