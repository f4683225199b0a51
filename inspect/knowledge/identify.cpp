// SPDX-License-Identifier: Apache-2.0
#include "inspect/knowledge/identify.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_set>

#include "dispatch/operation.h"
#include "image/compile.h"
#include "inspect/container/elf.h"
#include "inspect/knowledge/fingerprints.h"
#include "inspect/knowledge/template_arch.h"

namespace warpwright::inspect {
namespace {

constexpr std::size_t kLongestShown = 100;

std::string shown(std::string_view text) {
    if (text.size() <= kLongestShown) return std::string(text);
    return std::string(text.substr(0, kLongestShown)) + "...";
}

// Strings of the list of fingerprints in a file, but for those of such a list itself.
template <class Found>
void find_strings(std::string_view text, Found&& found) {
    // A list without an end, of a file that was cut, hides no more than this.
    constexpr std::size_t kLongestList = 256 * 1024;
    const Fingerprints& known = fingerprints();
    const std::size_t begin = known.libraries.size() + kNumRuntimeCodes;
    std::size_t hidden_until = 0;
    known.strings.set.scan(text, [&](u32 pattern, std::size_t at) {
        const u32 owner = known.strings.owner[pattern];
        if (owner == begin) {
            hidden_until = at + kLongestList;
        } else if (owner == begin + 1) {
            hidden_until = 0;
        } else if (at >= hidden_until) {
            found(pattern, at, owner);
        }
    });
}

// "2.28.9+cuda13.0" at the beginning of the text; empty where no version begins there.
std::string version_at(std::string_view text) {
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    std::size_t end = 0;
    while (end < text.size() && end < 40 &&
           (is_digit(text[end]) || std::isalpha(static_cast<unsigned char>(text[end])) || text[end] == '.' ||
            text[end] == '+' || text[end] == '-'))
        ++end;
    const std::string_view version = text.substr(0, end);
    const std::size_t dot = version.find('.');
    const bool is_version = dot != std::string_view::npos && dot > 0 && is_digit(version[0]) &&
                            dot + 1 < version.size() && is_digit(version[dot + 1]);
    return is_version ? std::string(version) : std::string();
}

// The parts of a file that are no device code, which is most of a file and looked at by its kernels' names.
std::vector<std::pair<u64, u64>> host_parts(const FileReport& report, u64 size) {
    std::vector<std::pair<u64, u64>> images, parts;
    for (const Image& image : report.images) images.emplace_back(image.offset, image.stored_bytes);
    std::sort(images.begin(), images.end());
    u64 at = 0;
    for (const auto& [offset, bytes] : images) {
        const u64 begin = std::min(offset, size);
        if (begin > at) parts.emplace_back(at, begin - at);
        at = std::max(at, begin + std::min(bytes, size - begin));
    }
    if (at < size) parts.emplace_back(at, size - at);
    return parts;
}

// Entries of our own kernels are named after their rows.
bool is_our_kernel(const std::string& name) {
    static const std::unordered_set<std::string> names = [] {
        std::unordered_set<std::string> entries;
        for (const Operation* operation : operations()) {
            for (int row = 0; row < operation->num_rows(); ++row)
                entries.insert(entry_name(operation->row_name(row)));
        }
        return entries;
    }();
    return names.contains(name);
}

struct Finding {
    std::string version;
    std::size_t num_kernels = 0;
    std::string first_kernel;
    std::set<int> templates;
    std::vector<std::string> evidence;
    std::set<u32> strings;  // patterns seen
    bool found = false;
};

class Identifier {
public:
    explicit Identifier(FileReport& report) : report_(report), findings_(known_.libraries.size()) {}

    void look_at_path() {
        for (std::size_t i = 0; i < known_.libraries.size(); ++i) {
            for (const std::string& glob : known_.libraries[i].files) {
                if (!path_matches(report_.path, glob)) continue;
                findings_[i].found = true;
                findings_[i].evidence.push_back(fmt::format("file name {}", glob));
                break;
            }
        }
    }

    void look_at_kernels() {
        std::unordered_set<std::string_view> seen;
        std::vector<bool> counted(findings_.size());
        for (const Image& image : report_.images) {
            for (const Kernel& kernel : image.kernels) {
                if (!seen.insert(kernel.name).second) continue;
                counted.assign(counted.size(), false);
                if (is_our_kernel(kernel.name)) note_kernel(ours_, kernel);
                known_.kernels.set.scan(kernel.name, [&](u32 pattern, std::size_t offset) {
                    const u32 owner = known_.kernels.owner[pattern];
                    if ((known_.kernels.anchored[pattern] && offset != 0) || counted[owner]) return;
                    counted[owner] = true;
                    note_kernel(owner, kernel);
                });
            }
        }
    }

    void look_at_strings(Bytes file) {
        const HostSections sections(file);
        std::set<std::string> calls;
        // A pattern may lie across the end of a part only where device code cuts it: not a string then.
        for (const auto& [offset, size] : host_parts(report_, file.size())) {
            const u64 begin = offset;
            const std::string_view part = as_text(file.subspan(offset, size));
            find_strings(part, [&](u32 pattern, std::size_t at, std::size_t owner) {
                if (owner < findings_.size())
                    return note_string(part, pattern, at, sections.name_at(begin + at));
                const auto code = static_cast<RuntimeCode>(owner - findings_.size());
                if (code == RuntimeCode::loader && sections.name_at(begin + at) != ".dynstr") return;
                report_.runtime_code = true;
                report_.links_ltoir |= code == RuntimeCode::linker;
                calls.insert(known_.strings.set.patterns()[pattern]);
            });
        }
        std::string listed;
        for (const std::string& call : calls) listed += (listed.empty() ? "" : ", ") + call;
        if (!listed.empty()) report_.notes.push_back("makes or loads device code at run time: " + listed);
    }

    std::vector<Library> libraries() {
        std::vector<Library> list;
        for (std::size_t i = 0; i < findings_.size(); ++i) {
            Finding& finding = findings_[i];
            if (!finding.found) continue;
            Library library{.id = known_.libraries[i].id,
                            .name = known_.libraries[i].name,
                            .version = finding.version,
                            .detail = detail(finding),
                            .evidence = std::move(finding.evidence)};
            if (finding.num_kernels > 0)
                library.evidence.push_back(
                    fmt::format("{} kernel{}: {}{}", finding.num_kernels, finding.num_kernels == 1 ? "" : "s",
                                shown(finding.first_kernel), finding.num_kernels == 1 ? "" : " and others"));
            list.push_back(std::move(library));
        }
        return list;
    }

private:
    void note_kernel(std::size_t owner, const Kernel& kernel) {
        Finding& finding = findings_[owner];
        finding.found = true;
        if (finding.num_kernels++ == 0) finding.first_kernel = kernel.name;
        if (!known_.libraries[owner].templates) return;
        if (const int sm = template_architecture(kernel.name)) finding.templates.insert(sm);
    }

    void note_string(std::string_view part, u32 pattern, std::size_t at, const std::string& section) {
        Finding& finding = findings_[known_.strings.owner[pattern]];
        if (finding.strings.contains(pattern)) return;
        std::string text = known_.strings.set.patterns()[pattern];
        if (known_.strings.versioned[pattern]) {
            const std::string version =
                version_at(part.substr(at + known_.strings.set.patterns()[pattern].size()));
            if (version.empty()) return;
            finding.version = version;
            text += version;
        }
        finding.strings.insert(pattern);
        finding.found = true;
        const bool is_symbol = section == ".dynstr" || section == ".strtab";
        finding.evidence.push_back(fmt::format("{} \"{}\"", is_symbol ? "symbol" : "string", text));
    }

    static std::string detail(const Finding& finding) {
        std::string text;
        for (const int sm : finding.templates) text += fmt::format("{}sm{}", text.empty() ? "" : ", ", sm);
        return text.empty() ? text : "templates of " + text;
    }

    const Fingerprints& known_ = fingerprints();
    FileReport& report_;
    const std::size_t ours_ = static_cast<std::size_t>(known_.find("warpwright") - known_.libraries.data());
    std::vector<Finding> findings_;
};

}  // namespace

void identify(FileReport& report, Bytes file) {
    Identifier identifier(report);
    identifier.look_at_path();
    identifier.look_at_kernels();
    identifier.look_at_strings(file);
    report.libraries = identifier.libraries();
}

bool headers_only(std::string_view path, Bytes file) {
    const Fingerprints& known = fingerprints();
    for (const Fingerprint& library : known.libraries) {
        if (!library.headers_only) continue;
        for (const std::string& glob : library.files) {
            if (path_matches(path, glob)) return true;
        }
    }
    bool found = false;
    const auto look_at = [&](Bytes part) {
        find_strings(as_text(part), [&](u32, std::size_t, std::size_t owner) {
            found |= owner < known.libraries.size() && known.libraries[owner].headers_only;
        });
    };
    const HostSections sections(file);
    const std::vector<std::pair<u64, u64>> ranges = sections.ranges();
    if (ranges.empty()) look_at(file);
    for (const auto& [begin, end] : ranges) {
        const std::string name = sections.name_at(begin);
        if (name != ".nv_fatbin" && name != "__nv_relfatbin" && !found)
            look_at(file.subspan(begin, end - begin));
    }
    return found;
}

}  // namespace warpwright::inspect
