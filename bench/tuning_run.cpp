// SPDX-License-Identifier: Apache-2.0
#include "bench/tuning_run.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "dispatch/operation.h"
#include "dispatch/tuning.h"

namespace warpwright::bench {
namespace {

using Json = nlohmann::ordered_json;

// Numbers as numbers, the rest as text.
Json value_of(const std::string& text) {
    const Json parsed = Json::parse(text, nullptr, false);
    return parsed.is_number() || parsed.is_boolean() ? parsed : Json(text);
}

Json problem_json(const FieldTexts& problem) {
    Json json = Json::object();
    for (const auto& [name, text] : problem) json[name] = value_of(text);
    return json;
}

// Four digits: what a median is worth.
double rounded(double us) {
    const double unit = std::pow(10, std::floor(std::log10(us)) - 3);
    return std::stod(fmt::format("{:.6g}", std::round(us / unit) * unit));
}

}  // namespace

TuningRun::TuningRun(const Target& target, const std::string& driver, const std::string& command)
    : json_{{"target", target.id},
            {"gpu", target.name},
            {"driver", driver},
            {"date", fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr)))},
            {"command", command},
            {"method",
             "medians in microseconds of captured graphs, rotating buffers of at least 4x L2, random data"},
            {"entries", Json::array()}} {}

Status TuningRun::resume(const std::string& path) {
    std::ifstream file(path);
    if (!file) return {};
    std::ostringstream text;
    text << file.rdbuf();
    WW_ASSIGN(const TuningTable table, TuningTable::parse(text.str(), path));
    const std::string wanted = json_["target"].get<std::string>();
    if (table.target != wanted)
        return caller_error(fmt::format("{}: expected times of {}, got {}", path, wanted, table.target));
    json_["entries"] = Json::parse(text.str())["entries"];
    return {};
}

bool TuningRun::has(const std::string& op, const FieldTexts& problem) const {
    const Json wanted = problem_json(problem);
    for (const Json& entry : json_["entries"]) {
        if (entry["op"] == op && entry["problem"] == wanted) return true;
    }
    return false;
}

void TuningRun::add(const std::string& op, const FieldTexts& problem, const std::vector<RowTime>& times) {
    Json us = Json::object();
    for (const RowTime& time : times) us[time.row] = rounded(time.us);
    json_["entries"].push_back({{"op", op}, {"problem", problem_json(problem)}, {"us", std::move(us)}});
}

// An entry a line, so that two tables can be compared by eye.
Status TuningRun::save(const std::string& path) const {
    std::error_code ignored;  // writing says what is wrong
    if (const auto folder = std::filesystem::path(path).parent_path(); !folder.empty())
        std::filesystem::create_directories(folder, ignored);
    std::string text = "{\n";
    for (const auto& [name, value] : json_.items()) {
        if (name != "entries") text += fmt::format(" {}: {},\n", Json(name).dump(), value.dump());
    }
    text += " \"entries\": [";
    const char* separator = "\n";
    for (const Json& entry : json_["entries"]) {
        text += separator + ("  " + entry.dump());
        separator = ",\n";
    }
    text += "\n ]\n}\n";
    const std::string fresh = path + ".tmp";
    {
        std::ofstream file(fresh);
        file << text;
        if (!file.flush()) return unavailable("cannot write " + fresh);
    }
    if (std::rename(fresh.c_str(), path.c_str()) != 0) return unavailable("cannot write " + path);
    return {};
}

Result<FieldTexts> tuning_problem(const Target& target, const Case& item) {
    WW_ASSIGN(const Operation* operation, find_operation(item.op));
    WW_ASSIGN(const Explanation explanation,
              operation->explain(target, item.fields, {.tuning = &no_tuning()}));
    return changed_fields(operation->default_problem(), explanation.problem);
}

Result<ModelJudgement> judge_model(const Target& target, const TuningTable& table) {
    ModelJudgement judgement;
    for (const TuningEntry& entry : table.entries) {
        WW_ASSIGN(const Operation* operation, find_operation(entry.op));
        WW_ASSIGN(const Explanation explanation,
                  operation->explain(target, entry.problem, {.tuning = &no_tuning()}));
        const Candidate* choice = explanation.choice();
        const auto measured = [&](const auto& time) {
            return choice != nullptr && time.first == choice->row;
        };
        const auto chosen = std::find_if(entry.us.begin(), entry.us.end(), measured);
        if (chosen == entry.us.end()) continue;
        const auto best = std::min_element(entry.us.begin(), entry.us.end(),
                                           [](const auto& a, const auto& b) { return a.second < b.second; });
        ++judgement.judged;
        const double times_best = chosen->second / best->second;
        if (times_best <= 1.15) {
            ++judgement.good;
            continue;
        }
        std::string problem = entry.op;
        for (const auto& [name, value] : entry.problem) problem += fmt::format(" {}={}", name, value);
        judgement.misses.push_back({problem, chosen->first, best->first, times_best});
    }
    std::stable_sort(judgement.misses.begin(), judgement.misses.end(),
                     [](const auto& a, const auto& b) { return a.times_best > b.times_best; });
    return judgement;
}

std::string judgement_lines(const ModelJudgement& judgement) {
    if (judgement.judged == 0) return {};
    std::string text =
        fmt::format("the model alone chooses a row within 15% of the best for {} of {} problems ({:.0f}%)\n",
                    judgement.good, judgement.judged, 100.0 * judgement.good / judgement.judged);
    for (const ModelJudgement::Miss& miss : judgement.misses) {
        text += fmt::format("  {:<62} x best {:>5.2f}  {}, best {}\n", miss.problem, miss.times_best,
                            miss.chosen, miss.best);
    }
    return text;
}

}  // namespace warpwright::bench
