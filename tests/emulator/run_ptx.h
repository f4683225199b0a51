// SPDX-License-Identifier: Apache-2.0
// Runs PTX texts in tests.
//
//     RunPtx run(ptx_kernel(".param .u64 out", R"(
//         .reg .b64 %rd<2>;  .reg .b32 %r<2>;
//         ld.param.u64 %rd0, [out];
//         mov.u32 %r0, %tid.x;
//         ...
//     )"));
//     const u64 out = run.put(std::vector<u32>(32));
//     EXPECT_FALSE(run.launch({.block = {32}}, out).finding);
//     EXPECT_EQ(run.get<u32>(out, 32)[5], 5u);
//
// or, for an instruction over the lanes of one warp (%a, %b, %c are sources, %d is what comes out):
//
//     EXPECT_EQ(run_lanes<u32>("add.u32 %d, %a, %b;", std::vector<u32>{...}, std::vector<u32>{...}),
//     expected);
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include "emulator/decode/load.h"
#include "emulator/machine/launch.h"

namespace warpwright::emulator {

// A module with one entry, "kernel".
inline std::string ptx_kernel(std::string_view params, std::string_view body,
                              std::string_view target = "sm_90a", std::string_view module_scope = "") {
    return fmt::format(
        ".version 9.0\n.target {}\n.address_size 64\n{}\n.visible .entry kernel({})\n{{\n{}\nret;\n}}\n",
        target, module_scope, params, body);
}

class RunPtx {
public:
    // `target`: of find_target(). The launch of a text that did not load fails the test; load_error() says
    // why.
    explicit RunPtx(std::string_view ptx, std::string_view target = "h100-sxm") : memory_(0, 1ull << 32) {
        keep(ptx);
        auto found = find_target(target);
        if (!found.ok()) {
            ADD_FAILURE() << found.status().message();
            return;
        }
        target_ = *found;
        DecodeTarget decode_target;
        decode_target.compute_capability = target_.facts.compute_capability;
        decode_target.numerics = numerics_of(target_.facts.compute_capability);
        auto loaded = load_program(ptx, "", decode_target, memory_);
        if (!loaded.ok()) {
            error_ = loaded.status().message();
            return;
        }
        loaded_ = std::move(*loaded);
        is_loaded_ = true;
    }

    // Empty when it loaded.
    const std::string& load_error() const { return error_; }
    const Program& program() const { return loaded_.program; }
    GlobalMemory& memory() { return memory_; }

    LaunchOptions options;
    ImageResources resources;

    u64 allocate(u64 bytes) {
        auto address = memory_.allocate(bytes);
        if (!address.ok()) ADD_FAILURE() << address.status().message();
        return address.ok() ? *address : 0;
    }
    template <class T>
    u64 put(const std::vector<T>& values) {
        const u64 address = allocate(values.size() * sizeof(T));
        const Status status = memory_.write(address, values.data(), values.size() * sizeof(T));
        EXPECT_TRUE(status.ok()) << status.message();
        return address;
    }
    template <class T>
    std::vector<T> get(u64 address, std::size_t count) {
        std::vector<T> values(count);
        const Status status = memory_.read(address, values.data(), count * sizeof(T));
        EXPECT_TRUE(status.ok()) << status.message();
        return values;
    }

    // Arguments in the order of the parameters, each aligned to its size.
    template <class... Args>
    LaunchReport launch(const LaunchConfig& config, const Args&... args) {
        if (!is_loaded_) {
            ADD_FAILURE() << error_;
            return {};
        }
        std::vector<std::byte> bytes;
        (append(bytes, args), ...);
        return run_grid(loaded_.program, target_, resources, memory_, config, bytes, options);
    }

private:
    // WARPWRIGHT_KEEP_PTX=FOLDER: every text goes there too, to be tried with ptxas.
    static void keep(std::string_view ptx) {
        static int number = 0;
        if (const char* folder = std::getenv("WARPWRIGHT_KEEP_PTX"))
            std::ofstream(fmt::format("{}/{:05}.ptx", folder, number++)) << ptx;
    }

    template <class T>
    static void append(std::vector<std::byte>& bytes, const T& value) {
        const std::size_t offset = (bytes.size() + alignof(T) - 1) / alignof(T) * alignof(T);
        bytes.resize(offset + sizeof(T));
        std::memcpy(bytes.data() + offset, &value, sizeof(T));
    }

    GlobalMemory memory_;
    Target target_;
    LoadedProgram loaded_;
    bool is_loaded_ = false;
    std::string error_;
};

// One warp; lane l gets element l of each source, in registers %a, %b, %c of the elements' size, and leaves
// its result in %d. `%p`, `%q` (predicates), `%x`, `%y` (b32) and `%u`, `%v` (b64) are free for the body.
template <class D, class... Sources>
std::vector<D> run_lanes(std::string_view body, const std::vector<Sources>&... sources) {
    static_assert(sizeof...(Sources) <= 3);
    std::string params = ".param .u64 out";
    std::string text =
        ".reg .pred %p, %q;\n.reg .b32 %x, %y, %lane;\n.reg .b64 %u, %v, %to, %offset, %at<3>;\n"
        "mov.u32 %lane, %tid.x;\n";
    int index = 0;
    const auto source = [&](std::size_t bytes) {
        const char name = static_cast<char>('a' + index);
        params += fmt::format(", .param .u64 in{}", index);
        text += fmt::format(
            ".reg .b{1} %{0};\nld.param.u64 %at{2}, [in{2}];\nmul.wide.u32 %offset, %lane, {3};\n"
            "add.s64 %at{2}, %at{2}, %offset;\nld.global.b{1} %{0}, [%at{2}];\n",
            name, bytes * 8, index, bytes);
        ++index;
    };
    (source(sizeof(Sources)), ...);
    text += fmt::format(
        ".reg .b{0} %d;\n{1}\nld.param.u64 %to, [out];\nmul.wide.u32 %offset, %lane, {2};\n"
        "add.s64 %to, %to, %offset;\nst.global.b{0} [%to], %d;\n",
        sizeof(D) * 8, body, sizeof(D));
    RunPtx run(ptx_kernel(params, text));
    const u64 out = run.allocate(32 * sizeof(D));
    LaunchConfig config;
    config.block.x = 32;
    const auto put = [&](auto values) {
        values.resize(32);
        return run.put(values);
    };
    const LaunchReport report = run.launch(config, out, put(sources)...);
    if (report.finding) ADD_FAILURE() << finding_text(*report.finding);
    return run.get<D>(out, 32);
}

}  // namespace warpwright::emulator
