// SPDX-License-Identifier: Apache-2.0
// Small kernel sources for the tests of the image layer, and images that need no compiler.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>
#include <vector>

#include "image/compile.h"
#include "image/embedded.h"
#include "image/key.h"
#include "image/nvrtc.h"
#include "image/sources.h"
#include "image/spec.h"

namespace warpwright::test {

inline constexpr std::string_view kSource = "src/kernels/scale/portable.cuh";

// y = factor * x; the factor comes from the row, the block size from an included table.
struct ScaleFiles {
    std::string kernel = R"(#include "kernels/scale/rows.h"
using namespace scale;
constexpr Row kRow = row_at(kRows, WW_ROW);
struct Args { const float* x; float* y; };
extern "C" __global__ void __launch_bounds__(kRow.threads) WW_ENTRY(const __grid_constant__ Args args) {
    __shared__ float shared[kRow.threads];
    shared[threadIdx.x] = args.x[threadIdx.x];
    __syncthreads();
    args.y[threadIdx.x] = times<kRow.factor>(shared[threadIdx.x ^ 1]);
}
)";
    std::string rows = R"(#pragma once
#include "ptx/times.cuh"
namespace scale {
struct Row { char name[16]; int factor; int threads; };
template <int N> consteval Row row_at(const Row (&table)[N], int index) { return table[index]; }
// rows:begin
constexpr Row kRows[] = {{"scale.two", 2, 64}, {"scale.three", 3, 128}};
// rows:end
}  // namespace scale
)";
    std::string times = R"(#pragma once
template <int kFactor> __device__ inline float times(float x) { return x * kFactor; }
)";

    std::vector<EmbeddedFile> files() const {
        return {{kSource, kernel}, {"src/kernels/scale/rows.h", rows}, {"src/ptx/times.cuh", times}};
    }
};

inline ImageSpec scale_spec(int row, BuildTarget target) {
    ImageSpec spec;
    spec.source = kSource;
    spec.row_index = row;
    spec.row = row == 0 ? "scale.two" : "scale.three";
    spec.row_content = row == 0 ? "factor=2 threads=64" : "factor=3 threads=128";
    spec.build_target = target;
    return spec;
}

inline std::string scale_key(const ScaleFiles& files, const ImageSpec& spec) {
    const std::vector<EmbeddedFile> embedded = files.files();
    const KernelSources sources(embedded);
    return image_key(spec, *sources.closure(spec.source).value(), "13.0.88").text();
}

inline constexpr BuildTarget kDeviceTargets[] = {BuildTarget::sm_80,   BuildTarget::sm_89,
                                                 BuildTarget::sm_90a,  BuildTarget::sm_100f,
                                                 BuildTarget::sm_120f, BuildTarget::compute_80};

inline Image fake_image(std::string row, BuildTarget target = BuildTarget::sm_80, std::size_t bytes = 5000) {
    Image image;
    image.row = std::move(row);
    image.build_target = target;
    image.entry = entry_name(image.row);
    image.ptx =
        std::string(".version 9.0\n.target ") + build_target_name(target) + "\n.address_size 64\nbody";
    unsigned state = 1;  // bytes that do not compress
    for (std::size_t i = 0; i < bytes; ++i)
        image.cubin.push_back(static_cast<std::byte>((state = state * 69069 + 1) >> 24));
    image.resources = {32, 0, 0, 256};
    return image;
}

inline bool same_image(const Image& a, const Image& b) {
    return a.row == b.row && a.build_target == b.build_target && a.entry == b.entry && a.ptx == b.ptx &&
           a.cubin == b.cubin && a.resources.registers == b.resources.registers &&
           a.resources.static_shared_bytes == b.resources.static_shared_bytes;
}

class TemporaryFolder {
public:
    TemporaryFolder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "warpwright-XXXXXX").string();
        path_ = ::mkdtemp(pattern.data());
    }
    ~TemporaryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    const std::string& path() const { return path_; }
    std::vector<std::string> file_names() const {
        std::vector<std::string> names;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(path_)) {
            names.push_back(entry.path().filename().string());
        }
        return names;
    }

private:
    std::string path_;
};

#define WW_NEEDS_NVRTC()                                               \
    do {                                                               \
        if (!nvrtc().ok()) GTEST_SKIP() << nvrtc().status().message(); \
    } while (false)

}  // namespace warpwright::test
