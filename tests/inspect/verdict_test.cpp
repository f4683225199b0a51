// SPDX-License-Identifier: Apache-2.0
// Which image a driver takes, by the tables that ptxas and nvlink 13.0 and NVIDIA's compatibility guide give.
#include "inspect/knowledge/verdict.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "inspect/knowledge/drivers.h"
#include "inspect/knowledge/loading.h"
#include "tests/inspect/synthetic.h"

namespace warpwright::inspect {
namespace {

using testing::Test;

const int kCapabilities[] = {75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121};

std::set<int> where(const std::string& architecture) {
    std::set<int> found;
    for (const int capability : kCapabilities) {
        if (runs_name(judge(file({image(architecture, {kernel("k")})}), gpu(capability)).runs) !=
            std::string("no"))
            found.insert(capability);
    }
    return found;
}

TEST(Verdict, CodeRunsOnItsMajorFromItsMinorOn) {
    const std::map<std::string, std::set<int>> expected = {
        {"sm_75", {75}},        {"sm_80", {80, 86, 89}}, {"sm_86", {86, 89}},     {"sm_89", {89}},
        {"sm_87", {87}},        {"sm_88", {88}},         {"sm_90", {90}},         {"sm_90a", {90}},
        {"sm_100", {100, 103}}, {"sm_100f", {100, 103}}, {"sm_100a", {100}},      {"sm_103", {103}},
        {"sm_103f", {103}},     {"sm_103a", {103}},      {"sm_110", {110}},       {"sm_110f", {110}},
        {"sm_110a", {110}},     {"sm_120", {120, 121}},  {"sm_120f", {120, 121}}, {"sm_120a", {120}},
        {"sm_121", {121}},      {"sm_121f", {121}},      {"sm_121a", {121}},      {"sm_101", {}},
        {"sm_70", {75}},        {"sm_72", {}},
    };
    for (const auto& [architecture, capabilities] : expected)
        EXPECT_EQ(where(architecture), capabilities) << architecture;
}

TEST(Verdict, PtxCompilesByItsSuffix) {
    const std::map<std::string, std::set<int>> expected = {
        {"compute_75", {75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121}},
        {"compute_87", {87, 88, 89, 90, 100, 103, 110, 120, 121}},
        {"compute_89", {89, 90, 100, 103, 110, 120, 121}},
        {"compute_90", {90, 100, 103, 110, 120, 121}},
        {"compute_90a", {90}},
        {"compute_100", {100, 103, 110, 120, 121}},
        {"compute_100a", {100}},
        {"compute_100f", {100, 103}},
        {"compute_103", {103, 110, 120, 121}},
        {"compute_103f", {103}},
        {"compute_101f", {110}},
        {"compute_110f", {110}},
        {"compute_120", {120, 121}},
        {"compute_120f", {120, 121}},
        {"compute_120a", {120}},
        {"compute_121f", {121}},
        {"compute_121a", {121}},
    };
    for (const auto& [architecture, capabilities] : expected)
        EXPECT_EQ(where(architecture), capabilities) << architecture;
}

TEST(Verdict, CodeIsTakenBeforePtxAndTheHighestMinorFirst) {
    // Each image has a kernel of its own beside the common one: the one that is there tells which was taken.
    const FileReport report = file(
        {image("sm_80", {kernel("k"), kernel("in80")}), image("sm_86", {kernel("k"), kernel("in86")}),
         image("sm_89", {kernel("k"), kernel("in89")}), image("compute_89", {kernel("k"), kernel("inptx")})});
    const auto taken = [&](int capability, bool force = false) {
        const Verdict verdict = judge(report, gpu(capability), {.force_ptx_jit = force});
        std::set<std::string> missing(verdict.kernels.begin(), verdict.kernels.end());
        std::string found;
        for (const char* name : {"in80", "in86", "in89", "inptx"}) {
            if (!missing.contains(name)) found += name;
        }
        return found;
    };
    EXPECT_EQ(taken(80), "in80");
    EXPECT_EQ(taken(86), "in86");
    EXPECT_EQ(taken(89), "in89");
    EXPECT_EQ(taken(90), "inptx");
    EXPECT_EQ(taken(89, true), "inptx");
    EXPECT_EQ(taken(86, true), "in86");  // there is no PTX for 8.6
    const Verdict verdict = judge(report, gpu(86));
    EXPECT_EQ(verdict.runs, Runs::partly);
    EXPECT_EQ(verdict.num_kernels, 2);
    EXPECT_EQ(verdict.num_missing, 3);
    EXPECT_NE(verdict.text.find("the sm_86 code that the driver takes has no such kernels"),
              std::string::npos)
        << verdict.text;
}

TEST(Verdict, ImagesOfDifferentFatbinsAreNoAlternatives) {
    Image first = image("sm_80", {kernel("a")}), second = image("sm_86", {kernel("b")});
    second.fatbin = 4096;
    EXPECT_EQ(judge(file({first, second}), gpu(86)).runs, Runs::native);
    // In a section that a library reads itself, each image stands for itself.
    second.fatbin = first.fatbin;
    EXPECT_EQ(judge(file({first, second}), gpu(86)).runs, Runs::partly);
    first.section = second.section = ".cask_resource";
    EXPECT_EQ(judge(file({first, second}), gpu(86)).runs, Runs::native);
}

TEST(Verdict, PartlyNamesWhatDoesNotRun) {
    Image sm90 = image("sm_90a", {kernel("_ZN5flash3fwdIfEEvT_"), kernel("two")});
    sm90.fatbin = 4096;
    const Verdict verdict = judge(file({image("sm_120", {kernel("one")}), sm90}), gpu(120));
    EXPECT_EQ(verdict.runs, Runs::partly);
    EXPECT_EQ(verdict.num_kernels, 1);
    EXPECT_EQ(verdict.num_missing, 2);
    ASSERT_EQ(verdict.kernels.size(), 2u);
    EXPECT_EQ(verdict.kernels[0], "void flash::fwd<float>(float)");
    EXPECT_NE(verdict.text.find("1 of 3 kernels has sm_120 code"), std::string::npos) << verdict.text;
    EXPECT_NE(verdict.text.find("sm_90a code runs on 9.0 alone, and there is no PTX to compile"),
              std::string::npos)
        << verdict.text;
    EXPECT_NE(verdict.fix.find("rebuild with -gencode arch=compute_120f,code=sm_120f"), std::string::npos)
        << verdict.fix;
}

TEST(Verdict, ACacheNeedsNoOtherBuild) {
    FileReport report = file({image("sm_90a", {kernel("add")})});
    report.jit_cache = "Triton";
    const Verdict verdict = judge(report, gpu(120));
    EXPECT_EQ(verdict.runs, Runs::no);
    EXPECT_EQ(verdict.fix, "none needed: Triton makes another for 12.0 there");
    EXPECT_EQ(judge(report, gpu(90)).fix, "");
}

TEST(Verdict, AtMostTwentyNames) {
    FileReport report = file({image("sm_90a", {})});
    for (int i = 0; i < 30; ++i) report.images[0].kernels.push_back(kernel("k" + std::to_string(i)));
    const Verdict verdict = judge(report, gpu(120));
    EXPECT_EQ(verdict.kernels.size(), 20u);
    EXPECT_EQ(verdict.num_missing, 30);
}

// Trap: `nvcc -arch=sm_90a` embeds plain PTX too, whose guarded kernels do nothing, and which compiles
// everywhere.
TEST(Verdict, PlainPtxBesideASuffixedBuildIsAStub) {
    const FileReport report = file({image("compute_90", {kernel("k", Stub::empty)}),
                                    image("sm_90a", {kernel("k")}), image("compute_90a", {kernel("k")})});
    EXPECT_EQ(judge(report, gpu(90)).runs, Runs::native);
    const Verdict verdict = judge(report, gpu(120));
    EXPECT_EQ(verdict.runs, Runs::stub);
    EXPECT_NE(
        verdict.text.find("compute_90 PTX holds stubs that return at once, built without the macros that "
                          "sm_90a has"),
        std::string::npos)
        << verdict.text;
    EXPECT_EQ(judge(report, gpu(89)).runs, Runs::no);
}

// Trap: -gencode arch=compute_120,code=sm_120a compiles cleanly, and the feature macros follow arch=.
TEST(Verdict, AnArchWithoutTheSuffixMakesStubs) {
    const Verdict verdict = judge(file({image("sm_120a", {kernel("k", Stub::trap)})}), gpu(120));
    EXPECT_EQ(verdict.runs, Runs::stub);
    EXPECT_EQ(verdict.num_kernels, 0);
    EXPECT_EQ(verdict.num_missing, 1);
    EXPECT_EQ(verdict.kernels, std::vector<std::string>{"k"});
    EXPECT_NE(verdict.text.find("arch=compute_120,code=sm_120a"), std::string::npos) << verdict.text;
    EXPECT_NE(verdict.fix.find("arch=compute_120f,code=sm_120f"), std::string::npos) << verdict.fix;
}

TEST(Verdict, StubsBesideKernelsThatRunArePartly) {
    const Verdict verdict =
        judge(file({image("sm_120", {kernel("works"), kernel("stub", Stub::message)})}), gpu(120));
    EXPECT_EQ(verdict.runs, Runs::partly);
    EXPECT_EQ(verdict.kernels, std::vector<std::string>{"stub"});
    EXPECT_NE(verdict.text.find("only print that they were built for another GPU"), std::string::npos);
}

// FlashAttention 3 for 8.x: kernels of 256 bytes that have 53 KB on 9.0.
TEST(Verdict, ASizeThatNoOtherBuildHasIsAStub) {
    FileReport report = file({image("sm_80", {kernel("k")}), image("sm_90a", {kernel("k")})});
    u64& small = report.images[0].kernels[0].code_bytes;
    u64& large = report.images[1].kernels[0].code_bytes;
    small = 256, large = 52992;
    const Verdict verdict = judge(report, gpu(80));
    EXPECT_EQ(verdict.runs, Runs::stub);
    EXPECT_NE(verdict.text.find("their sm_80 code is a stub, less than a sixteenth of the sm_90a code"),
              std::string::npos)
        << verdict.text;
    EXPECT_EQ(judge(report, gpu(90)).runs, Runs::native);
    large = 8191;  // what another GPU unrolls
    EXPECT_EQ(judge(report, gpu(80)).runs, Runs::native);
    small = 640, large = 52992;
    EXPECT_EQ(judge(report, gpu(80)).runs, Runs::native);
    small = 0;  // not told
    EXPECT_EQ(judge(report, gpu(80)).runs, Runs::native);
}

// FlashMLA's kernels for 10.0 in the code for 9.0: nothing was built wrongly.
TEST(Verdict, AStubWhoseBodyIsForAnotherGpuIsMeantSo) {
    FileReport report = file({image("sm_90a", {kernel("for90"), kernel("for100", Stub::message)}),
                              image("sm_100a", {kernel("for90", Stub::message), kernel("for100")})});
    const Verdict verdict = judge(report, gpu(90));
    EXPECT_EQ(verdict.runs, Runs::partly);
    EXPECT_NE(verdict.text.find("their bodies are in the sm_100a code"), std::string::npos) << verdict.text;
    EXPECT_EQ(verdict.fix, "it is meant for other GPUs");
    // Its instructions say more.
    report.images[1].kernels[1].classes.add(InstructionClass::tcgen05);
    EXPECT_EQ(
        judge(report, gpu(90)).fix,
        "it uses tcgen05 and tensor memory, which only 10.x and 11.0 have: other kernels are needed, not "
        "another build");
}

// marlin::MarlinDefault has no body anywhere.
TEST(Verdict, WhatIsEmptyInEveryBuildIsMeantSo) {
    const Kernel empty = kernel("e", Stub::empty);
    const FileReport report =
        file({image("sm_80", {kernel("k"), empty}), image("sm_120", {kernel("k"), empty})});
    EXPECT_EQ(judge(report, gpu(80)).runs, Runs::native);
    EXPECT_EQ(judge(report, gpu(120)).runs, Runs::native);
    EXPECT_EQ(judge(report, gpu(90)).runs, Runs::no);
    // Not where one build has a body, where there is one build, or where there is nothing else.
    const FileReport body =
        file({image("sm_80", {kernel("k"), kernel("e")}), image("sm_120", {kernel("k"), empty})});
    EXPECT_EQ(judge(body, gpu(120)).runs, Runs::partly);
    EXPECT_EQ(judge(file({image("sm_120", {kernel("k"), empty})}), gpu(120)).runs, Runs::partly);
    EXPECT_EQ(judge(file({image("sm_80", {empty}), image("sm_120", {empty})}), gpu(120)).runs, Runs::stub);
    // A trap is never meant.
    const Kernel trap = kernel("t", Stub::trap);
    EXPECT_EQ(
        judge(file({image("sm_80", {kernel("k"), trap}), image("sm_120", {kernel("k"), trap})}), gpu(120))
            .runs,
        Runs::partly);
}

TEST(Verdict, ObjectsOfADeviceLinkAreLinkedAgainFromPtx) {
    FileReport report = file({image("sm_80", {kernel("k")}), image("sm_80", {}), image("compute_80", {}),
                              image("sm_80", {}), image("compute_80", {})});
    for (int i = 1; i < 5; ++i) {
        report.images[i].link_input = true;
        report.images[i].section = "__nv_relfatbin";
        report.images[i].fatbin = i < 3 ? 4096 : 8192;
    }
    EXPECT_EQ(judge(report, gpu(80)).runs, Runs::native);
    Verdict verdict = judge(report, gpu(120));
    EXPECT_EQ(verdict.runs, Runs::jit);
    EXPECT_NE(verdict.text.find("compiled from compute_80 PTX and linked again at run time"),
              std::string::npos)
        << verdict.text;
    // An object without PTX is in the way of all.
    report.images[4].architecture = *parse_architecture("compute_121");
    EXPECT_EQ(judge(report, gpu(120)).runs, Runs::no);
    EXPECT_EQ(judge(report, gpu(121)).runs, Runs::jit);
    // A kernel of a module that was not linked stays where it is.
    report.images[4].architecture = *parse_architecture("compute_80");
    report.images[2].kernels = {kernel("other")};
    EXPECT_EQ(judge(report, gpu(120)).runs, Runs::no);
    report.images[2].kernels = {kernel("k")};
    EXPECT_EQ(judge(report, gpu(120)).runs, Runs::jit);
}

TEST(Verdict, TheNearestCodeTellsTheReason) {
    const FileReport report = file(
        {image("sm_80", {kernel("k")}), image("sm_90a", {kernel("k")}), image("sm_100a", {kernel("k")})});
    const std::string text = judge(report, gpu(103)).text;
    EXPECT_NE(text.find("sm_100a code runs on 10.0 alone, other code on other majors, and there is no PTX"),
              std::string::npos)
        << text;
}

TEST(Verdict, ForcedJitWherePtxIsWhole) {
    const FileReport report =
        file({image("sm_120", {kernel("k", Stub::empty)}), image("compute_120f", {kernel("k")})});
    const Verdict verdict = judge(report, gpu(120));
    EXPECT_EQ(verdict.runs, Runs::stub);
    EXPECT_NE(verdict.fix.find("set CUDA_FORCE_PTX_JIT=1"), std::string::npos) << verdict.fix;
    EXPECT_EQ(judge(report, gpu(120), {.force_ptx_jit = true}).runs, Runs::jit);
    // No such advice where the PTX is no better.
    const FileReport worse =
        file({image("sm_120", {kernel("k", Stub::empty)}), image("compute_120", {kernel("k", Stub::empty)})});
    EXPECT_EQ(judge(worse, gpu(120)).fix.find("CUDA_FORCE_PTX_JIT"), std::string::npos);
}

TEST(Verdict, PtxNeedsTheDriverOfItsIsa) {
    FileReport report = file({image("compute_80", {kernel("k")})});
    report.images[0].isa_version = 90;
    Verdict verdict = judge(report, gpu(120));
    EXPECT_EQ(verdict.runs, Runs::jit);
    EXPECT_NE(verdict.text.find("driver 580 or later: PTX ISA 9.0"), std::string::npos) << verdict.text;
    EXPECT_EQ(judge(report, gpu(120), {.driver = 58000}).runs, Runs::jit);
    verdict = judge(report, gpu(120), {.driver = 57508});
    EXPECT_EQ(verdict.runs, Runs::no);
    EXPECT_NE(verdict.text.find("compute_80 PTX (PTX ISA 9.0) needs driver 580 or later, got 575.08"),
              std::string::npos)
        << verdict.text;
    EXPECT_EQ(verdict.fix, "install driver 580 or later");
}

TEST(Verdict, TheToolkitAndTheCompressionNeedADriver) {
    FileReport report = file({image("sm_90", {kernel("k")})});
    Image& code = report.images[0];
    code.abi = 7;
    code.toolkit = "12.9.86 (ptxas)";
    EXPECT_EQ(judge(report, gpu(90), {.driver = 52500}).runs, Runs::native);
    EXPECT_EQ(judge(report, gpu(90), {.driver = 52000}).runs, Runs::no);
    code.compression = Compression::zstd;
    EXPECT_EQ(judge(report, gpu(90), {.driver = 54500}).runs, Runs::no);
    EXPECT_EQ(judge(report, gpu(90), {.driver = 55054}).runs, Runs::native);
    code.abi = 8;  // alone it tells no toolkit: code for Blackwell has it from CUDA 12.8 on
    EXPECT_EQ(judge(report, gpu(90), {.driver = 57000}).runs, Runs::native);
    code.toolkit = "13.0.88 (ptxas)";
    EXPECT_EQ(judge(report, gpu(90), {.driver = 57000}).runs, Runs::no);
    const Verdict verdict = judge(report, gpu(90), {.driver = 58000});
    EXPECT_EQ(verdict.runs, Runs::native);
    EXPECT_NE(verdict.text.find("driver 580 or later: code of CUDA 13"), std::string::npos) << verdict.text;
}

TEST(Verdict, ADriverMustKnowTheGpu) {
    FileReport report = file({image("sm_120", {kernel("k")})});
    report.images[0].toolkit = "12.8.93 (ptxas)";
    const Verdict verdict = judge(report, gpu(120));
    EXPECT_NE(verdict.text.find("driver 570 or later: the first that knows such GPUs"), std::string::npos)
        << verdict.text;
    EXPECT_EQ(judge(report, gpu(120), {.driver = 56000}).runs, Runs::no);
    EXPECT_EQ(judge(report, gpu(120), {.driver = 57000}).runs, Runs::native);
}

TEST(Verdict, LtoIrRunsWhereTheFileLinksIt) {
    FileReport report = file({image("lto_75", {})});
    Verdict verdict = judge(report, gpu(90));
    EXPECT_EQ(verdict.runs, Runs::no);
    EXPECT_NE(verdict.text.find("LTO-IR runs nowhere before nvJitLink links it"), std::string::npos)
        << verdict.text;
    report.runtime_code = true;
    EXPECT_EQ(judge(report, gpu(90)).runs, Runs::no);
    report.links_ltoir = true;
    verdict = judge(report, gpu(90));
    EXPECT_EQ(verdict.runs, Runs::jit);
    EXPECT_NE(verdict.text.find("LTO-IR (nvJitLink)"), std::string::npos) << verdict.text;
}

TEST(Verdict, InputsOfADeviceLinkDoNotCount) {
    FileReport report = file({image("sm_120", {kernel("k")}), image("sm_90", {kernel("k")})});
    report.images[0].link_input = true;
    EXPECT_EQ(judge(report, gpu(120)).runs, Runs::no);
    EXPECT_EQ(judge(report, gpu(90)).runs, Runs::native);
    EXPECT_EQ(judge(report, gpu(90)).num_kernels, 1);
}

TEST(Verdict, WhatAKernelAsksForMustBeThere) {
    FileReport report = file({image("compute_80", {kernel("k")})});
    Kernel& k = report.images[0].kernels[0];
    k.shared_bytes = 101376;
    EXPECT_EQ(judge(report, gpu(120)).runs, Runs::jit);
    k.shared_bytes = 101377;
    EXPECT_EQ(judge(report, gpu(80)).runs, Runs::jit);
    const Verdict verdict = judge(report, gpu(120));
    EXPECT_EQ(verdict.runs, Runs::no);
    EXPECT_NE(verdict.text.find("101377 bytes of static shared memory, at most 101376"), std::string::npos)
        << verdict.text;
    EXPECT_EQ(verdict.fix.find("rebuild"), std::string::npos) << verdict.fix;

    k.shared_bytes = 0;
    k.cluster = {2, 8, 1};
    EXPECT_EQ(judge(report, gpu(90)).runs, Runs::jit);
    EXPECT_EQ(judge(report, gpu(89)).runs, Runs::no);
    k.cluster = {17, 1, 1};
    EXPECT_EQ(judge(report, gpu(90)).runs, Runs::no);

    k.cluster = {};
    k.registers = 128;
    k.required_threads = {512, 1, 1};
    EXPECT_EQ(judge(report, gpu(90)).runs, Runs::jit);
    k.registers = 129;
    EXPECT_EQ(judge(report, gpu(90)).runs, Runs::no);
}

TEST(Verdict, EmulatedPathsRunAndAreSaid) {
    FileReport report = file({image("sm_90", {kernel("k"), kernel("l")})});
    EXPECT_EQ(judge(report, gpu(90)).text.find("emulate"), std::string::npos);
    report.images[0].kernels[0].classes.add(InstructionClass::emulated_fp8_mma);
    const Verdict verdict = judge(report, gpu(90));
    EXPECT_EQ(verdict.runs, Runs::native);
    EXPECT_NE(verdict.text.find("1 of them emulates fp8 products by conversions"), std::string::npos)
        << verdict.text;
}

TEST(Verdict, RebuildingDoesNotHelpWhereTheInstructionsAreOfAnotherGpu) {
    FileReport report = file({image("sm_90a", {kernel("k")})});
    report.images[0].kernels[0].classes.add(InstructionClass::hgmma);
    const std::string fix = judge(report, gpu(120)).fix;
    EXPECT_NE(fix.find("it uses wgmma, which only 9.0 has: other kernels are needed, not another build"),
              std::string::npos)
        << fix;
    EXPECT_EQ(fix.find("-gencode"), std::string::npos) << fix;
    // A second kernel that uses none of it can be rebuilt.
    report.images[0].kernels.push_back(kernel("l"));
    const std::string mixed = judge(report, gpu(120)).fix;
    EXPECT_NE(mixed.find("-gencode arch=compute_120f,code=sm_120f"), std::string::npos) << mixed;
    EXPECT_NE(mixed.find("1 of them uses wgmma"), std::string::npos) << mixed;
}

TEST(Verdict, AForbiddenLibraryNeedsAnotherRelease) {
    FileReport report = file({image("sm_90", {kernel("k")})});
    report.headers_only = true;
    report.libraries.push_back({.id = "cublas", .name = "cuBLAS"});
    EXPECT_EQ(judge(report, gpu(120)).fix, "take a release of cuBLAS with code for 12.0");
    // With kernels for several GPUs, those of others are not missed.
    Image other = image("sm_120", {kernel("l")});
    other.fatbin = 4096;
    report.images.push_back(other);
    const Verdict verdict = judge(report, gpu(120));
    EXPECT_EQ(verdict.runs, Runs::native);
    EXPECT_EQ(verdict.num_missing, 1);
    EXPECT_EQ(verdict.num_for_others, 1);
    EXPECT_NE(verdict.text.find("1 of 2 kernels has sm_120 code"), std::string::npos) << verdict.text;
    EXPECT_EQ(verdict.fix, "");
    report.headers_only = false;
    EXPECT_EQ(judge(report, gpu(120)).runs, Runs::partly);
    EXPECT_EQ(judge(report, gpu(120)).num_for_others, 0) << "it could be built";
}

TEST(Verdict, NamesTellForWhomAKernelIs) {
    const char* name = "_ZN7cutlass13device_kernelI28MainloopSm90TmaGmmaWarpEEvT_";
    const std::string text = judge(file({image("sm_90a", {kernel(name)})}), gpu(120)).text;
    EXPECT_NE(text.find("by their names 1 for sm90"), std::string::npos) << text;
}

TEST(Verdict, AFileWithoutDeviceCode) {
    FileReport report = file({});
    EXPECT_EQ(judge(report, gpu(90)).runs, Runs::no);
    report.runtime_code = true;
    EXPECT_EQ(judge(report, gpu(90)).runs, Runs::jit);
}

TEST(Verdict, ImagesThatTellNoKernelsAreJudgedThemselves) {
    const FileReport report = file({image("sm_90a", {})});
    EXPECT_EQ(judge(report, gpu(90)).runs, Runs::native);
    const Verdict verdict = judge(report, gpu(120));
    EXPECT_EQ(verdict.runs, Runs::no);
    EXPECT_TRUE(verdict.kernels.empty());
    EXPECT_EQ(verdict.num_missing, 0);
    EXPECT_NE(verdict.text.find("its image does not run on 12.0"), std::string::npos) << verdict.text;
}

TEST(Verdict, EveryTargetInOneCallIsTheSame) {
    const FileReport report = file({image("sm_80", {kernel("k")}), image("compute_90", {kernel("k")})});
    std::vector<Target> gpus;
    for (const Target& target : targets()) {
        if (target.facts.compute_capability > 0) gpus.push_back(target);
    }
    const std::vector<Verdict> verdicts = judge(report, gpus);
    ASSERT_EQ(verdicts.size(), gpus.size());
    for (std::size_t i = 0; i < gpus.size(); ++i) {
        const Verdict one = judge(report, gpus[i]);
        EXPECT_EQ(verdicts[i].target, gpus[i].id);
        EXPECT_EQ(verdicts[i].runs, one.runs);
        EXPECT_EQ(verdicts[i].text, one.text);
        const int capability = gpus[i].facts.compute_capability;
        const bool has_code = cubin_misfit({.sm = 80}, capability) == Misfit::none;
        EXPECT_EQ(verdicts[i].runs, has_code ? Runs::native : capability >= 90 ? Runs::jit : Runs::no);
    }
}

// The page shows GPUs with the same verdict as one.
TEST(Verdict, NoNameOfAGpuIsInTheWords) {
    FileReport report =
        file({image("sm_86", {kernel("k"), kernel("l", Stub::trap)}), image("compute_100f", {kernel("m")})});
    report.images[0].kernels[0].shared_bytes = 200'000;
    for (const Target& target : targets()) {
        if (target.facts.compute_capability == 0) continue;
        const Verdict verdict = judge(report, target);
        EXPECT_EQ(verdict.text.find(target.id), std::string::npos) << verdict.text;
        EXPECT_EQ(verdict.fix.find(target.id), std::string::npos) << verdict.fix;
    }
}

TEST(Gencode, FamiliesWhereThereAreSome) {
    EXPECT_EQ(gencode(80, true), "-gencode arch=compute_80,code=sm_80");
    EXPECT_EQ(gencode(90, false), "-gencode arch=compute_90,code=sm_90");
    EXPECT_EQ(gencode(90, true), "-gencode arch=compute_90a,code=sm_90a");
    EXPECT_EQ(gencode(103, false), "-gencode arch=compute_100f,code=sm_100f");
    EXPECT_EQ(gencode(121, false), "-gencode arch=compute_120f,code=sm_120f");
}

TEST(Gencode, WhatIsAdvisedRunsThere) {
    for (const Target& target : targets()) {
        const int capability = target.facts.compute_capability;
        if (capability == 0) continue;
        for (const bool suffixed : {false, true}) {
            const std::string flag = gencode(capability, suffixed);
            const auto architecture = parse_architecture(flag.substr(flag.find("code=") + 5));
            ASSERT_TRUE(architecture) << flag;
            EXPECT_EQ(cubin_misfit(*architecture, capability), Misfit::none) << flag;
        }
    }
}

TEST(Drivers, VersionsAreReadAndSaid) {
    EXPECT_EQ(parse_driver("580"), 58000);
    EXPECT_EQ(parse_driver("580.95"), 58095);
    EXPECT_EQ(parse_driver("550.54.14"), 55054);
    EXPECT_EQ(parse_driver("470.256.02"), 47099);
    for (const char* bad : {"", "x", "58", "580.", "580x", "580.95x", "-1"})
        EXPECT_EQ(parse_driver(bad), std::nullopt) << bad;
    EXPECT_EQ(driver_text(58000), "580");
    EXPECT_EQ(driver_text(55054), "550.54");
}

TEST(Drivers, FloorsRiseWithTheIsa) {
    int isa = 0, cuda = 0, driver = 0;
    for (const PtxIsaFloor& row : ptx_isa_floors()) {
        EXPECT_GT(row.isa_version, isa);
        EXPECT_GT(row.cuda, cuda);
        EXPECT_GT(row.driver, driver);
        isa = row.isa_version, cuda = row.cuda, driver = row.driver;
    }
    Image later = image("compute_80", {});
    later.isa_version = isa + 1;
    EXPECT_GT(driver_floor(later).driver, driver);
}

}  // namespace
}  // namespace warpwright::inspect
