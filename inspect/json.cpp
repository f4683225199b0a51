// SPDX-License-Identifier: Apache-2.0
#include "inspect/json.h"

#include "inspect/summary.h"

namespace warpwright::inspect {
namespace {

using Json = nlohmann::ordered_json;

void put(Json& json, const char* name, int value) {
    if (value >= 0) json[name] = value;
}

void put(Json& json, const char* name, const std::string& text) {
    if (!text.empty()) json[name] = text;
}

void put(Json& json, const char* name, const std::vector<std::string>& texts) {
    if (!texts.empty()) json[name] = texts;
}

void put(Json& json, const char* name, const std::array<int, 3>& dimensions) {
    if (dimensions[0] != 0) json[name] = dimensions;
}

Json kernel_json(const Kernel& kernel) {
    Json json{{"name", kernel.name}};
    if (const std::string readable = demangle(kernel.name); readable != kernel.name)
        json["demangled"] = readable;
    put(json, "registers", kernel.registers);
    put(json, "shared_bytes", kernel.shared_bytes);
    put(json, "stack_bytes", kernel.stack_bytes);
    put(json, "parameter_bytes", kernel.parameter_bytes);
    put(json, "num_parameters", kernel.num_parameters);
    put(json, "barriers", kernel.barriers);
    put(json, "mbarriers", kernel.mbarriers);
    put(json, "max_threads", kernel.max_threads);
    put(json, "required_threads", kernel.required_threads);
    put(json, "cluster", kernel.cluster);
    if (kernel.code_bytes != 0) json["code_bytes"] = kernel.code_bytes;
    if (kernel.uses_tensor_map) json["uses_tensor_map"] = true;
    if (kernel.calls_printf) json["calls_printf"] = true;
    if (kernel.classes_known) json["classes"] = class_names(kernel.classes);
    if (kernel.stub != Stub::none) json["stub"] = stub_name(kernel.stub);
    return json;
}

Json uses_json(const std::vector<IsaUse>& uses) {
    Json list = Json::array();
    for (const IsaUse& use : uses) {
        Json json{{"form", use.form}, {"count", use.count}, {"line", use.line}, {"function", use.function}};
        put(json, "remark", use.remark);
        list.push_back(std::move(json));
    }
    return list;
}

Json isa_json(const ImageIsa& isa) {
    Json json{{"architecture", isa.architecture},
              {"legal", isa.illegal.empty()},
              {"runs_as_it_stands", isa.illegal.empty() && isa.why_not.empty()}};
    put(json, "why_not_as_it_stands", isa.why_not);
    json["num_forms"] = isa.num_forms;
    json["needs_isa_version"] = isa.needs_isa_version;
    json["illegal"] = uses_json(isa.illegal);
    json["slow"] = uses_json(isa.slow);
    json["not_measured"] = uses_json(isa.not_measured);
    return json;
}

Json image_json(const Image& image) {
    Json json{{"kind", image_kind_name(image.kind)}, {"arch", architecture_name(image.architecture)}};
    put(json, "evidence", image.architecture_evidence);
    put(json, "section", image.section);
    json["offset"] = image.offset;
    if (image.fatbin) json["fatbin"] = *image.fatbin;
    json["stored_bytes"] = image.stored_bytes;
    if (image.bytes != 0) json["bytes"] = image.bytes;
    json["compression"] = compression_name(image.compression);
    if (image.abi != 0) json["abi"] = image.abi;
    if (image.isa_version != 0) json["isa_version"] = image.isa_version;
    put(json, "toolkit", image.toolkit);
    put(json, "options", image.options);
    if (image.made_by_nvrtc) json["made_by_nvrtc"] = true;
    if (image.relocatable) json["relocatable"] = true;
    if (image.link_input) json["link_input"] = true;
    put(json, "isa_class", image.isa_class);
    put(json, "undefined", image.undefined);
    put(json, "texts", image.texts);
    put(json, "damage", image.damage);
    for (const ImageIsa& isa : image.isa) json["isa"][isa.target] = isa_json(isa);
    Json& kernels = json["kernels"] = Json::array();
    for (const Kernel& kernel : image.kernels) kernels.push_back(kernel_json(kernel));
    return json;
}

Json library_json(const Library& library) {
    Json json{{"id", library.id}, {"name", library.name}};
    put(json, "version", library.version);
    put(json, "detail", library.detail);
    json["evidence"] = library.evidence;
    return json;
}

Json verdict_json(const Verdict& verdict) {
    Json json{{"runs", runs_name(verdict.runs)}, {"text", verdict.text}, {"fix", verdict.fix}};
    json["num_kernels"] = verdict.num_kernels;
    if (verdict.num_missing != 0) json["num_missing"] = verdict.num_missing;
    if (verdict.num_for_others != 0) json["num_for_others"] = verdict.num_for_others;
    put(json, "kernels", verdict.kernels);
    return json;
}

// Names and options come from untrusted files: what is no UTF-8 is replaced.
std::string text_of(const Json& json, int indent) {
    return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

Json to_json(const FileReport& file) {
    Json json{{"path", file.path}, {"bytes", file.bytes}, {"type", file.type}};
    if (!file.jit_cache.empty()) json["jit_cache"] = file.jit_cache;
    if (file.headers_only) json["headers_only"] = true;
    if (file.runtime_code) json["runtime_code"] = true;
    put(json, "notes", file.notes);
    Json& libraries = json["libraries"] = Json::array();
    for (const Library& library : file.libraries) libraries.push_back(library_json(library));
    Json& images = json["images"] = Json::array();
    for (const Image& image : file.images) images.push_back(image_json(image));
    Json& verdicts = json["verdicts"] = Json::object();
    for (const Verdict& verdict : file.verdicts) verdicts[verdict.target] = verdict_json(verdict);
    return json;
}

void write_json(const Report& report, const std::function<void(const std::string&)>& write) {
    write("{\"files\": [");
    const char* separator = "\n";
    for (const FileReport& file : report.files) {
        write(separator + text_of(to_json(file), 1));
        separator = ",\n";
    }
    write("\n],\n\"num_files\": " + std::to_string(report.num_files) + ",\n\"bytes\": " +
          std::to_string(report.bytes) + ",\n\"refused\": " + text_of(report.refused, -1) + "}\n");
}

}  // namespace warpwright::inspect
