// SPDX-License-Identifier: Apache-2.0
// emulator_bench: how fast the emulator is on one core: matrix products, arithmetic and memory, and our own
// kernels at each level of checks. Times are the best of several runs.
//     ninja -C build emulator_bench && build/emulator_bench models/glossary
// WARPWRIGHT_SIMD=avx2 in the environment asks for less.
#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>

#include <fmt/format.h>

#include "emulator/decode/load.h"
#include "emulator/execute/mma.h"
#include "emulator/machine/launch.h"
#include "tools/emulator_bench_kernels.h"

namespace warpwright::emulator {
namespace {

constexpr int kRepeats = 15;
constexpr const char* kTarget = "h100-sxm";

int fail(std::string_view text) {
    fmt::print(stderr, "error: {}\n", text);
    return 2;
}

double best_ns(const std::function<void()>& run) {
    double best = 1e30;
    for (int i = 0; i < kRepeats; ++i) {
        const auto start = std::chrono::steady_clock::now();
        run();
        const std::chrono::duration<double, std::nano> passed = std::chrono::steady_clock::now() - start;
        best = std::min(best, passed.count());
    }
    return best;
}

// --- products, apart from the machine around them ---

// Normally distributed bf16s around 1, as of layers: no output needs the exact path.
double product_ns(SimdLevel level, const DecodeTarget& target) {
    constexpr int kCalls = 2000;
    std::mt19937 generator(1);
    std::normal_distribution<float> normal;
    alignas(64) u32 registers[14][32];
    for (auto& lanes : registers) {
        for (u32& word : lanes) {
            const u32 low = std::bit_cast<u32>(normal(generator)),
                      high = std::bit_cast<u32>(normal(generator));
            word = low >> 16 | (high & 0xffff'0000u);
        }
    }
    mma::Fragments fragments;
    for (int i = 0; i < 4; ++i) {
        fragments.a[i] = registers[i];
        fragments.c[i] = registers[6 + i];
        fragments.d[i] = registers[10 + i];
    }
    for (int i = 0; i < 2; ++i) fragments.b[i] = registers[4 + i];
    const auto product = mma::float_product(target, mma::Format::bf16, mma::Format::bf16, 16, false);
    const auto& multipliers = mma::multipliers(level);
    return best_ns([&] {
               for (int i = 0; i < kCalls; ++i) multipliers.multiply_floats(product, fragments);
           }) /
           kCalls;
}

int print_products() {
    constexpr double kMacs = 16 * 8 * 16;
    fmt::print("asked of one core with AVX-512: 2.0 GMAC/s\n");
    const struct {
        const char* name;
        DecodeTarget target;
    } kinds[] = {{"Ampere, Ada", {80, NumericsClass::ampere}},
                 {"Hopper, Blackwell", {90, NumericsClass::hopper}}};
    for (const auto& kind : kinds) {
        for (int i = 0; i <= static_cast<int>(simd_level()); ++i) {
            const auto level = static_cast<SimdLevel>(i);
            const double ns = product_ns(level, kind.target);
            fmt::print("bf16 m16n8k16, {:18} {:9} {:7.0f} ns  {:5.2f} GMAC/s\n", kind.name, simd_name(level),
                       ns, kMacs / ns);
        }
    }
    return 0;
}

// --- loops of one warp ---

struct Loop {
    const char* name;
    std::string body;
    int instructions;  // of the body, that are counted
};

constexpr int kIterations = 20'000;
constexpr u64 kBytes = 65536;

std::string text_of(const Loop& loop) {
    return fmt::format(R"(.version 9.0
.target sm_90a
.address_size 64
.visible .entry kernel(.param .u64 global) {{
    .reg .pred %p, %more;  .reg .b32 %i, %lane, %at, %x<4>, %a<4>, %b<2>;  .reg .f32 %f<8>;  .reg .b64 %to, %offset;
    .shared .align 16 .b8 shared[8192];
    mov.u32 %lane, %tid.x;  shl.b32 %at, %lane, 2;  mul.wide.u32 %offset, %at, 1;
    ld.param.u64 %to, [global];  add.s64 %to, %to, %offset;
    mov.u32 %x0, shared;  add.s32 %at, %at, %x0;
    mov.u32 %i, 0;  mov.u32 %x1, %lane;  mov.u32 %x2, 77;  mov.u32 %x3, 5;
    mov.b32 %a0, 0x3f803f80;  mov.b32 %a1, 0x3f803f80;  mov.b32 %a2, 0x3f803f80;  mov.b32 %a3, 0x3f803f80;
    mov.b32 %b0, 0x3c003c00;  mov.b32 %b1, 0x3c003c00;
    mov.f32 %f0, 0f3F800000;  mov.f32 %f1, %f0;  mov.f32 %f2, %f0;  mov.f32 %f3, %f0;
    mov.f32 %f4, %f0;  mov.f32 %f5, %f0;  mov.f32 %f6, %f0;  mov.f32 %f7, %f0;
again:
{}
    add.s32 %i, %i, 1;  setp.lt.u32 %more, %i, {};
    @%more bra again;
    st.shared.b32 [%at], %x1;  st.shared.f32 [%at], %f0;  st.shared.f32 [%at], %f4;
    ret;
}})",
                       loop.body, kIterations);
}

std::string repeated(int count, const std::function<std::string(int)>& line) {
    std::string text;
    for (int i = 0; i < count; ++i) text += line(i) + "\n";
    return text;
}

std::vector<Loop> loops() {
    const std::string mix = R"(
        add.s32 %x1, %x1, %x2;  mad.lo.s32 %x2, %x1, %x3, %lane;  xor.b32 %x3, %x3, %x1;  shl.b32 %x0, %x2, 3;
        fma.rn.f32 %f0, %f1, %f2, %f0;  mul.f32 %f1, %f1, %f3;  add.f32 %f2, %f2, %f1;  max.f32 %f3, %f3, %f0;
        setp.lt.s32 %p, %x1, %x2;  selp.b32 %x1, %x1, %x0, %p;  and.b32 %x2, %x2, 0xffff;  shr.u32 %x0, %x0, 2;
        or.b32 %x3, %x3, %x0;  fma.rn.f32 %f0, %f0, %f1, %f2;  sub.s32 %x1, %x1, %x3;  min.s32 %x2, %x2, %x1;)";
    const auto offsets = [](const char* form) {
        return repeated(16, [form](int i) { return fmt::format(fmt::runtime(form), 128 * i, i % 4); });
    };
    std::vector<Loop> result = {{"arithmetic", mix, 16}};
    result.push_back(
        {"shfl.sync.bfly",
         repeated(16,
                  [](int i) { return fmt::format("shfl.sync.bfly.b32 %x1, %x1, {}, 31, -1;", 1 << i % 5); }),
         16});
    result.push_back({"mma.sync bf16",
                      repeated(4,
                               [](int i) {
                                   return fmt::format(
                                       "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {0}, {{%a0, %a1, "
                                       "%a2, %a3}}, {{%b0, %b1}}, {0};",
                                       i % 2 == 0 ? "{%f0, %f1, %f2, %f3}" : "{%f4, %f5, %f6, %f7}");
                               }),
                      4});
    result.push_back({"st.shared", offsets("st.shared.b32 [%at + {}], %x1;"), 16});
    // What is read was written first.
    result.push_back({"ld + st.shared",
                      repeated(8,
                               [](int i) {
                                   return fmt::format(
                                       "st.shared.b32 [%at + {0}], %x1; ld.shared.b32 %x{1}, [%at + {0}];",
                                       128 * i, i % 4);
                               }),
                      16});
    result.push_back({"st.global", offsets("st.global.b32 [%to + {}], %x1;"), 16});
    result.push_back({"ld.global", offsets("ld.global.b32 %x{1}, [%to + {0}];"), 16});
    return result;
}

int print_loops() {
    const auto target = find_target(kTarget);
    if (!target.ok()) return fail(target.status().message());
    const int capability = target->facts.compute_capability;
    GlobalMemory memory(0, 1ull << 24);
    const auto address = memory.allocate(kBytes);
    if (!address.ok()) return fail(address.status().message());
    if (const Status status = memory.fill(*address, 0, kBytes); !status.ok()) return fail(status.message());
    std::byte args[8];
    std::memcpy(args, &*address, sizeof args);

    fmt::print("{:28} {:>10} {:>10} {:>10}   ns for each, of one warp\n", simd_name(simd_level()), "off",
               "bounds", "all");
    for (const Loop& loop : loops()) {
        const auto loaded = load_program(text_of(loop), "", {capability, numerics_of(capability)}, memory);
        if (!loaded.ok()) return fail(loaded.status().message());
        std::string line = fmt::format("{:28}", loop.name);
        double ns_off = 0;
        for (const CheckLevel level : {CheckLevel::off, CheckLevel::bounds, CheckLevel::all}) {
            LaunchConfig config;
            config.block.x = 32;
            LaunchOptions options;
            options.level = level;
            options.num_threads = 1;
            std::optional<Finding> finding;
            const double ns = best_ns([&] {
                finding = run_grid(loaded->program, *target, {}, memory, config, args, options).finding;
            });
            if (finding) return fail(finding_text(*finding));
            const double each = ns / kIterations / loop.instructions;
            if (level == CheckLevel::off) ns_off = each;
            line += fmt::format(" {:10.1f}", each);
        }
        fmt::print("{}   {:6.1f} M/s unchecked\n", line, 1000 / ns_off);
    }
    return 0;
}

int run(const std::string& model) {
    if (const int code = print_products(); code != 0) return code;
    if (const int code = print_loops(); code != 0) return code;
    const Status status = print_kernels(model);
    return status.ok() ? 0 : fail(status.message());
}

}  // namespace
}  // namespace warpwright::emulator

int main(int argc, char** argv) {
    return warpwright::emulator::run(argc > 1 ? argv[1] : "");
}
