// SPDX-License-Identifier: Apache-2.0
// Plain reading and copying of memory, as fast as a kernel does it: what `bench` calls a share of bandwidth
// is a share of these. No operation: nobody chooses between rows.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

struct RooflineArgs {
    const void* from;  // 16-byte aligned, like `to`
    void* to;          // copy: like from. read: 16 bytes a thread, its bytes' exclusive or
    i64 vectors;       // of 16 bytes
};

constexpr int kRooflineThreads = 256;
constexpr int kRooflineVectors = 8;  // that a thread has under way at a time

// What a block moves in one go: neighbouring threads neighbouring vectors, one stretch of memory a block.
constexpr i64 kRooflineTile = kRooflineThreads * kRooflineVectors;

}  // namespace warpwright
