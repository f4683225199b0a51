// SPDX-License-Identifier: Apache-2.0
#include "engine/plan_format.h"

#include <fmt/format.h>

namespace warpwright {

std::string bytes_text(i64 bytes) {
    const auto value = static_cast<double>(bytes);
    if (value >= 1e8) return fmt::format("{:.1f} GiB", value / (1 << 30));
    if (value >= 1e6) return fmt::format("{:.1f} MiB", value / (1 << 20));
    return fmt::format("{:.1f} KiB", value / (1 << 10));
}

std::string gib_text(i64 bytes) {
    return fmt::format("{:.1f}", static_cast<double>(bytes) / (1 << 30));
}

std::string time_text(double us) {
    if (us >= 9.995e5) return fmt::format("{:.2f} s", us * 1e-6);
    if (us >= 9.995e4) return fmt::format("{:.0f} ms", us * 1e-3);
    if (us >= 9.995e3) return fmt::format("{:.1f} ms", us * 1e-3);
    if (us >= 999.5) return fmt::format("{:.2f} ms", us * 1e-3);
    if (us >= 99.95) return fmt::format("{:.0f} us", us);
    return fmt::format("{:.1f} us", us);
}

std::string rate_text(double per_second) {
    return per_second >= 99.95 ? fmt::format("{:.0f}", per_second) : fmt::format("{:.1f}", per_second);
}

std::string tokens_text(i64 tokens) {
    return tokens >= 1024 && tokens % 1024 == 0 ? fmt::format("{}k", tokens / 1024)
                                                : fmt::format("{}", tokens);
}

std::string parameters_text(i64 parameters) {
    const auto value = static_cast<double>(parameters);
    return value >= 1e12  ? fmt::format("{:.3g} trillion", value * 1e-12)
           : value >= 1e9 ? fmt::format("{:.3g} billion", value * 1e-9)
                          : fmt::format("{:.3g} million", value * 1e-6);
}

std::string percent_text(double part, double whole) {
    const double percent = whole > 0 ? 100 * part / whole : 0;
    return percent > 0 && percent < 0.5 ? "<1 %" : fmt::format("{:.0f} %", percent);
}

std::string short_layer_name(std::string_view name) {
    const bool repeated = name.starts_with("model.layers.");
    std::string text(repeated || !name.starts_with("model.") ? name.substr(name.rfind('.') + 1)
                                                             : name.substr(6));
    constexpr std::string_view kLong = "_layernorm";
    if (text.ends_with(kLong)) text.replace(text.size() - kLong.size(), kLong.size(), "_norm");
    return text;
}

std::string short_limit(std::string_view limit) {
    return limit == "arithmetic" ? "compute" : std::string(limit.substr(0, limit.find(' ')));
}

Varied what_varies(std::span<const PlanPoint> points) {
    Varied varied;
    for (const PlanPoint& point : points) {
        const PlanPoint& first = points.front();
        varied.gpu |= point.gpu != first.gpu;
        varied.format |= point.options.format != first.options.format;
        varied.kv_format |= point.options.kv_format != first.options.kv_format;
        varied.context |= point.options.context_tokens != first.options.context_tokens;
        varied.batch |= point.options.batch != first.options.batch;
    }
    return varied;
}

std::string point_text(const PlanPoint& point, const Varied& varied) {
    std::vector<std::string> texts;
    if (varied.gpu || !(varied.format || varied.kv_format || varied.context || varied.batch))
        texts.push_back(point.gpu);
    if (varied.format) texts.push_back(format_text(point));
    if (varied.kv_format) texts.push_back(kv_format_text(point) + " cache");
    if (varied.context) texts.push_back("context " + tokens_text(point.options.context_tokens));
    if (varied.batch) texts.push_back(fmt::format("batch {}", point.options.batch));
    return fmt::format("{}", fmt::join(texts, ", "));
}

std::string format_text(const PlanPoint& point) {
    return point.options.format.empty() ? "as stored" : point.options.format;
}

std::string kv_format_text(const PlanPoint& point) {
    return point.plan ? point.plan->kv_format : point.options.kv_format;
}

std::string refusal_text(const PlanPoint& point) {
    if (!point.plan) return point.refused;
    if (!point.plan->fits) return point.plan->fit_text;
    return point.plan->missing;
}

std::string wrapped(const std::string& text, std::size_t indent) {
    std::string lines;
    std::size_t column = 0;
    for (std::size_t at = 0; at < text.size();) {
        // A word with the spaces before it.
        const std::size_t word = std::min(text.find_first_not_of(' ', at), text.size());
        const std::size_t end = std::min(text.find(' ', word), text.size());
        if (column > 0 && column + (end - at) > kTextColumns) {
            lines += '\n' + std::string(indent, ' ');
            column = indent;
            at = word;
        }
        lines.append(text, at, end - at);
        column += end - at;
        at = end;
    }
    return lines;
}

}  // namespace warpwright
