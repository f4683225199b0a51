// SPDX-License-Identifier: Apache-2.0
#include "cli/isa_output.h"

#include <fmt/format.h>

#include <algorithm>

#include "inspect/container/printable.h"
#include "inspect/text.h"

namespace warpwright::cli {
namespace {

using namespace inspect;

constexpr size_t kMostRows = 32;

const isa::Architecture& architecture_at(int index) {
    return isa::architectures()[static_cast<size_t>(index)];
}

std::string count_of(u64 count, const char* what) {
    return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

void print_use(const JudgedUse& judged) {
    fmt::print("    line {:<6} {:>6}  {}\n", judged.use->line,
               judged.use->count == 1 ? "once" : fmt::format("{} x", judged.use->count),
               printable(judged.use->text));
}

void print_notes_of(const isa::Form& form, int architecture) {
    std::string last;
    for (const isa::Note* const note : isa::notes_of(form.name)) {
        if ((note->text.targets >> architecture & 1u) == 0 || note->text.text == last) continue;
        last = note->text.text;
        fmt::print("{:22}{}\n", "", last);
    }
}

void print_left_out(size_t shown, size_t all) {
    if (all > shown) fmt::print("    and {} more (--all)\n", all - shown);
}

void print_class_heads() {
    fmt::print("   PTX");
    for (const IsaTarget& one : all_classes()) fmt::print(" {:>4}", one.name);
    fmt::print("\n");
}

void print_row(const std::string& name, int version, const std::vector<std::string>& cells) {
    fmt::print("  {:>4}", version == 0 ? "-" : isa::version_text(version));
    for (const std::string& cell : cells) fmt::print(" {:>4}", cell);
    fmt::print("  {}\n", printable(name));
}

void print_legend() {
    fmt::print(
        "  n native, e emulated by other instructions, s split into several, h slower than native, c may "
        "call the\n"
        "  driver, y legal (its code was not looked into), . not legal; f, a: legal with that suffix only\n");
}

std::vector<std::string> cells_of(const std::vector<ClassWay>& ways) {
    std::vector<std::string> cells;
    for (const ClassWay& way : ways) cells.push_back(way_cell(way));
    return cells;
}

void print_build(const IsaVerdict& verdict, const PtxText& text) {
    const isa::Architecture& built = architecture_at(verdict.architecture);
    fmt::print("  build with   {}, NVRTC {}\n", nvcc_option(built), nvrtc_option(built));
    if (built.suffix == 'a')
        fmt::print("               its code runs on {} alone\n", isa::version_text(built.capability));
    if (built.suffix == 'f')
        fmt::print("               its code runs on {}.x from {} on\n", built.capability / 10,
                   isa::version_text(built.capability));
    fmt::print("  needs        {}", version_needs(verdict.version));
    if (text.version > verdict.version) fmt::print("; as it stands {}", version_needs(text.version));
    fmt::print("\n");
}

void print_reach(const PtxText& text) {
    const IsaReach reach = reach_of(text);
    fmt::print("  lowest       {}", reach.lowest < 0 ? "no target of ptxas 13.0 has all of its forms"
                                                     : architecture_at(reach.lowest).name);
    if (reach.targets != 0) fmt::print("; legal on {}", isa::least_text(reach.targets));
    fmt::print("\n");
}

// What is known of a form beside the table; of forms that were measured together, once.
void print_details(const std::vector<const isa::Form*>& forms) {
    int last = -1;
    for (const isa::Form* const form : forms) {
        fmt::print("\n  {}\n    legal on {}\n", form->spelled, isa::least_text(form->targets));
        if (form->version != 0) fmt::print("    needs {}\n", version_needs(form->version));
        if (form->snippet < 0) {
            fmt::print("    assembled for every target; its machine code was not looked into\n");
            continue;
        }
        const isa::Snippet& snippet = isa::snippets()[static_cast<size_t>(form->snippet)];
        fmt::print("    measured as {} ({})\n", snippet.name, snippet.group);
        if (form->snippet == last) continue;
        last = form->snippet;
        for (const isa::OnTargets& how : snippet.how)
            fmt::print("    {} on {}\n", how.text, isa::least_text(how.targets));
        for (const isa::OnTargets& sass : snippet.sass)
            fmt::print("    machine code {} on {}\n", sass.text, isa::least_text(sass.targets));
        for (const std::string& refusal : snippet.refusals) fmt::print("    elsewhere: {}\n", refusal);
        if (!snippet.note.empty()) fmt::print("    {}\n", snippet.note);
    }
}

void print_notes(const std::vector<const isa::Form*>& forms) {
    std::vector<const isa::Note*> notes;
    for (const isa::Form* const form : forms) {
        for (const isa::Note* const note : isa::notes_of(form->name)) {
            const bool is_said = std::ranges::any_of(notes, [&](const isa::Note* said) {
                return said->text.text == note->text.text && said->text.targets == note->text.targets;
            });
            if (!is_said) notes.push_back(note);
        }
    }
    if (!notes.empty()) fmt::print("\n");
    for (const isa::Note* const note : notes) {
        const bool is_of_all = note->text.targets == (isa::Mask{1} << isa::architectures().size()) - 1;
        fmt::print("  {}{} ({})\n", is_of_all ? "" : isa::least_text(note->text.targets) + ": ",
                   note->text.text, note->source);
    }
}

}  // namespace

void print_text(const std::string& path, const PtxText& text) {
    fmt::print("{}  .version {} .target {}: {} of {}\n", printable(path), isa::version_text(text.version),
               text.target.empty() ? "(none)" : text.target, count_of(text.num_instructions, "instruction"),
               count_of(text.uses.size(), "form"));
    if (!text.damage.empty()) fmt::print("  damaged: {}\n", printable(text.damage));
}

void print_verdict(const PtxText& text, const IsaTarget& target, size_t most) {
    const IsaVerdict verdict = judge_text(text, target);
    const isa::Architecture& built = architecture_at(verdict.architecture);
    const std::string name =
        target.name == built.name ? built.name : fmt::format("{} ({})", target.name, built.name);
    if (verdict.is_good()) {
        fmt::print("{}: legal, loads as it stands\n", name);
    } else if (verdict.illegal.empty()) {
        fmt::print("{}: its instructions are legal, but it does not load as it stands: {}\n", name,
                   printable(verdict.why_not_as_it_stands));
    } else {
        fmt::print("{}: not legal: {} of {}\n", name, verdict.illegal.size(),
                   count_of(text.uses.size(), "form"));
    }
    for (size_t i = 0; i < std::min(most, verdict.illegal.size()); ++i) {
        const JudgedUse& judged = verdict.illegal[i];
        print_use(judged);
        fmt::print("{:22}needs {}\n", "", isa::least_text(judged.form->targets, "a newer ptxas than 13.0"));
        print_notes_of(*judged.form, verdict.architecture);
    }
    print_left_out(std::min(most, verdict.illegal.size()), verdict.illegal.size());
    if (verdict.slow.empty()) {
        fmt::print("  slow         none of {}\n", count_of(verdict.num_legal, "form"));
    } else {
        fmt::print("  slow         {} of {}\n", verdict.slow.size(), count_of(verdict.num_legal, "form"));
    }
    for (size_t i = 0; i < std::min(most, verdict.slow.size()); ++i) {
        const JudgedUse& judged = verdict.slow[i];
        print_use(judged);
        fmt::print("{:22}{}\n", "", isa::code_text(*judged.form, verdict.architecture));
        print_notes_of(*judged.form, verdict.architecture);
    }
    print_left_out(std::min(most, verdict.slow.size()), verdict.slow.size());
    if (!verdict.unmeasured.empty()) fmt::print("  not measured, so nothing is said of\n");
    for (size_t i = 0; i < std::min(most, verdict.unmeasured.size()); ++i) print_use(verdict.unmeasured[i]);
    print_left_out(std::min(most, verdict.unmeasured.size()), verdict.unmeasured.size());
    print_reach(text);
    if (verdict.illegal.empty()) print_build(verdict, text);
}

void print_classes(const PtxText& text, bool all) {
    size_t num_alike = 0, num_unknown = 0, shown = 0;
    print_class_heads();
    for (const FormUse& use : text.uses) {
        const isa::Form* const form = isa::find_form(use.form);
        if (form == nullptr) {
            ++num_unknown;
            fmt::print("     ?  {} (not measured; line {})\n", printable(use.spelled), use.line);
            continue;
        }
        const std::vector<ClassWay> ways = ways_by_class(*form);
        const bool is_alike = std::ranges::all_of(ways, [](const ClassWay& way) {
            return way.way != isa::Way::illegal && !isa::is_slow(way.way) &&
                   architecture_at(way.architecture).suffix == 0;
        });
        num_alike += is_alike ? 1 : 0;
        if (is_alike && !all) continue;
        if (++shown > kMostRows && !all) continue;
        print_row(use.spelled, form->version, cells_of(ways));
    }
    if (shown > kMostRows && !all) fmt::print("  and {} more (--all)\n", shown - kMostRows);
    if (!all && num_alike != 0)
        fmt::print("  {} that every GPU has, none of them known to be slow\n",
                   count_of(num_alike, "other form"));
    const IsaReach reach = reach_of(text);
    std::vector<std::string> cells;
    for (const IsaTarget& one : all_classes()) {
        std::string cell = ".";
        for (const int architecture : one.architectures) {
            if (cell != "." || (reach.targets >> architecture & 1u) == 0) continue;
            const char suffix = architecture_at(architecture).suffix;
            cell = "ok" + (suffix == 0 ? std::string() : std::string(1, suffix));
        }
        cells.push_back(std::move(cell));
    }
    print_row(num_unknown == 0 ? "the text" : "the text, as far as measured", reach.version, cells);
    print_legend();
    for (const JudgedUse& judged : reach.refused_by_itself) {
        fmt::print("  line {}: refused as it stands, .target {} .version {}: needs {}, PTX {}\n    {}\n",
                   judged.use->line, text.target, isa::version_text(text.version),
                   isa::least_text(judged.form->targets), isa::version_text(judged.form->version),
                   printable(judged.use->text));
    }
    print_reach(text);
    if (reach.version != 0) fmt::print("  needs        {}\n", version_needs(reach.version));
}

void print_forms(const std::vector<const isa::Form*>& forms, bool all) {
    const std::string_view opcode =
        std::string_view(forms.front()->spelled).substr(0, forms.front()->spelled.find_first_of("./"));
    if (const std::string_view text = isa::family_text(opcode); !text.empty())
        fmt::print("{}: {}\n", opcode, text);
    print_class_heads();
    if (all || forms.size() <= kMostRows) {
        for (const isa::Form* const form : forms)
            print_row(form->spelled, form->version, cells_of(ways_by_class(*form)));
    } else {
        const std::vector<FormGroup> groups = group_forms(forms);
        for (size_t i = 0; i < std::min(kMostRows, groups.size()); ++i) {
            const FormGroup& group = groups[i];
            std::string name = group.forms.front()->spelled;
            if (group.forms.size() > 1) name += fmt::format(" and {} like it", group.forms.size() - 1);
            print_row(name, group.version, cells_of(group.ways));
        }
        fmt::print("  {} in {} (--all lists them)\n", count_of(forms.size(), "form"),
                   count_of(groups.size(), "group"));
    }
    print_legend();
    constexpr size_t kMostDetailed = 4;
    if (forms.size() <= kMostDetailed) print_details(forms);
    print_notes(forms);
}

void print_families() {
    fmt::print("  {:<22} {:>6}  PTX  first     what\n", "opcode", "forms");
    for (const Family& family : families()) {
        std::string first = "-";
        for (const IsaTarget& one : all_classes()) {
            for (const int architecture : one.architectures) {
                if (first == "-" && (family.targets >> architecture & 1u) != 0)
                    first = architecture_at(architecture).name;
            }
        }
        fmt::print("  {:<22} {:>6}  {}  {:<8}  {}\n", family.opcode, family.num_forms,
                   family.version == 0 ? "-  " : isa::version_text(family.version), first, family.text);
    }
}

}  // namespace warpwright::cli
