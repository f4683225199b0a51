// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

#include "warpwright/types.h"

namespace warpwright::cli {

// A bar on stderr with rate and time left: on a terminal only, and only for work that takes longer than a
// moment.
class Progress {
public:
    explicit Progress(std::string what);
    ~Progress() { finish(); }
    void update(i64 done_bytes, i64 total_bytes);
    void finish();  // before anything else is printed

private:
    std::string what_;
    std::chrono::steady_clock::time_point start_, last_;
    bool terminal_;
    bool shown_ = false;
};

// The step of a list of steps that is under way, with the time left: on a terminal only.
class StepProgress {
public:
    StepProgress(std::string what, int steps);
    ~StepProgress() { clear(); }
    void next(const std::string& step);  // begins it; the one before is done
    void skip() { --steps_; }            // one fewer to do
    void clear();                        // before anything else is printed

private:
    std::string what_;
    std::chrono::steady_clock::time_point start_, last_{};
    int steps_, begun_ = 0;
    bool terminal_;
    bool shown_ = false;
};

}  // namespace warpwright::cli
