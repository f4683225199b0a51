// SPDX-License-Identifier: Apache-2.0
#include "image/key.h"

#include <set>

#include <gtest/gtest.h>

#include "image/kernels.h"
#include "image/sha256.h"

namespace warpwright::test {
namespace {

std::string sha256(std::string_view text) {
    Sha256 hash;
    const auto digest = hash.update(text).digest();
    return to_hex({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

TEST(sha256, published_vectors) {  // FIPS 180-4 examples
    EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    EXPECT_EQ(sha256(std::string(1000000, 'a')),
              "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(sha256, pieces_give_the_same_digest) {
    const std::string text(200, 'x');
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
        Sha256 whole, pieces;
        whole.update(text);
        pieces.update(std::string_view(text).substr(0, cut)).update(std::string_view(text).substr(cut));
        ASSERT_EQ(whole.digest(), pieces.digest()) << cut;
    }
}

TEST(image_key, adding_a_row_changes_no_other_key) {
    ScaleFiles before, after;
    after.rows.replace(after.rows.find("{{\"scale.two\""), 1, "{{\"scale.one\", 1, 32}, ");
    ImageSpec spec = scale_spec(0, BuildTarget::sm_80);
    ImageSpec moved = spec;
    moved.row_index = 1;
    ASSERT_NE(before.rows, after.rows);
    EXPECT_EQ(scale_key(before, spec), scale_key(after, moved));
}

TEST(image_key, editing_a_source_changes_it) {
    const ScaleFiles original;
    ScaleFiles kernel, header, nested;
    kernel.kernel += "// edited\n";
    header.rows += "// edited\n";
    nested.times += "// edited\n";
    const ImageSpec spec = scale_spec(0, BuildTarget::sm_80);
    std::set<std::string> keys;
    for (const ScaleFiles& files : {original, kernel, header, nested}) keys.insert(scale_key(files, spec));
    EXPECT_EQ(keys.size(), 4u);
}

TEST(image_key, row_target_and_compiler_are_part_of_it) {
    const ScaleFiles files;
    std::set<std::string> keys;
    for (BuildTarget target : kDeviceTargets) {
        for (int row : {0, 1}) keys.insert(scale_key(files, scale_spec(row, target)));
    }
    ImageSpec changed = scale_spec(0, BuildTarget::sm_80);
    changed.row_content += " stages=2";
    keys.insert(scale_key(files, changed));
    ImageSpec exact = scale_spec(0, BuildTarget::sm_80);
    exact.contracts = false;
    keys.insert(scale_key(files, exact));
    EXPECT_EQ(keys.size(), 2 * std::size(kDeviceTargets) + 2);

    const std::vector<EmbeddedFile> embedded = files.files();
    const KernelSources sources(embedded);
    const auto closure = sources.closure(kSource).value();
    const ImageSpec spec = scale_spec(0, BuildTarget::sm_80);
    EXPECT_EQ(image_key(spec, *closure, "13.0.88").hash, image_key(spec, *closure, "13.1.2").hash);
    EXPECT_NE(image_key(spec, *closure, "13.0.88").text(), image_key(spec, *closure, "13.1.2").text());
}

TEST(kernel_sources, only_what_is_included_is_handed_to_the_compiler) {
    const ScaleFiles files;
    std::vector<EmbeddedFile> embedded = files.files();
    embedded.push_back({"src/ptx/unrelated.cuh", "#error"});
    const KernelSources sources(embedded);
    const auto closure = sources.closure(kSource).value();
    ASSERT_EQ(closure->files.size(), 3u);
    EXPECT_EQ(closure->files[0].include_name, "kernels/scale/portable.cuh");
    EXPECT_EQ(closure->files[2].include_name, "ptx/times.cuh");
    EXPECT_EQ(sources.closure("src/kernels/none.cuh").status().message(),
              "kernel source src/kernels/none.cuh is not compiled into this library");
}

TEST(kernel_sources, tables_are_cut_out_with_their_markers) {
    EXPECT_EQ(without_row_tables("a\n  // rows:begin\nrow\n// rows:end\nb\n// rows:begin\nrow\n// rows:end"),
              "a\nb\n");
    EXPECT_EQ(without_row_tables("a\nb"), "a\nb");
}

TEST(kernel_sources, the_compiler_sees_one_row_of_a_table) {
    const std::string table =
        "x\n// rows:begin\nT rows[] = {  // {\n  {\"a\", {1, \"b\"}},\n  {.name = \"b\", \"c\"},  // "
        "{\"a\"}\n  "
        "{\"c\"},\n};\n"
        "// rows:end\ny";
    const auto cut = [&](std::string_view row) {
        bool found = false;
        const std::string text = with_only_row(table, row, found);
        return found ? text : "";
    };
    EXPECT_EQ(cut("a"), "x\n// rows:begin\nT rows[] = {{\"a\", {1, \"b\"}}};\n// rows:end\ny");
    EXPECT_EQ(cut("b"), "x\n// rows:begin\nT rows[] = {{.name = \"b\", \"c\"}};\n// rows:end\ny");
    EXPECT_EQ(cut("c"), "x\n// rows:begin\nT rows[] = {{\"c\"}};\n// rows:end\ny");
    EXPECT_EQ(cut("d"), "");
    bool found = false;
    EXPECT_EQ(with_only_row(table, "d", found), table);
}

// A registry row whose key depended on its position would be rebuilt whenever a row is added before it.
TEST(kernel_sources, every_registered_row_table_is_between_markers) {
    for (const ImageSpec& spec : all_image_specs()) {
        const auto closure = KernelSources::embedded().closure(spec.source);
        ASSERT_TRUE(closure.ok()) << closure.status().message();
        bool found = false;
        for (const SourceFile& file : closure.value()->files) {
            const std::string kept = without_row_tables(file.text);
            EXPECT_EQ(kept.find('"' + spec.row + '"'), kept.npos) << spec.row << " in " << file.include_name;
            const std::string cut = with_only_row(file.text, spec.row, found);
            if (file.text.find('"' + spec.row + '"') == file.text.npos) continue;
            for (const ImageSpec& other : all_image_specs()) {
                if (other.row == spec.row) continue;
                EXPECT_EQ(cut.find('"' + other.row + '"'), cut.npos) << other.row;
            }
        }
        EXPECT_TRUE(found) << spec.row << " is not a braced group of a table in " << spec.source;
    }
}

}  // namespace
}  // namespace warpwright::test
