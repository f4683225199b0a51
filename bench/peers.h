// SPDX-License-Identifier: Apache-2.0
// What bench/peers.py measured in the same run: JSON lines {"op", "problem", "peer", "us"}; others, as the
// first one with the versions of what was run, are skipped.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "warpwright/status.h"

namespace warpwright::bench {

struct PeerTime {
    std::string peer;
    double us = 0;
};

class Peers {
public:
    static Result<Peers> read(const std::string& path);  // an empty path: none

    // Fastest first.
    const std::vector<PeerTime>& of(const std::string& op, const std::string& problem) const;

private:
    std::map<std::string, std::vector<PeerTime>, std::less<>> times_;
};

}  // namespace warpwright::bench
