// SPDX-License-Identifier: Apache-2.0
// PTX of any text, and names of any letters.
#include <algorithm>
#include <string>

#include "input.h"
#include "inspect/image/read_image.h"
#include "inspect/isa/uses.h"

using namespace warpwright;           // NOLINT: a program of one function
using namespace warpwright::inspect;  // NOLINT
using namespace warpwright::fuzz;     // NOLINT

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text(reinterpret_cast<const char*>(data), size);
    std::size_t num_kernels = 0;
    for (const Depth depth : {Depth::headers, Depth::instructions}) {
        Image image;
        FormUses uses(text);
        read_ptx(text, depth, image, &uses);
        u64 num_counted = 0;
        const int num_lines = 1 + static_cast<int>(std::count(text.begin(), text.end(), '\n'));
        for (const FormUse& use : uses.uses()) {
            require(use.count > 0 && use.num_functions > 0, "what is listed is used");
            require(use.line >= 1 && use.line <= num_lines, "a line is one of the text");
            // Special registers and directives are counted beside the instructions.
            const bool is_instruction = use.form.find_first_of("%.") != 0;
            num_counted += is_instruction ? use.count : 0;
        }
        require(num_counted <= uses.num_instructions(), "no instruction is counted twice");
        require(depth == Depth::instructions || uses.num_instructions() == 0, "headers hold no instruction");
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
