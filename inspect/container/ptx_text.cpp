// SPDX-License-Identifier: Apache-2.0
#include "inspect/container/ptx_text.h"

#include <algorithm>

namespace warpwright::inspect {
namespace {

constexpr std::string_view kVersion = ".version", kTarget = ".target";
constexpr u64 kMaxBannerBytes = u64{64} << 10;  // comments before .version
constexpr u64 kMaxHeadBytes = u64{64} << 10;    // from .version to .target

bool is_text(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte >= 0x20 && byte != 0x7F) || c == '\n' || c == '\t' || c == '\r' || c == '\f';
}
bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f';
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// Behind white space and comments; text.size() where there is nothing else.
size_t first_statement(std::string_view text, size_t at = 0) {
    while (at < text.size()) {
        if (is_space(text[at])) {
            ++at;
        } else if (text.substr(at, 2) == "//") {
            at = std::min(text.find('\n', at), text.size());
        } else if (text.substr(at, 2) == "/*") {
            const size_t end = text.find("*/", at + 2);
            at = end == text.npos ? text.size() : end + 2;
        } else {
            break;
        }
    }
    return at;
}

// The spaces behind a word; 0: it goes on.
size_t spaces(std::string_view text) {
    return std::min(text.find_first_not_of(" \t"), text.size());
}

// ".version 9.0" -> the size of that; 0: no version.
size_t read_version(std::string_view text, int& major, int& minor) {
    size_t at = kVersion.size();
    if (text.substr(0, at) != kVersion) return 0;
    const size_t blanks = spaces(text.substr(at));
    at += blanks;
    if (blanks == 0 || at + 3 > text.size() || !is_digit(text[at])) return 0;
    major = text[at++] - '0';
    if (is_digit(text[at])) major = 10 * major + (text[at++] - '0');
    if (at + 1 >= text.size() || text[at] != '.' || !is_digit(text[at + 1])) return 0;
    minor = text[at + 1] - '0';
    at += 2;
    return at == text.size() || is_space(text[at]) || text[at] == '/' ? at : 0;
}

bool is_target(std::string_view text) {
    if (text.substr(0, kTarget.size()) != kTarget) return false;
    const size_t blanks = spaces(text.substr(kTarget.size()));
    return blanks > 0 && text.substr(kTarget.size() + blanks, 3) == "sm_";
}

// Of the text at `at`: the first byte that is none, or the next module.
size_t end_of_module(std::string_view text, size_t at) {
    const auto end = static_cast<size_t>(
        std::find_if_not(text.begin() + static_cast<std::ptrdiff_t>(at), text.end(), is_text) - text.begin());
    const size_t next = text.substr(0, end).find("\n.version ", at);
    return next == text.npos ? end : next + 1;
}

}  // namespace

PtxBeginning begins_as_ptx(std::string_view text) {
    const size_t at = first_statement(text);
    if (at == text.size()) return PtxBeginning::undecided;
    int major = 0, minor = 0;
    return read_version(text.substr(at), major, minor) > 0 ? PtxBeginning::yes : PtxBeginning::no;
}

std::optional<PtxText> find_ptx(Bytes file, u64 offset, u64 floor) {
    const std::string_view text = as_text(file);
    PtxText found;
    const std::string_view head = text.substr(offset, kMaxHeadBytes);
    const size_t version_bytes = read_version(head, found.major, found.minor);
    if (version_bytes == 0) return std::nullopt;
    const size_t target = first_statement(head, version_bytes);
    if (!is_target(head.substr(std::min(target, head.size())))) return std::nullopt;

    // Back over text, then forward over what is no comment: the module begins there, or it stands in a
    // document.
    floor = std::max(floor, offset - std::min(offset, kMaxBannerBytes));
    found.begin = offset;
    while (found.begin > floor && is_text(text[found.begin - 1])) --found.begin;
    const std::string_view banner = text.substr(found.begin, offset - found.begin);
    if (first_statement(banner) != banner.size()) {
        found.begin = offset;
        if (offset > floor && text[offset - 1] != '\n') return std::nullopt;
    }
    found.end = end_of_module(text, offset + target);
    const std::string_view body = text.substr(offset, found.end - offset);
    for (const std::string_view word : {".entry", ".func", ".address_size"}) {
        if (body.find(word) != body.npos) return found;
    }
    return std::nullopt;
}

}  // namespace warpwright::inspect
