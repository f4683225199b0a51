// SPDX-License-Identifier: Apache-2.0
#include "cli/inspect_output.h"

#include <fmt/color.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "inspect/container/printable.h"
#include "inspect/isa/image_isa.h"
#include "inspect/libraries/library.h"
#include "inspect/summary.h"
#include "inspect/text.h"

namespace warpwright::cli {
namespace {

using namespace inspect;

constexpr size_t kMostNameCharacters = 160;
constexpr size_t kMostNames = 3;  // of kernels that do not run; all of them with --kernels

fmt::text_style style_of(Runs runs) {
    static const bool colours = isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
    if (!colours) return {};
    switch (runs) {
        case Runs::native: return fmt::fg(fmt::terminal_color::green);
        case Runs::jit:
        case Runs::partly: return fmt::fg(fmt::terminal_color::yellow);
        case Runs::stub:
        case Runs::no: return fmt::fg(fmt::terminal_color::red);
    }
    return {};
}

std::string listed(const std::vector<std::string>& texts) {
    return printable(fmt::format("{}", fmt::join(texts, ", ")));
}

void print_images(const FileReport& file) {
    for (const ImageGroup& group : group_images(file)) {
        fmt::print(
            "  {:<13} {:>6} image{} {:>7} kernel{} {:>10}  {}\n",
            inspect::architecture_name(group.kind, group.architecture), group.num_images,
            group.num_images == 1 ? " " : "s", group.num_kernels, group.num_kernels == 1 ? " " : "s",
            bytes_text(std::max(group.bytes, group.stored_bytes)),
            printable(fmt::format("{}{}{}", fmt::join(group.toolkits, ", "),
                                  group.toolkits.empty() ? "" : "; ", fmt::join(group.compressions, ", "))));
        if (group.num_stubs != 0)
            fmt::print("  {:<13} {:>6} of the kernels are stubs\n", "", group.num_stubs);
        if (group.num_damaged != 0)
            fmt::print("  {:<13} {:>6} of the images could not be read\n", "", group.num_damaged);
        if (group.classes.bits != 0)
            fmt::print("  {:<13} {}\n", "", fmt::join(class_names(group.classes), " "));
    }
}

void print_missing(const Verdict& verdict, size_t most) {
    const size_t shown = std::min(most, verdict.kernels.size());
    for (size_t i = 0; i < shown; ++i)
        fmt::print("            {}\n", printable(shortened(verdict.kernels[i], kMostNameCharacters)));
    const auto missing = static_cast<size_t>(verdict.num_missing);
    if (shown != 0 && missing > shown) fmt::print("            and {} more\n", missing - shown);
}

void print_verdicts(const FileReport& file, bool kernels) {
    for (const VerdictGroup& group : group_verdicts(file)) {
        const Verdict& verdict = group.verdict;
        fmt::print("  {} {}\n",
                   fmt::styled(fmt::format("{:<7}", runs_name(verdict.runs)), style_of(verdict.runs)),
                   fmt::join(group.targets, ", "));
        fmt::print("          {}\n", printable(verdict.text));
        print_missing(verdict, kernels ? verdict.kernels.size() : kMostNames);
        if (!verdict.fix.empty()) fmt::print("          fix: {}\n", printable(verdict.fix));
    }
}

void print_kernels(const FileReport& file) {
    for (const KernelGroup& kernel : group_kernels(file)) {
        fmt::print("  {}\n", printable(shortened(demangle(kernel.name), kMostNameCharacters)));
        std::string figures = listed(kernel.architectures);
        if (kernel.max_registers >= 0) {
            figures += kernel.min_registers == kernel.max_registers
                           ? fmt::format("; {} registers", kernel.max_registers)
                           : fmt::format("; {} to {} registers", kernel.min_registers, kernel.max_registers);
        }
        if (kernel.max_shared_bytes > 0)
            figures += fmt::format("; {} bytes of shared memory", kernel.max_shared_bytes);
        if (kernel.max_stack_bytes > 0) figures += fmt::format("; {} bytes of stack", kernel.max_stack_bytes);
        if (kernel.classes.bits != 0)
            figures += fmt::format("; {}", fmt::join(class_names(kernel.classes), " "));
        if (kernel.stub != Stub::none)
            figures += fmt::format("; {} stub in {} images", stub_name(kernel.stub), kernel.num_stubs);
        fmt::print("      {}\n", figures);
    }
}

void print_isa_groups(const char* what, const std::vector<IsaGroup>& groups, bool all) {
    const size_t shown = all ? groups.size() : std::min(kMostNames, groups.size());
    for (size_t i = 0; i < shown; ++i) {
        const IsaUse& use = groups[i].use;
        fmt::print("    {:<13} {}{}{}\n", i == 0 ? what : "", printable(use.form),
                   use.remark.empty() ? "" : ": ", printable(use.remark));
        fmt::print("                  {} x in {} image{}; first in {}\n", use.count, groups[i].num_images,
                   groups[i].num_images == 1 ? "" : "s",
                   printable(shortened(demangle(use.function), kMostNameCharacters)));
    }
    if (groups.size() > shown)
        fmt::print("                  and {} more forms (--kernels lists them)\n", groups.size() - shown);
}

void print_isa(const FileReport& file, bool all) {
    for (const FileIsa& isa : isa_of_file(file)) {
        fmt::print("  isa {}: {} of {} PTX image{} legal", isa.target, isa.num_legal, isa.num_images,
                   isa.num_images == 1 ? "" : "s");
        if (isa.num_loading < isa.num_legal)
            fmt::print(", {} of them as they stand ({})", isa.num_loading, printable(isa.why_not));
        if (isa.num_cubins != 0) fmt::print("; {} of machine code not looked into", isa.num_cubins);
        fmt::print("\n");
        print_isa_groups("not legal", isa.illegal, all);
        print_isa_groups("slow", isa.slow, all);
        print_isa_groups("not measured", isa.not_measured, all);
    }
}

void print_file(const FileReport& file, bool kernels) {
    fmt::print("{}  {}\n", printable(file.path), bytes_text(file.bytes));
    for (const Library& library : file.libraries) {
        fmt::print("  is or holds {}: {}\n", printable(title_of(library)),
                   library.evidence.empty()
                       ? ""
                       : printable(shortened(library.evidence.front(), kMostNameCharacters)));
    }
    if (file.images.empty()) fmt::print("  no device code\n");
    print_images(file);
    if (!file.jit_cache.empty())
        fmt::print("  in the cache of {}, made at run time for the GPU that was there\n", file.jit_cache);
    if (file.headers_only)
        fmt::print("  its licence forbids disassembly: container and headers were read, no instruction\n");
    if (file.runtime_code)
        fmt::print("  makes or loads further device code at run time, which cannot be seen here\n");
    for (const std::string& note : file.notes) fmt::print("  note: {}\n", printable(note));
    print_verdicts(file, kernels);
    print_isa(file, kernels);
    if (kernels) print_kernels(file);
    fmt::print("\n");
}

}  // namespace

void print_report(const Report& report, bool kernels) {
    for (const FileReport& file : report.files) print_file(file, kernels);
    for (const std::string& sentence : report.refused) fmt::print("refused: {}\n", printable(sentence));
    std::vector<std::string> held;
    for (const FileReport& file : report.files)
        for (const Library& library : file.libraries) held.push_back(library.id);
    if (const std::string more = libraries::more_about(held); !more.empty())
        fmt::print("where these libraries run, and their known failures: {}\n", more);
    const auto with_code =
        std::ranges::count_if(report.files, [](const FileReport& file) { return !file.images.empty(); });
    fmt::print("{} file{} with device code, of {} looked at ({})\n", with_code, with_code == 1 ? "" : "s",
               report.num_files, bytes_text(report.bytes));
}

}  // namespace warpwright::cli
