// SPDX-License-Identifier: Apache-2.0
#include "inspect/diagnose/diagnose.h"

#include <algorithm>
#include <cctype>
#include <tuple>

namespace warpwright::diagnose {
namespace {

// Two lines of one form differ in numbers only: sizes, addresses, process ids, times.
std::string form_of(std::string_view text) {
    std::string form;
    for (size_t i = 0; i < text.size() && form.size() < Diagnoser::kMaxShownBytes; ++i) {
        const auto is_digit = [&](size_t at) {
            return at < text.size() && std::isxdigit(static_cast<unsigned char>(text[at])) != 0;
        };
        const bool is_number = std::isdigit(static_cast<unsigned char>(text[i])) != 0;
        if (is_number) {
            while (is_digit(i + 1)) ++i;
            form += '#';
        } else {
            form += text[i];
        }
    }
    return form;
}

// {name} -> what the group of this name matched.
std::string filled_in(std::string text, const Match& match) {
    for (const auto& [name, value] : match.groups) {
        const std::string mark = "{" + name + "}";
        for (size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + value.size()))
            text.replace(at, mark.size(), value);
    }
    return text;
}

std::string shown(std::string_view text, const Match& match, bool cut) {
    constexpr size_t kLimit = Diagnoser::kMaxShownBytes;
    size_t begin = 0;
    if (text.size() > kLimit && match.end > kLimit) {
        const size_t size = std::min(match.end - match.begin, kLimit);
        begin = match.begin - std::min(match.begin, (kLimit - size) / 2);
    }
    const std::string_view part = text.substr(begin, kLimit);
    const bool ends = begin + part.size() == text.size();
    return (begin > 0 ? "... " : "") + std::string(part) + (!ends || cut ? " ..." : "");
}

void seen_again(Place& place, const LogLine& line) {
    place.last_line = line.number;
    ++place.count;
}

}  // namespace

const char* confirmed_name(Confirmed confirmed) {
    switch (confirmed) {
        case Confirmed::yes: return "confirmed";
        case Confirmed::no: return "not confirmed";
        case Confirmed::cannot_tell: return "cannot tell";
    }
    return "";
}

std::string without_colours(std::string_view text) {
    std::string plain;
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\x1b' && i + 1 < text.size() && text[i + 1] == '[') {
            i += 2;
            while (i < text.size() && (text[i] < '@' || text[i] > '~')) ++i;
        } else {
            plain += text[i] == '\t' ? ' ' : text[i];
        }
    }
    plain.erase(
        std::find_if(plain.rbegin(), plain.rend(), [](unsigned char c) { return std::isspace(c) == 0; })
            .base(),
        plain.end());
    return plain;
}

Diagnoser::Diagnoser(Matcher& matcher)
    : matcher_(matcher), reader_(matcher_.scanner(), [this](const LogLine& line) { take(line); }) {}

void Diagnoser::begin(std::string file) {
    file_ = std::move(file);
    matcher_.begin_log();
    ++report_.num_files;
}

void Diagnoser::finish() {
    report_.num_bytes += reader_.num_bytes();
    reader_.finish();
}

void Diagnoser::take(const LogLine& line) {
    const std::string text = line.cut ? std::string(line.text) : without_colours(line.text);
    const Match match = matcher_.match(line, text);
    const Failure* const failure = match.failure != nullptr ? match.failure : match.elsewhere;
    if (failure == nullptr) {
        if (match.sign != nullptr) take_unknown(line, match, text);
        return;
    }
    report_.num_cut += line.cut;
    const bool applies = match.failure != nullptr;
    const bool is_new =
        fold(applies ? report_.findings : report_.elsewhere, line, match, file_, text, *failure);
    if (is_new && applies && on_new) on_new(report_.findings.back());
}

bool Diagnoser::fold(std::vector<Finding>& findings, const LogLine& line, const Match& match,
                     const std::string& file, std::string_view text, const Failure& failure) {
    for (Finding& finding : findings) {
        if (finding.failure == &failure && finding.library == match.library && finding.place.file == file) {
            seen_again(finding.place, line);
            return false;
        }
    }
    Finding finding;
    finding.failure = &failure;
    finding.place = {file, line.number, line.number, 1, shown(text, match, line.cut)};
    finding.library = match.library;
    finding.named_by = without_colours(match.named_by).substr(0, kMaxShownBytes);
    finding.cause = filled_in(failure.cause, match);
    finding.fix = filled_in(failure.fix, match);
    findings.push_back(std::move(finding));
    return true;
}

void Diagnoser::take_unknown(const LogLine& line, const Match& match, std::string_view text) {
    std::string form = form_of(text);
    for (size_t i = 0; i < unknown_forms_.size(); ++i) {
        if (unknown_forms_[i] == form && report_.unknown[i].place.file == file_) {
            seen_again(report_.unknown[i].place, line);
            return;
        }
    }
    if (report_.unknown.size() == kMaxUnknown) {
        ++report_.num_unknown_left_out;
        return;
    }
    report_.unknown.push_back(
        {match.sign, {file_, line.number, line.number, 1, shown(text, match, line.cut)}});
    unknown_forms_.push_back(std::move(form));
}

Report Diagnoser::report() const {
    return report_;
}

}  // namespace warpwright::diagnose
