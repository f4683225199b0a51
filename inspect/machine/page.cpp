// SPDX-License-Identifier: Apache-2.0
#include "inspect/machine/page.h"

#include <fmt/format.h>

#include "device/advice.h"
#include "device/variables.h"
#include "inspect/page.h"
#include "inspect/text.h"

namespace warpwright::inspect {
namespace {

using Write = std::function<void(const std::string&)>;

const char* title_of_topic(std::string_view topic) {
    if (topic == "run") return "What runs here";
    if (topic == "build") return "Compilers";
    if (topic == "libraries") return "Libraries";
    if (topic == "parallelism") return "Parallelism";
    if (topic == "transport") return "Transport between GPUs";
    return "The system";
}

// Colours of the verdicts of a page of files: a recommendation is green, a warning yellow, "avoid" red.
const char* class_of_weight(std::string_view weight) {
    if (weight == "use") return "native";
    if (weight == "avoid") return "no";
    return weight == "check" ? "jit" : "quiet";
}

std::string link_to(const std::string& source) {
    if (!source.starts_with("https://")) return escape_html(source);
    return fmt::format("<a href=\"{0}\">{0}</a>", escape_html(source));
}

void write_advice(const Machine& machine, const Write& write) {
    std::string topic;
    for (const Advice& advice : advice_for(machine)) {
        const AdviceRule& rule = *advice.rule;
        if (rule.topic != topic) {
            write(topic.empty() ? "" : "</table></div>\n");
            topic = rule.topic;
            write(fmt::format("<h2>{}</h2>\n<div class=scroll><table>\n", title_of_topic(topic)));
        }
        write(fmt::format(
            "<tr class=advice id=\"{0}\"><td class={1}>{2}</td><td>{3}<details><summary class=quiet>"
            "rule {0}</summary><p>When: {4}</p>",
            escape_html(rule.id), class_of_weight(rule.weight), escape_html(rule.weight),
            escape_html(advice.text), escape_html(rule.when)));
        for (const std::string& source : rule.sources) write("<p class=name>" + link_to(source) + "</p>");
        write(fmt::format("<p class=quiet>read {}</p></details></td></tr>\n", escape_html(rule.date)));
    }
    if (!topic.empty()) write("</table></div>\n");
}

void write_row(const Write& write, std::initializer_list<std::string> cells) {
    write("<tr>");
    for (const std::string& cell : cells) write("<td>" + escape_html(cell) + "</td>");
    write("</tr>\n");
}

std::string told(const std::optional<bool>& value) {
    return !value ? "not told" : *value ? "yes" : "no";
}

std::string pcie_text(const PcieLink& link) {
    const auto one = [](int generation, int width) {
        if (generation == 0 || width == 0) return std::string("not told");
        return fmt::format("{}.0 x{}", generation, width);
    };
    return fmt::format("{} (at most {})", one(link.generation, link.width),
                       one(link.max_generation, link.max_width));
}

std::string nvlink_text(const GpuInfo& gpu) {
    if (!gpu.nvlink) return "not told";
    const NvLinks& links = *gpu.nvlink;
    return fmt::format("{} of {} links{}{}", links.active, links.active + links.inactive,
                       links.gb_s > 0 ? fmt::format(", {:.0f} GB/s", links.gb_s) : "",
                       links.to.empty() ? "" : " to " + links.to);
}

void write_gpus(const Machine& machine, const Write& write) {
    if (machine.gpus.empty()) return;
    write(
        "<h2>GPUs</h2>\n<div class=scroll><table><thead><tr><th>GPU<th>name<th>as<th>memory<th>shared per "
        "block<th>PCIe<th>NVLink<th>NUMA<th>IOMMU<th>ECC<th>MIG<th>power</tr></thead>\n");
    for (const GpuInfo& gpu : machine.gpus) {
        const TargetFacts& facts = gpu.target.facts;
        write_row(write, {gpu.id, gpu.name,
                          fmt::format("{}, {}.{}", gpu.target.id, facts.compute_capability / 10,
                                      facts.compute_capability % 10),
                          fmt::format("{:.1f} GiB", static_cast<double>(facts.memory_bytes) / (1 << 30)),
                          fmt::format("{} KiB", facts.shared_per_block_bytes / 1024), pcie_text(gpu.pcie),
                          nvlink_text(gpu), gpu.numa_node ? fmt::to_string(*gpu.numa_node) : "not told",
                          gpu.iommu.empty() ? "not told" : gpu.iommu, told(gpu.ecc), told(gpu.mig),
                          gpu.power_limit_w ? fmt::format("{:.0f} W", *gpu.power_limit_w) : "not told"});
    }
    write("</table></div>\n");
}

void write_peers(const Machine& machine, const Write& write) {
    if (machine.peers.empty()) return;
    const size_t count = machine.gpus.size();
    std::vector<const PeerPath*> paths(count * count);
    for (const PeerPath& path : machine.peers)
        paths[static_cast<size_t>(path.from) * count + static_cast<size_t>(path.to)] = &path;
    write("<h2>Paths between GPUs</h2>\n<div class=scroll><table class=matrix><thead><tr><th>from</th>");
    for (const GpuInfo& gpu : machine.gpus) write("<th scope=col>" + escape_html(gpu.id) + "</th>");
    write("</tr></thead>\n<tbody>\n");
    for (size_t from = 0; from < count; ++from) {
        write("<tr><th scope=row>" + escape_html(machine.gpus[from].id) + "</th>");
        for (size_t to = 0; to < count; ++to) {
            const PeerPath* path = paths[from * count + to];
            if (path == nullptr) {
                write("<td class=quiet>&ndash;</td>");
                continue;
            }
            const char* colour = path->link == "nvlink" ? "native" : path->access ? "jit" : "no";
            write(fmt::format("<td class={} title=\"{}\">{}<br><small>{}{}</small></td>", colour,
                              escape_html(path->status), path->access ? escape_html(path->link) : "no access",
                              path->native_atomics ? "atomics " : "", escape_html(path->distance)));
        }
        write("</tr>\n");
    }
    write("</tbody></table></div>\n");
}

void write_software(const Machine& machine, const Write& write) {
    write("<h2>Software</h2>\n<div class=scroll><table>\n");
    write_row(write,
              {"driver", machine.driver_release.empty() ? machine.cuda_problem : machine.driver_release,
               machine.driver_version.empty() ? "" : "CUDA " + machine.driver_version,
               machine.newest_ptx.empty() ? "" : "PTX up to " + machine.newest_ptx});
    for (const ToolkitInfo& toolkit : machine.toolkits)
        write_row(write, {"toolkit", toolkit.path, toolkit.version, toolkit.has_nvcc ? "nvcc" : "no nvcc"});
    for (const NvrtcInfo& nvrtc : machine.nvrtc)
        write_row(write,
                  {"NVRTC", nvrtc.path, fmt::format("{}.{}", nvrtc.major, nvrtc.minor), nvrtc.problem});
    for (const PackageInfo& package : machine.packages) {
        std::string verdicts;
        for (const PackageVerdict& verdict : package.verdicts)
            verdicts += fmt::format("{}{} on {}", verdicts.empty() ? "" : ", ", verdict.runs, verdict.target);
        write_row(write, {"package", package.name, package.version, verdicts});
    }
    for (const SetVariable& set : machine.variables) {
        const KnownVariable* known = find_variable(set.name);
        write_row(write, {"variable", set.name, set.value, known == nullptr ? "" : known->does});
    }
    write("</table></div>\n");
}

void write_host(const Machine& machine, const Write& write) {
    const auto gib = [](i64 bytes) { return static_cast<double>(bytes) / (1 << 30); };
    write(fmt::format("<p>{}, {} cores, {:.1f} GiB, {}{}{}</p>\n", escape_html(machine.host.model),
                      machine.host.num_cores, gib(machine.host.memory_bytes), escape_html(machine.host.simd),
                      machine.system.product.empty() ? "" : "; " + escape_html(machine.system.product),
                      machine.system.kernel.empty() ? "" : "; Linux " + escape_html(machine.system.kernel)));
    if (machine.origin != "probed" && !machine.origin.empty())
        write("<p class=quiet>Not this machine: " + escape_html(machine.origin) + "</p>\n");
}

}  // namespace

void write_machine_page(const Machine& machine, const std::string& made_by, const Write& write) {
    std::string title = machine.gpus.empty() ? "no GPU" : machine.gpus[0].target.name;
    if (title.empty()) title = machine.gpus[0].name;
    if (machine.gpus.size() > 1) title = fmt::format("{} x {}", machine.gpus.size(), title);
    write(page_begin(title + ": what follows from this machine", made_by));
    write_host(machine, write);
    write_advice(machine, write);
    write_gpus(machine, write);
    write_peers(machine, write);
    write_software(machine, write);
    write("</body></html>\n");  // no files to filter, so no script
}

}  // namespace warpwright::inspect
