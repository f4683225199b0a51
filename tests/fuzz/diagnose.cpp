// SPDX-License-Identifier: Apache-2.0
// Any bytes are a log: what is found in them does not depend on the pieces that they arrive in, its places
// are in the log, and what is printed of it is text.
#include <algorithm>
#include <cstring>

#include "input.h"
#include "inspect/diagnose/output.h"

using namespace warpwright::diagnose;  // NOLINT: a program of one function
using warpwright::fuzz::require;

namespace {

Report read(Matcher& matcher, std::string_view log, size_t chunk) {
    Diagnoser diagnoser(matcher);
    diagnoser.begin("log");
    while (!log.empty()) {
        const std::span<char> room = diagnoser.room();
        require(!room.empty(), "there is room");
        const size_t size = std::min({room.size(), log.size(), chunk});
        std::memcpy(room.data(), log.data(), size);
        diagnoser.filled(size);
        log.remove_prefix(size);
    }
    diagnoser.finish();
    return diagnoser.report();
}

void check(const Place& place, std::uint64_t num_lines) {
    require(place.first_line >= 1 && place.last_line <= num_lines, "a line is in the log");
    require(place.first_line <= place.last_line, "the first line is before the last");
    require(place.count >= 1, "what was found was seen");
    require(place.text.size() <= Diagnoser::kMaxShownBytes + 8, "a text is short");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Matcher matcher(catalogue(), 0);
    const std::string_view log(reinterpret_cast<const char*>(data), size);
    // From time to time the log lies on the border of the reader's buffer of 1 MiB, behind lines or within
    // one.
    std::string padded;
    if (size > 1 && data[0] % 32 == 0)
        padded.assign((std::size_t{1} << 20) - 14000 + data[1] * std::size_t{64},
                      data[0] % 64 == 0 ? 'x' : '\n');
    padded += log;
    const Report whole = read(matcher, padded, padded.size());
    const Report pieces = read(matcher, padded, 1 + size % 97);
    require(to_json(whole).dump() == to_json(pieces).dump(), "pieces give the same answer");
    const auto num_lines = static_cast<std::uint64_t>(std::count(padded.begin(), padded.end(), '\n')) + 1;
    for (const Finding& finding : whole.findings) check(finding.place, num_lines);
    for (const UnknownError& error : whole.unknown) check(error.place, num_lines);
    for (const char c : to_text(whole, std::nullopt, false))
        require(c == '\n' || (c & 0xE0) != 0, "output is text");
    return whole.findings.empty() && whole.unknown.empty() ? -1 : 0;
}
