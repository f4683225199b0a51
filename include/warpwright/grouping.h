// SPDX-License-Identifier: Apache-2.0
// Grouped products, a mixture of experts: words shared by host code and kernels. No standard header: NVRTC
// reads this file too.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

// Whose weights, B[group], rows of A are multiplied with; the layouts are DeepGEMM's.
//   none        one product
//   contiguous  rows of all groups one after another, [m, k], and a group's number for each row, i32 [m]. A
//   run
//               of kGroupRows rows, from a multiple of it on, has rows of one group and then, numbered -1,
//               rows that do not exist.
//   masked      a place for m rows of each group, [groups, m, k], and how many rows there are, i32 [groups]
// Rows that do not exist are not written. Both lists are read by the kernel, from the device's memory.
enum class Grouping : u8 { none, contiguous, masked };

constexpr int kGroupRows = 128;

constexpr const char* enum_text(Grouping grouping) {
    switch (grouping) {
        case Grouping::none: return "none";
        case Grouping::contiguous: return "contiguous";
        case Grouping::masked: return "masked";
    }
    return "?";
}

}  // namespace warpwright
