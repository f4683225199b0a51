// SPDX-License-Identifier: Apache-2.0
// Images that are another target's code: compiled for their own, the same instructions.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "image/compile.h"
#include "image/kernels.h"
#include "image/store.h"

namespace warpwright::test {
namespace {

// The instructions of a text, without the registers' numbers and in no order: the compiler names and orders
// them a little differently for each target.
std::vector<std::string> instructions_of(std::string_view ptx) {
    std::vector<std::string> lines;
    for (std::size_t begin = 0; begin < ptx.size();) {
        const std::size_t end = std::min(ptx.find('\n', begin), ptx.size());
        std::string line;
        bool in_register = false;
        for (const char c : ptx.substr(begin, end - begin)) {
            if (in_register && c >= '0' && c <= '9') continue;
            in_register = c == '%' || (in_register && c >= 'a' && c <= 'z');
            line += c;
        }
        begin = end + 1;
        const bool is_instruction =
            line.starts_with('\t') && line.ends_with(';') && !line.starts_with("\t.reg");
        if (is_instruction) lines.push_back(std::move(line));
    }
    std::sort(lines.begin(), lines.end());
    return lines;
}

// The PTX of an image compiled for its own target, which is not assembled: that is most of the time.
std::string text_of(const ImageSpec& spec) {
    const auto compiler = nvrtc();
    const auto sources = KernelSources::embedded().closure(spec.source);
    if (!compiler.ok() || !sources.ok()) return {};
    std::vector<const char*> texts, names, pointers;
    for (const SourceFile& file : (*sources)->files) {
        texts.push_back(file.text.c_str());
        names.push_back(file.include_name.c_str());
    }
    std::vector<std::string> options = compile_flags(spec);
    options[0] = "--gpu-architecture=compute_" + std::string(build_target_name(spec.build_target)).substr(3);
    std::erase(options, "--ptxas-options=-v");
    options.push_back(fmt::format("-DWW_ROW={}", spec.row_index));
    for (const std::string& option : options) pointers.push_back(option.c_str());

    const Nvrtc& api = **compiler;
    const std::string include = fmt::format("#include \"{}\"\n", names[0]);
    Nvrtc::Program program = nullptr;
    std::size_t bytes = 0;
    std::string ptx;
    EXPECT_EQ(api.create_program(&program, include.c_str(), "image.cu", static_cast<int>(texts.size()),
                                 texts.data(), names.data()),
              0);
    EXPECT_EQ(api.compile_program(program, static_cast<int>(pointers.size()), pointers.data()), 0);
    if (api.ptx_bytes(program, &bytes) == 0) {
        ptx.resize(bytes);
        EXPECT_EQ(api.ptx(program, ptx.data()), 0);
    }
    api.destroy_program(&program);
    return ptx;
}

TEST(code_target, fp8_is_all_that_8_9_adds) {
    WW_NEEDS_NVRTC();
    std::set<std::string> sources;
    for (const ImageSpec& spec : all_image_specs()) {
        if (spec.build_target != BuildTarget::sm_89 || !spec.code_of || !sources.insert(spec.source).second)
            continue;
        SCOPED_TRACE(image_title(spec));
        ImageSpec own = spec;
        own.code_of.reset();
        const std::string text = text_of(own);
        const auto shared = ImageStore::shared().get(spec);
        ASSERT_TRUE(shared.ok()) << shared.status().message();
        ASSERT_NE(text.find(".target sm_89\n"), std::string::npos);
        ASSERT_NE(shared.value()->ptx.find(".target sm_80\n"), std::string::npos);
        const std::vector<std::string> lines = instructions_of(text);
        EXPECT_GT(lines.size(), 20u);
        EXPECT_TRUE(lines == instructions_of(shared.value()->ptx));
    }
    EXPECT_GT(sources.size(), 20u);
}

TEST(code_target, what_uses_fp8_is_compiled_for_8_9) {
    int num_own = 0, num_shared = 0;
    for (const ImageSpec& spec : all_image_specs()) {
        if (spec.build_target == BuildTarget::compute_80) {
            EXPECT_EQ(spec.code_of, BuildTarget::sm_80) << spec.row;
        }
        if (spec.build_target != BuildTarget::sm_89) continue;
        ++(spec.code_of ? num_shared : num_own);
        const bool coded = spec.row.find("e4m3") != std::string::npos && spec.row.starts_with("attention.");
        if (coded) {
            EXPECT_FALSE(spec.code_of) << spec.row;
        }
    }
    EXPECT_GT(num_own, 0);
    EXPECT_GT(num_shared, num_own);
}

}  // namespace
}  // namespace warpwright::test
