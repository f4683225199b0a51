// SPDX-License-Identifier: Apache-2.0
// Which libraries a file is made of, by the fingerprints of data/fingerprints.toml: prefixes of kernel names,
// symbols and strings of the host file, the file's own name and folder.
#pragma once

#include "inspect/bytes.h"
#include "inspect/report.h"

namespace warpwright::inspect {

// Fills report.libraries, report.runtime_code and report.links_ltoir, and notes what tells the latter. Names
// and strings of the host side are looked for in `file`; kernels are those of report.images.
void identify(FileReport& report, Bytes file);

// True when the licence of what the file belongs to forbids disassembly (cuBLAS, cuDNN, cuFFT, ...): decided
// before any instruction is decoded, from the file's own name and strings.
bool headers_only(std::string_view path, Bytes file);

}  // namespace warpwright::inspect
