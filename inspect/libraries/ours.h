// SPDX-License-Identifier: Apache-2.0
// What this project has for the work of a library, computed: the registry says which row serves a need on
// every GPU of a class, the test record where that row was tried.
#pragma once

#include <string>
#include <vector>

#include "inspect/libraries/library.h"
#include "inspect/libraries/record.h"

namespace warpwright::libraries {

struct OurNeed {
    const Need* need = nullptr;
    bool exists = false;                 // an operation of ours does it
    bool serves = false;                 // a row serves it on every GPU asked for
    Evidence evidence = Evidence::none;  // the least of the rows that are chosen there
    std::vector<std::string> rows;       // that are chosen there, each once
    std::string text;                    // why not
};

struct OurState {
    std::vector<OurNeed> needs;
    int num_served = 0;
    Evidence evidence = Evidence::none;  // the least of the needs that are served
    bool native = false;                 // a row of the architecture's own class is among those chosen
    std::string measured_on;             // "H100 SXM, 2026-11-26", where the evidence is measured
    std::string emulated_as;             // "b200", where it is emulated
    std::string short_text() const;      // "3/5 emul.", "not yet"
    std::string text() const;            // the same as a sentence
};

// On all GPUs of data/targets.toml of the compute capability.
OurState our_state(const Library& library, int capability);
// On one GPU.
OurState our_state(const Library& library, const Target& target);

}  // namespace warpwright::libraries
