// SPDX-License-Identifier: Apache-2.0
// The cost model, asked with any constants: what tools/fit_cost.py fits with and the report is made from.
//
//   predict_cost PROBLEMS      reads lines of constants, answers each with a line of predictions
//   predict_cost --constants   the constants there are, with their values
//   predict_cost --bench       the problems of `bench --set full` with their fields
//
// PROBLEMS is a JSON array of {"op", "target", "set": {field: value}, "row"?, "reference"?}: a row of ours by
// name, else the row that is chosen; "reference" asks for a kernel with the target's native instructions. A
// line of constants is a JSON object, {"gemm.stream_share": 0.9}; what it does not name has the library's
// value.
#include <fmt/format.h>

#include <fstream>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/cases.h"
#include "dispatch/choose.h"
#include "kernels/attention/index_logits/operation.h"
#include "kernels/attention/index_topk/operation.h"
#include "kernels/attention/mla/operation.h"
#include "kernels/attention/operation.h"
#include "kernels/fused/dequantize/operation.h"
#include "kernels/fused/embedding/operation.h"
#include "kernels/fused/gated_activation/operation.h"
#include "kernels/fused/kv_append/operation.h"
#include "kernels/fused/latent_append/operation.h"
#include "kernels/fused/logits/operation.h"
#include "kernels/fused/quantize/operation.h"
#include "kernels/fused/rmsnorm/operation.h"
#include "kernels/fused/rope/operation.h"
#include "kernels/fused/sample/operation.h"
#include "kernels/gemm/operation.h"
#include "kernels/grouped_gemm/operation.h"
#include "kernels/moe/combine/operation.h"
#include "kernels/moe/permute/operation.h"
#include "kernels/moe/route/operation.h"
#include "kernels/quantized_gemm/operation.h"
#include "kernels/scaled_gemm/operation.h"

namespace warpwright {
namespace {

using Json = nlohmann::ordered_json;

template <class Visitor>
void visit_constants(CostConstants& costs, Visitor&& visitor) {
    CostConstants::visit(costs, [&](const std::string& family, auto& group) {
        std::decay_t<decltype(group)>::visit(
            group, [&](const char* name, double& value) { visitor(family + "." + name, value); });
    });
}

CostConstants constants_of(const Json& json) {
    CostConstants costs;
    std::size_t found = 0;
    visit_constants(costs, [&](const std::string& name, double& value) {
        if (json.contains(name)) value = json[name].get<double>(), ++found;
    });
    if (found != json.size()) throw std::runtime_error("unknown constant in " + json.dump());
    return costs;
}

FieldTexts fields_of(const Json& item) {
    FieldTexts fields;
    for (const auto& [name, value] : item.at("set").items())
        fields.emplace_back(name, value.is_string() ? value.get<std::string>() : value.dump());
    return fields;
}

using Predict = std::function<Json(const CostConstants&)>;

template <class Op>
Json answer(const typename Op::Row& row, const TargetFacts& target, const typename Op::Problem& problem,
            const CostConstants& costs, const Prediction& prediction) {
    Json json{{"us", prediction.us}, {"bound", prediction.bound}, {"row", row.name.text}};
    if constexpr (requires { Op::num_splits(row, target, problem, costs); })
        json["splits"] = Op::num_splits(row, target, problem, costs);
    return json;
}

template <class Op>
Predict predictor(const Json& item) {
    typename Op::Problem problem;
    if (const Status status = set_fields(problem, fields_of(item), Op::kName); !status.ok())
        throw std::runtime_error(status.message());
    const auto target = find_target(item.at("target").get<std::string>());
    if (!target.ok()) throw std::runtime_error(target.status().message());
    const std::string wanted = item.value("row", "");
    const bool reference = item.value("reference", false);
    return [=, facts = target->facts](const CostConstants& given) {
        const CostConstants costs = reference ? with_native_instructions(given) : given;
        Json best, rival;  // the rival: the fastest of the others
        for (const auto& row : Op::rows()) {
            if (Op::why_not(row, facts, problem)) continue;
            const Prediction prediction = Op::predict(row, facts, problem, costs);
            if (!wanted.empty() && wanted != row.name.text) {
                if (rival.is_null() || prediction.us < rival["us"].template get<double>())
                    rival = {{"us", prediction.us}, {"row", row.name.text}};
                continue;
            }
            if (best.is_null() || prediction.us < best["us"].template get<double>())
                best = answer<Op>(row, facts, problem, costs, prediction);
        }
        if (best.is_null())
            throw std::runtime_error(fmt::format("{}: no row '{}' for this problem", Op::kName, wanted));
        if (!rival.is_null()) best["rival"] = std::move(rival);
        return best;
    };
}

Predict predictor_of(const Json& item) {
    const std::string op = item.at("op").get<std::string>();
    const std::pair<const char*, Predict (*)(const Json&)> all[] = {
        {"gemm", predictor<GemmOp>},
        {"attention", predictor<AttentionOp>},
        {"mla", predictor<MlaOp>},
        {"index_logits", predictor<IndexLogitsOp>},
        {"index_topk", predictor<IndexTopkOp>},
        {"rmsnorm", predictor<RmsNormOp>},
        {"gated_activation", predictor<GatedActivationOp>},
        {"rope", predictor<RopeOp>},
        {"embedding", predictor<EmbeddingOp>},
        {"kv_append", predictor<KvAppendOp>},
        {"latent_append", predictor<LatentAppendOp>},
        {"sample", predictor<SampleOp>},
        {"logits", predictor<LogitsOp>},
        {"quantize", predictor<QuantizeOp>},
        {"quantized_gemm", predictor<QuantizedGemmOp>},
        {"scaled_gemm", predictor<ScaledGemmOp>},
        {"grouped_gemm", predictor<GroupedGemmOp>},
        {"dequantize", predictor<DequantizeOp>},
        {"moe_route", predictor<MoeRouteOp>},
        {"moe_permute", predictor<MoePermuteOp>},
        {"moe_combine", predictor<MoeCombineOp>},
    };
    for (const auto& [name, make] : all) {
        if (op == name) return make(item);
    }
    throw std::runtime_error("unknown operation " + op);
}

void print_constants() {
    Json json;
    CostConstants costs;
    visit_constants(costs, [&](const std::string& name, double& value) { json[name] = value; });
    fmt::print("{}\n", json.dump(1));
}

void print_bench() {
    Json all = Json::array();
    for (const bench::Case& item : bench::cases("full")) {
        Json set = Json::object();
        for (const auto& [name, value] : item.fields) set[name] = value;
        all.push_back({{"op", item.op}, {"problem", item.problem}, {"set", set}});
    }
    fmt::print("{}\n", all.dump(1));
}

void predict_lines(const char* path) {
    std::vector<Predict> predictors;
    for (const Json& item : Json::parse(std::ifstream(path))) predictors.push_back(predictor_of(item));
    for (std::string line; std::getline(std::cin, line);) {
        const CostConstants costs = constants_of(Json::parse(line));
        Json answers = Json::array();
        for (const Predict& predict : predictors) answers.push_back(predict(costs));
        fmt::print("{}\n", answers.dump());
        std::fflush(stdout);
    }
}

}  // namespace
}  // namespace warpwright

int main(int argc, char** argv) {
    const std::string what = argc == 2 ? argv[1] : "";
    try {
        if (what.empty() || what == "--help") {
            fmt::print(stderr, "usage: predict_cost PROBLEMS | --constants | --bench (see the source)\n");
            return what.empty() ? 2 : 0;
        }
        if (what == "--constants") {
            warpwright::print_constants();
        } else if (what == "--bench") {
            warpwright::print_bench();
        } else {
            warpwright::predict_lines(argv[1]);
        }
    } catch (const std::exception& error) {
        fmt::print(stderr, "error: {}\n", error.what());
        return 2;
    }
    return 0;
}
