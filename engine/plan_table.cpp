// SPDX-License-Identifier: Apache-2.0
#include "engine/plan_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "engine/plan_format.h"

namespace warpwright {
namespace {

struct Column {
    TableColumn column;
    std::function<std::string(const PlanPoint&)> cell;
};

// Of a plan; "-" where there is none, or where its figure has no meaning since it does not run.
Column of_plan(TableColumn column, std::string (*text)(const Plan&)) {
    return {std::move(column), [=](const PlanPoint& point) { return point.plan ? text(*point.plan) : "-"; }};
}
Column of_running(TableColumn column, std::string (*text)(const Plan&)) {
    return {std::move(column),
            [=](const PlanPoint& point) { return point.runs() ? text(*point.plan) : "-"; }};
}

std::string runs_text(const PlanPoint& point) {
    return point.runs() ? "yes" : "no";
}

std::string binds_text(const Plan& plan) {
    const std::string prefill = short_limit(plan.prefill.binds()), decode = short_limit(plan.decode.binds());
    return prefill == decode ? prefill : prefill + ", " + decode;
}

std::string possible_tokens_text(i64 tokens) {
    return tokens > 0 ? tokens_text(tokens) : "-";
}

// Lines differ in the GPU, the formats of weights and cache, or in context and batch.
std::vector<Column> columns(bool compares_gpus, const Varied& varied) {
    std::vector<Column> all;
    const bool varied_formats = varied.format || varied.kv_format;
    if (compares_gpus && (varied.gpu || !varied_formats))
        all.push_back({{"GPU", "", false}, [](const PlanPoint& point) { return point.gpu; }});
    if (varied.format) all.push_back({{"format", "", false}, format_text});
    if (varied.kv_format) all.push_back({{"cache", "in", false}, kv_format_text});
    if (!compares_gpus) {
        all.push_back({{"context", "tokens"}, [](const PlanPoint& point) {
                           return tokens_text(point.plan ? point.plan->context_tokens
                                                         : point.options.context_tokens);
                       }});
        all.push_back({{"batch", ""}, [](const PlanPoint& p) { return fmt::format("{}", p.options.batch); }});
    }
    all.push_back({{"runs", "", false}, runs_text});
    if (compares_gpus || varied.format)
        all.push_back(of_plan({"weights", "GiB"}, [](const Plan& p) { return gib_text(p.weight_bytes); }));
    all.push_back(of_plan({"cache", "GiB"}, [](const Plan& p) { return gib_text(p.kv_bytes()); }));
    all.push_back(of_plan({"free", "GiB"}, [](const Plan& p) { return gib_text(p.free_bytes()); }));
    if (compares_gpus) {
        all.push_back(of_plan({"longest", "context"},
                              [](const Plan& p) { return possible_tokens_text(p.max_context_tokens); }));
    } else {
        all.push_back(of_plan({"largest", "batch"}, [](const Plan& p) {
            return p.max_batch > 0 ? fmt::format("{}", p.max_batch) : "-";
        }));
    }
    all.push_back(
        of_running({"first", "token"}, [](const Plan& p) { return time_text(p.prefill.total_us()); }));
    all.push_back(
        of_running({"decode", "tokens/s"}, [](const Plan& p) { return rate_text(p.decode_tokens_per_s()); }));
    all.push_back(of_running({"bound by", "prefill, decode", false}, binds_text));
    return all;
}

std::string title(std::span<const PlanPoint> points, bool compares_gpus, const Varied& varied) {
    const auto planned = std::find_if(points.begin(), points.end(), [](const auto& p) { return p.plan; });
    const PlanPoint& point = planned == points.end() ? points.front() : *planned;
    std::string text = point.plan ? fmt::format("{}, {} parameters", point.plan->model,
                                                parameters_text(point.plan->parameters))
                                  : "";
    if (point.options.num_gpus > 1) text += fmt::format(", on {} GPUs", point.options.num_gpus);
    if (!point.options.format.empty() && !varied.format)
        text += fmt::format(", weights in {}", point.options.format);
    if (!compares_gpus) return fmt::format("{}, {}", text, point.gpu);
    if (!point.options.kv_format.empty() && !varied.kv_format && point.plan)
        text += fmt::format(", cache in {}", point.plan->kv_format);
    if (!varied.gpu && (varied.format || varied.kv_format)) text += ", " + point.gpu;
    text += fmt::format(", batch {}", point.options.batch);
    return point.plan
               ? fmt::format("{}, context {}, prompt {}", text, tokens_text(point.plan->context_tokens),
                             tokens_text(point.plan->prompt_tokens))
               : text;
}

PlanTable table_of(std::span<const PlanPoint> points, bool compares_gpus) {
    const Varied varied = what_varies(points);
    PlanTable table{.title = title(points, compares_gpus, varied)};
    const std::vector<Column> all = columns(compares_gpus, varied);
    for (const Column& column : all) table.columns.push_back(column.column);
    for (const PlanPoint& point : points) {
        std::vector<std::string> row;
        for (const Column& column : all) row.push_back(column.cell(point));
        table.rows.push_back(std::move(row));
        if (!point.runs()) {
            table.reasons.push_back(fmt::format("{}: {}", point_text(point, varied), refusal_text(point)));
        }
    }
    return table;
}

std::string cells_text(const PlanTable& table, const std::vector<std::size_t>& widths,
                       const std::function<std::string(std::size_t)>& cell) {
    std::string line = " ";
    for (std::size_t i = 0; i < widths.size(); ++i) {
        line += table.columns[i].number ? fmt::format(" {:>{}} ", cell(i), widths[i])
                                        : fmt::format(" {:<{}} ", cell(i), widths[i]);
    }
    return line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
}

std::string table_text(const PlanTable& table) {
    std::vector<std::size_t> widths;
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
        std::size_t width = std::max(table.columns[i].head.size(), table.columns[i].unit.size());
        for (const auto& row : table.rows) width = std::max(width, row[i].size());
        widths.push_back(width);
    }
    std::string text = table.title + '\n';
    text += cells_text(table, widths, [&](std::size_t i) { return table.columns[i].head; });
    text += cells_text(table, widths, [&](std::size_t i) { return table.columns[i].unit; });
    for (const auto& row : table.rows)
        text += cells_text(table, widths, [&](std::size_t i) { return row[i]; });
    if (!table.reasons.empty()) text += "  why not\n";
    for (const std::string& reason : table.reasons) text += wrapped("    " + reason, 6) + '\n';
    return text;
}

}  // namespace

std::vector<PlanTable> plan_tables(std::span<const PlanPoint> points) {
    std::vector<PlanTable> tables;
    if (points.empty()) return tables;
    const Varied varied = what_varies(points);
    if (!varied.context && !varied.batch) return {table_of(points, true)};
    for (std::size_t begin = 0; begin < points.size();) {
        std::size_t end = begin;
        while (end < points.size() && points[end].gpu == points[begin].gpu) ++end;
        tables.push_back(table_of(points.subspan(begin, end - begin), false));
        begin = end;
    }
    return tables;
}

std::string to_text(std::span<const PlanPoint> points) {
    std::string text;
    for (const PlanTable& table : plan_tables(points)) text += table_text(table) + '\n';
    return text +
           "memory is per GPU; first token: the time to read one prompt; tokens/s: all sequences together\n"
           "times are modelled, not measured\n";
}

}  // namespace warpwright
