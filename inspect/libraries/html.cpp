// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "inspect/diagnose/catalogue.h"
#include "inspect/knowledge/fingerprints.h"
#include "inspect/libraries/output.h"
#include "inspect/page.h"

namespace warpwright::libraries {
namespace {

using inspect::escape_html;
using Write = std::function<void(const std::string&)>;

const char* symbol(State state) {
    switch (state) {
        case State::native: return "●";
        case State::portable: return "◐";
        case State::partial: return "◑";
        case State::no: return "×";
        case State::unknown: return "?";
    }
    return "?";
}

std::string link(const std::string& url, const std::string& text) {
    return fmt::format("<a href=\"{}\">{}</a>", escape_html(url), escape_html(text));
}

// "github.com/NVIDIA/nccl" of an address.
std::string place(std::string_view url) {
    std::string_view rest = url.substr(url.find("//") + 2);
    size_t end = rest.find('/');
    for (int part = 0; part < 2 && end != std::string_view::npos && rest.starts_with("github.com"); ++part)
        end = rest.find('/', end + 1);
    return std::string(rest.substr(0, end));
}

std::string source(const Fact& fact) {
    const std::string how = fact.basis == Basis::source ? "" : fmt::format(", {}", basis_name(fact.basis));
    return fmt::format("<small>{}; {}{}; {}</small>", escape_html(fact.version), fact.date, how,
                       link(fact.source, place(fact.source)));
}

void write_facts(const char* title, const std::vector<Fact>& facts, const Write& write) {
    write(fmt::format("<h2>{}</h2><ul>\n", title));
    for (const Fact& fact : facts) {
        write("<li>" + escape_html(fact.text) + " ");
        if (!fact.claim.empty())
            write(fmt::format("<b>Claimed otherwise:</b> &ldquo;{}&rdquo; ({}). ", escape_html(fact.claim),
                              link(fact.claimed_at, place(fact.claimed_at))));
        write(source(fact) + "\n");
    }
    write("</ul>\n");
}

std::string tags(const char* label, const std::vector<std::string>& texts) {
    std::string html = texts.empty() ? "" : fmt::format("<br>{} ", label);
    for (const std::string& text : texts) html += fmt::format("<span class=tag>{}</span>", escape_html(text));
    return html;
}

void write_table(const View& view, const Write& write) {
    write("<div class=scroll><table class=matrix><thead><tr><th scope=col>library</th>");
    for (const int capability : view.classes())
        write(fmt::format("<th scope=col>{}</th>", class_name(capability)));
    write("</tr></thead>\n<tbody>\n");
    for (const Library& library : libraries()) {
        write(fmt::format("<tr><th scope=row><a href=\"#{}\">{}</a></th>", library.id,
                          escape_html(library.name)));
        for (const int capability : view.classes()) {
            const OurState ours = our_state(library, view, capability);
            for (const ClassState& state : library.states) {
                if (state.capability != capability) continue;
                write(fmt::format(
                    "<td class={0} title=\"{1}\">{2} {0}<small title=\"{3}\">ours {4}</small></td>",
                    state_name(state.state), escape_html(state.fact.text), symbol(state.state),
                    escape_html(ours.text()), ours.short_text()));
            }
        }
        write("</tr>\n");
    }
    write("</tbody></table></div>\n");
}

void write_states(const Library& library, const View& view, const Write& write) {
    write(
        "<h2>Where it runs</h2><div "
        "class=scroll><table><thead><tr><th>GPUs<th>state<th>why<th>ours</tr></thead>\n");
    for (const int capability : view.classes()) {
        const OurState ours = our_state(library, view, capability);
        for (const ClassState& state : library.states) {
            if (state.capability != capability) continue;
            write(fmt::format("<tr><td>{0}</td><td class={1}>{2} {1}</td><td>{3} {4}</td><td>{5}</td></tr>\n",
                              class_name(capability), state_name(state.state), symbol(state.state),
                              escape_html(state.fact.text), source(state.fact), escape_html(ours.text())));
        }
    }
    write(
        fmt::format("</table></div>\n<p><b>Ours must give</b> {}. Of that and what people take it for, we "
                    "have:</p><ul>\n",
                    escape_html(library.goal)));
    const OurState ours = our_state(library, view, view.classes().front());
    for (const OurNeed& need : ours.needs) {
        write(fmt::format("<li>{}{}{}\n", need.exists ? "" : "<span class=quiet>not yet: ",
                          escape_html(need.need->text), need.exists ? "" : "</span>"));
    }
    write("</ul>\n");
}

void write_failures(const Library& library, const Write& write) {
    write("<h2>Common failures</h2>\n");
    if (library.failures.empty()) write("<p class=quiet>None is in the catalogue.</p>\n");
    write("<ul>\n");
    for (const std::string& id : library.failures) {
        const diagnose::Failure* failure = diagnose::catalogue().find(id);
        if (failure == nullptr) continue;
        std::vector<std::string> classes;
        for (const int capability : failure->architectures) classes.push_back(class_name(capability));
        write(fmt::format(
            "<li><span class=name>{}</span> <small>{}; {}; {}</small><br>{}<br><b>What helps:</b> {}\n", id,
            classes.empty() ? "any GPU" : fmt::format("{}", fmt::join(classes, ", ")),
            diagnose::confidence_name(failure->confidence),
            link(failure->references.front(), place(failure->references.front())),
            escape_html(failure->cause), escape_html(failure->fix)));
    }
    write("</ul>\n");
}

void write_detection(const Library& library, const Write& write) {
    write("<h2>Detection</h2><ul>\n");
    for (const std::string& id : library.fingerprints) {
        const inspect::Fingerprint* print = inspect::fingerprints().find(id);
        if (print == nullptr) continue;
        write(fmt::format("<li><span class=name>{}</span>{}{}{}\n", id, tags("kernels", print->kernels),
                          tags("strings", print->strings), tags("files", print->files)));
    }
    for (const Fact& fact : library.detection)
        write("<li>" + escape_html(fact.text) + " " + source(fact) + "\n");
    write("</ul>\n");
}

void write_library(const Library& library, const View& view, const Write& write) {
    write(fmt::format("<details class=file id={}><summary><b>{}</b> <small>{}</small></summary><div>\n",
                      library.id, escape_html(library.name), escape_html(library.version)));
    write("<p>" + link(library.repository, library.repository) + "</p>\n");
    write_states(library, view, write);
    write_facts("What it is", library.what, write);
    write_facts("What it depends on", library.depends, write);
    write_facts("SM100 (10.0, 10.3)", library.sm100, write);
    write_facts("SM120 (12.0, 12.1)", library.sm120, write);
    write_failures(library, write);
    write_detection(library, write);
    write_facts("References", library.references, write);
    write("</div></details>\n");
}

}  // namespace

void write_html(const View& view, const std::string& made_by, const Write& write) {
    const std::string where = view.gpu ? " on " + view.gpu->id : "";
    write(inspect::page_begin("Libraries of inference engines, and where they run" + where, made_by));
    write("<ul class=legend>");
    for (size_t i = 0; i < state_meanings().size(); ++i) {
        const Meaning& meaning = state_meanings()[i];
        write(fmt::format("<li class={0}>{1} {0} <span>{2}</span>", meaning.word,
                          symbol(static_cast<State>(i)), meaning.text));
    }
    write("</ul>\n<p class=quiet>");
    for (const Meaning& meaning : our_meanings())
        write(fmt::format("<b>{}</b> {}. ", meaning.word, meaning.text));
    write(
        "</p>\n<p><input type=search placeholder=\"library, GPU, message\" aria-label=\"filter libraries\"> "
        "<small id=count data-noun=libraries></small></p>\n");
    write_table(view, write);
    for (const Library& library : libraries()) write_library(library, view, write);
    write(inspect::page_end());
}

}  // namespace warpwright::libraries
