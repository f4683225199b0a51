// SPDX-License-Identifier: Apache-2.0
// docs/emulator.md shows what the code covers. WARPWRIGHT_UPDATE_DOCS=1 writes the table into it.
#include "emulator/decode/coverage.h"

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include "emulator/decode/binding.h"

namespace warpwright::emulator {
namespace {

constexpr const char* kPage = WW_SOURCE_DIR "/docs/emulator.md";
constexpr std::string_view kBegin = "<!-- coverage:begin -->\n";
constexpr std::string_view kEnd = "<!-- coverage:end -->\n";

TEST(Coverage, EveryOpcodeSaysItsFormsAndSection) {
    for (const Opcode* opcode : opcodes()) {
        EXPECT_NE(opcode->bind, nullptr) << opcode->name;
        EXPECT_FALSE(opcode->section.empty()) << opcode->name;
        EXPECT_EQ(opcode->forms.find('\n'), opcode->forms.npos) << opcode->name;
    }
}

TEST(Coverage, TheTableHasARowForEachName) {
    std::set<std::string_view> names;
    for (const Opcode* opcode : opcodes()) names.insert(opcode->name);
    std::istringstream table(coverage_table());
    std::string line;
    std::size_t rows = 0;
    while (std::getline(table, line)) {
        // Escaped bars are none.
        int bars = 0;
        for (std::size_t i = 0; i < line.size(); ++i)
            bars += line[i] == '|' && (i == 0 || line[i - 1] != '\\');
        EXPECT_EQ(bars, 4) << line;
        ++rows;
    }
    EXPECT_EQ(rows, names.size() + 2);
}

TEST(Coverage, ThePageHasTheTable) {
    std::ifstream file(kPage);
    if (!file) GTEST_SKIP() << kPage << " is not there";
    std::stringstream content;
    content << file.rdbuf();
    std::string page = content.str();
    const std::size_t begin = page.find(kBegin);
    const std::size_t end = page.find(kEnd);
    ASSERT_NE(begin, page.npos);
    ASSERT_LT(begin, end);
    const std::size_t start = begin + kBegin.size();
    const std::string expected = coverage_table();
    if (page.substr(start, end - start) == expected) return;
    if (std::getenv("WARPWRIGHT_UPDATE_DOCS") != nullptr) {
        std::ofstream(kPage) << page.replace(start, end - start, expected);
        return;
    }
    FAIL() << "docs/emulator.md has another table; WARPWRIGHT_UPDATE_DOCS=1 build/tests/test_emulator "
              "--gtest_filter=Coverage* writes it. Expected:\n"
           << expected;
}

}  // namespace
}  // namespace warpwright::emulator
