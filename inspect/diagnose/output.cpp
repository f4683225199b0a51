// SPDX-License-Identifier: Apache-2.0
#include "inspect/diagnose/output.h"

#include <fmt/format.h>

#include <algorithm>

#include "inspect/container/printable.h"
#include "inspect/wrapped.h"

namespace warpwright::diagnose {
namespace {

using nlohmann::ordered_json;

constexpr size_t kShownUnknown = 10;

std::string plural(u64 count, std::string_view what) {
    return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

// Under "  cause  ", broken between words.
std::string wrapped(std::string_view label, std::string_view text) {
    return inspect::wrapped(fmt::format("  {:<10} ", label), text);
}

// "SM120, SM121"; empty: any.
std::string gpu_class(const Failure& failure) {
    std::string text;
    for (const int capability : failure.architectures)
        text += fmt::format("{}SM{}", text.empty() ? "" : ", ", capability);
    return text.empty() ? "any GPU" : text;
}

std::string place_text(const Place& place) {
    std::string text = fmt::format("{}:{}", inspect::printable(place.file), place.first_line);
    if (place.count > 1) text += fmt::format(", {} times, last at line {}", place.count, place.last_line);
    return text;
}

void add_place(ordered_json& json, const Place& place) {
    json["file"] = inspect::printable(place.file);
    json["line"] = place.first_line;
    json["last_line"] = place.last_line;
    json["count"] = place.count;
    json["text"] = inspect::printable(place.text);
}

std::string unknown_text(const Report& report) {
    const auto& unknown = report.unknown;
    std::string text;
    const size_t num_shown = std::min(unknown.size(), kShownUnknown);
    u64 num_lines = report.num_unknown_left_out;
    for (const UnknownError& error : unknown) num_lines += error.place.count;
    text += fmt::format("{} that look{} like errors are not in the catalogue:\n", plural(num_lines, "line"),
                        num_lines == 1 ? "s" : "");
    std::vector<std::string> next;
    for (size_t i = 0; i < num_shown; ++i) {
        text += fmt::format("  {}\n    {}\n", place_text(unknown[i].place),
                            inspect::printable(unknown[i].place.text));
        if (std::ranges::find(next, unknown[i].sign->next) == next.end())
            next.push_back(unknown[i].sign->next);
    }
    if (unknown.size() > num_shown || report.num_unknown_left_out > 0)
        text += fmt::format("  ... and {} of other kinds{}; --json has more\n", unknown.size() - num_shown,
                            report.num_unknown_left_out > 0 ? " and more" : "");
    for (const std::string& step : next) text += wrapped("next", step);
    return text;
}

}  // namespace

ordered_json to_json(const Finding& finding) {
    const Failure& failure = *finding.failure;
    ordered_json json;
    json["id"] = failure.id;
    json["library"] = finding.library.empty() ? ordered_json() : ordered_json(finding.library);
    add_place(json, finding.place);
    json["cause"] = inspect::printable(finding.cause);
    json["fix"] = inspect::printable(finding.fix);
    json["reference"] = failure.references.front();
    json["confidence"] = confidence_name(failure.confidence);
    json["references"] = failure.references;
    json["versions"] = failure.versions;
    json["architectures"] = failure.architectures;
    json["date"] = failure.date;
    if (!finding.named_by.empty()) json["library_named_by"] = inspect::printable(finding.named_by);
    if (finding.confirmation) {
        json["inspected"] = {{"verdict", confirmed_name(finding.confirmation->confirmed)},
                             {"text", inspect::printable(finding.confirmation->text)}};
    }
    return json;
}

ordered_json to_json(const Report& report) {
    ordered_json json;
    json["findings"] = ordered_json::array();
    for (const Finding& finding : report.findings) json["findings"].push_back(to_json(finding));
    json["elsewhere"] = ordered_json::array();
    for (const Finding& finding : report.elsewhere) json["elsewhere"].push_back(to_json(finding));
    json["unknown"] = ordered_json::array();
    for (const UnknownError& error : report.unknown) {
        ordered_json one;
        add_place(one, error.place);
        one["next"] = error.sign->next;
        json["unknown"].push_back(std::move(one));
    }
    json["unknown_left_out"] = report.num_unknown_left_out;
    json["lines_cut"] = report.num_cut;
    json["files"] = report.num_files;
    json["bytes"] = report.num_bytes;
    return json;
}

std::string to_text(const Finding& finding) {
    const Failure& failure = *finding.failure;
    std::string text = fmt::format("{}  ({}, {}, {})\n", failure.id,
                                   finding.library.empty() ? "library not told" : finding.library,
                                   gpu_class(failure), confidence_name(failure.confidence));
    text += wrapped("where", place_text(finding.place));
    text += fmt::format("  {:<10} {}\n", "line", inspect::printable(finding.place.text));
    if (!finding.named_by.empty())
        text += wrapped("library", "named by: " + inspect::printable(finding.named_by));
    if (!failure.versions.empty()) text += wrapped("versions", failure.versions);
    text += wrapped("cause", inspect::printable(finding.cause));
    text += wrapped("fix", inspect::printable(finding.fix));
    for (const std::string& reference : failure.references) text += wrapped("reference", reference);
    if (finding.confirmation) {
        text += wrapped("inspected", fmt::format("{}: {}", confirmed_name(finding.confirmation->confirmed),
                                                 inspect::printable(finding.confirmation->text)));
    }
    return text;
}

std::string to_text(const Report& report, const std::optional<Target>& gpu, bool findings_shown) {
    std::string text;
    for (const Finding& finding : report.findings) {
        if (findings_shown)
            text += fmt::format("{}  {}\n", finding.failure->id, place_text(finding.place));
        else
            text += to_text(finding) + "\n";
    }
    if (gpu && !report.findings.empty()) {
        text += fmt::format("Only failures that happen on {} (compute capability {}.{}).\n", gpu->id,
                            gpu->facts.compute_capability / 10, gpu->facts.compute_capability % 10);
    }
    for (const Finding& finding : report.elsewhere) {
        text += fmt::format("left out: {} ({}) matches {}, but is a failure of {}\n", finding.failure->id,
                            finding.library, place_text(finding.place), gpu_class(*finding.failure));
    }
    if (!report.unknown.empty()) text += unknown_text(report);
    if (report.num_cut > 0)
        text += fmt::format("{} longer than {} bytes: only the part around the match was read\n",
                            plural(report.num_cut, "line"), LogReader::kMaxLineBytes);
    if (report.findings.empty()) {
        text += fmt::format("no known failure{} in {} of {}\n",
                            report.unknown.empty() ? ", and nothing that looks like an error," : "",
                            plural(report.num_bytes, "byte"), plural(report.num_files, "file"));
    } else {
        u64 num_lines = 0;
        for (const Finding& finding : report.findings) num_lines += finding.place.count;
        text +=
            fmt::format("{} in {}\n", plural(report.findings.size(), "finding"), plural(num_lines, "line"));
    }
    return text;
}

}  // namespace warpwright::diagnose
