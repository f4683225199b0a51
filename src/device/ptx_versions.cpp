// SPDX-License-Identifier: Apache-2.0
#include "device/ptx_versions.h"

#include <charconv>

#include <fmt/format.h>

namespace warpwright {
namespace {

// Versions of the ISA and of CUDA: "PTX ISA release history" of
// docs.nvidia.com/cuda/parallel-thread-execution (9.1, December 2025), drivers: table "CUDA Toolkit and
// Corresponding Driver Versions" of the release notes of each CUDA toolkit, the major version alone. Read
// 2026-11-26. The driver of 9.1 is that of CUDA 13.1.
constexpr PtxIsaFloor kPtxIsaFloors[] = {
    {60, 90, 38400},  {61, 91, 38700},  {62, 92, 39600},  {63, 100, 41000}, {64, 101, 41800},
    {65, 102, 44000}, {70, 110, 45000}, {71, 111, 45500}, {72, 112, 46000}, {73, 113, 46500},
    {74, 114, 47000}, {75, 115, 49500}, {76, 116, 51000}, {77, 117, 51500}, {78, 118, 52000},
    {80, 120, 52500}, {81, 121, 53000}, {82, 122, 53500}, {83, 123, 54500}, {84, 124, 55000},
    {85, 125, 55500}, {86, 127, 56500}, {87, 128, 57000}, {88, 129, 57500}, {90, 130, 58000},
    {91, 131, 59000},
};

}  // namespace

std::span<const PtxIsaFloor> ptx_isa_floors() {
    return kPtxIsaFloors;
}

std::string newest_ptx(const std::string& cuda_version) {
    int major = 0, minor = 0;
    const char* end = cuda_version.data() + cuda_version.size();
    const auto [dot, error] = std::from_chars(cuda_version.data(), end, major);
    if (error != std::errc() || major > 1000 || dot == end || *dot != '.') return {};
    if (std::from_chars(dot + 1, end, minor).ec != std::errc() || minor > 9) return {};
    int newest = 0;
    for (const PtxIsaFloor& row : kPtxIsaFloors)
        if (row.cuda <= 10 * major + minor) newest = row.isa_version;
    return newest == 0 ? std::string{} : fmt::format("{}.{}", newest / 10, newest % 10);
}

}  // namespace warpwright
