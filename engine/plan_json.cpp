// SPDX-License-Identifier: Apache-2.0
// Plans for machines.
#include "engine/plan_json.h"

#include <nlohmann/json.hpp>

#include "dispatch/explain_json.h"

namespace warpwright {
namespace {

nlohmann::ordered_json parts_json(const std::vector<TimePart>& parts) {
    nlohmann::ordered_json json = nlohmann::ordered_json::object();
    for (const TimePart& part : parts) json[part.name] = part.us;
    return json;
}

nlohmann::ordered_json phase_json(const PlannedPhase& phase) {
    return {{"tokens", phase.tokens},
            {"predicted_us", phase.total_us()},
            {"compute_us", phase.compute_us},
            {"link_us", phase.link_us},
            {"bound", phase.binds()},
            {"kinds_us", parts_json(phase.kinds)},
            {"bounds_us", parts_json(phase.limits)}};
}

}  // namespace

nlohmann::ordered_json plan_json(const Plan& plan) {
    nlohmann::ordered_json json;
    json["model"] = {{"name", plan.model},
                     {"architecture", plan.architecture},
                     {"parameters", plan.parameters},
                     {"layers", plan.num_layers},
                     {"ignored_fields", plan.ignored_fields},
                     {"weight_formats", plan.weight_formats},
                     {"weight_notes", plan.weight_notes},
                     {"activations", plan.activations},
                     {"activations_reason", plan.activations_reason}};
    json["target"] = {{"gpu", plan.gpu}, {"count", plan.num_gpus}, {"link", plan.link}};
    json["parallelism"] = {{"tp", plan.num_gpus}, {"pp", 1}, {"ep", 1}, {"why", plan.parallelism_reason}};
    json["memory"] = {{"weights_bytes", plan.weight_bytes},
                      {"kv_bytes_per_token", plan.kv_bytes_per_token},
                      {"kv_format", plan.kv_format},
                      {"kv_note", plan.kv_note},
                      {"workspace_bytes", plan.workspace_bytes},
                      {"capacity_bytes", plan.capacity_bytes},
                      {"max_tokens", plan.max_tokens},
                      {"max_context", plan.max_context_tokens},
                      {"max_batch", plan.max_batch},
                      {"cache_note", plan.cache_note},
                      {"fits", plan.fits},
                      {"text", plan.fit_text}};
    json["phases"]["prefill"] = phase_json(plan.prefill);
    json["phases"]["decode"] = phase_json(plan.decode);
    json["phases"]["decode"].erase("tokens");
    json["phases"]["decode"]["batch"] = plan.batch;
    json["phases"]["decode"]["context"] = plan.context_tokens;
    json["phases"]["decode"]["tokens_per_s"] = plan.decode_tokens_per_s();
    json["missing"] =
        plan.missing.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(plan.missing);
    json["layers"] = nlohmann::ordered_json::array();
    for (const PlannedLayer& layer : plan.layers) {
        json["layers"].push_back({{"name", layer.name},
                                  {"indices", {layer.first(), layer.last()}},
                                  {"count", layer.count()},
                                  {"op", layer.op},
                                  {"format", layer.format},
                                  {"prefill", explanation_json(layer.prefill)},
                                  {"decode", explanation_json(layer.decode)}});
    }
    return json;
}

std::string to_json(const Plan& plan, int indent) {
    return plan_json(plan).dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string to_json(std::span<const PlanPoint> points, int indent) {
    nlohmann::ordered_json json{{"plans", nlohmann::ordered_json::array()}};
    for (const PlanPoint& point : points) {
        if (point.plan) {
            json["plans"].push_back(plan_json(*point.plan));
            if (!point.options.format.empty()) json["plans"].back()["format"] = point.options.format;
        } else {
            json["plans"].push_back({{"target", {{"gpu", point.gpu}, {"count", point.options.num_gpus}}},
                                     {"batch", point.options.batch},
                                     {"context", point.options.context_tokens},
                                     {"format", point.options.format},
                                     {"kv_format", point.options.kv_format},
                                     {"refused", point.refused}});
        }
    }
    return json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace warpwright
