// SPDX-License-Identifier: Apache-2.0
// Instruction classes: each form of PTX is assembled for every target that has it; the classes that are read
// from the machine code, and from the text, must be those of the form and no others.
#include <gtest/gtest.h>

#include <algorithm>

#include "inspect/forms.h"
#include "inspect/image/read_image.h"
#include "inspect/toolkit.h"

namespace warpwright::inspect {
namespace {

std::vector<std::string> names_of(InstructionClasses classes) {
    std::vector<std::string> names;
    for (int i = 0; i < kNumInstructionClasses; ++i) {
        const auto c = static_cast<InstructionClass>(i);
        if (classes.has(c)) names.emplace_back(instruction_class_name(c));
    }
    return names;
}

std::vector<std::string> sorted(std::vector<std::string> names) {
    std::sort(names.begin(), names.end());
    return names;
}

size_t index_of(const Kernel& kernel) {
    return std::stoul(kernel.name.substr(1));  // "k17"
}

class ImageClasses : public testing::TestWithParam<std::string> {};

TEST_P(ImageClasses, OfMachineCode) {
    WW_NEED_PROGRAM("ptxas");
    const std::string target = GetParam();
    const auto sample = assemble(module_of_forms(target), target);
    ASSERT_EQ(sample->exit_code, 0) << sample->log;
    Image image;
    read_cubin(bytes_of(sample->bytes), Depth::instructions, image);
    EXPECT_EQ(image.damage, "");
    EXPECT_EQ(architecture_name(image.architecture), target);
    size_t num_forms = 0;
    for (const Form& form : forms()) num_forms += is_among(target, form.where);
    ASSERT_EQ(image.kernels.size(), num_forms);
    ASSERT_GT(num_forms, 15u);
    for (const Kernel& kernel : image.kernels) {
        const Form& form = forms().at(index_of(kernel));
        SCOPED_TRACE(form.ptx);
        EXPECT_TRUE(kernel.classes_known);
        EXPECT_EQ(sorted(names_of(kernel.classes)), sorted(classes_on(form, target)));
        const bool is_tensor = form.ptx.find("bulk.tensor") != form.ptx.npos ||
                               form.ptx.find("prefetch.tensor") != form.ptx.npos;
        EXPECT_EQ(kernel.uses_tensor_map, is_tensor);
        EXPECT_EQ(kernel.stub, Stub::none);
    }
}

TEST_P(ImageClasses, OfTheText) {
    const std::string target = GetParam();
    Image image;
    read_ptx(module_of_forms(target), Depth::instructions, image);
    EXPECT_EQ(image.damage, "");
    EXPECT_EQ(architecture_name(image.architecture), target);
    ASSERT_GT(image.kernels.size(), 15u);
    for (const Kernel& kernel : image.kernels) {
        const Form& form = forms().at(index_of(kernel));
        SCOPED_TRACE(form.ptx);
        EXPECT_TRUE(kernel.classes_known);
        EXPECT_EQ(sorted(names_of(kernel.classes)), sorted(classes_as_written(form)));
        EXPECT_EQ(kernel.shared_bytes, 4096);
        EXPECT_EQ(kernel.stub, Stub::none);
    }
}

INSTANTIATE_TEST_SUITE_P(Targets, ImageClasses, testing::ValuesIn(toolkit_targets()),
                         [](const auto& info) { return info.param; });

TEST(ImageClasses, EveryClassHasAForm) {
    std::vector<std::string> seen;
    for (const Form& form : forms()) {
        for (const std::string& target : toolkit_targets()) {
            if (!is_among(target, form.where)) continue;
            for (const std::string& name : classes_on(form, target)) seen.push_back(name);
        }
    }
    for (int i = 0; i < kNumInstructionClasses; ++i) {
        const std::string name = instruction_class_name(static_cast<InstructionClass>(i));
        EXPECT_NE(std::find(seen.begin(), seen.end(), name), seen.end()) << name;
    }
}

TEST(ImageClasses, NothingIsDecodedWhereOnlyHeadersMayBeRead) {
    WW_NEED_PROGRAM("ptxas");
    const auto sample = assemble(module_of_forms("sm_90a"), "sm_90a");
    Image image;
    read_cubin(bytes_of(sample->bytes), Depth::headers, image);
    ASSERT_GT(image.kernels.size(), 15u);
    for (const Kernel& kernel : image.kernels) {
        EXPECT_FALSE(kernel.classes_known);
        EXPECT_FALSE(kernel.classes.has(InstructionClass::hgmma));
        EXPECT_FALSE(kernel.classes.has(InstructionClass::hmma));
    }
}

}  // namespace
}  // namespace warpwright::inspect
