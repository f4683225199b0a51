// SPDX-License-Identifier: Apache-2.0
// The emulator's checks, measured: faults planted in our own kernels, and in how they are launched, each to
// be reported as what it is and where it is. The kernels without a fault pass the same checks (./test
// emulated).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <regex>

#include "check/check.h"
#include "emulator/check/finding.h"
#include "emulator/device/emulated.h"
#include "image/spec.h"
#include "image/store.h"
#include "warpwright/context.h"
#include "warpwright/ops/rmsnorm.h"

namespace warpwright::emulator {
namespace {

constexpr const char* kNorm = "rmsnorm.portable.bf16.t64v2";
// Which of kNorm's comparisons of columns is the loads': those before it are of prefetches, which never
// fault.
constexpr int kLoads = 3;
constexpr const char* kNormOfHeads = "rmsnorm.portable.bf16.l16v1";
constexpr const char* kGemm = "gemm.portable.bf16.128x128x32";
constexpr const char* kSample = "sample.portable.bf16.any";
constexpr const char* kDecode = "attention.decode.bf16.d128";

std::shared_ptr<Context> open(const std::string& device) {
    auto context = Context::open("emulated:" + device);
    if (!context.ok()) ADD_FAILURE() << context.status().message();
    return *context;
}

Image image_of(const std::string& row, BuildTarget target) {
    for (const ImageSpec& spec : all_image_specs()) {
        if (spec.row != row || spec.build_target != target) continue;
        const auto image = ImageStore::shared().get(spec);
        if (image.ok()) return **image;
        ADD_FAILURE() << image.status().message();
    }
    ADD_FAILURE() << "no image of " << row;
    return {};
}

// Replaces the `nth` (from 1; -1: the last) match of `pattern` in one line. An edit that finds nothing is an
// error of the test.
struct Edit {
    std::string pattern;
    std::string replacement;
    int nth = 1;
};

struct Text {
    std::string ptx;
    int line = 0;  // of the last edit, from 1
};

void apply(const Edit& edit, Text& text) {
    const std::regex pattern(edit.pattern);
    std::vector<std::smatch> matches(std::sregex_iterator(text.ptx.begin(), text.ptx.end(), pattern), {});
    const auto count = static_cast<int>(matches.size());
    const int index = edit.nth < 0 ? count + edit.nth : edit.nth - 1;
    ASSERT_TRUE(index >= 0 && index < count) << "\"" << edit.pattern << "\" occurs " << count << " times";
    const std::smatch& match = matches[static_cast<std::size_t>(index)];
    const auto position = static_cast<std::size_t>(match.position());
    text.line = 1 + static_cast<int>(std::count(text.ptx.begin(), text.ptx.begin() + match.position(), '\n'));
    const std::string replacement = match.format(edit.replacement);
    text.ptx.replace(position, static_cast<std::size_t>(match.length()), replacement);
}

std::string line_of(const std::string& text, int number) {
    std::size_t start = 0;
    for (int i = 1; i < number; ++i) start = text.find('\n', start) + 1;
    return text.substr(start, text.find('\n', start) - start);
}

struct Fault {
    const char* name;
    const char* row;
    std::vector<Edit> edits;
    FindingKind kind;
    const char* at;  // what stands in the line that the finding names; null: it is the line of the last edit
    const char* op = nullptr;
    const char* device = "h200";
};

std::string op_of(const Fault& fault) {
    const std::string row = fault.row;
    return row.substr(0, row.find('.'));
}

// What the check of the faulty row says first.
std::string failure(Context& context, const std::string& op, const std::string& row) {
    CheckAnswers answers;
    for (const OperationCheck* check : operation_checks()) {
        if (check->op() != op) continue;
        for (const CheckResult& result : check->run(context, {.rows = {row}, .max_failures = 1}, answers)) {
            if (result.outcome == CheckResult::Outcome::failed) return result.text;
        }
    }
    return "no failure";
}

class PlantedFault : public testing::TestWithParam<Fault> {};

TEST_P(PlantedFault, IsReportedWithItsKindAndLine) {
    const Fault& fault = GetParam();
    const auto context = open(fault.device);
    Image image = image_of(fault.row, context->target().facts.build_target);
    Text text{image.ptx};
    for (const Edit& edit : fault.edits) apply(edit, text);
    image.ptx = text.ptx;
    const Status used = context->use(image);
    ASSERT_TRUE(used.ok()) << used.message();
    const std::string said = failure(*context, op_of(fault), fault.row);
    EXPECT_NE(said.find(finding_name(fault.kind)), std::string::npos) << said;
    std::smatch place;
    if (fault.kind == FindingKind::deadlock) return;  // of a grid, not of a line; the text lists the warps
    ASSERT_TRUE(std::regex_search(said, place, std::regex(" at line (\\d+) \\("))) << said;
    const int line = std::stoi(place[1]);
    if (fault.at == nullptr) {
        EXPECT_EQ(line, text.line) << said;
    } else {
        EXPECT_NE(line_of(text.ptx, line).find(fault.at), std::string::npos) << said << "\n"
                                                                             << line_of(text.ptx, line);
    }
}

INSTANTIATE_TEST_SUITE_P(
    Kernels, PlantedFault,
    testing::Values(
        Fault{"OffByOneBound",
              kNorm,
              {{"setp.ge.s32 (\t%p\\d+),", "setp.gt.s32 $1,", kLoads}},
              FindingKind::out_of_bounds,
              "ld.global"},
        Fault{"RowsPastTheLast",
              kNormOfHeads,
              {{"selp.b32 \t(%r\\d+), (%r\\d+), 0, %p\\d+;", "mov.u32 $1, $2;", 2}},
              FindingKind::out_of_bounds,
              "ld.global"},
        Fault{"MissingPredicate",
              kNorm,
              {{"(setp.ge.s32 [^@]*)@%p\\d+ bra[^;]*;", "$1", kLoads}},
              FindingKind::out_of_bounds,
              "ld.global"},
        Fault{"MisalignedVectorLoad",
              kNorm,
              {{"(ld.global.v4.u32[^\\[]*\\[%rd\\d+)\\]", "$1+4]"}},
              FindingKind::misaligned,
              nullptr},
        Fault{"MisalignedStore",
              kNorm,
              {{"(st.global.v4.u32 \\[%rd\\d+)\\]", "$1+8]", -1}},
              FindingKind::misaligned,
              nullptr},
        Fault{"SharedArrayTooShort",
              kNorm,
              {{"scratch\\[8\\];", "scratch[4];"}},
              FindingKind::out_of_bounds,
              ".shared.f32"},
        Fault{"DroppedBarrier", kNorm, {{"bar.sync \t0;", ""}}, FindingKind::uninitialized, "ld.shared"},
        Fault{"BarrierForOneWarpOnly",
              kNorm,
              {{"bar.sync \t0;", "bar.sync 0, 32;"}},
              FindingKind::uninitialized,
              "ld.shared"},
        Fault{"BarrierForMoreThanThereAre",
              kNorm,
              {{"bar.sync \t0;", "bar.sync 0, 96;"}},
              FindingKind::bad_operand,
              nullptr},
        Fault{"WarpsWaitAtDifferentBarriers",
              kNorm,
              {{"bar.sync \t0;", "{ .reg .u32 %w; mov.u32 %w, %tid.x; shr.u32 %w, %w, 5; bar.sync %w; }"}},
              FindingKind::deadlock,
              nullptr},
        Fault{"DivergentBarrier",
              kNorm,
              {{"bar.sync \t0;",
                "{ .reg .pred %first; .reg .u32 %lane; mov.u32 %lane, %laneid; setp.eq.u32 "
                "%first, %lane, 0; @%first bar.sync 0; }"}},
              FindingKind::divergent_barrier,
              nullptr},
        Fault{"DroppedSharedStore",
              kNorm,
              {{"st.shared.f32 [^;]*;", ""}},
              FindingKind::uninitialized,
              "ld.shared"},
        Fault{"WrongShuffleMask",
              kNorm,
              {{"(shfl.sync.bfly.b32 [^,]*,[^,]*,[^,]*,[^,]*,) %r\\d+;", "$1 0x7fffffff;"}},
              FindingKind::bad_operand,
              nullptr},
        Fault{"TrapReached", kNorm, {{"bar.sync \t0;", "trap;"}}, FindingKind::trap, nullptr},
        Fault{"PointerNotAdded",
              kNorm,
              {{"add.s64 (\t%rd\\d+), %rd\\d+(, %rd\\d+;\\s+// begin inline asm\\s+ld.global)",
                "mov.u64 $1$2"}},
              FindingKind::out_of_bounds,
              "ld.global.v4.u32"},
        Fault{"DroppedWait",
              kGemm,
              {{"cp.async.wait_group 2;", ""}},
              FindingKind::async_not_waited,
              "ldmatrix"},
        Fault{"WaitLeavesOneGroupTooMany",
              kGemm,
              {{"cp.async.wait_group 2;", "cp.async.wait_group 3;"}},
              FindingKind::async_not_waited,
              "ldmatrix"},
        Fault{"DroppedCommit",
              kGemm,
              {{"cp.async.commit_group;", ""}},
              FindingKind::async_not_waited,
              "ldmatrix"},
        Fault{"DroppedBarrierAfterWait",
              kGemm,
              {{"bar.sync \t0;", ""}},
              FindingKind::uninitialized,
              "ldmatrix"},
        Fault{"MisalignedMatrixRow",
              kGemm,
              {{"(ldmatrix[^\\[]*\\[%r\\d+)\\]", "$1+8]"}},
              FindingKind::misaligned,
              nullptr},
        Fault{"MatrixRowsOfAnotherStage",
              kGemm,
              {{"(ldmatrix[^\\[]*\\[%r\\d+)\\]", "$1+49152]"}},
              FindingKind::uninitialized,
              nullptr},
        Fault{"CopyWithoutItsSize",
              kGemm,
              {{"(cp.async.cg[^;]*), 16, %r\\d+;", "$1, 16, 16;"}},
              FindingKind::out_of_bounds,
              nullptr},
        Fault{"MatrixLoadByHalfAWarp",
              kGemm,
              {{"(ldmatrix[^;]*;)",
                "{ .reg .pred %half; .reg .u32 %lane; mov.u32 %lane, %laneid; setp.lt.u32 "
                "%half, %lane, 16; @%half $1 }"}},
              FindingKind::non_convergent,
              nullptr},
        Fault{"CounterBehindTheTable",
              kSample,
              {{"(atom.shared.add.u32 [^\\[]*\\[%rd\\d+)\\]", "$1+8192]", -1}},
              FindingKind::out_of_bounds,
              nullptr},
        Fault{"DivisionByZero",
              kDecode,
              {{"div.u32 (\t%r\\d+, %r\\d+), %r\\d+;", "div.u32 $1, 0;"}},
              FindingKind::division_by_zero,
              nullptr},
        Fault{"KeysBeforeTheWindow",  // their table entries lead nowhere
              kDecode,
              {{"max.s32 (\t%r\\d+), %r\\d+, 0;", "mov.u32 $1, 0;"}},
              FindingKind::out_of_bounds,
              "cp.async"},
        Fault{"UseOfAnUnknownBarrier",
              kNorm,
              {{"bar.sync \t0;", "{ .reg .u32 %id; mov.u32 %id, 16; bar.sync %id; }"}},
              FindingKind::bad_operand,
              nullptr}),
    [](const testing::TestParamInfo<Fault>& info) { return info.param.name; });

// A swapped pair of registers is legal: only the oracle can tell.
TEST(PlantedFaults, SwappedFragmentIsAWrongResult) {
    const auto context = open("h200");
    Image image = image_of(kGemm, BuildTarget::sm_90a);
    Text text{image.ptx};
    apply({"(mma.sync[^{]*\\{[^}]*\\}, \\{%r\\d+,) (%r\\d+), (%r\\d+),", "$1 $3, $2,"}, text);
    image.ptx = text.ptx;
    ASSERT_TRUE(context->use(image).ok());
    const std::string said = failure(*context, "gemm", kGemm);
    EXPECT_NE(said.find("over the bound"), std::string::npos) << said;
}

// --- faults of a launch
// ----------------------------------------------------------------------------------------

struct Norm {
    std::shared_ptr<Context> context = open("h200");
    Device& device = context->device();
    i64 tokens = 4, hidden = 512;
    void* x = *device.allocate(4096);
    void* weight = *device.allocate(1024);
    void* out = *device.allocate(4096);
    Prepared prepared;

    Norm() {
        context->force("rmsnorm", kNorm);
        EXPECT_TRUE(device.fill(x, 0x3c, 4096, {}).ok() && device.fill(weight, 0x3c, 1024, {}).ok());
    }
    Status launch() {
        Prepared fresh;
        const RmsNorm call{.x = Tensor::dense(x, DType::bf16, {tokens, hidden}),
                           .weight = Tensor::dense(weight, DType::bf16, {hidden}),
                           .out = Tensor::dense(out, DType::bf16, {tokens, hidden})};
        WW_TRY(prepare(*context, call, fresh));
        if (change) change(fresh.steps[0]);
        return fresh.launch(device, {});
    }
    std::function<void(Prepared::Step&)> change;
};

void expect_finding(const Status& status, FindingKind kind, const std::string& detail) {
    ASSERT_FALSE(status.ok());
    EXPECT_NE(status.message().find(finding_name(kind)), std::string::npos) << status.message();
    EXPECT_NE(status.message().find(detail), std::string::npos) << status.message();
}

TEST(PlantedFaults, NothingIsFoundWithoutOne) {
    Norm norm;
    const Status status = norm.launch();
    EXPECT_TRUE(status.ok()) << status.message();
}

TEST(PlantedFaults, InputFreedBeforeTheLaunch) {
    Norm norm;
    norm.device.release(norm.x);
    expect_finding(norm.launch(), FindingKind::use_after_free, "ld.global");
}

TEST(PlantedFaults, InputNeverWritten) {
    Norm norm;
    norm.x = *norm.device.allocate(4096);
    expect_finding(norm.launch(), FindingKind::uninitialized, "ld.global");
}

TEST(PlantedFaults, OutputTooSmall) {
    Norm norm;
    norm.out = *norm.device.allocate(4096 - 16);
    expect_finding(norm.launch(), FindingKind::out_of_bounds, "st.global");
}

TEST(PlantedFaults, HostPointer) {
    Norm norm;
    alignas(256) static std::byte host[4096];
    norm.out = host;
    expect_finding(norm.launch(), FindingKind::foreign_address, "host");
}

TEST(PlantedFaults, PointerOfAnotherDevice) {
    Norm norm;
    const auto other = open("h200");
    norm.out = *other->device().allocate(4096);
    expect_finding(norm.launch(), FindingKind::foreign_address, "emulated device");
}

TEST(PlantedFaults, ReadOnlyMemoryIsWritten) {
    Norm norm;
    alignas(256) static std::byte host[4096];
    norm.out = *dynamic_cast<EmulatedDevice&>(norm.device).import(host, sizeof host, true);
    expect_finding(norm.launch(), FindingKind::read_only_written, "st.global");
}

TEST(PlantedFaults, TooManyThreads) {
    Norm norm;
    norm.change = [](Prepared::Step& step) { step.config.block.x = 96; };
    expect_finding(norm.launch(), FindingKind::over_limit, "96");
}

TEST(PlantedFaults, TooMuchSharedMemory) {
    Norm norm;
    norm.change = [](Prepared::Step& step) { step.config.shared_bytes = 228 * 1024; };
    expect_finding(norm.launch(), FindingKind::over_limit, "shared");
}

TEST(PlantedFaults, TooFewArgumentBytes) {
    Norm norm;
    norm.change = [](Prepared::Step& step) { step.args.pop_back(); };
    expect_finding(norm.launch(), FindingKind::bad_operand, "argument");
}

TEST(PlantedFaults, TooManyRegisters) {
    const auto context = open("h200");
    Image image = image_of(kNorm, BuildTarget::sm_90a);
    image.resources.registers = 255;
    const auto kernel = context->device().load(image);
    ASSERT_TRUE(kernel.ok()) << kernel.status().message();
    const LaunchConfig config{.block = {1024}};
    const std::vector<std::byte> args(72);
    expect_finding(context->device().launch(*kernel, config, args, {}), FindingKind::over_limit, "");
}

TEST(PlantedFaults, DependentLaunchWithoutItsWait) {
    Norm norm;
    Image image = image_of(kNorm, BuildTarget::sm_90a);
    Text text{image.ptx};
    apply({"griddepcontrol.wait;", ""}, text);
    image.ptx = text.ptx;
    ASSERT_TRUE(norm.context->use(image).ok());
    norm.change = [](Prepared::Step& step) { step.config.programmatic = true; };
    EXPECT_FALSE(norm.launch().ok());
}

// --- faults that keep a kernel from being loaded
// -----------------------------------------------------------------

std::string load_error(const std::string& device, const Edit& edit, int& line) {
    const auto context = open(device);
    Image image = image_of(kNorm, context->target().facts.build_target);
    Text text{image.ptx};
    apply(edit, text);
    line = text.line;
    image.ptx = text.ptx;
    return context->use(image).message();
}

TEST(PlantedFaults, InstructionOfAnotherTarget) {
    int line = 0;
    const std::string said = load_error("a100", {"bar.sync \t0;", "griddepcontrol.wait;"}, line);
    EXPECT_NE(said.find(fmt::format("line {}", line)), std::string::npos) << said;
    EXPECT_NE(said.find("griddepcontrol"), std::string::npos) << said;
}

TEST(PlantedFaults, TextOfAnotherTarget) {
    const auto context = open("a100");
    const Status status = context->use(image_of(kNorm, BuildTarget::sm_90a));
    EXPECT_NE(status.message().find("sm_90a"), std::string::npos) << status.message();
}

TEST(PlantedFaults, UnknownModifier) {
    int line = 0;
    const std::string said = load_error("h200", {"st.shared.f32", "st.shared.L9::all.f32"}, line);
    EXPECT_NE(said.find(fmt::format("line {}", line)), std::string::npos) << said;
    EXPECT_NE(said.find("L9::all"), std::string::npos) << said;
}

TEST(PlantedFaults, UnknownInstruction) {
    int line = 0;
    const std::string said = load_error("h200", {"bar.sync \t0;", "sync.everything 0;"}, line);
    EXPECT_NE(said.find(fmt::format("line {}", line)), std::string::npos) << said;
}

}  // namespace
}  // namespace warpwright::emulator
