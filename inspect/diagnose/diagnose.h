// SPDX-License-Identifier: Apache-2.0
// Logs in, causes and fixes out.
//
//   log_reader  bytes -> lines that hold a literal of some pattern
//   matcher     a line and those around it -> a failure of the catalogue (data/failures.toml), or an unknown
//   error Diagnoser   folds repetitions -> Report confirm     Report + binaries -> is the cause true of them
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "inspect/diagnose/catalogue.h"
#include "inspect/diagnose/log_reader.h"
#include "inspect/diagnose/matcher.h"
#include "warpwright/status.h"
#include "warpwright/target.h"

namespace warpwright::diagnose {

// Where lines of a log are, with repetitions folded.
struct Place {
    std::string file;
    u64 first_line = 0, last_line = 0;
    u64 count = 0;
    std::string text;  // of the first, without colours; long ones are shortened around what matched
};

enum class Confirmed : u8 { yes, no, cannot_tell };
const char* confirmed_name(Confirmed confirmed);  // "confirmed", "not confirmed", "cannot tell"

struct Confirmation {
    Confirmed confirmed = Confirmed::cannot_tell;
    std::string text;
};

struct Finding {
    const Failure* failure = nullptr;
    Place place;
    std::string library;   // empty: nothing tells
    std::string named_by;  // the line of the log that names the library, where the failure itself does not
    std::string cause, fix;
    std::optional<Confirmation> confirmation;
};

struct UnknownError {
    const Sign* sign = nullptr;
    Place place;
};

struct Report {
    std::vector<Finding> findings;      // by file and first line
    std::vector<Finding> elsewhere;     // failures that happen on other GPUs than the one asked for
    std::vector<UnknownError> unknown;  // lines that look like errors
    u64 num_unknown_left_out = 0;       // lines, when there are too many different ones
    u64 num_cut = 0;                    // lines with a finding that were too long to be read whole
    u64 num_files = 0, num_bytes = 0;
};

class Diagnoser {
public:
    static constexpr size_t kMaxUnknown = 200;
    static constexpr size_t kMaxShownBytes = 400;

    // The matcher outlives the diagnoser, and its catalogue the report.
    explicit Diagnoser(Matcher& matcher);

    // Called for each finding when it is first seen.
    std::function<void(const Finding&)> on_new;

    void begin(std::string file);  // what follows is this file, from line 1
    std::span<char> room() { return reader_.room(); }
    void filled(size_t num_bytes) { reader_.filled(num_bytes); }
    void pause() { reader_.pause(); }  // nothing more for now
    void finish();                     // the end of the file

    Report report() const;

private:
    void take(const LogLine& line);
    static bool fold(std::vector<Finding>& findings, const LogLine& line, const Match& match,
                     const std::string& file, std::string_view text, const Failure& failure);
    void take_unknown(const LogLine& line, const Match& match, std::string_view text);

    Matcher& matcher_;
    LogReader reader_;
    std::string file_;
    Report report_;
    std::vector<std::string> unknown_forms_;  // of report_.unknown, beside it
};

// Without escape sequences of a terminal.
std::string without_colours(std::string_view text);

// "-" is the standard input. `stop` is asked now and then.
Status read_log(const std::string& path, Diagnoser& diagnoser, const std::function<bool()>& stop);

// Goes on with what is written to the file, also when another takes its place, until `stop` says so. The
// standard input ends by itself.
Status follow_log(const std::string& path, Diagnoser& diagnoser, const std::function<bool()>& stop);

}  // namespace warpwright::diagnose
