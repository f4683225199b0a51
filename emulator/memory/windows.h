// SPDX-License-Identifier: Apache-2.0
// The address map that a kernel sees. Generic addresses are 64 bits; the windows of shared, local, param and
// const memory lie below every global allocation, so that one comparison tells them from it. Addresses in
// .shared instructions are 32-bit offsets in the shared window, as cvta gives them; bits 24 and up of what
// mapa gives are the rank of a block in its cluster plus one (PTX ISA leaves it open), and 0 in a block's
// own.
#pragma once

#include "warpwright/types.h"

namespace warpwright::emulator {

constexpr u64 kSharedWindow = 0x0001'0000'0000ull;  // generic address of shared offset 0
constexpr u64 kSharedWindowBytes = 0x0001'0000'0000ull;
constexpr u32 kSharedRankUnit = 1u << 24;
constexpr u32 kSharedStart = 1024;                 // offset of the first variable: null is no variable
constexpr u64 kLocalWindow = 0x0002'0000'0000ull;  // of the executing lane
constexpr u64 kLocalWindowBytes = 0x0001'0000'0000ull;
constexpr u32 kLocalStart = 64;
constexpr u64 kParamWindow = 0x0003'0000'0000ull;  // of the kernel's parameters
constexpr u64 kParamWindowBytes = 0x0000'1000'0000ull;
constexpr u64 kConstantWindow = 0x0003'1000'0000ull;
constexpr u64 kConstantWindowBytes = 0x0000'1000'0000ull;
// Offsets of .param and .const instructions count from their window's start, and symbols of these spaces are
// such offsets; cvta adds the window.

// Devices are far apart, and no host pointer of x86-64 or Arm Linux looks like these (bit 62 is set).
constexpr u64 kDeviceStart = 0x4000'0000'0000'0000ull;
constexpr u64 kDeviceStride = 0x0010'0000'0000'0000ull;
constexpr int kMaxDevices = 64;
constexpr u64 device_start(int device) {
    return kDeviceStart + kDeviceStride * static_cast<u64>(device);
}

}  // namespace warpwright::emulator
