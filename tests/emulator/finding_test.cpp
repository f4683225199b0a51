// SPDX-License-Identifier: Apache-2.0
#include "emulator/check/finding.h"

#include <gtest/gtest.h>

namespace warpwright::emulator {
namespace {

TEST(Finding, TextSaysWhereAndWhat) {
    Finding finding;
    finding.kind = FindingKind::out_of_bounds;
    finding.kernel = "copy";
    finding.ptx_line = 12;
    finding.instruction = "st.global.u32";
    finding.warp = 2;
    finding.lane = 31;
    finding.address = 0x40;
    finding.text = "why";
    EXPECT_EQ(
        finding_text(finding),
        "copy: out of bounds at line 12 (st.global.u32), block 0,0,0 warp 2 lane 31, address 0x40: why");
}

}  // namespace
}  // namespace warpwright::emulator
