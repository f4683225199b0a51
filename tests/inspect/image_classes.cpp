// SPDX-License-Identifier: Apache-2.0
// Instruction classes: each form of PTX is assembled for every target that has it; the classes that are read
// from the machine code, and from the text, must be those of the form and no others.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <sstream>

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

// What NVIDIA's disassembler calls an instruction, as classes.
std::vector<std::string> classes_of_sass(const std::string& mnemonic) {
    static const std::map<std::string, std::string> names = {
        {"HMMA", "hmma"},           {"IMMA", "imma"},
        {"DMMA", "dmma"},           {"BMMA", "bmma"},
        {"OMMA", "omma.sf"},        {"HGMMA", "hgmma"},
        {"IGMMA", "igmma"},         {"QGMMA", "qgmma"},
        {"BGMMA", "bgmma"},         {"UTCHMMA", "tcgen05"},
        {"UTCIMMA", "tcgen05"},     {"UTCQMMA", "tcgen05"},
        {"UTCOMMA", "tcgen05"},     {"UTCCP", "tcgen05"},
        {"UTCBAR", "tcgen05"},      {"UTCSHIFT", "tcgen05"},
        {"UTCATOMSWS", "tcgen05"},  {"LDTM", "tcgen05"},
        {"STTM", "tcgen05"},        {"UVIRTCOUNT", "tcgen05"},
        {"LDSM", "ldmatrix"},       {"LDGSTS", "cp.async"},
        {"UTMALDG", "tma.load"},    {"UTMASTG", "tma.store"},
        {"UTMAREDG", "tma.reduce"}, {"UBLKCP", "bulk"},
        {"UBLKRED", "bulk"},        {"UBLKPF", "bulk"},
        {"SYNCS", "mbarrier"},      {"ARRIVES", "mbarrier"},
        {"UCGABAR_ARV", "cluster"}, {"UCGABAR_WAIT", "cluster"},
        {"STAS", "dsmem"},          {"REDAS", "dsmem"},
        {"UGETNEXTWORKID", "clc"},  {"USETMAXREG", "setmaxnreg"},
        {"PREEXIT", "pdl"},         {"ACQBULK", "pdl"},
        {"LDGMC", "multimem"},      {"FFMA2", "f32x2"},
        {"FMUL2", "f32x2"},         {"FADD2", "f32x2"},
        {"CREDUX", "redux.f32"}};
    const std::string first = mnemonic.substr(0, mnemonic.find('.'));
    const auto has = [&](std::string_view part) { return mnemonic.find(part) != std::string::npos; };
    std::vector<std::string> classes;
    const auto found = names.find(first);
    if (found != names.end()) classes.push_back(found->second);
    if (first == "QMMA") classes.emplace_back(has(".SF") ? "qmma.sf" : "qmma");
    if (first.ends_with("MMA") && has(".SP")) classes.emplace_back("sparse");
    if (first.starts_with("UTC") && has(".2CTA")) classes.emplace_back("tcgen05.2cta");
    if ((first == "UTMALDG" || first == "UBLKCP") && has(".MULTICAST")) classes.emplace_back("tma.multicast");
    if ((first.starts_with("ATOM") || first.starts_with("RED")) && has(".SYS"))
        classes.emplace_back("atomics.sys");
    if (first == "F2FP" &&
        (has("E4M3") || has("E5M2") || has("E2M1") || has("E2M3") || has("E3M2") || has(".E8")))
        classes.emplace_back("fp8.convert");
    if ((first == "LDG" || first == "STG") && has(".256")) classes.emplace_back("vector256");
    return classes;
}

TEST_P(ImageClasses, OfNvidiasDisassembler) {
    WW_NEED_PROGRAM("ptxas");
    WW_NEED_PROGRAM("nvdisasm");
    const std::string target = GetParam();
    const auto sample = assemble(module_of_forms(target), target);
    const auto printed = printed_by("nvdisasm", "", sample->bytes);
    if (!printed) GTEST_SKIP() << "needs an nvdisasm that knows " << target;
    std::map<std::string, std::set<std::string>> expected;
    std::istringstream lines(*printed);
    std::string kernel;
    for (std::string line; std::getline(lines, line);) {
        std::smatch match;
        static const std::regex section(R"(^\s*\.section\s+\.text\.(k[0-9]+),.*)");
        static const std::regex instruction(
            R"(^\s+/\*[0-9a-f]+\*/\s+\{?\s*(?:@!?U?P[0-9T]+\s+)?([A-Z][A-Z0-9a-z_.]*).*)");
        if (std::regex_match(line, match, section)) {
            kernel = match[1];
            expected[kernel];
        } else if (std::regex_match(line, match, instruction)) {
            for (const std::string& name : classes_of_sass(match[1])) expected[kernel].insert(name);
        }
    }
    Image image;
    read_cubin(bytes_of(sample->bytes), Depth::instructions, image);
    ASSERT_EQ(expected.size(), image.kernels.size());
    for (const Kernel& kernel : image.kernels) {
        SCOPED_TRACE(forms().at(index_of(kernel)).ptx);
        std::vector<std::string> names = names_of(kernel.classes);
        std::set<std::string> found(names.begin(), names.end());
        // Told by more than one instruction, or by .nv.info where the instructions are of other kinds.
        for (const char* name : {"fp8.mma.emulated", "tma.emulated"}) found.erase(name);
        if (image.architecture.sm < 90 && expected[kernel.name].count("mbarrier") == 0)
            found.erase("mbarrier");
        if (found.count("tcgen05") != 0) found.erase("sparse");
        EXPECT_EQ(found, expected[kernel.name]);
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
