// SPDX-License-Identifier: Apache-2.0
// Code that was not made for a test: our own kernels against the registry, CUDA's libraries by their headers
// alone (their licence forbids to decode instructions), products of fp8 that a compiler emulates.
#include <gtest/gtest.h>

#include <fmt/format.h>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "code_target.h"
#include "image/pack.h"
#include "inspect/container/payload.h"
#include "inspect/expanded.h"
#include "inspect/image/read_image.h"
#include "inspect/toolkit.h"

namespace warpwright::inspect {
namespace {

// ---- our own images

TEST(ImageReal, OurImagesAgreeWithTheRegistry) {
    const Pack& pack = Pack::linked();
    if (pack.entries().empty()) GTEST_SKIP() << "needs a build with the image pack";
    std::map<int, int> num_of_sm;
    int num_products = 0;
    for (const Pack::Entry& entry : pack.entries()) {
        SCOPED_TRACE(entry.row + " for " + facts_of(entry.build_target).name);
        const auto unpacked = pack.unpack(entry);
        ASSERT_TRUE(unpacked.ok()) << unpacked.status().message();
        Image image;
        if (!unpacked->cubin.empty()) {
            read_cubin(unpacked->cubin, Depth::instructions, image);
            EXPECT_TRUE(image.made_by_nvrtc);
            EXPECT_EQ(architecture_name(image.architecture), build_target_name(code_target_of(entry)));
        } else {
            read_ptx(unpacked->ptx, Depth::instructions, image);
            EXPECT_EQ(image.architecture.sm, 80);
        }
        EXPECT_EQ(image.damage, "");
        ASSERT_EQ(image.kernels.size(), 1u);
        const Kernel& kernel = image.kernels[0];
        EXPECT_EQ(kernel.name, entry.entry);
        EXPECT_EQ(kernel.stub, Stub::none);
        EXPECT_EQ(kernel.num_parameters, 1);
        EXPECT_TRUE(kernel.classes_known);
        if (!unpacked->cubin.empty()) {
            EXPECT_EQ(kernel.registers, entry.resources.registers);
            EXPECT_EQ(kernel.stack_bytes, entry.resources.stack_bytes);
            EXPECT_EQ(kernel.shared_bytes, entry.resources.static_shared_bytes);
        }
        ++num_of_sm[image.architecture.sm];
        using enum InstructionClass;
        num_products += kernel.classes.has(hmma) || kernel.classes.has(hgmma) || kernel.classes.has(qgmma);
        // Rows named so convert codes before they multiply them: what the compiler would make of an fp8 mma.
        const bool converts = entry.row.starts_with("scaled_gemm.portable.cvt.");
        EXPECT_TRUE(converts || !kernel.classes.has(emulated_fp8_mma));
        EXPECT_FALSE(kernel.classes.has(system_atomics));
        EXPECT_TRUE(image.architecture.sm == 90 || !kernel.classes.has(hgmma));
    }
    EXPECT_GE(num_of_sm.size(), 2u);
    EXPECT_GT(num_products, 10);
}

// ---- CUDA's own libraries

std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// cuBLAS holds code of several toolkits, ABI 7 among it, whose e_version is the toolkit.
TEST(ImageReal, HeadersOfAbi7) {
    const std::filesystem::path path = "/usr/local/cuda/lib64/libcublas.so";
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "needs cuBLAS of a CUDA toolkit, found none";
    const std::string file = read_file(path);
    ScanNotes notes;
    std::map<int, int> num_of_abi;
    for (const Payload& payload : find_payloads(bytes_of(file), notes)) {
        if (payload.kind != ImageKind::cubin) continue;
        if (num_of_abi[7] > 40 && payload.minor == 7) continue;
        if (num_of_abi[8] > 40 && payload.minor == 8) continue;
        const auto bytes = expand(payload, u64{1} << 30);
        ASSERT_TRUE(bytes.ok()) << bytes.status().message();
        Image image;
        image.architecture = payload.architecture;
        read_cubin(*bytes, Depth::headers, image);
        SCOPED_TRACE(architecture_name(image.architecture) + " " + image.toolkit);
        EXPECT_EQ(image.damage, "");
        if (payload.fatbin) {
            EXPECT_EQ(image.abi, payload.minor);  // (8, 1), as minor and major
            EXPECT_EQ(image.architecture, payload.architecture);
        }
        ++num_of_abi[image.abi];
        ASSERT_GE(image.toolkit.size(), 4u);
        EXPECT_GE(image.toolkit, "11");  // both have two digits
        EXPECT_FALSE(image.relocatable);
        for (const Kernel& kernel : image.kernels) {
            EXPECT_GT(kernel.registers, 0);
            EXPECT_LE(kernel.registers, 255);
            EXPECT_GE(kernel.shared_bytes, 0);
            EXPECT_LE(kernel.shared_bytes, 227 << 10);
            EXPECT_LE(kernel.barriers, 16);
            EXPECT_GT(kernel.parameter_bytes, 0);
            EXPECT_FALSE(kernel.classes_known);
        }
    }
    EXPECT_GT(num_of_abi[7], 0);
    EXPECT_GT(num_of_abi[8], 0);
    EXPECT_EQ(num_of_abi.size(), 2u);
}

// ---- fp8

// A warp's tile of 2 x 4 products in a loop, as GEMMs have it: fp8 mma.sync, or the same with values that the
// program itself converts to fp16, which is no emulation.
std::string tile_of_products(bool is_fp8) {
    constexpr int kRows = 2, kColumns = 4;
    const std::string products =
        "mma.sync.aligned.{}.{} {{%c{},%c{},%c{},%c{}}},{{%a{},%a{},%a{},%a{}}},{{{},{}}},"
        "{{%c{},%c{},%c{},%c{}}};\n";
    std::string text = fmt::format(
        ".visible .entry {}(.param .u64 from, .param .u64 to, .param .u32 steps)\n{{\n"
        ".reg .b64 %from, %to; .reg .b32 %left, %a<8>, %b<8>, %h<4>; .reg .f32 %c<32>; .reg .b16 %low, "
        "%high; .reg .pred %p;\n"
        "ld.param.u64 %from, [from]; ld.param.u64 %to, [to]; ld.param.u32 %left, [steps];\n",
        is_fp8 ? "fp8" : "converted");
    for (int i = 0; i < 32; ++i) text += fmt::format("mov.f32 %c{}, 0f00000000;\n", i);
    text += "LOOP:\n";
    for (int i = 0; i < 8; ++i)
        text += fmt::format("ld.global.u32 %a{}, [%from+{}]; ld.global.u32 %b{}, [%from+{}];\n", i, 4 * i, i,
                            32 + 4 * i);
    const auto add_product = [&](int row, int column, std::string_view shape, std::string_view types,
                                 std::string_view b0, std::string_view b1) {
        const int c = 4 * (row * kColumns + column);
        const int a = 4 * row;
        text += fmt::format(fmt::runtime(products), shape, types, c, c + 1, c + 2, c + 3, a, a + 1, a + 2,
                            a + 3, b0, b1, c, c + 1, c + 2, c + 3);
    };
    for (int column = 0; column < kColumns; ++column) {
        const std::string b0 = fmt::format("%b{}", 2 * column), b1 = fmt::format("%b{}", 2 * column + 1);
        for (int i = 0; !is_fp8 && i < 2; ++i)
            text += fmt::format(
                "mov.b32 {{%low,%high}}, {}; cvt.rn.f16x2.e4m3x2 %h{}, %low; cvt.rn.f16x2.e4m3x2 %h{}, "
                "%high;\n",
                i == 0 ? b0 : b1, 2 * i, 2 * i + 1);
        for (int row = 0; row < kRows; ++row) {
            if (is_fp8) {
                add_product(row, column, "m16n8k32.row.col", "f32.e4m3.e4m3.f32", b0, b1);
            } else {
                add_product(row, column, "m16n8k16.row.col", "f32.f16.f16.f32", "%h0", "%h1");
                add_product(row, column, "m16n8k16.row.col", "f32.f16.f16.f32", "%h2", "%h3");
            }
        }
    }
    text += "add.u64 %from, %from, 64; sub.u32 %left, %left, 1; setp.ne.u32 %p, %left, 0;\n@%p bra LOOP;\n";
    for (int i = 0; i < 32; ++i) text += fmt::format("st.global.f32 [%to+{}], %c{};\n", 4 * i, i);
    return text + "ret;\n}\n";
}

TEST(ImageReal, EmulatedProductsAreNotConversionsOfTheProgram) {
    WW_NEED_PROGRAM("ptxas");
    for (const auto& [target, is_native] :
         {std::pair{"sm_89", true}, std::pair{"sm_90a", false}, std::pair{"sm_100f", false},
          std::pair{"sm_103", false}, std::pair{"sm_110", false}, std::pair{"sm_120f", true}}) {
        SCOPED_TRACE(target);
        const auto sample = assemble(fmt::format(".version 9.0\n.target {}\n.address_size 64\n{}{}", target,
                                                 tile_of_products(true), tile_of_products(false)),
                                     target);
        ASSERT_EQ(sample->exit_code, 0) << sample->log;
        Image image;
        read_cubin(bytes_of(sample->bytes), Depth::instructions, image);
        ASSERT_EQ(image.kernels.size(), 2u);
        for (const Kernel& kernel : image.kernels) {
            SCOPED_TRACE(kernel.name);
            using enum InstructionClass;
            const bool is_fp8 = kernel.name == "fp8";
            EXPECT_EQ(kernel.classes.has(qmma), is_fp8 && is_native);
            EXPECT_EQ(kernel.classes.has(hmma), !is_fp8 || !is_native);
            EXPECT_EQ(kernel.classes.has(fp8_conversions), !is_fp8 || !is_native);
            EXPECT_EQ(kernel.classes.has(emulated_fp8_mma), is_fp8 && !is_native);
        }
    }
}

}  // namespace
}  // namespace warpwright::inspect
