// SPDX-License-Identifier: Apache-2.0
#include "bench/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <optional>

namespace warpwright::bench {
namespace {

constexpr double kGoodChoice = 1 / 1.15;  // within 15 % of the best row

double roof_gb_s(const Roofline& roof, Roof kind) {
    switch (kind) {
        case Roof::none: return 0;
        case Roof::read: return roof.read_gb_s;
        case Roof::copy: return roof.copy_gb_s;
    }
    return 0;
}

// A figure of a case, or "-".
std::string figure(const Json& json, const char* name, int decimals) {
    if (!json.contains(name)) return "-";
    return fmt::format("{:.{}f}", json[name].get<double>(), decimals);
}

struct Mean {
    double log_sum = 0;
    int count = 0;
    void add(const Json& json, const char* name) {
        if (json.contains(name)) log_sum += std::log(json[name].get<double>()), ++count;
    }
    std::string text() const { return count == 0 ? "-" : fmt::format("{:.3f}", std::exp(log_sum / count)); }
};

struct Group {
    std::string name;
    int cases = 0;
    Mean bar, fastest, share;
    double lowest_bar = INFINITY;

    void add(const Json& json) {
        ++cases;
        bar.add(json, "bar_ratio");
        fastest.add(json, "ratio");
        share.add(json, "share");
        if (json.contains("bar_ratio")) lowest_bar = std::min(lowest_bar, json["bar_ratio"].get<double>());
    }
    std::string line() const {
        return fmt::format("{:<22} {:>5}  {:>9} {:>9} {:>9} {:>9}\n", name, cases, bar.text(),
                           bar.count == 0 ? "-" : fmt::format("{:.3f}", lowest_bar), fastest.text(),
                           share.text());
    }
};

}  // namespace

Json case_json(const Case& item, const std::string& rows, const Timing& timing, const Roofline& roof,
               const std::vector<PeerTime>& peers) {
    Json json{{"op", item.op},
              {"problem", item.problem},
              {"group", item.group},
              {"row", rows},
              {"us", timing.median_us},
              {"min_us", timing.min_us},
              {"max_us", timing.max_us},
              {"gb_s", item.bytes / timing.median_us * 1e-3},
              {"tflops", item.flops / timing.median_us * 1e-6},
              {"launches", timing.num_launches},
              {"buffers", timing.num_buffers}};
    if (const double gb_s = roof_gb_s(roof, item.roof); gb_s > 0) {
        json["roof"] = item.roof == Roof::read ? "read" : "copy";
        json["share"] = item.bytes / timing.median_us * 1e-3 / gb_s;
    }
    if (peers.empty()) return json;
    json["peer"] = peers[0].peer;  // the fastest
    json["peer_us"] = peers[0].us;
    json["ratio"] = peers[0].us / timing.median_us;
    for (const PeerTime& peer : peers) {
        json["peers"][peer.peer] = peer.us;
        if (peer.peer != item.peer) continue;
        json["bar_peer"] = peer.peer;
        json["bar_us"] = peer.us;
        json["bar_ratio"] = peer.us / timing.median_us;
    }
    return json;
}

void add_rows(Json& json, const std::vector<RowTime>& times, const std::string& chosen) {
    json["rows"] = Json::array();
    std::optional<double> chosen_us;
    for (const RowTime& time : times) {
        Json row{{"row", time.row}, {"us", time.us}, {"predicted_us", time.predicted_us}};
        if (time.rough) row["rough"] = true;
        if (time.row == chosen) row["chosen"] = true, chosen_us = time.us;
        json["rows"].push_back(std::move(row));
    }
    if (chosen_us) json["share_of_best"] = times.front().us / *chosen_us;
}

Status Results::resume(const std::string& path) {
    std::ifstream file(path);
    if (!file) return {};
    const Json found = Json::parse(file, nullptr, false);
    if (!found.is_object() || !found.contains("cases") || !found["cases"].is_array())
        return caller_error(fmt::format("--resume: {}: expected results of 'warpwright bench'", path));
    for (const char* name : {"gpu", "driver", "command"}) {
        const std::string before = found.value(name, ""), now = json_.value(name, "");
        if (before != now) {
            return caller_error(
                fmt::format("--resume: {}: expected {} '{}', got '{}'", path, name, now, before));
        }
    }
    json_ = found;
    return {};
}

const Json* Results::find(const Case& item) const {
    for (const Json& json : json_["cases"]) {
        if (json.value("op", "") == item.op && json.value("problem", "") == item.problem) return &json;
    }
    return nullptr;
}

Status Results::save(const Json& json, const std::string& path) {
    const std::string fresh = path + ".tmp";
    {
        std::ofstream file(fresh);
        file << json.dump(1) << '\n';
        if (!file.flush()) return unavailable("cannot write " + fresh);
    }
    if (std::rename(fresh.c_str(), path.c_str()) != 0) return unavailable("cannot write " + path);
    return {};
}

std::string heading_line() {
    return fmt::format("{:<62} {:>9} {:>6} {:>6} {:>7} {:>9} {:>6} {:>6}  {}\n", "problem", "us", "GB/s",
                       "share", "TFLOPS", "peer us", "x peer", "x best", "row");
}

std::string case_line(const Json& json) {
    const bool has_bar = json.contains("bar_us");
    return fmt::format("{:<62} {:>9} {:>6} {:>6} {:>7} {:>9} {:>6} {:>6}  {}\n",
                       json["op"].get<std::string>() + " " + json["problem"].get<std::string>(),
                       figure(json, "us", 2), figure(json, "gb_s", 0), figure(json, "share", 3),
                       json["tflops"].get<double>() > 0 ? figure(json, "tflops", 1) : "-",
                       figure(json, has_bar ? "bar_us" : "peer_us", 2), figure(json, "bar_ratio", 2),
                       figure(json, "ratio", 2), json["row"].get<std::string>());
}

std::string row_lines(const Json& json) {
    std::string text;
    if (!json.contains("rows") || json["rows"].empty()) return text;
    const double best_us = json["rows"][0]["us"].get<double>();
    for (const Json& row : json["rows"]) {
        text +=
            fmt::format("  {} {:<48} {:>9} {:>9} x best {:>6.2f}{}\n", row.contains("chosen") ? '*' : ' ',
                        row["row"].get<std::string>(), figure(row, "us", 2), figure(row, "predicted_us", 2),
                        row["us"].get<double>() / best_us, row.contains("rough") ? " (one launch)" : "");
    }
    return text;
}

std::string group_lines(const Json& cases) {
    std::vector<Group> groups;
    Group all{"all"};
    for (const Json& json : cases) {
        const std::string name = json.value("group", "");
        auto found =
            std::find_if(groups.begin(), groups.end(), [&](const Group& g) { return g.name == name; });
        if (found == groups.end()) found = groups.insert(groups.end(), Group{name});
        found->add(json);
        all.add(json);
    }
    std::string text =
        fmt::format("{:<22} {:>5}  {:>9} {:>9} {:>9} {:>9}   (geometric means: peer time / ours)\n", "group",
                    "cases", "x peer", "lowest", "x best", "share");
    for (const Group& group : groups) text += group.line();
    if (groups.size() > 1) text += all.line();
    return text;
}

namespace {

// What the model alone would have chosen is the row with the least predicted time.
std::string modelled_line(const Json& cases) {
    int judged = 0, good = 0;
    for (const Json& json : cases) {
        if (!json.contains("rows") || json["rows"].empty()) continue;
        const auto best =
            std::min_element(json["rows"].begin(), json["rows"].end(), [](const Json& a, const Json& b) {
                return a["predicted_us"].get<double>() < b["predicted_us"].get<double>();
            });
        ++judged;
        good += json["rows"][0]["us"].get<double>() >= kGoodChoice * (*best)["us"].get<double>();
    }
    if (judged == 0) return {};
    return fmt::format("the model alone: {} of {} problems ({:.0f}%)\n", good, judged, 100.0 * good / judged);
}

}  // namespace

std::string choice_lines(const Json& cases) {
    int judged = 0, good = 0;
    std::string others;
    for (const Json& json : cases) {
        if (!json.contains("share_of_best")) continue;
        ++judged;
        const double share = json["share_of_best"].get<double>();
        if (share >= kGoodChoice) {
            ++good;
            continue;
        }
        others +=
            fmt::format("  {:<62} x best {:>5.2f}  chosen {}, best {}\n",
                        json["op"].get<std::string>() + " " + json["problem"].get<std::string>(), 1 / share,
                        json["row"].get<std::string>(), json["rows"][0]["row"].get<std::string>());
    }
    if (judged == 0) return {};
    return fmt::format("chosen within 15% of the best row: {} of {} problems ({:.0f}%)\n{}{}", good, judged,
                       100.0 * good / judged, modelled_line(cases), others);
}

Json host_json(const std::vector<HostOverhead>& overheads) {
    Json all = Json::array();
    for (const HostOverhead& overhead : overheads) {
        all.push_back({{"op", overhead.op},
                       {"problem", overhead.problem},
                       {"choose_us", overhead.choose_us},
                       {"choose_cached_us", overhead.choose_cached_us},
                       {"prepare_us", overhead.prepare_us},
                       {"launch_us", overhead.launch_us},
                       {"launches", overhead.launches}});
        if (overhead.graph_launch_us >= 0) all.back()["graph_launch_us"] = overhead.graph_launch_us;
    }
    return all;
}

std::string host_lines(const std::vector<HostOverhead>& overheads) {
    std::string text =
        fmt::format("{:<62} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}\n", "host overhead, us of one thread",
                    "choose", "cached", "prepare", "launch", "as graph", "launches");
    for (const HostOverhead& overhead : overheads) {
        text += fmt::format(
            "{:<62} {:>9.2f} {:>9.3f} {:>9.2f} {:>9.2f} {:>9} {:>9}\n", overhead.op + " " + overhead.problem,
            overhead.choose_us, overhead.choose_cached_us, overhead.prepare_us, overhead.launch_us,
            overhead.graph_launch_us < 0 ? "-" : fmt::format("{:.2f}", overhead.graph_launch_us),
            overhead.launches);
    }
    return text;
}

}  // namespace warpwright::bench
