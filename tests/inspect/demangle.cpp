// SPDX-License-Identifier: Apache-2.0
// Names of kernels as c++filt shows them; long ones, and those that are made to explode.
#include <cxxabi.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "inspect/container/payload.h"
#include "inspect/expanded.h"
#include "inspect/image/read_image.h"
#include "inspect/report.h"
#include "inspect/toolkit.h"

namespace warpwright::inspect {
namespace {

struct Example {
    const char* mangled;
    const char* plain;
};
constexpr Example kExamples[] = {
    {"triton_kernel", "triton_kernel"},
    {"_Z6kernelPfi", "kernel(float*, int)"},
    {"_Z7nothingv", "nothing()"},
    {"_ZN5flash6kernelILi128ELb1EEEvNS_6ParamsE", "void flash::kernel<128, true>(flash::Params)"},
    {"_Z5helloIfEvPT_", "void hello<float>(float*)"},
    {"_Z1fIJifEEvDpT_", "void f<int, float>(int, float)"},
    {"_Z1fPFivE", "f(int (*)())"},
    {"_Z1fRA4_Kf", "f(float const (&) [4])"},
    {"_Z1fRKN1a1bIcEE", "f(a::b<char> const&)"},
    {"_ZN12_GLOBAL__N_11kEv", "(anonymous namespace)::k()"},
    {"_Z1kIXadL_ZN1a1fEvEEEvv", "void k<&a::f>()"},
    {"_Z1kILj3ELin2ELm5ELc65EEvv", "void k<3u, -2, 5ul, (char)65>()"},
    {"_Z1kIN1a1bEEvT_S2_", "void k<a::b>(a::b, a::b)"},
    {"_ZZN1a1fEvENKUliE_clEi", "a::f()::{lambda(int)#1}::operator()(int) const"},
    {"_Z1kI13__nv_bfloat16Li32EEvPT_PKS1_",
     "void k<__nv_bfloat16, 32>(__nv_bfloat16*, __nv_bfloat16 const*)"},
    {"_Z", "_Z"},
    {"_Z999999999999999999999k", "_Z999999999999999999999k"},
    {"_ZS_", "_ZS_"},
    {"_Z1fT_", "_Z1fT_"},
};

TEST(Demangle, Examples) {
    for (const Example& example : kExamples) EXPECT_EQ(demangle(example.mangled), example.plain);
}

TEST(Demangle, NamesLongerThanTheStandardLibraryTakes) {
    std::string mangled = "_Z1kI", plain = "void k<";
    for (int i = 0; i < 200; ++i) {
        mangled += "N1a1bILi12345EEE";
        plain += i == 0 ? "a::b<12345>" : ", a::b<12345>";
    }
    EXPECT_EQ(demangle(mangled + "Evv"), plain + " >()");
}

// Each parameter refers to the one before twice: 2^60 characters.
TEST(Demangle, StopsAtNamesThatExplode) {
    std::string mangled = "_Z1f1aIiiE";
    for (int i = 0; i < 60; ++i) {
        const std::string one = i < 36 ? std::string(1, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i])
                                       : "1" + std::string(1, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i - 36]);
        mangled += "1bIS" + one + "_S" + one + "_E";
    }
    for (const std::string& name : {mangled, "_Z1f" + std::string(10'000, 'P') + "i",
                                    "_Z" + std::string(10'000, 'N'), "_Z1f" + std::string(8'000, 'Z') + "1x",
                                    "_Z1k" + std::string(8'000, 'I'), "_Z1f" + std::string(20'000, 'i')}) {
        const auto begin = std::chrono::steady_clock::now();
        const std::string text = demangle(name);
        EXPECT_TRUE(text == name || text.size() <= 64u << 10);
        EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(), 2.0);
    }
}

// Thousands of real names; where both have an answer, it is the same.
TEST(Demangle, AgreesWithTheStandardLibrary) {
    const std::filesystem::path path = "/usr/local/cuda/lib64/libcublas.so";
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "needs cuBLAS of a CUDA toolkit, found none";
    std::ifstream stream(path, std::ios::binary);
    const std::string file{std::istreambuf_iterator<char>(stream), {}};
    ScanNotes notes;
    std::set<std::string> names;
    for (const Payload& payload : find_payloads(bytes_of(file), notes)) {
        if (payload.kind != ImageKind::cubin || names.size() > 4000) continue;
        const auto bytes = expand(payload, u64{1} << 30);
        if (!bytes.ok()) continue;
        Image image;
        read_cubin(*bytes, Depth::headers, image);
        for (const Kernel& kernel : image.kernels) names.insert(kernel.name);
    }
    ASSERT_GT(names.size(), 1000u);
    int num_same = 0, num_left = 0;
    for (const std::string& name : names) {
        int status = 0;
        char* text = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status);
        const std::string expected = status == 0 ? text : name;
        std::free(text);
        if (status != 0) continue;  // too long for it, or not mangled
        const std::string found = demangle(name);
        num_left += found == name;
        // Where its buffer is full it forgets a space: "> >" or ">>".
        const auto without_spaces = [](std::string of) {
            std::erase(of, ' ');
            return of;
        };
        if (found != name) {
            EXPECT_EQ(without_spaces(found), without_spaces(expected));
            ++num_same;
        }
    }
    EXPECT_GT(num_same, 1000);
    EXPECT_LT(num_left, num_same / 50);
}

}  // namespace
}  // namespace warpwright::inspect
