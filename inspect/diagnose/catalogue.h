// SPDX-License-Identifier: Apache-2.0
// data/failures.toml, read once: what failures look like in a log, why they happen and what helps. The file
// is part of the program: a flaw in it is a bug, it throws, and the tests see it before anybody else does.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "warpwright/types.h"

namespace warpwright::diagnose {

// verified: reproduced or measured for this project. reported: read in an issue or in source code. disputed:
// the failure is real, sources differ about its cause.
enum class Confidence : u8 { verified, reported, disputed };
const char* confidence_name(Confidence confidence);

// What a binary can tell about the cause.
enum class Check : u8 {
    none,
    image,          // the code for a GPU is absent, or a stub
    shared_memory,  // a kernel needs more of it than a block may have
};

struct Failure {
    std::string id;
    std::vector<std::string> patterns;  // RE2; any of them in one line
    std::vector<std::string> near;      // RE2; one of them must be in the lines around; none: no such demand
    std::string of;                     // must be the library that the lines around name; empty: any
    std::string library;                // empty: the line does not tell, the lines around may
    std::string versions;               // "0.15.0", "before 2.26.2"; empty: not told
    std::vector<int>
        architectures;       // compute capabilities that it happens on, 10 x major + minor; empty: any
    std::string cause, fix;  // {name} is what the pattern's group of this name matched
    std::vector<std::string> references;
    std::string date;  // when the references were read, YYYY-MM-DD
    Confidence confidence = Confidence::reported;
    Check check = Check::none;
    bool needs_gpu = false;  // said only for a GPU that it happens on: the line alone is no failure
    bool last_line = false;  // only where the log ends with the line

    bool applies_to(int compute_capability) const;
};

// A text that names a library: a package's folder in a traceback, a .so file, a source file, a symbol.
struct Origin {
    std::string sign;
    std::string library;
    int rank = 0;  // 1, 2: frameworks that call everything, named only where nothing of a lower rank is near
};

// What a line looks like that tells of an error, whatever the error is.
struct Sign {
    std::string pattern;
    std::string next;  // what to do when no failure matches
};

struct Catalogue {
    std::vector<Failure> failures;  // most specific first: of those that match a line, the first is reported
    std::vector<Origin> origins;
    std::vector<Sign> signs;

    const Failure* find(std::string_view id) const;
};

Catalogue read_catalogue(std::string_view text);  // throws std::logic_error
const Catalogue& catalogue();

}  // namespace warpwright::diagnose
