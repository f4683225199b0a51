// SPDX-License-Identifier: Apache-2.0
// PTX of any text, and names of any letters.
#include <string>

#include "input.h"
#include "inspect/image/read_image.h"

using namespace warpwright;           // NOLINT: a program of one function
using namespace warpwright::inspect;  // NOLINT
using namespace warpwright::fuzz;     // NOLINT

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text(reinterpret_cast<const char*>(data), size);
    std::size_t num_kernels = 0;
    for (const Depth depth : {Depth::headers, Depth::instructions}) {
        Image image;
        read_ptx(text, depth, image);
        require(image.kind == ImageKind::ptx, "PTX is PTX");
        require(image.texts.size() <= 16 && image.undefined.size() <= 256, "texts and names are few");
        require(depth == Depth::headers || image.kernels.size() == num_kernels,
                "both depths find the same kernels");
        num_kernels = image.kernels.size();
        for (const Kernel& kernel : image.kernels) {
            require(kernel.code_bytes <= size, "a kernel's body is in the text");
            require(kernel.shared_bytes >= 0 && kernel.parameter_bytes >= 0, "figures are figures");
            require(kernel.classes_known == (depth == Depth::instructions), "instructions are read or not");
            require(depth == Depth::instructions || kernel.stub == Stub::none,
                    "stubs are not told from headers");
        }
        // Any line may be a name.
        if (depth == Depth::instructions) {
            const std::string name = text.substr(0, text.find('\n'));
            require(demangle(name).size() <= std::max<std::size_t>(name.size(), 64u << 10),
                    "a name is bounded");
        }
    }
    return 0;
}
