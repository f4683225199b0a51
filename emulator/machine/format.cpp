// SPDX-License-Identifier: Apache-2.0
#include "emulator/machine/format.h"

#include <algorithm>
#include <bit>
#include <cstdio>

#include <fmt/format.h>

namespace warpwright::emulator {
namespace {

constexpr int kMaxWidth = 4096;  // of a field: texts stay bounded, whatever the kernel asks for

// One conversion specification: "%-08.3llx".
struct Specification {
    std::string flags;
    std::optional<int> width, precision;
    bool has_star_width = false, has_star_precision = false;
    int size = 4;  // bytes of an integer: 1, 2, 4, 8
    char conversion = 0;
    std::string_view rest;  // of the format, behind it
};

int read_number(std::string_view& text) {
    int number = 0;
    while (!text.empty() && text[0] >= '0' && text[0] <= '9') {
        number = std::min(number * 10 + (text[0] - '0'), kMaxWidth);
        text.remove_prefix(1);
    }
    return number;
}

// Of a text behind its '%'; nothing when it is no specification.
std::optional<Specification> read_specification(std::string_view text) {
    Specification spec;
    const auto next = [&] { return text.empty() ? '\0' : text[0]; };
    while (next() != 0 && std::string_view("-+ #0").find(next()) != std::string_view::npos) {
        if (spec.flags.find(next()) == std::string::npos) spec.flags += next();
        text.remove_prefix(1);
    }
    if (next() == '*') {
        spec.has_star_width = true;
        text.remove_prefix(1);
    } else if (next() >= '0' && next() <= '9') {
        spec.width = read_number(text);
    }
    if (next() == '.') {
        text.remove_prefix(1);
        if (next() == '*') {
            spec.has_star_precision = true;
            text.remove_prefix(1);
        } else {
            spec.precision = read_number(text);
        }
    }
    if (text.starts_with("hh")) {
        spec.size = 1;
        text.remove_prefix(2);
    } else if (next() == 'h') {
        spec.size = 2;
        text.remove_prefix(1);
    } else {
        while (next() != 0 && std::string_view("lzjt").find(next()) != std::string_view::npos) {
            spec.size = 8;
            text.remove_prefix(1);
        }
    }
    if (next() == 0 || std::string_view("diuoxXcspfFeEgGaA").find(next()) == std::string_view::npos)
        return std::nullopt;
    spec.conversion = text[0];
    spec.rest = text.substr(1);
    return spec;
}

template <class T>
std::string print(const std::string& format, T value) {
    const int length = std::snprintf(nullptr, 0, format.c_str(), value);
    if (length < 0) return "";
    std::string text(static_cast<std::size_t>(length) + 1, '\0');
    std::snprintf(text.data(), text.size(), format.c_str(), value);
    text.pop_back();
    return text;
}

i64 sign_extend(u64 value, int bytes) {
    const int shift = 64 - 8 * bytes;
    return static_cast<i64>(value << shift) >> shift;
}

// Arguments in their order.
class Reader {
public:
    explicit Reader(const FormatArguments& arguments) : arguments_(arguments) {}
    std::optional<u64> next(int bytes) {
        offset_ = (offset_ + static_cast<u64>(bytes) - 1) / static_cast<u64>(bytes) * static_cast<u64>(bytes);
        const auto word = arguments_.word(offset_, bytes);
        offset_ += static_cast<u64>(bytes);
        ++count_;
        return word;
    }
    int count() const { return count_; }

private:
    const FormatArguments& arguments_;
    u64 offset_ = 0;
    int count_ = 0;
};

// Nothing when an argument cannot be read.
std::optional<std::string> convert(Specification spec, Reader& reader, const FormatArguments& arguments) {
    if (spec.has_star_width) {
        const auto word = reader.next(4);
        if (!word) return std::nullopt;
        const i64 width = sign_extend(*word, 4);
        if (width < 0) spec.flags += '-';
        spec.width = static_cast<int>(std::min<i64>(width < 0 ? -width : width, kMaxWidth));
    }
    if (spec.has_star_precision) {
        const auto word = reader.next(4);
        if (!word) return std::nullopt;
        const i64 precision = sign_extend(*word, 4);
        if (precision >= 0) spec.precision = static_cast<int>(std::min<i64>(precision, kMaxWidth));
    }
    const bool is_integer = std::string_view("diuoxX").find(spec.conversion) != std::string_view::npos;
    const int bytes = spec.conversion == 'c' ? 4 : is_integer ? std::max(spec.size, 4) : 8;
    const auto word = reader.next(bytes);
    if (!word) return std::nullopt;
    std::string format = "%" + spec.flags;
    if (spec.width) format += std::to_string(*spec.width);
    if (spec.precision) format += "." + std::to_string(*spec.precision);
    switch (spec.conversion) {
        case 'd':
        case 'i': return print(format + "lld", static_cast<long long>(sign_extend(*word, spec.size)));
        case 'u':
        case 'o':
        case 'x':
        case 'X': {
            const u64 mask = spec.size == 8 ? ~u64{0} : (u64{1} << 8 * spec.size) - 1;
            return print(format + "ll" + spec.conversion, static_cast<unsigned long long>(*word & mask));
        }
        case 'c': {
            // A null is a character too.
            std::string text = print(format + "c", ' ');
            const auto at = spec.flags.find('-') != std::string::npos ? 0 : text.size() - 1;
            text[at] = static_cast<char>(*word & 0xffu);
            return text;
        }
        case 's': {
            const auto text = arguments.string(*word);
            if (!text) return std::nullopt;
            return print(format + "s", text->c_str());
        }
        case 'p': {
            std::string address = fmt::format("{:#x}", *word);
            const std::size_t width = static_cast<std::size_t>(spec.width.value_or(0));
            if (address.size() >= width) return address;
            const std::string padding(width - address.size(), ' ');
            return spec.flags.find('-') != std::string::npos ? address + padding : padding + address;
        }
        default: return print(format + spec.conversion, std::bit_cast<double>(*word));
    }
}

}  // namespace

Formatted format_printf(std::string_view format, const FormatArguments& arguments) {
    Formatted result;
    Reader reader(arguments);
    while (!format.empty()) {
        const std::size_t percent = std::min(format.find('%'), format.size());
        result.text += format.substr(0, percent);
        format.remove_prefix(percent);
        if (format.empty()) break;
        if (format.starts_with("%%")) {
            result.text += '%';
            format.remove_prefix(2);
            continue;
        }
        const auto spec = read_specification(format.substr(1));
        if (!spec) {
            result.text += '%';
            format.remove_prefix(1);
            continue;
        }
        const auto text = convert(*spec, reader, arguments);
        if (!text) {
            result.error = fmt::format("argument {} of printf, for {}, cannot be read", reader.count(),
                                       format.substr(0, format.size() - spec->rest.size()));
            return result;
        }
        result.text += *text;
        format = spec->rest;
    }
    result.num_arguments = reader.count();
    return result;
}

}  // namespace warpwright::emulator
