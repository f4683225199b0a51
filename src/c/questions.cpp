// SPDX-License-Identifier: Apache-2.0
// Questions that no context is needed for: a request in JSON, the answer of the verb's --json.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "c/guard.h"
#include "device/machine_json.h"
#include "device/named_target.h"
#include "dispatch/targets_json.h"
#include "engine/config.h"
#include "engine/json_fields.h"
#include "ops/kernels_json.h"
#include "warpwright/context.h"
#include "warpwright/device.h"
#include "warpwright/plan.h"

using namespace warpwright;
using namespace warpwright::c;
using nlohmann::json;
using nlohmann::ordered_json;

namespace {

constexpr i64 kMost = i64{1} << 40;

std::string text_of(const ordered_json& value) {
    return value.dump(2, ' ', false, ordered_json::error_handler_t::replace);
}

// body() -> Result<std::string>, handed out.
template <class Body>
ww_status answer_text(const char* function, char** text, Body&& body) {
    return guarded([&]() -> Status {
        WW_TRY(need(text, function, "where to put the answer"));
        WW_ASSIGN(const std::string answer, body());
        WW_ASSIGN(*text, new_text(answer));
        return {};
    });
}

Result<json> parse_request(const char* function, const char* request) {
    WW_TRY(need(request, function, "a request"));
    WW_ASSIGN(json value, parse_json(request, function));
    if (!value.is_object())
        return caller_error(fmt::format("{}: expected an object, got {}", function, describe_json(value)));
    return value;
}

// All fields read, none ill-typed.
Status finish(const Fields& fields) {
    WW_TRY(fields.status());
    if (const auto unread = fields.unread(); !unread.empty())
        return caller_error(fmt::format("{}: unknown field {}", fields.where(), printable(unread[0], 80)));
    return {};
}

// A number, or an array of them.
std::vector<i64> numbers(Fields& fields, const char* key, i64 fallback) {
    const json* value = fields.find(key);
    if (value == nullptr) return {fallback};
    if (!value->is_array()) return {fields.integer(key, 1, kMost)};
    std::vector<i64> list;
    for (const json& entry : *value) {
        if (!entry.is_number_integer() || entry.get<i64>() < 1 || entry.get<i64>() > kMost) {
            fields.fail(fmt::format("{}: expected integers of at least 1, got {} among them", key,
                                    describe_json(entry)));
            break;
        }
        list.push_back(entry.get<i64>());
    }
    if (list.empty()) fields.fail(fmt::format("{}: expected at least one number", key));
    return list;
}

// A text, or an array of them.
std::vector<std::string> texts(Fields& fields, const char* key, const char* fallback) {
    const json* value = fields.find(key);
    if (value == nullptr) return {fallback};
    if (!value->is_array()) return {fields.text(key)};
    std::vector<std::string> list;
    for (const json& entry : *value) {
        if (!entry.is_string()) {
            fields.fail(fmt::format("{}: expected texts, got {} among them", key, describe_json(entry)));
            break;
        }
        list.push_back(entry.get<std::string>());
    }
    if (list.empty()) fields.fail(fmt::format("{}: expected at least one name", key));
    return list;
}

Result<std::string> rendered(const std::string& format, const char* function, auto to_json_text,
                             auto to_plain_text) {
    if (format == "json") return to_json_text();
    if (format == "text") return to_plain_text();
    return caller_error(
        fmt::format("{}: format: expected json or text, got '{}'", function, printable(format, 40)));
}

Result<std::string> why(const char* request) {
    WW_ASSIGN(const json value, parse_request("ww_why", request));
    Fields fields(value, "ww_why");
    const bool is_here = fields.find("device") != nullptr;
    const std::string op = fields.text("op"), row = fields.text_or("row", ""),
                      device = fields.text_or("device", ""), format = fields.text_or("format", "json");
    if (is_here && fields.find("gpu") != nullptr) fields.fail("expected gpu or device, got both");
    const std::string gpu = fields.text_or("gpu", "cpu");
    const bool batch_invariant = fields.flag_or("batch_invariant", false);
    FieldTexts settings;
    if (fields.find("set") != nullptr) {
        if (const json* set = fields.object("set")) {
            for (const auto& [name, setting] : set->items())
                settings.emplace_back(name,
                                      setting.is_string() ? setting.get<std::string>() : setting.dump());
        }
    }
    WW_TRY(finish(fields));
    WW_ASSIGN(const Operation* operation, find_operation(op));
    std::shared_ptr<const ForbiddenRows> forbidden;
    Target target;
    if (is_here) {
        WW_ASSIGN(const auto context, Context::open(device));
        target = context->target();
        forbidden = context->forbidden();
    } else {
        WW_ASSIGN(target, named_target(gpu));
    }
    WW_ASSIGN(const Explanation explanation,
              operation->explain(
                  target, settings,
                  {.forced = row, .batch_invariant = batch_invariant, .forbidden = forbidden.get()}));
    if (!row.empty() && explanation.choice() == nullptr) {
        const Status status = no_row_error(explanation, row);
        if (status.kind() != ErrorKind::no_kernel) return status;
    }
    return rendered(
        format, "ww_why", [&] { return to_json(explanation); }, [&] { return to_text(explanation); });
}

struct PlanRequest {
    std::string model, format;
    std::vector<Target> targets;
    std::vector<PlanOptions> options;  // every pair of formats with every context and every batch
};

Result<PlanRequest> plan_request(const json& value) {
    Fields fields(value, "ww_plan");
    PlanRequest request{.model = fields.text("model"), .format = fields.text_or("format", "json")};
    const PlanOptions defaults;
    PlanOptions one{.num_gpus = static_cast<int>(fields.integer_or("gpus", 1, 1 << 20, defaults.num_gpus)),
                    .link = fields.text_or("link", ""),
                    .prompt_tokens = fields.integer_or("prompt", 1, kMost, defaults.prompt_tokens),
                    .batch_invariant = fields.flag_or("batch_invariant", false),
                    .activations = fields.text_or("activations", defaults.activations)};
    const auto gpus = texts(fields, "gpu", "auto");
    const auto batches = numbers(fields, "batch", defaults.batch),
               contexts = numbers(fields, "context", defaults.context_tokens);
    const auto formats = texts(fields, "weight_format", ""), kv_formats = texts(fields, "kv_format", "");
    WW_TRY(finish(fields));
    for (const std::string& gpu : gpus) {
        if (gpu == "all") {
            request.targets.insert(request.targets.end(), targets().begin(), targets().end());
        } else {
            WW_ASSIGN(Target target, named_target(gpu));
            request.targets.push_back(std::move(target));
        }
    }
    for (const std::string& format : formats) {
        for (const std::string& kv_format : kv_formats) {
            for (const i64 context : contexts) {
                for (const i64 batch : batches) {
                    one.format = format;
                    one.kv_format = kv_format;
                    one.context_tokens = context;
                    one.batch = batch;
                    request.options.push_back(one);
                }
            }
        }
    }
    return request;
}

Result<std::string> plan(const char* text) {
    WW_ASSIGN(const json value, parse_request("ww_plan", text));
    WW_ASSIGN(const PlanRequest request, plan_request(value));
    WW_ASSIGN(const ModelConfig config, load_config(request.model));
    const std::vector<PlanPoint> points = plan_points(config, request.targets, request.options);
    const bool is_single = points.size() == 1;
    if (is_single && !points[0].plan) return caller_error(points[0].refused);
    if (request.format == "html") return to_html(points);
    return rendered(
        request.format, "ww_plan", [&] { return is_single ? to_json(*points[0].plan) : to_json(points); },
        [&] { return is_single ? to_text(*points[0].plan) : to_text(points); });
}

}  // namespace

ww_status ww_devices_json(char** json) {
    return answer_text("ww_devices_json", json, [&]() -> Result<std::string> {
        const DeviceList list = list_devices();
        return text_of({{"devices", list.ids}, {"cuda_problem", list.cuda_problem}});
    });
}

ww_status ww_models_json(char** json) {
    return answer_text("ww_models_json", json, [&]() -> Result<std::string> {
        return text_of({{"models", public_model_names()}, {"architectures", supported_architectures()}});
    });
}

ww_status ww_probe_json(char** json) {
    return answer_text("ww_probe_json", json,
                       [&]() -> Result<std::string> { return text_of(machine_json(probe_machine())); });
}

ww_status ww_targets_json(const char* name, char** json) {
    return answer_text("ww_targets_json", json, [&]() -> Result<std::string> {
        if (!text_or_empty(name).empty()) {
            WW_ASSIGN(const Target target, find_target(name));
            return text_of(target_json(target));
        }
        ordered_json all = ordered_json::array();
        for (const Target& target : targets()) all.push_back(target_json(target));
        return text_of(all);
    });
}

ww_status ww_kernels_json(const char* op, const char* target, char** json) {
    return answer_text("ww_kernels_json", json, [&]() -> Result<std::string> {
        std::optional<Target> known;
        if (!text_or_empty(target).empty()) {
            WW_ASSIGN(known, find_target(target));
        }
        WW_ASSIGN(const ordered_json rows, kernels_json(text_or_empty(op), known ? &*known : nullptr));
        return text_of(rows);
    });
}

ww_status ww_why(const char* request, char** answer) {
    return answer_text("ww_why", answer, [&] { return why(request); });
}

ww_status ww_plan(const char* request, char** answer) {
    return answer_text("ww_plan", answer, [&] { return plan(request); });
}
