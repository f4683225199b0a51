// SPDX-License-Identifier: Apache-2.0
// What the registry and the list of targets hold, as lines that test_contributing.py reads:
//   registry list               "row OP ROW", "image ROW BUILD_TARGET KEY", "target ID BUILD_TARGET"
//   registry why OP GPU [FIELD=VALUE...]
//                               the Explanation, as JSON
//   registry compile ROW BUILD_TARGET
//                               "compiled N registers, N bytes spilled"; exit 3 without a compiler
#include <fmt/format.h>

#include <span>
#include <string>
#include <string_view>

#include "dispatch/operation.h"
#include "image/compile.h"
#include "image/key.h"
#include "warpwright/target.h"

namespace warpwright {
namespace {

int failed(const Status& status, int code = 1) {
    fmt::print(stderr, "{}\n", status.message());
    return code;
}

int list() {
    for (const Operation* operation : operations()) {
        for (int row = 0; row < operation->num_rows(); ++row) {
            fmt::print("row {} {}\n", operation->name(), operation->row_name(row));
        }
    }
    for (const ImageSpec& spec : all_image_specs()) {
        const auto sources = KernelSources::embedded().closure(spec.source);
        if (!sources.ok()) return failed(sources.status());
        fmt::print("image {} {} {}\n", spec.row, build_target_name(spec.build_target),
                   image_key(spec, *sources.value(), {}).hash);
    }
    for (const Target& target : targets()) {
        fmt::print("target {} {}\n", target.id, build_target_name(target.facts.build_target));
    }
    return 0;
}

int why(std::string_view op, std::string_view gpu, std::span<char*> settings) {
    const Result<const Operation*> operation = find_operation(op);
    if (!operation.ok()) return failed(operation.status());
    const Result<Target> target = find_target(gpu);
    if (!target.ok()) return failed(target.status());
    FieldTexts fields;
    for (const std::string setting : settings) {
        const std::size_t equals = setting.find('=');
        fields.emplace_back(setting.substr(0, equals), setting.substr(equals + 1));
    }
    const Result<Explanation> explanation = operation.value()->explain(target.value(), fields, {});
    if (!explanation.ok()) return failed(explanation.status());
    fmt::print("{}\n", to_json(explanation.value()));
    return 0;
}

int compile_one(std::string_view row, std::string_view build_target) {
    if (const auto compiler = nvrtc(); !compiler.ok()) return failed(compiler.status(), 3);
    for (const ImageSpec& spec : all_image_specs()) {
        if (spec.row != row || build_target_name(spec.build_target) != build_target) continue;
        const Result<Compiled> compiled = compile(spec);
        if (!compiled.ok()) return failed(compiled.status());
        if (!compiled->warnings.empty()) return failed(caller_error(compiled->warnings));
        const ImageResources& resources = compiled->image.resources;
        fmt::print("compiled {} registers, {} bytes spilled\n", resources.registers, resources.spill_bytes);
        return 0;
    }
    return failed(caller_error(fmt::format("no image of {} for {}", row, build_target)));
}

}  // namespace
}  // namespace warpwright

int main(int argc, char** argv) {
    const std::string_view verb = argc > 1 ? argv[1] : "";
    if (verb == "list" && argc == 2) return warpwright::list();
    if (verb == "why" && argc >= 4) return warpwright::why(argv[2], argv[3], {argv + 4, argv + argc});
    if (verb == "compile" && argc == 4) return warpwright::compile_one(argv[2], argv[3]);
    fmt::print(stderr, "usage: registry list | why OP GPU [FIELD=VALUE...] | compile ROW BUILD_TARGET\n");
    return 2;
}
