// SPDX-License-Identifier: Apache-2.0
#include "inspect/html.h"

#include <fmt/format.h>

#include <algorithm>

#include "inspect/isa/image_isa.h"
#include "inspect/page.h"
#include "inspect/summary.h"
#include "inspect/text.h"

namespace warpwright::inspect {
namespace {

using Write = std::function<void(const std::string&)>;

constexpr size_t kKernelsOnPage = 6000;  // of all files together; --json has them all
constexpr size_t kMinKernelsOfFile = 20;

const char* symbol(Runs runs) {
    switch (runs) {
        case Runs::native: return "●";
        case Runs::jit: return "◐";
        case Runs::partly: return "◑";
        case Runs::stub: return "▲";
        case Runs::no: return "×";
    }
    return "?";
}

// GPUs of one compute capability of which every file says the same: one column of the table.
struct Column {
    std::string capability;
    std::vector<std::string> targets;
    size_t first = 0;  // index of a verdict
};

std::vector<Column> columns_of(const Report& report, const std::vector<Target>& targets) {
    std::vector<Column> columns;
    for (size_t i = 0; i < targets.size(); ++i) {
        const int capability = targets[i].facts.compute_capability;
        const std::string name = fmt::format("{}.{}", capability / 10, capability % 10);
        const auto same = std::ranges::find_if(columns, [&](const Column& column) {
            return column.capability == name &&
                   std::ranges::all_of(report.files, [&](const FileReport& file) {
                       return file.verdicts.empty() ||
                              file.verdicts[column.first].runs == file.verdicts[i].runs;
                   });
        });
        if (same != columns.end())
            same->targets.push_back(targets[i].id);
        else
            columns.push_back({name, {targets[i].id}, i});
    }
    return columns;
}

std::string tags(const std::vector<std::string>& names) {
    std::string html;
    for (const std::string& name : names) html += fmt::format("<span class=tag>{}</span>", escape_html(name));
    return html;
}

std::string joined(const std::vector<std::string>& texts) {
    return escape_html(fmt::format("{}", fmt::join(texts, ", ")));
}

void write_matrix(const Report& report, const std::vector<Column>& columns, const Write& write) {
    write("<div class=scroll><table class=matrix><thead><tr><th scope=col>file</th>");
    for (const Column& column : columns) {
        write(fmt::format("<th scope=col title=\"{0}\">{1}<small>{2}{3}</small></th>", joined(column.targets),
                          column.capability, escape_html(column.targets[0]),
                          column.targets.size() > 1 ? fmt::format(" +{}", column.targets.size() - 1) : ""));
    }
    write("</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < report.files.size(); ++i) {
        const FileReport& file = report.files[i];
        write(fmt::format("<tr><th scope=row><a href=\"#f{}\" title=\"{}\">{}</a></th>", i,
                          escape_html(file.path), escape_html(short_path(file.path))));
        for (const Column& column : columns) {
            if (file.verdicts.empty()) {
                write("<td class=quiet title=\"no device code\">&ndash;</td>");
                continue;
            }
            const Verdict& verdict = file.verdicts[column.first];
            write(fmt::format("<td class={0} title=\"{1}\">{2} {0}</td>", runs_name(verdict.runs),
                              escape_html(verdict.text), symbol(verdict.runs)));
        }
        write("</tr>\n");
    }
    write("</tbody></table></div>\n");
}

void write_verdicts(const FileReport& file, const Write& write) {
    if (file.verdicts.empty()) return;
    write("<h2>Where it runs</h2><div class=scroll><table><thead><tr><th>runs<th>GPUs<th>why</tr></thead>\n");
    for (const VerdictGroup& group : group_verdicts(file)) {
        const Verdict& verdict = group.verdict;
        write(fmt::format("<tr><td class={0}>{1} {0}</td><td>{2}</td><td>{3}", runs_name(verdict.runs),
                          symbol(verdict.runs), joined(group.targets), escape_html(verdict.text)));
        if (!verdict.fix.empty()) write("<br><b>What helps:</b> " + escape_html(verdict.fix));
        if (!verdict.kernels.empty()) {
            write(fmt::format("<details><summary>{} kernels that do not run</summary>", verdict.num_missing));
            for (const std::string& kernel : verdict.kernels)
                write("<div class=name>" + escape_html(kernel) + "</div>");
            write("</details>");
        }
        write("</td></tr>\n");
    }
    write("</table></div>\n");
}

void write_images(const FileReport& file, const Write& write) {
    if (file.images.empty()) return;
    write(
        "<h2>Images</h2><div class=scroll><table><thead><tr><th>architecture<th class=number>images"
        "<th class=number>kernels<th class=number>size<th>made by<th>compression<th>section"
        "<th>instructions</tr></thead>\n");
    for (const ImageGroup& group : group_images(file)) {
        const std::string stubs =
            group.num_stubs == 0 ? "" : fmt::format("<br><span class=stub>{} stubs</span>", group.num_stubs);
        write(fmt::format(
            "<tr><td>{}</td><td class=number>{}</td><td class=number>{}{}</td>"
            "<td class=number>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            architecture_name(group.kind, group.architecture), group.num_images, group.num_kernels, stubs,
            bytes_text(std::max(group.bytes, group.stored_bytes)), joined(group.toolkits),
            joined(group.compressions), joined(group.sections), tags(class_names(group.classes))));
    }
    write("</table></div>\n");
}

std::string figure(int low, int high) {
    if (high < 0) return "";
    return low == high ? fmt::to_string(low) : fmt::format("{} to {}", low, high);
}

void write_kernels(const FileReport& file, size_t most, const Write& write) {
    const std::vector<KernelGroup> kernels = group_kernels(file);
    if (kernels.empty()) return;
    write(
        fmt::format("<details><summary>{} kernels</summary><div class=scroll><table><thead><tr><th>kernel"
                    "<th>for<th class=number>registers<th class=number>shared<th class=number>stack"
                    "<th>instructions</tr></thead>\n",
                    kernels.size()));
    for (size_t i = 0; i < std::min(most, kernels.size()); ++i) {
        const KernelGroup& kernel = kernels[i];
        std::string stub;
        if (kernel.stub != Stub::none)
            stub = fmt::format("<br><span class=stub>stub ({})</span>", stub_name(kernel.stub));
        write(fmt::format(
            "<tr><td class=name>{}{}</td><td>{}</td><td class=number>{}</td><td class=number>{}"
            "</td><td class=number>{}</td><td>{}</td></tr>\n",
            escape_html(shortened(demangle(kernel.name), 400)), stub, joined(kernel.architectures),
            figure(kernel.min_registers, kernel.max_registers),
            figure(kernel.max_shared_bytes, kernel.max_shared_bytes),
            figure(kernel.max_stack_bytes, kernel.max_stack_bytes), tags(class_names(kernel.classes))));
    }
    write("</table></div>");
    if (most < kernels.size())
        write(fmt::format("<p class=quiet>and {} more: --json has them all</p>", kernels.size() - most));
    write("</details>\n");
}

void write_isa(const FileReport& file, const Write& write) {
    const std::vector<FileIsa> all = isa_of_file(file);
    if (all.empty()) return;
    write(
        "<h2>Instructions of PTX</h2><div class=scroll><table><thead><tr><th>target<th>form<th>there"
        "<th class=number>images<th>first in</tr></thead>\n");
    for (const FileIsa& isa : all) {
        write(fmt::format(
            "<tr><td>{}</td><td>{} of {} images legal, {} as they stand</td><td>{}</td><td></td><td>"
            "</td></tr>\n",
            escape_html(isa.target), isa.num_legal, isa.num_images, isa.num_loading,
            escape_html(isa.why_not)));
        for (const auto& [what, groups] : {std::pair{"not legal", &isa.illegal},
                                           {"slow", &isa.slow},
                                           {"not measured", &isa.not_measured}}) {
            for (const IsaGroup& group : *groups)
                write(fmt::format(
                    "<tr><td>{}</td><td class=name>{}</td><td>{} {}</td><td class=number>{}</td>"
                    "<td class=name>{}</td></tr>\n",
                    escape_html(isa.target), escape_html(group.use.form), what, escape_html(group.use.remark),
                    group.num_images, escape_html(shortened(demangle(group.use.function), 400))));
        }
    }
    write("</table></div>\n");
}

void write_file(const FileReport& file, size_t index, size_t most_kernels, bool open, const Write& write) {
    write(fmt::format("<details class=file id=f{}{}><summary><span class=name>{}</span> <small>{}</small>",
                      index, open ? " open" : "", escape_html(file.path), bytes_text(file.bytes)));
    for (const Library& library : file.libraries)
        write(fmt::format(" <span class=tag>{}</span>", escape_html(title_of(library))));
    write("</summary><div>\n");
    if (!file.jit_cache.empty())
        write(fmt::format("<p>In the cache of {}, made at run time for the GPU that was there.</p>\n",
                          file.jit_cache));
    if (file.headers_only)
        write(
            "<p class=quiet>The licence of this library forbids disassembly: container and headers were "
            "read, no instruction.</p>\n");
    if (file.runtime_code)
        write("<p>Makes or loads further device code at run time, which nobody can see here.</p>\n");
    for (const std::string& note : file.notes) write("<p class=quiet>" + escape_html(note) + "</p>\n");
    write_verdicts(file, write);
    write_images(file, write);
    write_isa(file, write);
    if (!file.libraries.empty()) {
        write("<details><summary>How the libraries were recognised</summary><ul>");
        for (const Library& library : file.libraries)
            write(fmt::format("<li>{}: {}", escape_html(title_of(library)), joined(library.evidence)));
        write("</ul></details>\n");
    }
    write_kernels(file, most_kernels, write);
    write("</div></details>\n");
}

}  // namespace

void write_html(const Report& report, const PageOptions& options, const Write& write) {
    write(page_begin(options.title + ": where it runs", options.made_by));
    write(
        fmt::format("<p>{} of {} files ({}) hold device code, make it at run time, or belong to a library "
                    "that does.</p>\n",
                    report.files.size(), report.num_files, bytes_text(report.bytes)));
    write(
        "<ul class=legend><li class=native>● native <span>machine code for it</span>"
        "<li class=jit>◐ jit <span>the driver compiles PTX at first use</span>"
        "<li class=partly>◑ partly <span>some kernels are missing</span>"
        "<li class=stub>▲ stub <span>loads, then does nothing or stops</span>"
        "<li class=no>× no <span>nothing a driver could load</span></ul>\n");
    write(
        "<p><input type=search placeholder=\"file, library or kernel\" aria-label=\"filter files\"> "
        "<small id=count></small></p>\n");
    if (!options.targets.empty()) write_matrix(report, columns_of(report, options.targets), write);
    const size_t share =
        std::max(kMinKernelsOfFile, kKernelsOnPage / std::max<size_t>(1, report.files.size()));
    for (size_t i = 0; i < report.files.size(); ++i)
        write_file(report.files[i], i, share, report.files.size() == 1, write);
    for (const std::string& sentence : report.refused)
        write("<p class=no>refused: " + escape_html(sentence) + "</p>\n");
    write(page_end());
}

}  // namespace warpwright::inspect
