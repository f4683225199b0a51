// SPDX-License-Identifier: Apache-2.0
#include "inspect/diagnose/origin.h"

#include <algorithm>

namespace warpwright::diagnose {
namespace {

constexpr size_t kLinesBefore = 8;  // where no traceback says how far back it all belongs together
constexpr size_t kLinesAfter = 6;

std::vector<std::string> signs_of(const Catalogue& catalogue) {
    std::vector<std::string> signs;
    for (const Origin& origin : catalogue.origins) signs.push_back(origin.sign);
    return signs;
}

// The traceback that the line ends; else the last lines.
std::string_view region_before(std::string_view before) {
    const size_t traceback = before.rfind("Traceback (most recent call last)");
    if (traceback != std::string_view::npos) return before.substr(traceback);
    size_t begin = before.size();
    for (size_t i = 0; i <= kLinesBefore && begin > 0; ++i) {
        begin = before.rfind('\n', begin - 1);
        if (begin == std::string_view::npos) return before;
    }
    return before.substr(begin);
}

// The C++ backtrace that follows; else the next lines.
std::string_view region_after(std::string_view after) {
    const size_t traceback = after.find("Traceback (most recent call last)");
    after = after.substr(0, traceback);
    if (after.find("frame #") != std::string_view::npos) return after;
    size_t end = 0;
    for (size_t i = 0; i <= kLinesAfter; ++i) {
        end = after.find('\n', end);
        if (end++ == std::string_view::npos) return after;
    }
    return after.substr(0, end);
}

std::string_view line_around(std::string_view text, size_t at) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const size_t before = at == 0 ? std::string_view::npos : text.rfind('\n', at - 1);
    const size_t begin = before == std::string_view::npos ? 0 : before + 1;
    return text.substr(begin, end - begin);
}

}  // namespace

OriginFinder::OriginFinder(const Catalogue& catalogue)
    : catalogue_(catalogue), scanner_(signs_of(catalogue)) {}

std::optional<Named> OriginFinder::find(const LogLine& line) const {
    std::optional<Named> best;
    // Of the same rank, the nearest: what comes last before the line, first behind it.
    const auto search = [&](std::string_view text, bool last_wins) {
        std::optional<Named> found;
        for (size_t at = scanner_.find(text, 0, text.size()); at < text.size();
             at = scanner_.find(text, at + 1, text.size())) {
            const Origin* longest = nullptr;
            for (const Origin& origin : catalogue_.origins) {
                if (text.substr(at).starts_with(origin.sign) &&
                    (longest == nullptr || origin.sign.size() > longest->sign.size()))
                    longest = &origin;
            }
            if (longest == nullptr) continue;
            if (!found || longest->rank < found->origin->rank ||
                (last_wins && longest->rank == found->origin->rank))
                found = {longest, line_around(text, at)};
        }
        if (found && (!best || found->origin->rank < best->origin->rank)) best = found;
    };
    search(line.text, false);
    search(region_before(line.before), true);
    search(region_after(line.after), false);
    return best;
}

}  // namespace warpwright::diagnose
