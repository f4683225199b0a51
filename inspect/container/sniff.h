// SPDX-License-Identifier: Apache-2.0
// What a file is, by its first bytes: a name proves nothing.
#pragma once

#include "inspect/bytes.h"

namespace warpwright::inspect {

enum class FileForm : u8 {
    code,     // ELF, fatbin, PTX text, or bytes of no known form: may hold device code
    other,    // text that is no PTX, pictures, weights, Python's byte code: holds none
    ar,       // static archive
    thin_ar,  // one that only names its members
    zip,      // wheel, .conda, .pt
    tar,
    gzip,
    xz,
    bzip2,
    zstd,  // of a tar archive, or of anything
};

// This many bytes tell, or all where there are fewer.
constexpr u64 kSniffBytes = 4096;

FileForm sniff(Bytes beginning);

}  // namespace warpwright::inspect
