// SPDX-License-Identifier: Apache-2.0
// Any text is parsed, decoded for its target, and run for some thousand instructions: it loads or is refused,
// it finishes or a finding says why not. With FUZZ_SAY in the environment it says what became of each input.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "emulator/decode/load.h"
#include "emulator/machine/launch.h"

using namespace warpwright;            // NOLINT: a program of one function
using namespace warpwright::emulator;  // NOLINT

namespace {

constexpr u64 kMemoryBytes = 64u << 20;  // of the emulated GPU: what a text can allocate
constexpr u64 kBufferBytes = 4096;
constexpr u64 kInstructions = 5000;

void require(bool condition, const char* what) {
    if (condition) return;
    std::fprintf(stderr, "fuzz: %s\n", what);
    std::abort();
}

// FNV-1a: what the text does not say is drawn from it, so that an input runs alike each time.
u64 hash_of(std::string_view text) {
    u64 hash = 0xcbf29ce484222325ull;
    for (const char c : text) hash = (hash ^ static_cast<u8>(c)) * 0x100000001b3ull;
    return hash;
}

int capability_of(std::string_view text) {
    for (const int capability : {80, 89, 100, 120}) {
        char name[16];
        std::snprintf(name, sizeof name, ".target sm_%d", capability);
        if (text.find(name) != text.npos) return capability;
    }
    return 90;
}

Target target_of(int capability) {
    Target target;
    target.id = "fuzz";
    target.facts.compute_capability = capability;
    target.facts.build_target = build_target_for(capability);
    target.facts.num_sms = 2;
    target.facts.max_threads_per_sm = 1536;
    target.facts.shared_per_sm_bytes = 100 * 1024;
    target.facts.shared_per_block_bytes = 99 * 1024;
    target.facts.memory_bytes = kMemoryBytes;
    return target;
}

// Parameters of 8 bytes point into the buffer, others are small numbers.
std::vector<std::byte> arguments_of(const Program& program, u64 buffer) {
    std::vector<std::byte> bytes(program.param_bytes, std::byte{8});
    for (const Placed& variable : program.variables) {
        if (variable.space != Space::param || variable.bytes < sizeof buffer) continue;
        for (u64 at = variable.address; at + sizeof buffer <= variable.address + variable.bytes;
             at += sizeof buffer)
            if (at + sizeof buffer <= bytes.size()) std::memcpy(bytes.data() + at, &buffer, sizeof buffer);
    }
    return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const u64 hash = hash_of(text);
    const Target target = target_of(capability_of(text));
    const DecodeTarget decode_target{target.facts.compute_capability,
                                     numerics_of(target.facts.compute_capability)};
    GlobalMemory memory(0, kMemoryBytes);
    const auto buffer = memory.allocate(kBufferBytes);
    require(buffer.ok(), "no memory for the buffer");
    require(memory.fill(*buffer, 0x3c, kBufferBytes / 2).ok(), "the buffer cannot be filled");

    const bool says = std::getenv("FUZZ_SAY") != nullptr;
    const auto loaded = load_program(text, "", decode_target, memory);
    if (!loaded.ok()) {
        require(!loaded.status().message().empty(), "refused without a reason");
        if (says) std::fprintf(stderr, "refused: %s\n", loaded.status().message().c_str());
        return -1;
    }
    LaunchConfig config;
    config.grid.x = 2;
    config.block.x = loaded->program.required_threads > 0 ? loaded->program.required_threads : 64;
    config.shared_bytes = 1024;
    LaunchOptions options;
    options.level = static_cast<CheckLevel>(hash % 3);
    options.seed = hash >> 8 & 3;
    options.num_threads = 1 + static_cast<int>(hash >> 16 & 1);
    options.max_instructions = kInstructions;
    const std::vector<std::byte> arguments = arguments_of(loaded->program, *buffer);
    const LaunchReport report = run_grid(loaded->program, target, {}, memory, config, arguments, options);
    if (report.finding) require(!finding_text(*report.finding).empty(), "a finding without a text");
    if (says)
        std::fprintf(stderr, "%llu instructions, %s\n%s", report.warp_instructions,
                     report.finding ? finding_text(*report.finding).c_str() : "no finding",
                     report.printed.c_str());
    return 0;
}
