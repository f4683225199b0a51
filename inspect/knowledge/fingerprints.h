// SPDX-License-Identifier: Apache-2.0
// data/fingerprints.toml, read once: what shows that a file holds a library, and what kernels of known names
// do. The file is part of the program: a flaw in it is a bug, it throws, and a test sees it first.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dispatch/fields.h"
#include "inspect/knowledge/patterns.h"

namespace warpwright::inspect {

struct Fingerprint {
    std::string id, name;
    std::vector<std::string> kernels;  // parts of mangled names; ^ is the beginning
    std::vector<std::string> strings;  // of the host side
    std::vector<std::string> files;    // globs over the end of the path
    std::string version;               // what stands before the number
    std::vector<std::string> works;    // ids of Work
    bool templates = false;            // kernels' names tell the architectures of its templates
    bool headers_only = false;         // the licence forbids disassembly
    std::string source, date;
};

// What a kernel does, and the problem to ask our registry for.
struct Work {
    std::string id, name, op;
    FieldTexts problem;
    std::vector<std::string> kernels;  // parts of names
    std::vector<std::string> except;   // none of these may be part of the name
    std::vector<std::string> needs;    // one of these must be, if there are any
};

// What calls make or load device code at run time.
enum class RuntimeCode : u8 { compiler, linker, loader };
constexpr int kNumRuntimeCodes = 3;

// A set of patterns, each of which belongs to an entry of a list.
struct OwnedPatterns {
    PatternSet set;
    std::vector<u32> owner;       // of each pattern
    std::vector<bool> anchored;   // the pattern stands at the beginning
    std::vector<bool> versioned;  // a number follows
};

struct Fingerprints {
    std::vector<Fingerprint> libraries;
    std::vector<Work> works;
    std::vector<std::string> runtime[kNumRuntimeCodes];
    // Where this list stands in a file, between these two.
    std::vector<std::string> begin, end;
    // The owners of `strings` are libraries and, after them, `runtime`, `begin` and `end`.
    OwnedPatterns kernels, strings, work_kernels;

    const Fingerprint* find(std::string_view id) const;
    // The first entry of `works` that the kernel's name tells.
    std::optional<std::size_t> work_of(std::string_view kernel) const;
};

const Fingerprints& fingerprints();
Fingerprints parse_fingerprints(std::string_view toml);  // throws std::logic_error

// `path` ends with something that the glob matches, from the beginning of a name on: "vllm/_C*.so" matches
// "x.whl!/vllm/_C.abi3.so".
bool path_matches(std::string_view path, std::string_view glob);

}  // namespace warpwright::inspect
