// SPDX-License-Identifier: Apache-2.0
#include "inspect/knowledge/drivers.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace warpwright::inspect {
namespace {

// docs.nvidia.com/deploy/cuda-compatibility, "Minor Version Compatibility", read 2026-11-26: code that a
// toolkit compiled runs on the drivers of its whole major release.
struct ToolkitFloor {
    int major;
    int driver;
};
constexpr ToolkitFloor kToolkitFloors[] = {{11, 45000}, {12, 52500}, {13, 58000}};

// zstd in fatbins: docs.rapids.ai/api/rapids-cmake, rapids_cuda_enable_fatbin_compression ("balanced", CUDA
// 12: 550.54.14 or later), read 2026-11-26.
constexpr int kZstdDriver = 55054;

// The first version of PTX that has each architecture, measured with ptxas 13.0: drivers before it do not
// know the GPU. A suffix is a matter of the compiler.
struct ArchitectureIsa {
    int sm;
    int isa_version;
};
constexpr ArchitectureIsa kArchitectureIsas[] = {{75, 63},  {80, 70},  {86, 71},  {87, 74},
                                                 {88, 73},  {89, 78},  {90, 78},  {100, 86},
                                                 {103, 88}, {110, 90}, {120, 87}, {121, 88}};

int toolkit_major(const Image& image) {
    int major = 0;  // of the ABI 8 too: code for Blackwell has it from CUDA 12.8 on, all code from 13.0 on
    std::from_chars(image.toolkit.data(), image.toolkit.data() + image.toolkit.size(), major);
    return major;
}

void raise(Floor& floor, int driver, std::string reason) {
    if (driver > floor.driver) floor = {driver, std::move(reason)};
}

}  // namespace

Floor driver_floor(const Image& image) {
    Floor floor;
    for (const ArchitectureIsa& known : kArchitectureIsas) {
        if (image.kind != ImageKind::cubin || known.sm != image.architecture.sm) continue;
        for (const PtxIsaFloor& row : ptx_isa_floors()) {
            if (row.isa_version == known.isa_version)
                raise(floor, row.driver, "the first that knows such GPUs");
        }
    }
    if (image.kind == ImageKind::ptx) {
        const std::span<const PtxIsaFloor> table = ptx_isa_floors();
        const auto entry = std::find_if(table.begin(), table.end(), [&](const PtxIsaFloor& row) {
            return row.isa_version >= image.isa_version;
        });
        const std::string reason =
            fmt::format("PTX ISA {}.{}", image.isa_version / 10, image.isa_version % 10);
        if (image.isa_version > 0)
            raise(floor, entry != table.end() ? entry->driver : table.back().driver + 1, reason);
    } else {
        const int major = toolkit_major(image);
        for (const ToolkitFloor& row : kToolkitFloors) {
            if (row.major == major) raise(floor, row.driver, fmt::format("code of CUDA {}", major));
        }
    }
    if (image.compression == Compression::zstd) raise(floor, kZstdDriver, "compressed with zstd");
    return floor;
}

std::string driver_text(int driver) {
    if (driver % 100 == 0) return std::to_string(driver / 100);
    return fmt::format("{}.{:02}", driver / 100, driver % 100);
}

std::optional<int> parse_driver(std::string_view version) {
    int major = 0, minor = 0;
    const char* end = version.data() + version.size();
    auto [at, error] = std::from_chars(version.data(), end, major);
    if (error != std::errc() || major < 100 || major > 9999) return std::nullopt;
    if (at == end) return major * 100;
    if (*at != '.') return std::nullopt;
    auto [rest, minor_error] = std::from_chars(at + 1, end, minor);
    if (minor_error != std::errc() || minor < 0 || minor > 9999) return std::nullopt;
    if (rest != end && *rest != '.') return std::nullopt;
    return major * 100 + std::min(minor, 99);  // 470.256: later than any two digits
}

}  // namespace warpwright::inspect
