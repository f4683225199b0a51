// SPDX-License-Identifier: Apache-2.0
#include "tools/words/run.h"

#include <cstring>

#include "tools/words/values.h"

namespace warpwright::words {

Result<std::string> run_form(const std::shared_ptr<Device>& device, const Form& form) {
    const std::vector<std::byte> inputs = inputs_of(form);
    std::string words(static_cast<std::size_t>(form.vectors) * static_cast<std::size_t>(form.output_bytes()),
                      '\0');
    Image image;
    image.row = form.name;
    image.build_target = BuildTarget::sm_90a;
    image.entry = "words";
    image.ptx = kernel_text(form);
    WW_ASSIGN(const Kernel kernel, device->load(image));
    WW_ASSIGN(const Buffer in, Buffer::allocate(device, inputs.size()));
    WW_ASSIGN(const Buffer out, Buffer::allocate(device, words.size()));
    WW_TRY(device->copy_in(in.data(), inputs.data(), inputs.size(), {}));
    // What lies between the results, and what a store left out, is zero.
    WW_TRY(device->fill(out.data(), 0, words.size(), {}));
    const void* const pointers[] = {in.data(), out.data()};
    std::byte args[sizeof pointers];
    std::memcpy(args, pointers, sizeof args);
    LaunchConfig config;
    config.block.x = static_cast<u32>(form.block_threads);
    config.grid.x = static_cast<u32>(form.vectors / form.block_threads);
    WW_TRY(device->launch(kernel, config, args, {}));
    WW_TRY(device->copy_out(words.data(), out.data(), words.size(), {}));
    return words;
}

}  // namespace warpwright::words
