// SPDX-License-Identifier: Apache-2.0
// Plans as one page: the tables of plan_table.h, bars of memory and time, and every layer's rows. It is
// well-formed XML, so that anything can read it, and fetches nothing. Bars are SVG whose widths are
// percentages, labels are text beside them: both fit any screen.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "engine/plan_format.h"
#include "engine/plan_style.h"
#include "engine/plan_table.h"

namespace warpwright {
namespace {

constexpr std::array<std::string_view, 7> kKindOrder = {
    "products", "attention", "norms", "element-wise", "sampling", "other", "between GPUs"};

// Text inside elements and quoted attributes. Control characters, which XML has no way to write, are left
// out.
std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '"': out += "&quot;"; break;
            case '\'': out += "&#39;"; break;
            default:
                if (static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t') out += c;
        }
    }
    return out;
}

// ---- Tables.

// A table that scrolls by itself where it is wider than the screen, up to its head; its title stands above.
std::string table_begin(const std::string& title, const std::string& id) {
    return fmt::format(
        "<p class=\"quiet\" id=\"{0}\">{1}</p>\n<div class=\"scroll\" role=\"region\" tabindex=\"0\" "
        "aria-labelledby=\"{0}\">\n<table aria-labelledby=\"{0}\">\n<thead><tr>",
        id, escaped(title));
}

std::string table_html(const PlanTable& table, const std::string& id) {
    std::string html = table_begin(table.title, id);
    for (const TableColumn& column : table.columns) {
        html += fmt::format(
            "<th scope=\"col\"{}>{}{}</th>", column.number ? " class=\"number\"" : "", escaped(column.head),
            column.unit.empty() ? "" : fmt::format(" <small>{}</small>", escaped(column.unit)));
    }
    html += "</tr></thead>\n<tbody>\n";
    for (const auto& row : table.rows) {
        const bool refused = std::find(row.begin(), row.end(), "no") != row.end();
        html += refused ? "<tr class=\"no\">" : "<tr>";
        for (std::size_t i = 0; i < row.size(); ++i) {
            const char* name = i == 0 ? "th scope=\"row\"" : "td";
            html += fmt::format("<{}{}>{}</{}>", name, table.columns[i].number ? " class=\"number\"" : "",
                                escaped(row[i]), i == 0 ? "th" : "td");
        }
        html += "</tr>\n";
    }
    html += "</tbody>\n</table>\n</div>\n";
    if (!table.reasons.empty()) {
        html += "<ul class=\"reasons\">\n";
        for (const std::string& reason : table.reasons) html += fmt::format("<li>{}</li>\n", escaped(reason));
        html += "</ul>\n";
    }
    return html;
}

// ---- Bars.

struct Part {
    std::string name, text;  // "weights", "15.0 GiB"
    std::string style;       // a class of the style sheet
    double value = 0;
};

struct Bar {
    std::string label, value;
    std::vector<Part> parts;
    double limit = 0;  // where a line is drawn; 0: none
    bool bad = false;
};

std::string bar_html(const Bar& bar, double scale) {
    std::string said = bar.label + ": ", rects;
    double at = 0;
    for (const Part& part : bar.parts) {
        const std::string text = escaped(part.name + " " + part.text);
        rects += fmt::format(
            "<rect class=\"{}\" x=\"{:.3f}%\" y=\"0\" width=\"{:.3f}%\" "
            "height=\"100%\"><title>{}</title></rect>",
            part.style, 100 * at / scale, 100 * part.value / scale, text);
        at += part.value;
        said += part.name + " " + part.text + (&part == &bar.parts.back() ? "" : ", ");
    }
    if (bar.limit > 0) {
        if (at > bar.limit) {
            rects += fmt::format(
                "<rect class=\"over\" x=\"{:.3f}%\" y=\"0\" width=\"{:.3f}%\" height=\"100%\"></rect>",
                100 * bar.limit / scale, 100 * (at - bar.limit) / scale);
        }
        rects +=
            fmt::format("<line class=\"limit\" x1=\"{0:.3f}%\" x2=\"{0:.3f}%\" y1=\"0\" y2=\"100%\"></line>",
                        std::min(99.8, 100 * bar.limit / scale));
    }
    return fmt::format(
        "<div class=\"item\"><span class=\"label\">{}</span>\n<svg class=\"bar\" role=\"img\" "
        "aria-label=\"{}\">{}</svg>\n"
        "<span class=\"value{}\">{}</span></div>\n",
        escaped(bar.label), escaped(said), rects, bar.bad ? " bad" : "", escaped(bar.value));
}

std::string figure_html(const std::string& heading, const std::string& caption, const std::vector<Bar>& bars,
                        bool own_scale) {
    double scale = 0;
    std::vector<std::pair<std::string, std::string>> legend;  // name, style
    for (const Bar& bar : bars) {
        double sum = 0;
        for (const Part& part : bar.parts) {
            sum += part.value;
            const std::pair entry{part.name, part.style};
            if (std::find(legend.begin(), legend.end(), entry) == legend.end()) legend.push_back(entry);
        }
        scale = std::max({scale, sum, bar.limit});
    }
    std::sort(legend.begin(), legend.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    std::string html = fmt::format("<section>\n<h2>{}</h2>\n<figure>\n<ul class=\"legend\">", heading);
    for (const auto& [name, style] : legend)
        html += fmt::format("<li><i class=\"{}\"></i>{}</li>", style, escaped(name));
    html += "</ul>\n<div class=\"bars\">\n";
    for (const Bar& bar : bars) {
        double sum = 0;
        for (const Part& part : bar.parts) sum += part.value;
        html += bar_html(bar, own_scale ? sum : scale);
    }
    return html + fmt::format("</div>\n<figcaption>{}</figcaption>\n</figure>\n</section>\n", caption);
}

struct Labelled {
    std::string label;
    const Plan* plan;
};

std::string memory_html(const std::vector<Labelled>& plans) {
    std::vector<Bar> bars;
    for (const auto& [label, plan] : plans) {
        Bar bar{.label = label, .limit = static_cast<double>(plan->capacity_bytes), .bad = !plan->fits};
        const auto add = [&](const char* name, const char* style, i64 bytes) {
            if (bytes > 0) bar.parts.push_back({name, bytes_text(bytes), style, static_cast<double>(bytes)});
        };
        add("weights", "c0", plan->weight_bytes);
        add("cache", "c1", plan->kv_bytes());
        add("workspace", "c3", plan->workspace_bytes);
        add("free", "free", plan->free_bytes());
        bar.value = plan->fits ? bytes_text(plan->free_bytes()) + " free"
                               : bytes_text(-plan->free_bytes()) + " too much";
        bars.push_back(std::move(bar));
    }
    return figure_html("Memory per GPU",
                       "The line is the memory that can be used: what the GPU has, less what "
                       "driver and context take.",
                       bars, false);
}

std::string time_html(const std::vector<Labelled>& plans, bool prefill) {
    std::vector<Bar> bars;
    double least_us = 0, most_us = 0;
    for (const auto& [label, plan] : plans) {
        const PlannedPhase& phase = prefill ? plan->prefill : plan->decode;
        const double us = phase.total_us();
        if (us <= 0) continue;
        least_us = bars.empty() ? us : std::min(least_us, us);
        most_us = std::max(most_us, us);
        Bar bar{.label = label, .value = time_text(us)};
        if (!plan->runs()) bar.value += plan->fits ? " (cannot run)" : " (if it fitted)";
        for (const TimePart& part : phase.kinds) {
            const auto kind = std::find(kKindOrder.begin(), kKindOrder.end(), part.name);
            bar.parts.push_back({part.name,
                                 fmt::format("{}, {}", time_text(part.us), percent_text(part.us, us)),
                                 fmt::format("c{}", kind - kKindOrder.begin()), part.us});
        }
        bars.push_back(std::move(bar));
    }
    constexpr double kMostRatio = 12;  // beyond it the short bars say nothing
    const bool own_scale = most_us > kMostRatio * least_us;
    const Plan& first = *plans.front().plan;
    const std::string heading =
        prefill ? "Time to the first token, by kind of layer" : "A decode step, by kind of layer";
    const bool one_prompt = std::all_of(plans.begin(), plans.end(), [&](const Labelled& p) {
        return p.plan->prompt_tokens == first.prompt_tokens;
    });
    std::string caption =
        prefill && one_prompt
            ? fmt::format("A prompt of {} tokens is read. ", tokens_text(first.prompt_tokens))
        : prefill ? "A prompt is read, of half the context where no other length was asked. "
                  : "One more token for every sequence of the batch. ";
    caption += own_scale ? "The bars show shares: their times are too far apart for one scale." : "";
    return figure_html(heading, caption, bars, own_scale);
}

// ---- Layers.

std::string choice_html(const Candidate* choice) {
    if (choice == nullptr) return "<td class=\"number\">-</td><td>no row</td>";
    return fmt::format("<td class=\"number\">{:.1f}</td><td>{}</td>", choice->prediction.us,
                       escaped(choice->prediction.bound));
}

// The row of prefill, and decode's where it is another.
std::string rows_html(const Candidate* prefill, const Candidate* decode) {
    std::string html = prefill == nullptr ? "-" : escaped(prefill->row);
    if (decode != nullptr && (prefill == nullptr || prefill->row != decode->row))
        html += "<br />" + escaped(decode->row);
    return html;
}

std::string layers_html(const Labelled& labelled, const std::string& id, bool open) {
    const Plan& plan = *labelled.plan;
    std::string html = fmt::format(
        "<details{}>\n<summary>{} <span>bound by {} in prefill, {} in decode</span></summary>\n",
        open ? " open=\"open\"" : "", escaped(labelled.label), plan.prefill.binds(), plan.decode.binds());
    html += table_begin(
        "The time of one layer of each form, and the row that runs it (a second one: decode's)", id);
    html += "<th scope=\"col\">layer</th><th scope=\"col\" class=\"number\">times</th>";
    for (const char* phase : {"prefill", "decode"}) {
        html += fmt::format(
            "<th scope=\"col\" class=\"number\">{} <small>us</small></th><th scope=\"col\">bound by</th>",
            phase);
    }
    html += "<th scope=\"col\">row</th></tr></thead>\n<tbody>\n";
    for (const PlannedLayer& layer : plan.layers) {
        const Candidate *prefill = layer.prefill.choice(), *decode = layer.decode.choice();
        html += fmt::format(
            "<tr><th scope=\"row\" title=\"{}\">{}</th><td class=\"number\">{}</td>{}{}<td "
            "class=\"row\">{}</td>"
            "</tr>\n",
            escaped(layer.name), escaped(short_layer_name(layer.name)), layer.count(), choice_html(prefill),
            choice_html(decode), rows_html(prefill, decode));
    }
    html += "</tbody>\n</table>\n</div>\n";
    for (const std::string& note : plan.weight_notes)
        html += fmt::format("<p class=\"quiet\">{}</p>\n", escaped(note));
    if (!plan.kv_note.empty()) html += fmt::format("<p class=\"quiet\">{}</p>\n", escaped(plan.kv_note));
    if (!plan.missing.empty())
        html += fmt::format("<p class=\"bad\">cannot run: {}</p>\n", escaped(plan.missing));
    if (!plan.unsure.empty()) {
        html += fmt::format("<p class=\"quiet\">figures of {} from a weak source: {}</p>\n",
                            escaped(plan.gpu), escaped(fmt::format("{}", fmt::join(plan.unsure, ", "))));
    }
    return html + "</details>\n";
}

std::vector<Labelled> labelled_plans(std::span<const PlanPoint> points) {
    const Varied varied = what_varies(points);
    std::vector<Labelled> plans;
    for (const PlanPoint& point : points) {
        if (point.plan) plans.push_back({point_text(point, varied), &*point.plan});
    }
    return plans;
}

}  // namespace

std::string to_html(std::span<const PlanPoint> points) {
    const std::vector<Labelled> plans = labelled_plans(points);
    const std::string name = plans.empty() ? "no plan" : escaped(plans.front().plan->model);
    std::string html = fmt::format(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n"
        "<title>{0}: plan</title>\n<style>{1}</style>\n</head>\n<body>\n<main>\n<h1>{0}</h1>\n",
        name, kPlanStyle);
    if (!plans.empty()) {
        const Plan& plan = *plans.front().plan;
        html += fmt::format("<p class=\"quiet\">{}, {} parameters, {} layers; {}</p>\n",
                            escaped(plan.architecture), parameters_text(plan.parameters), plan.num_layers,
                            escaped(plan.parallelism_reason));
    }
    html += "<section>\n<h2>Where it runs, and how fast</h2>\n";
    const std::vector<PlanTable> tables = plan_tables(points);
    for (std::size_t i = 0; i < tables.size(); ++i) html += table_html(tables[i], fmt::format("table-{}", i));
    html +=
        "<p class=\"quiet\">Memory is per GPU. First token: the time to read one prompt. Tokens/s: all "
        "sequences "
        "together. Times are modelled, not measured.</p>\n</section>\n";
    if (!plans.empty()) {
        html += memory_html(plans) + time_html(plans, true) + time_html(plans, false);
        html += "<section>\n<h2>Layers and their kernels</h2>\n";
        for (std::size_t i = 0; i < plans.size(); ++i)
            html += layers_html(plans[i], fmt::format("layers-{}", i), plans.size() == 1);
        html += "</section>\n";
    }
    return html + "<footer>warpwright plan</footer>\n</main>\n</body>\n</html>\n";
}

}  // namespace warpwright
