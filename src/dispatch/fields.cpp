// SPDX-License-Identifier: Apache-2.0
#include "dispatch/fields.h"

#include <fmt/format.h>

#include <charconv>

namespace warpwright {

std::string field_text(i64 value) {
    return std::to_string(value);
}
std::string field_text(double value) {
    return fmt::format("{}", value);
}
std::string field_text(bool value) {
    return value ? "true" : "false";
}
std::string field_text(DType value) {
    return dtype_name(value);
}
std::string field_text(ArchClass value) {
    return arch_class_name(value);
}
std::string field_text(Activation value) {
    return activation_name(value);
}
std::string field_text(const RowName& value) {
    return value.text;
}

namespace {

Status bad(std::string_view name, std::string_view text, const char* expected) {
    return caller_error(fmt::format("{}: expected {}, got '{}'", name, expected, text));
}

template <class Number>
Status parse_number(std::string_view name, std::string_view text, Number& value, const char* expected) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return bad(name, text, expected);
    return {};
}

}  // namespace

Status parse_field(std::string_view name, std::string_view text, i64& value) {
    return parse_number(name, text, value, "an integer");
}

Status parse_field(std::string_view name, std::string_view text, double& value) {
    return parse_number(name, text, value, "a number");
}

Status parse_field(std::string_view name, std::string_view text, bool& value) {
    if (text != "true" && text != "false" && text != "1" && text != "0")
        return bad(name, text, "true or false");
    value = text == "true" || text == "1";
    return {};
}

Status parse_field(std::string_view name, std::string_view text, DType& value) {
    for (DType type : {DType::f32, DType::f16, DType::bf16, DType::i32, DType::u8}) {
        if (text == dtype_name(type)) {
            value = type;
            return {};
        }
    }
    return bad(name, text, "f32, f16, bf16, i32 or u8");
}

Status parse_field(std::string_view name, std::string_view text, Activation& value) {
    for (Activation activation :
         {Activation::none, Activation::silu, Activation::gelu, Activation::gelu_tanh}) {
        if (text == activation_name(activation)) {
            value = activation;
            return {};
        }
    }
    return bad(name, text, "none, silu, gelu or gelu_tanh");
}

}  // namespace warpwright
