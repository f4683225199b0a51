// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "inspect/diagnose/catalogue.h"
#include "inspect/knowledge/fingerprints.h"
#include "inspect/libraries/output.h"
#include "inspect/wrapped.h"

namespace warpwright::libraries {
namespace {

using inspect::wrapped;

std::string source_line(const Fact& fact) {
    const char* how = fact.basis == Basis::measured   ? ", measured"
                      : fact.basis == Basis::reported ? ", reported"
                                                      : "";
    return fmt::format("{}; {}{}: {}", fact.version, fact.date, how, fact.source);
}

std::string fact_text(const Fact& fact) {
    std::string text = wrapped("  - ", fact.text);
    if (!fact.claim.empty())
        text += wrapped("    ", fmt::format("claimed otherwise: \"{}\" ({})", fact.claim, fact.claimed_at));
    return text + "    [" + source_line(fact) + "]\n";
}

std::string section(const std::string& title, const std::vector<Fact>& facts) {
    std::string text = "\n" + title + "\n";
    for (const Fact& fact : facts) text += fact_text(fact);
    return text;
}

std::string failures_section(const Library& library) {
    std::string text = "\nCommon failures (warpwright diagnose finds them in a log)\n";
    if (library.failures.empty()) text += "  none is in the catalogue\n";
    for (const std::string& id : library.failures) {
        const diagnose::Failure* failure = diagnose::catalogue().find(id);
        if (failure == nullptr) continue;
        std::vector<std::string> classes;
        for (const int capability : failure->architectures) classes.push_back(class_name(capability));
        text += fmt::format("  - {} ({}, {})\n", id,
                            classes.empty() ? "any GPU" : fmt::format("{}", fmt::join(classes, ", ")),
                            diagnose::confidence_name(failure->confidence));
        text += wrapped("    cause  ", failure->cause);
        text += wrapped("    fix    ", failure->fix);
    }
    return text;
}

std::string detection_section(const Library& library) {
    std::string text = "\nDetection (warpwright inspect recognises it by these)\n";
    for (const std::string& id : library.fingerprints) {
        const inspect::Fingerprint* print = inspect::fingerprints().find(id);
        if (print == nullptr) continue;
        text += fmt::format("  - {}\n", id);
        if (!print->kernels.empty())
            text += wrapped("    kernels  ", fmt::format("{}", fmt::join(print->kernels, "  ")));
        if (!print->strings.empty())
            text += wrapped("    strings  ", fmt::format("{}", fmt::join(print->strings, "  ")));
        if (!print->files.empty())
            text += wrapped("    files    ", fmt::format("{}", fmt::join(print->files, "  ")));
    }
    for (const Fact& fact : library.detection) text += fact_text(fact);
    return text;
}

std::string ours_section(const Library& library, const View& view) {
    std::string text = "\nOurs, from the registry and the test record\n" + wrapped("  goal   ", library.goal);
    for (const int capability : view.classes()) {
        const OurState state = our_state(library, view, capability);
        text += fmt::format("  {:<6} {}\n", class_name(capability), state.text());
        if (!view.gpu) continue;
        for (const OurNeed& need : state.needs)
            text +=
                wrapped(fmt::format("    {:<10}", need.serves ? evidence_name(need.evidence) : "no"),
                        fmt::format("{}: {}", need.need->text,
                                    need.serves ? fmt::format("{}", fmt::join(need.rows, ", ")) : need.text));
    }
    if (view.gpu) return text;
    const OurState any = our_state(library, view, kClasses.front());
    for (const OurNeed& need : any.needs)
        text += fmt::format("  {} {}\n", need.exists ? "+" : "-", need.need->text);
    return text;
}

std::string row_text(std::string_view name, const std::vector<std::string>& cells) {
    std::string text = fmt::format("{:<17}", name);
    for (const std::string& cell : cells) text += fmt::format("  {:<10}", cell);
    return text.substr(0, text.find_last_not_of(' ') + 1) + "\n";
}

std::string legend() {
    std::string text;
    for (const Meaning& meaning : state_meanings())
        text += wrapped(fmt::format("{:<9}", meaning.word), meaning.text);
    for (const Meaning& meaning : our_meanings())
        text += wrapped(fmt::format("{:<9}", meaning.word), meaning.text);
    return text;
}

}  // namespace

std::span<const Meaning> state_meanings() {
    static constexpr Meaning kMeanings[] = {
        {"native", "by code written or compiled for this architecture's own features"},
        {"portable", "all of it, by code of an older architecture"},
        {"partial", "some of what it is for"},
        {"no", "nothing of what it is for"},
        {"unknown", "no source tells"},
    };
    return kMeanings;
}

std::span<const Meaning> our_meanings() {
    static constexpr Meaning kMeanings[] = {
        {"ours",
         "needs of this kind that a row of ours serves on every listed GPU of the class, of all needs"},
        {"meas.", "all of these rows passed their checks on a real GPU of the class"},
        {"emul.", "they passed in the emulator, on this PTX and these limits"},
    };
    return kMeanings;
}

std::string table_text(const View& view) {
    const std::vector<int> classes = view.classes();
    std::string text;
    if (view.gpu) {
        const int capability = view.gpu->facts.compute_capability;
        text += fmt::format("{}: compute capability {}.{}, class {}\n", view.gpu->id, capability / 10,
                            capability % 10, class_name(classes.front()));
        for (const Library& library : libraries()) {
            for (const ClassState& state : library.states) {
                if (state.capability != classes.front()) continue;
                text += wrapped(fmt::format("{:<17} {:<9}", library.name, state_name(state.state)),
                                state.fact.text);
            }
            text +=
                fmt::format("{:<17} {:<9}{}\n", "", "ours", our_state(library, view, classes.front()).text());
        }
        return text + "\n" + legend();
    }
    std::vector<std::string> cells;
    for (const int capability : classes) cells.push_back(class_name(capability));
    text += row_text("library", cells);
    for (const Library& library : libraries()) {
        cells.clear();
        for (const ClassState& state : library.states) cells.emplace_back(state_name(state.state));
        text += row_text(library.name, cells);
        cells.clear();
        for (const int capability : classes)
            cells.push_back(our_state(library, view, capability).short_text());
        text += row_text("  ours", cells);
    }
    return text + "\n" + legend() + "Why, with sources: warpwright libraries NAME; for one GPU: --gpu T\n";
}

std::string library_text(const Library& library, const View& view) {
    std::string text =
        fmt::format("{} ({})\n{}\n{}\n\n", library.name, library.id, library.repository, library.version);
    for (const int capability : view.classes()) {
        for (const ClassState& state : library.states) {
            if (state.capability != capability) continue;
            text += wrapped(fmt::format("  {:<6} {:<9}", class_name(capability), state_name(state.state)),
                            state.fact.text);
            text += fmt::format("  {:<16}[{}]\n", "", source_line(state.fact));
        }
    }
    text += ours_section(library, view);
    text += section("What it is", library.what);
    text += section("What it depends on", library.depends);
    text += section("SM100 (10.0, 10.3)", library.sm100);
    text += section("SM120 (12.0, 12.1)", library.sm120);
    text += failures_section(library);
    text += detection_section(library);
    text += section("References", library.references);
    return text;
}

}  // namespace warpwright::libraries
