// SPDX-License-Identifier: Apache-2.0
// Linked when the library is built with images. The assembler includes WW_PACK_FILE: an object file made by
// the linker (as in embed.cmake) would not travel with an object library to the targets that link it.
#include "image/pack.h"

asm(".pushsection .rodata.ww_pack, \"a\"\n"
    ".balign 16\n"
    "ww_pack_begin:\n"
    ".incbin \"" WW_PACK_FILE
    "\"\n"
    "ww_pack_end:\n"
    ".byte 0\n"
    ".popsection\n");

extern "C" const char ww_pack_begin[] __attribute__((visibility("hidden")));
extern "C" const char ww_pack_end[] __attribute__((visibility("hidden")));

namespace warpwright {
std::string_view packed_images() {
    return {ww_pack_begin, static_cast<std::size_t>(ww_pack_end - ww_pack_begin)};
}
}  // namespace warpwright
