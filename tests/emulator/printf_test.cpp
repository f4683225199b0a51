// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

#include "emulator/machine/format.h"

namespace warpwright::emulator {
namespace {

// Arguments as a kernel stores them. Strings are addresses in a table.
class Arguments {
public:
    Arguments& word(u32 value) { return append(&value, 4); }
    Arguments& wide(u64 value) { return append(&value, 8); }
    Arguments& real(double value) { return append(&value, 8); }
    Arguments& string(const char* text) {
        strings_.emplace_back(text);
        return wide(strings_.size());
    }
    Formatted format(std::string_view text) const {
        return format_printf(text, {[this](u64 offset, int bytes) -> std::optional<u64> {
                                        u64 value = 0;
                                        if (offset + static_cast<u64>(bytes) > bytes_.size())
                                            return std::nullopt;
                                        std::memcpy(&value, bytes_.data() + offset,
                                                    static_cast<std::size_t>(bytes));
                                        return value;
                                    },
                                    [this](u64 address) -> std::optional<std::string> {
                                        if (address - 1 >= strings_.size()) return std::nullopt;
                                        return strings_[address - 1];
                                    }});
    }

private:
    Arguments& append(const void* value, std::size_t size) {
        bytes_.resize((bytes_.size() + size - 1) / size * size + size);
        std::memcpy(bytes_.data() + bytes_.size() - size, value, size);
        return *this;
    }
    std::vector<char> bytes_;
    std::vector<std::string> strings_;
};

template <class... Args>
std::string host(const char* format, Args... args) {
    char text[1000];
    std::snprintf(text, sizeof text, format, args...);
    return text;
}

TEST(Printf, IntegersOfEverySize) {
    const u64 values[] = {0,
                          1,
                          42,
                          0x7f,
                          0x80,
                          0xff,
                          0x8000,
                          0x7fff'ffff,
                          0x8000'0000,
                          0xffff'ffff,
                          0x7fff'ffff'ffff'ffff,
                          0x8000'0000'0000'0000,
                          0xffff'ffff'ffff'ffff};
    for (const u64 value : values) {
        for (const char* format : {"%d", "%i", "%u", "%o", "%x", "%X", "%8d|", "%-8d|", "%08d", "%+d", "% d",
                                   "%.5d", "%#x", "%#o", "%hd", "%hhd", "%hu", "%hhx", "%12.4x|"}) {
            EXPECT_EQ(Arguments().word(static_cast<u32>(value)).format(format).text,
                      host(format, static_cast<u32>(value)))
                << format << " of " << value;
        }
        for (const char* format :
             {"%ld", "%lld", "%lu", "%llx", "%zu", "%jd", "%td", "%-20lld|", "%020llX"}) {
            EXPECT_EQ(Arguments().wide(value).format(format).text, host(format, value))
                << format << " of " << value;
        }
    }
}

TEST(Printf, RealsAsTheHostPrintsThem) {
    for (const double value : {0.0, -0.0, 1.5, -2.25, 1e-300, 1e300, 3.14159265358979,
                               std::numeric_limits<double>::infinity(), std::nan("")}) {
        for (const char* format : {"%f", "%e", "%g", "%a", "%F", "%E", "%G", "%A", "%.0f", "%.10f", "%12.3f|",
                                   "%-12.3e|", "%+g", "%012.2f", "%#.0f", "%lf"}) {
            EXPECT_EQ(Arguments().real(value).format(format).text, host(format, value))
                << format << " of " << value;
        }
    }
}

TEST(Printf, TextCharactersPointersAndPercent) {
    EXPECT_EQ(Arguments().string("abc").format("[%s]").text, "[abc]");
    EXPECT_EQ(Arguments().string("abc").format("[%6s]").text, "[   abc]");
    EXPECT_EQ(Arguments().string("abc").format("[%-6s]").text, "[abc   ]");
    EXPECT_EQ(Arguments().string("abcdef").format("[%.3s]").text, "[abc]");
    EXPECT_EQ(Arguments().word('x').format("[%3c]").text, "[  x]");
    EXPECT_EQ(Arguments().word('x').format("[%-3c]").text, "[x  ]");
    EXPECT_EQ(Arguments().word(0).format("[%c]").text, std::string("[\0]", 3));
    EXPECT_EQ(Arguments().wide(0x7f00).format("%p").text, "0x7f00");
    EXPECT_EQ(Arguments().wide(0x7f00).format("%8p|").text, "  0x7f00|");
    EXPECT_EQ(Arguments().format("100%% of %").text, "100% of %");
    EXPECT_EQ(Arguments().format("%n %q %5").text, "%n %q %5");
}

TEST(Printf, ArgumentsAreAlignedAndCounted) {
    const Formatted formatted =
        Arguments().word(1).wide(2).word(3).real(0.5).word(4).word(5).format("%d %lld %d %g %d %d");
    EXPECT_EQ(formatted.text, "1 2 3 0.5 4 5");
    EXPECT_EQ(formatted.num_arguments, 6);
    EXPECT_EQ(Arguments().word(7).word(2).real(1.0 / 3).format("%*.*f|").text, "   0.33|");
    EXPECT_EQ(Arguments().word(static_cast<u32>(-7)).word(2).real(1.0 / 3).format("%*.*f|").text, "0.33   |");
    EXPECT_EQ(Arguments().word(static_cast<u32>(-1)).real(1.0 / 3).format("%.*f").text, "0.333333");
}

TEST(Printf, WhatCannotBeReadIsAnError) {
    EXPECT_EQ(Arguments().word(1).format("%d %d\n").error, "argument 2 of printf, for %d, cannot be read");
    EXPECT_EQ(Arguments().wide(99).format("%-5s").error, "argument 1 of printf, for %-5s, cannot be read");
    EXPECT_EQ(Arguments().word(1).format("%d %d\n").text, "1 ");
}

TEST(Printf, WidthsAreBounded) {
    EXPECT_EQ(Arguments().word(1).format("%999999999d").text.size(), 4096u);
    EXPECT_EQ(Arguments().word(0x8000'0000).word(1).format("%*d").text.size(), 4096u);
    EXPECT_LT(Arguments().real(1e300).format("%.2000000000f").text.size(), 6000u);
}

}  // namespace
}  // namespace warpwright::emulator
