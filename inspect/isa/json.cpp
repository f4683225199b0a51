// SPDX-License-Identifier: Apache-2.0
#include "inspect/isa/json.h"

namespace warpwright::inspect {

namespace {

using Json = nlohmann::ordered_json;

Json names_of(isa::Mask targets) {
    Json names = Json::array();
    for (size_t i = 0; i < isa::architectures().size(); ++i) {
        if ((targets >> i & 1u) != 0) names.push_back(isa::architectures()[i].name);
    }
    return names;
}

Json version_json(int version) {
    return version == 0 ? Json() : Json(isa::version_text(version));
}

// How it runs there, in words and in machine code.
Json use_json(const JudgedUse& judged, int architecture) {
    Json json{{"form", judged.use->spelled},
              {"count", judged.use->count},
              {"line", judged.use->line},
              {"text", judged.use->text},
              {"function", judged.use->function}};
    if (judged.form == nullptr) return json;
    if (judged.way == isa::Way::illegal) {
        json["targets"] = names_of(judged.form->targets);
        return json;
    }
    json["way"] = isa::way_name(judged.way);
    if (const std::string code = isa::code_text(*judged.form, architecture); !code.empty())
        json["code"] = code;
    return json;
}

Json uses_json(const std::vector<JudgedUse>& uses, int architecture) {
    Json list = Json::array();
    for (const JudgedUse& judged : uses) list.push_back(use_json(judged, architecture));
    return list;
}

}  // namespace

Json verdict_json(const IsaTarget& target, const IsaVerdict& verdict) {
    const isa::Architecture& built = isa::architectures()[static_cast<size_t>(verdict.architecture)];
    Json json{{"target", target.name},
              {"architecture", built.name},
              {"legal", verdict.illegal.empty()},
              {"runs_as_it_stands", verdict.is_good()}};
    if (!verdict.why_not_as_it_stands.empty()) json["why_not_as_it_stands"] = verdict.why_not_as_it_stands;
    json["num_legal"] = verdict.num_legal;
    json["num_native"] = verdict.num_native;
    json["illegal"] = uses_json(verdict.illegal, verdict.architecture);
    json["slow"] = uses_json(verdict.slow, verdict.architecture);
    json["not_measured"] = uses_json(verdict.unmeasured, verdict.architecture);
    json["needs_ptx"] = version_json(verdict.version);
    if (verdict.illegal.empty()) {
        json["nvcc"] = nvcc_option(built);
        json["nvrtc"] = nvrtc_option(built);
    }
    return json;
}

Json text_json(const std::string& path, const PtxText& text, const std::vector<IsaTarget>& targets) {
    const IsaReach reach = reach_of(text);
    Json json{{"path", path},
              {"target", text.target},
              {"version", version_json(text.version)},
              {"instructions", text.num_instructions}};
    if (!text.damage.empty()) json["damage"] = text.damage;
    Json& forms = json["forms"] = Json::array();
    for (const FormUse& use : text.uses) {
        Json entry{{"form", use.spelled}, {"count", use.count},       {"line", use.line},
                   {"text", use.text},    {"function", use.function}, {"num_functions", use.num_functions}};
        const isa::Form* const form = isa::find_form(use.form);
        entry["measured"] = form != nullptr;
        if (form != nullptr) {
            entry["targets"] = names_of(form->targets);
            entry["needs_ptx"] = version_json(form->version);
        }
        forms.push_back(std::move(entry));
    }
    json["takes"] = names_of(reach.targets);
    json["lowest"] =
        reach.lowest < 0 ? Json() : Json(isa::architectures()[static_cast<size_t>(reach.lowest)].name);
    json["needs_ptx"] = version_json(reach.version);
    Json& refused = json["refused_by_itself"] = Json::array();
    for (const JudgedUse& judged : reach.refused_by_itself) refused.push_back(use_json(judged, text.own));
    Json& verdicts = json["verdicts"] = Json::object();
    for (const IsaTarget& target : targets)
        verdicts[target.name] = verdict_json(target, judge_text(text, target));
    return json;
}

Json form_json(const isa::Form& form) {
    Json json{
        {"form", form.spelled}, {"ptx", version_json(form.version)}, {"targets", names_of(form.targets)}};
    if (form.snippet >= 0) {
        const isa::Snippet& snippet = isa::snippets()[static_cast<size_t>(form.snippet)];
        json["group"] = snippet.group;
        json["snippet"] = snippet.name;
        Json& ways = json["ways"] = Json::object();
        for (size_t i = 0; i < isa::architectures().size(); ++i) {
            if (snippet.ways[i] != isa::Way::illegal)
                ways[isa::architectures()[i].name] = isa::way_name(snippet.ways[i]);
        }
        Json& code = json["code"] = Json::array();
        for (const isa::OnTargets& sass : snippet.sass)
            code.push_back({{"instructions", sass.text}, {"targets", names_of(sass.targets)}});
        json["refusals"] = snippet.refusals;
    }
    Json& notes = json["notes"] = Json::array();
    for (const isa::Note* note : isa::notes_of(form.name))
        notes.push_back(
            {{"text", note->text.text}, {"targets", names_of(note->text.targets)}, {"source", note->source}});
    return json;
}

Json families_json() {
    Json list = Json::array();
    for (const Family& family : families())
        list.push_back({{"opcode", family.opcode},
                        {"what", family.text},
                        {"forms", family.num_forms},
                        {"targets", names_of(family.targets)},
                        {"ptx", version_json(family.version)}});
    return list;
}

}  // namespace warpwright::inspect
