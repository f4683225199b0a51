// SPDX-License-Identifier: Apache-2.0
// data/libraries/*.toml, read once: the libraries that an inference engine is made of, and where each runs.
// Every statement has a version, a day on which its source was read, and that source. The files are part of
// the program: a flaw in one is a bug, it throws, and the tests see it before anybody else does.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dispatch/fields.h"
#include "warpwright/status.h"
#include "warpwright/target.h"
#include "warpwright/types.h"

namespace warpwright::libraries {

// How a statement is known.
enum class Basis : u8 {
    source,    // read in the library's own source code or documentation, of the version named
    measured,  // by this project: by the ptxas or nvcc named as version, or `inspect` of the package named
    reported,  // in an issue, or by somebody else
};
const char* basis_name(Basis basis);

struct Fact {
    std::string text;
    std::string version;  // of the library, or of the tool that measured
    std::string date;     // when the source was read, YYYY-MM-DD
    std::string source;   // URL
    Basis basis = Basis::source;
    std::string claim, claimed_at;  // what is said otherwise in public, and where; empty: nothing
};

// What a library does on GPUs of one compute capability, with code of its own.
enum class State : u8 {
    native,    // by code that was written or compiled for this architecture's own features
    portable,  // all of it, by code of an older architecture, compiled for this one or from PTX
    partial,   // some of what it is for
    no,        // nothing of what it is for
    unknown,   // no source tells
};
const char* state_name(State state);

// The compute capabilities that the table shows. A GPU of another belongs to the last one before it of its
// major version.
constexpr std::array<int, 7> kClasses{80, 89, 90, 100, 103, 120, 121};
std::string class_name(int capability);  // "SM103"
// Caller error for a GPU that is of none of them.
Result<int> class_of(const Target& target);

struct ClassState {
    int capability = 0;
    State state = State::unknown;
    Fact fact;
};

// Part of the work for which people take the library, as a thing to have from us.
struct Need {
    std::string text;    // "paged attention, decode"
    std::string work;    // id of a [[work]] in data/fingerprints.toml; absent here or there: we have no such
                         // operation
    FieldTexts problem;  // fields that differ from the work's problem
};

struct Library {
    std::string id, name;
    std::vector<std::string> aliases;
    int order = 0;  // of the table
    std::string repository;
    std::string version;  // the newest that the facts are about
    std::vector<Fact> what, depends, sm100, sm120, detection;
    std::vector<std::string> failures;  // ids of data/failures.toml
    std::vector<std::string>
        fingerprints;  // ids of data/fingerprints.toml; empty: it has no device code of its own
    std::vector<Fact> references;
    std::array<ClassState, kClasses.size()> states;
    std::string goal;         // what ours must give in its place
    std::vector<Need> needs;  // and which parts of it we have
};

std::span<const Library> libraries();  // in the order of the table

// By id, alias or name, any case. Caller error with the nearest name.
Result<const Library*> find_library(std::string_view name);

// Those that a fingerprint or a failure of this id belongs to.
std::vector<const Library*> libraries_with(std::string_view fingerprint_or_failure);

// "warpwright libraries nccl, vllm": where more is said about these fingerprints or failures; empty: nowhere.
std::string more_about(const std::vector<std::string>& fingerprints_or_failures);

Library read_library(std::string_view text, std::string_view path);  // throws std::logic_error

}  // namespace warpwright::libraries
