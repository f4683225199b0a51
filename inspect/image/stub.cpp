// SPDX-License-Identifier: Apache-2.0
#include "inspect/image/stub.h"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace warpwright::inspect {

namespace {

// CUTLASS, CuTe, PyTorch, xFormers, FlashAttention, Marlin, vLLM. In lower case.
constexpr std::string_view kMessages[] = {
    "arch conditional mma",                   // CUTLASS: a kernel compiled without its 'a'
    "without targeting appropriate compute",  //
    "without cute_arch_",     // CuTe: "Attempting to use SM120_... without CUTE_ARCH_..._ENABLED"
    "without cutlass_arch_",  //
    "but was built for sm",   // xFormers, PyTorch: "kernel is for sm80-sm100, but was built for sm70"
    "compiled for a different architecture",  //
    "not compiled for this architecture",     //
    "not supported on this architecture",     //
    "unsupported architecture",               //
    "only supported on sm",                   //
    "only supports sm",                       //
    "requires sm",                            //
    "requires compute capability",            //
};

}  // namespace

bool is_stub_message(const std::string& text) {
    std::string lower(text.size(), ' ');
    std::transform(text.begin(), text.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return std::any_of(std::begin(kMessages), std::end(kMessages),
                       [&](std::string_view message) { return lower.find(message) != lower.npos; });
}

void sort_messages(std::vector<std::string>& texts) {
    std::stable_partition(texts.begin(), texts.end(), is_stub_message);
}

bool is_message_function(std::string_view name) {
    return name == "vprintf" || name == "__assertfail" || name == "__assert_fail";
}

bool has_matrix_product(InstructionClasses classes) {
    using enum InstructionClass;
    for (const InstructionClass c :
         {hmma, imma, dmma, bmma, qmma, qmma_scaled, omma_scaled, hgmma, igmma, qgmma, bgmma, tcgen05}) {
        if (classes.has(c)) return true;
    }
    return false;
}

Stub stub_of(const BodyFacts& body, int num_parameters, const std::vector<std::string>& texts) {
    const bool says_so = std::any_of(texts.begin(), texts.end(), is_stub_message);
    // A kernel whose products all print instead still copies and waits.
    if (body.calls_message && says_so && (!body.has_effect || !body.has_matrix_product)) return Stub::message;
    const bool does_something = body.has_effect || body.calls_message || body.calls_unknown;
    if (does_something || num_parameters <= 0) return Stub::none;
    return body.traps ? Stub::trap : Stub::empty;
}

}  // namespace warpwright::inspect
