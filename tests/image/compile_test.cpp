// SPDX-License-Identifier: Apache-2.0
#include "image/compile.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include <dlfcn.h>
#include <gtest/gtest.h>

#include "image/kernels.h"

namespace warpwright::test {
namespace {

Result<Compiled> compile_scale(const ScaleFiles& files, const ImageSpec& spec) {
    const std::vector<EmbeddedFile> embedded = files.files();
    const KernelSources sources(embedded);
    return compile(spec, *sources.closure(spec.source).value(), *nvrtc().value());
}

TEST(compile, every_build_target) {
    WW_NEEDS_NVRTC();
    for (BuildTarget target : kDeviceTargets) {
        SCOPED_TRACE(build_target_name(target));
        const Result<Compiled> compiled = compile_scale({}, scale_spec(1, target));
        ASSERT_TRUE(compiled.ok()) << compiled.status().message();
        const Image& image = compiled->image;
        EXPECT_EQ(compiled->warnings, "");
        EXPECT_EQ(image.entry, "scale_three");
        EXPECT_NE(image.ptx.find(".visible .entry scale_three("), image.ptx.npos);
        const std::string arch = target == BuildTarget::compute_80 ? "sm_80" : build_target_name(target);
        EXPECT_NE(image.ptx.find(".target " + arch + "\n"), image.ptx.npos);
        if (target == BuildTarget::compute_80) {
            EXPECT_TRUE(image.cubin.empty());
            continue;
        }
        EXPECT_EQ(std::string(reinterpret_cast<const char*>(image.cubin.data()), 4),
                  "\x7f"
                  "ELF");
        EXPECT_GT(image.resources.registers, 0);
        EXPECT_GE(image.resources.static_shared_bytes, 128 * 4);
        EXPECT_EQ(image.resources.spill_bytes, 0);
        EXPECT_EQ(image.resources.stack_bytes, 0);
    }
}

TEST(compile, the_same_bytes_every_time_and_at_every_position) {
    WW_NEEDS_NVRTC();
    ScaleFiles moved;
    moved.rows.replace(moved.rows.find("{{\"scale.two\""), 1, "{{\"scale.one\", 1, 32}, ");
    ImageSpec spec = scale_spec(0, BuildTarget::sm_90a);
    const Result<Compiled> a = compile_scale({}, spec);
    spec.row_index = 1;
    const Result<Compiled> b = compile_scale(moved, spec);
    ASSERT_TRUE(a.ok() && b.ok());
    EXPECT_EQ(a->image.ptx, b->image.ptx);
    EXPECT_TRUE(a->image.cubin == b->image.cubin);
    EXPECT_TRUE(same_image(a->image, b->image));
}

TEST(compile, an_error_carries_the_compiler_s_first_errors) {
    WW_NEEDS_NVRTC();
    ScaleFiles files;
    files.times = "template <int kFactor> __device__ float times(float x) { return undeclared_name; }";
    const std::string message = compile_scale(files, scale_spec(0, BuildTarget::sm_80)).status().message();
    EXPECT_TRUE(message.starts_with("image scale.two for sm_80: NVRTC 13.")) << message;
    EXPECT_NE(message.find("ptx/times.cuh(1): error: identifier \"undeclared_name\" is undefined"),
              message.npos)
        << message;

    files = {};
    files.rows.insert(0, "#include \"kernels/gone.h\"\n");
    EXPECT_NE(
        compile_scale(files, scale_spec(0, BuildTarget::sm_80)).status().message().find("kernels/gone.h"),
        std::string::npos);
}

TEST(compile, assembler_errors_too) {
    WW_NEEDS_NVRTC();
    ScaleFiles files;
    files.kernel.replace(files.kernel.find("__syncthreads();"), 16,
                         "asm volatile(\"setmaxnreg.inc.sync.aligned.u32 240;\");");
    const std::string message = compile_scale(files, scale_spec(0, BuildTarget::sm_80)).status().message();
    EXPECT_NE(message.find("setmaxnreg"), message.npos) << message;
}

TEST(compile, warnings_surface) {
    WW_NEEDS_NVRTC();
    ScaleFiles files;
    files.kernel.replace(files.kernel.find("__syncthreads();"), 16, "int unused; __syncthreads();");
    const Result<Compiled> compiled = compile_scale(files, scale_spec(0, BuildTarget::sm_80));
    ASSERT_TRUE(compiled.ok()) << compiled.status().message();
    EXPECT_NE(compiled->warnings.find("unused"), std::string::npos) << compiled->warnings;
}

TEST(compile, one_image_has_one_entry_point) {
    WW_NEEDS_NVRTC();
    ScaleFiles files;
    files.kernel += "extern \"C\" __global__ void second() {}\n";
    EXPECT_TRUE(compile_scale(files, scale_spec(0, BuildTarget::sm_80))
                    .status()
                    .message()
                    .starts_with("image scale.two for sm_80: expected the one entry point scale_two, got "));
}

std::vector<std::string> seen_options;

// NVRTC's own cache, which needs a driver, gives images without resource figures.
TEST(compile, nothing_comes_from_the_cache_of_nvrtc) {
    WW_NEEDS_NVRTC();
    static const Nvrtc real = *nvrtc().value();
    Nvrtc listening = real;
    listening.compile_program = [](Nvrtc::Program program, int num_options, const char* const* options) {
        seen_options.assign(options, options + num_options);
        return real.compile_program(program, num_options, options);
    };
    const ScaleFiles files;
    const std::vector<EmbeddedFile> embedded = files.files();
    const ImageSpec spec = scale_spec(1, BuildTarget::sm_90a);
    const KernelSources sources(embedded);
    EXPECT_TRUE(compile(spec, *sources.closure(spec.source).value(), listening).ok());
    EXPECT_EQ(std::count(seen_options.begin(), seen_options.end(), "--no-cache"), 1);
    // Images are the same with or without it: it is not part of their keys.
    const auto flags = compile_flags(spec);
    EXPECT_EQ(std::count(flags.begin(), flags.end(), "--no-cache"), 0);
}

TEST(compile, a_host_row_has_no_image) {
    WW_NEEDS_NVRTC();
    EXPECT_EQ(compile_scale({}, scale_spec(0, BuildTarget::host)).status().message(),
              "image scale.two for host: a host row has no image");
}

TEST(compile, resources_are_read_from_the_log) {
    ImageResources resources;
    ASSERT_TRUE(parse_resources(
        "ptxas info    : Compiling entry function 'foo' for 'sm_80'\n"
        "ptxas info    : Function properties for foo\n"
        "ptxas         .     1312 bytes stack frame, 2972 bytes spill stores, 3080 bytes spill loads\n"
        "ptxas info    : Used 64 registers, used 1 barriers, 1312 bytes cumulative stack size, 512 bytes "
        "smem\n",
        resources));
    EXPECT_EQ(resources.registers, 64);
    EXPECT_EQ(resources.spill_bytes, 2972 + 3080);
    EXPECT_EQ(resources.stack_bytes, 1312);
    EXPECT_EQ(resources.static_shared_bytes, 512);
    EXPECT_FALSE(parse_resources("nothing here", resources));
}

TEST(compile, entry_names_are_identifiers) {
    EXPECT_EQ(entry_name("attention.portable.bf16-d128"), "attention_portable_bf16_d128");
    EXPECT_EQ(entry_name("2nd"), "_2nd");
}

TEST(nvrtc, absence_is_a_sentence_that_lists_where_it_was_looked_for) {
    const TemporaryFolder folder;
    const std::string not_a_library = folder.path() + "/libnvrtc.so.13";
    std::ofstream(not_a_library) << "text";
    const std::vector<std::string> candidates = {"/nowhere/libnvrtc.so.13", "libm.so.6", not_a_library};
    const std::string message = open_nvrtc(candidates).status().message();
    EXPECT_TRUE(message.starts_with(
        "no NVRTC: looked for /nowhere/libnvrtc.so.13, libm.so.6 (not an NVRTC library), " + not_a_library +
        " ("))
        << message;
}

TEST(nvrtc, a_named_compiler_replaces_the_list) {
    const char* saved = std::getenv("WARPWRIGHT_NVRTC");
    const std::string restore = saved == nullptr ? "" : saved;
    ::setenv("WARPWRIGHT_NVRTC", "/nowhere/libnvrtc.so", 1);
    EXPECT_EQ(nvrtc_candidates(), std::vector<std::string>{"/nowhere/libnvrtc.so"});
    ::unsetenv("WARPWRIGHT_NVRTC");
    EXPECT_GT(nvrtc_candidates().size(), 3u);
    if (saved != nullptr) ::setenv("WARPWRIGHT_NVRTC", restore.c_str(), 1);
}

// Without them on the loader's path, as in an unpacked wheel, no image compiles.
TEST(nvrtc, builtins_beside_the_library_are_loaded_with_it) {
    WW_NEEDS_NVRTC();
    const std::string name = "libnvrtc-builtins.so." + nvrtc().value()->version.substr(0, 4);
    void* builtins = dlopen(name.c_str(), RTLD_NOW | RTLD_NOLOAD);
    EXPECT_NE(builtins, nullptr) << name;
    if (builtins != nullptr) dlclose(builtins);
}

TEST(nvrtc, version_has_the_patch_level) {
    WW_NEEDS_NVRTC();
    const std::string& version = nvrtc().value()->version;
    EXPECT_EQ(std::count(version.begin(), version.end(), '.'), 2) << version;
}

}  // namespace
}  // namespace warpwright::test
