// SPDX-License-Identifier: Apache-2.0
// Fields of plain structs by name: printing problems and rows, and reading `--set m=16,n=4096`.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "warpwright/status.h"
#include "warpwright/types.h"

namespace warpwright {

using FieldTexts = std::vector<std::pair<std::string, std::string>>;

std::string field_text(i64 value);
std::string field_text(double value);
std::string field_text(bool value);
std::string field_text(DType value);
std::string field_text(ArchClass value);
std::string field_text(Activation value);
std::string field_text(const RowName& value);

Status parse_field(std::string_view name, std::string_view text, i64& value);
Status parse_field(std::string_view name, std::string_view text, double& value);
Status parse_field(std::string_view name, std::string_view text, bool& value);
Status parse_field(std::string_view name, std::string_view text, DType& value);
Status parse_field(std::string_view name, std::string_view text, Activation& value);

template <class T>
auto field_value(const T& value) {  // widens int and float to the few types that are printed and parsed
    if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, DType> || std::is_same_v<T, ArchClass>) {
        return value;
    } else if constexpr (std::is_floating_point_v<T>) {
        return static_cast<double>(value);
    } else if constexpr (std::is_integral_v<T>) {
        return static_cast<i64>(value);
    } else {
        return value;
    }
}

// Every field of a struct that has visit(self, visitor).
template <class Struct>
FieldTexts field_texts(const Struct& value) {
    FieldTexts texts;
    Struct::visit(value, [&](const char* name, const auto& field) {
        if constexpr (requires { enum_text(field); }) {
            texts.emplace_back(name, enum_text(field));
        } else {
            texts.emplace_back(name, field_text(field_value(field)));
        }
    });
    return texts;
}

// Sets fields from name/value pairs; an unknown name is an error that lists the names there are.
template <class Struct>
Status set_fields(Struct& value, const FieldTexts& settings, std::string_view op) {
    for (const auto& setting : settings) {
        // Not a structured binding: clang before 16 lets no lambda see one.
        const std::string &name = setting.first, &text = setting.second;
        bool found = false;
        Status status;
        Struct::visit(value, [&](const char* field_name, auto& field) {
            if (found || name != field_name) return;
            found = true;
            if constexpr (requires { parse_enum(name, text, field); }) {
                status = parse_enum(name, text, field);
            } else {
                auto wide = field_value(field);
                status = parse_field(name, text, wide);
                field = static_cast<std::remove_reference_t<decltype(field)>>(wide);
            }
        });
        if (!found) {
            std::string known;
            Struct::visit(value, [&](const char* field_name, auto&) {
                known += (known.empty() ? "" : ", ") + std::string(field_name);
            });
            return caller_error(std::string(op) + ": no field '" + name + "'; fields: " + known);
        }
        WW_TRY(status);
    }
    return {};
}

}  // namespace warpwright
