// SPDX-License-Identifier: Apache-2.0
// The texts in a cubin, and which code uses which: by relocations of the code, or of constant bank 4, which
// holds addresses of global variables.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "inspect/image/cubin_elf.h"

namespace warpwright::inspect {

class KernelTexts {
public:
    explicit KernelTexts(const CubinElf& elf);

    // Those of the whole image: messages of stubs first, few and short.
    std::vector<std::string> all() const;

    // Those that the code of these sections uses, which reads the bank at these offsets. All of the image
    // where nothing tells.
    std::vector<std::string> used_by(const std::vector<u32>& sections,
                                     const std::vector<u32>& bank_offsets) const;

private:
    std::string text_at_offset(u64 offset) const;

    Bytes texts_;
    std::map<u32, std::vector<u64>> of_code_;  // section of code -> offsets of texts
    std::map<u64, u64> of_bank_;               // offset in the bank -> offset of a text
};

}  // namespace warpwright::inspect
