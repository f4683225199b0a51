// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "inspect/diagnose/catalogue.h"
#include "inspect/knowledge/fingerprints.h"
#include "inspect/libraries/output.h"

namespace warpwright::libraries {
namespace {

using Json = nlohmann::ordered_json;

Json fact_json(const Fact& fact) {
    Json json{{"text", fact.text}, {"version", fact.version}, {"date", fact.date}, {"source", fact.source}};
    json["basis"] = basis_name(fact.basis);
    if (!fact.claim.empty()) {
        json["claim"] = fact.claim;
        json["claimed_at"] = fact.claimed_at;
    }
    return json;
}

Json facts_json(const std::vector<Fact>& facts) {
    Json json = Json::array();
    for (const Fact& fact : facts) json.push_back(fact_json(fact));
    return json;
}

Json failures_json(const Library& library) {
    Json json = Json::array();
    for (const std::string& id : library.failures) {
        const diagnose::Failure* failure = diagnose::catalogue().find(id);
        if (failure == nullptr) continue;  // a test sees it
        Json one{{"id", id}, {"architectures", failure->architectures}, {"versions", failure->versions}};
        one["cause"] = failure->cause;
        one["fix"] = failure->fix;
        one["confidence"] = diagnose::confidence_name(failure->confidence);
        one["references"] = failure->references;
        one["date"] = failure->date;
        json.push_back(std::move(one));
    }
    return json;
}

Json fingerprints_json(const Library& library) {
    Json json = Json::array();
    for (const std::string& id : library.fingerprints) {
        const inspect::Fingerprint* print = inspect::fingerprints().find(id);
        if (print == nullptr) continue;  // a test sees it
        Json one{{"id", id}, {"name", print->name}, {"kernels", print->kernels}, {"strings", print->strings}};
        one["files"] = print->files;
        one["source"] = print->source;
        one["date"] = print->date;
        json.push_back(std::move(one));
    }
    return json;
}

Json ours_json(const OurState& state) {
    Json json{{"short", state.short_text()},
              {"text", state.text()},
              {"served", state.num_served},
              {"needs", state.needs.size()},
              {"evidence", evidence_name(state.evidence)}};
    if (!state.measured_on.empty()) json["measured_on"] = state.measured_on;
    if (!state.emulated_as.empty()) json["emulated_as"] = state.emulated_as;
    Json& list = json["each"] = Json::array();
    for (const OurNeed& need : state.needs) {
        Json one{{"need", need.need->text}, {"serves", need.serves}};
        if (need.serves) {
            one["evidence"] = evidence_name(need.evidence);
            one["rows"] = need.rows;
        } else {
            one["text"] = need.text;
        }
        list.push_back(std::move(one));
    }
    return json;
}

}  // namespace

std::vector<int> View::classes() const {
    if (!gpu) return {kClasses.begin(), kClasses.end()};
    const auto one = class_of(*gpu);
    return one.ok() ? std::vector<int>{one.value()} : std::vector<int>{};
}

OurState our_state(const Library& library, const View& view, int capability) {
    return view.gpu ? our_state(library, *view.gpu) : our_state(library, capability);
}

Json to_json(const Library& library, const View& view) {
    Json json{{"id", library.id}, {"name", library.name}, {"aliases", library.aliases}};
    json["repository"] = library.repository;
    json["version"] = library.version;
    json["goal"] = library.goal;
    Json& states = json["states"] = Json::object();
    Json& ours = json["ours"] = Json::object();
    for (const int capability : view.classes()) {
        for (const ClassState& state : library.states) {
            if (state.capability != capability) continue;
            Json one{{"state", state_name(state.state)}};
            one.update(fact_json(state.fact));
            states[class_name(capability)] = std::move(one);
        }
        ours[class_name(capability)] = ours_json(our_state(library, view, capability));
    }
    json["what"] = facts_json(library.what);
    json["depends"] = facts_json(library.depends);
    json["sm100"] = facts_json(library.sm100);
    json["sm120"] = facts_json(library.sm120);
    json["failures"] = failures_json(library);
    json["fingerprints"] = fingerprints_json(library);
    json["detection"] = facts_json(library.detection);
    json["references"] = facts_json(library.references);
    return json;
}

Json to_json(const View& view) {
    Json json;
    if (view.gpu) json["gpu"] = view.gpu->id;
    Json& meanings = json["states"] = Json::object();
    for (const Meaning& meaning : state_meanings()) meanings[meaning.word] = meaning.text;
    Json& ours = json["ours"] = Json::object();
    for (const Meaning& meaning : our_meanings()) ours[meaning.word] = meaning.text;
    Json& list = json["libraries"] = Json::array();
    for (const Library& library : libraries()) list.push_back(to_json(library, view));
    return json;
}

}  // namespace warpwright::libraries
