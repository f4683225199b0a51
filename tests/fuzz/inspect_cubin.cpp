// SPDX-License-Identifier: Apache-2.0
// Cubins of any bytes: what is read is bounded by the input, and nothing of instructions is told where only
// headers may be read.
#include <string>
#include <vector>

#include "input.h"
#include "inspect/image/read_image.h"

using namespace warpwright;           // NOLINT: a program of one function
using namespace warpwright::inspect;  // NOLINT
using namespace warpwright::fuzz;     // NOLINT

namespace {

void check(const Image& image, Depth depth, std::size_t size) {
    std::size_t num_name_bytes = 0;
    require(image.texts.size() <= 16, "texts are few");
    require(image.undefined.size() <= 256, "names of undefined symbols are few");
    require(image.damage.size() < 500, "damage is a sentence");
    for (const Kernel& kernel : image.kernels) {
        num_name_bytes += kernel.name.size();
        require(kernel.code_bytes <= size, "a kernel's code is in the file");
        require(kernel.registers >= -1 && kernel.shared_bytes >= -1 && kernel.stack_bytes >= -1,
                "figures are figures");
        require(kernel.num_parameters >= 0 && kernel.parameter_bytes >= 0, "parameters are counted");
        const bool may_decode = depth == Depth::instructions;
        require(may_decode || !kernel.classes_known, "instructions are not decoded from headers");
        require(may_decode || kernel.stub == Stub::none, "stubs are not told from headers");
        require(kernel.classes.bits >> kNumInstructionClasses == 0, "classes have names");
        require(demangle(kernel.name).size() <= std::max<std::size_t>(kernel.name.size(), 64u << 10),
                "a demangled name is bounded");
    }
    require(image.kernels.size() <= size / 24, "a kernel has a symbol");
    require(num_name_bytes <= 8 * size, "names are not longer than the file a few times");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto* bytes = reinterpret_cast<const std::byte*>(data);
    const std::vector<std::byte> file(bytes, bytes + size);
    for (const Depth depth : {Depth::headers, Depth::instructions}) {
        Image image;
        read_cubin(file, depth, image);
        require(is_cubin(file) || (image.kernels.empty() && !image.damage.empty()), "no cubin, no kernels");
        check(image, depth, size);
    }
    return is_cubin(file) ? 0 : -1;
}
