// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "container_samples.h"
#include "scan_samples.h"

namespace warpwright::inspect {
namespace {

using namespace samples;

const std::string kCode = cubin(std::string(9000, 'c'));

TEST(Zip, EveryMethodAndForm) {
    const std::vector<ZipMember> members = {
        {.name = "stored.cubin", .content = kCode, .method = 0},
        {.name = "pkg/deflated.cubin", .content = kCode},
        {.name = "zstd.cubin", .content = kCode, .method = 93},
        {.name = "pkg/", .content = "", .method = 0},
        {.name = "text.py", .content = "import torch\n"},
        {.name = "kernel.ptx", .content = kPtx},
    };
    const std::map<std::string, std::string> expected = {{"a.whl!/stored.cubin", kCode},
                                                         {"a.whl!/pkg/deflated.cubin", kCode},
                                                         {"a.whl!/zstd.cubin", kCode},
                                                         {"a.whl!/kernel.ptx", kPtx}};
    for (const bool is_wide : {false, true}) {
        for (const bool sizes_follow : {false, true}) {
            const ZipForm form{.is_wide = is_wide, .sizes_follow = sizes_follow, .comment = "a comment"};
            const Seen seen = visit_text("a.whl", zip(members, form));
            EXPECT_EQ(seen.files, expected) << is_wide << sizes_follow;
            EXPECT_TRUE(seen.refused.empty()) << seen.refusal();
        }
    }
}

TEST(Zip, StoredMembersAreReadInPlace) {
    const std::string file = zip({{.name = "a.cubin", .content = kCode, .method = 0}});
    FileVisitor visitor;
    bool is_in_place = false;
    visitor.file = [&](const FileBytes& found) {
        const auto* at = reinterpret_cast<const char*>(found.bytes.data());
        is_in_place = at > file.data() && at < file.data() + file.size();
    };
    visit_bytes("a.whl", span_of(file), {}, visitor);
    EXPECT_TRUE(is_in_place);
}

TEST(Zip, BehindAScript) {
    const ZipForm form{.before = "#!/usr/bin/env python3\n"};
    const Seen seen = visit_text("a.pex", zip({{.name = "a.cubin", .content = kCode}}, form));
    EXPECT_EQ(seen.files.count("a.pex!/a.cubin"), 1u) << seen.refusal();
}

TEST(Zip, DoesNotUnpackWhatIsNoCode) {
    const std::string text(5 << 20, 't');
    Limits limits;
    limits.max_member_bytes = 6 << 20;
    const Seen seen = visit_text(
        "a.whl", zip({{.name = "a.txt", .content = text}, {.name = "b.png", .content = "\x89PNG" + text}}),
        limits);
    EXPECT_TRUE(seen.files.empty());
    EXPECT_TRUE(seen.refused.empty());
}

TEST(Zip, LinksAndFoldersAreNoFiles) {
    const Seen seen =
        visit_text("a.zip", zip({{.name = "link", .content = kCode, .attributes = 0120777u << 16}}));
    EXPECT_TRUE(seen.files.empty());
    EXPECT_TRUE(seen.refused.empty());
}

struct Trick {
    const char* name;
    std::string file;
    std::string refusal;
};

std::vector<Trick> tricks() {
    const ZipMember good{.name = "a.cubin", .content = kCode};
    const auto with = [&](auto change) {
        ZipMember member = good;
        change(member);
        return zip({member});
    };
    std::string damaged = zip({good});
    damaged[60] ^= 0x55;
    return {
        {"leads out", with([](auto& m) { m.name = "../../etc/a.cubin"; }),
         "a.whl: member '../../etc/a.cubin' leads out"},
        {"backslashes", with([](auto& m) { m.name = "..\\a.cubin"; }), "leads out"},
        {"absolute", with([](auto& m) { m.name = "/etc/a.cubin"; }), "leads out"},
        {"overlap", zip({good, {.name = "b.cubin", .content = kCode, .local_name = "a.cubin", .offset = 0}}),
         "a.whl: members 'a.cubin' and 'b.cubin' overlap"},
        {"names disagree", with([](auto& m) { m.local_name = "b.cubin"; }), "disagree"},
        {"more than it says", with([](auto& m) { m.bytes = 100; }), "a.whl!/a.cubin: its checksum"},
        {"less than it says", with([](auto& m) { m.bytes = kCode.size() + 1; }), "holds"},
        {"not there", with([](auto& m) { m.stored_bytes = 1 << 20; }), "which are not there"},
        {"absurd", with([](auto& m) { m.bytes = u64{1} << 31; }), "would expand to 2147483648: refused"},
        {"wrong checksum", with([](auto& m) { m.crc = 1; }), "its checksum is"},
        {"encrypted", with([](auto& m) { m.flags = 1; }), "a.whl!/a.cubin: is encrypted"},
        {"method", with([](auto& m) { m.method = 12; }), "is compressed by method 12"},
        {"stored and larger", with([](auto& m) {
             m.method = 0;
             m.bytes = 1;
         }),
         "is stored plainly"},
        {"count", zip({good}, {.num_members = 2}), "its directory has 1 members, its end says 2"},
        {"no end", zip({good}).substr(0, 200), "without its end"},
        {"damaged", damaged, "a.whl!/a.cubin: "},
        {"offset behind the end", with([](auto& m) { m.offset = 1 << 30; }), "begins behind the end"},
    };
}

TEST(Zip, TricksAreRefusedInASentence) {
    for (const Trick& trick : tricks()) {
        const Seen seen = visit_text("a.whl", trick.file);
        EXPECT_NE(seen.refusal().find(trick.refusal), std::string::npos)
            << trick.name << ": " << seen.refusal();
        EXPECT_EQ(seen.refusal().find("a.whl"), 0u) << trick.name;
        EXPECT_TRUE(seen.files.empty()) << trick.name;
    }
}

TEST(Zip, OneBadMemberDoesNotHideTheOthers) {
    const Seen seen =
        visit_text("a.whl", zip({{.name = "../bad", .content = kCode}, {.name = "good", .content = kCode}}));
    EXPECT_EQ(seen.files.count("a.whl!/good"), 1u);
    EXPECT_EQ(seen.refused.size(), 1u);
}

TEST(Zip, ABombIsRefusedBeforeItIsExpanded) {
    // 70 MB of zeros behind the beginning of a cubin: more than 64 MB, and about a thousand times its size.
    std::string content = kCode;
    content.resize(70 << 20);
    Limits limits;
    limits.max_expansion = 500;
    const Seen seen = visit_text("a.whl", zip({{.name = "bomb", .content = content}}), limits);
    EXPECT_NE(seen.refusal().find("would expand to 73400320: refused"), std::string::npos) << seen.refusal();
    EXPECT_TRUE(seen.files.empty());
}

TEST(Zip, ManySmallBombsAreOne) {
    std::string content = kCode;
    content.resize(8 << 20);
    std::vector<ZipMember> members;
    for (int i = 0; i < 12; ++i) members.push_back({.name = std::to_string(i), .content = content});
    Limits limits;
    limits.max_expansion = 100;
    const Seen seen = visit_text("a.whl", zip(members), limits);
    EXPECT_LE(seen.files.size(), 8u);
    ASSERT_FALSE(seen.refused.empty());
    EXPECT_NE(seen.refused[0].find("a.whl expands to more than 100 times its size"), std::string::npos)
        << seen.refused[0];
}

TEST(Zip, ArchivesInArchivesHaveADepth) {
    std::string file = zip({{.name = "a.cubin", .content = kCode}});
    for (int i = 0; i < 2; ++i) file = zip({{.name = "in.zip", .content = file}});
    EXPECT_EQ(visit_text("a.zip", file).files.count("a.zip!/in.zip!/in.zip!/a.cubin"), 1u);
    const Seen seen = visit_text("a.zip", zip({{.name = "in.zip", .content = file}}));
    EXPECT_TRUE(seen.files.empty());
    EXPECT_NE(seen.refusal().find("an archive in 3 others: refused"), std::string::npos) << seen.refusal();
}

TEST(Zip, MembersBeyondThePoolGoToAFile) {
    Limits limits;
    limits.pool_bytes = 1 << 20;
    std::string large(3 << 20, '\0');
    for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 2654435761u >> 13);
    large = kCode + large;
    const Seen seen = visit_text(
        "a.whl", zip({{.name = "large", .content = large}, {.name = "small", .content = kCode}}), limits);
    EXPECT_TRUE(seen.refused.empty()) << seen.refusal();
    EXPECT_EQ(seen.files.at("a.whl!/large"), large);
    EXPECT_EQ(seen.files.at("a.whl!/small"), kCode);
}

TEST(Zip, TooManyMembersAreLeftOutAndSaid) {
    std::vector<ZipMember> members;
    for (int i = 0; i < 20; ++i) members.push_back({.name = std::to_string(i), .content = kCode});
    Limits limits;
    limits.max_files = 10;
    const Seen seen = visit_text("a.whl", zip(members), limits);
    EXPECT_LE(seen.files.size(), 10u);
    EXPECT_NE(seen.refusal().find("more than 10"), std::string::npos) << seen.refusal();
}

TEST(Zip, NamesAreMadePrintable) {
    const Seen seen = visit_text("a.whl", zip({{.name = "a\x1b[31m\xff.cubin", .content = kCode},
                                               {.name = "ä.cubin", .content = kCode}}));
    EXPECT_EQ(seen.files.count("a.whl!/a\\x1b[31m\\xff.cubin"), 1u);
    EXPECT_EQ(seen.files.count("a.whl!/ä.cubin"), 1u);
}

}  // namespace
}  // namespace warpwright::inspect
