// SPDX-License-Identifier: Apache-2.0
// Static archives, with the long names of GNU and BSD.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "inspect/container/visit.h"

namespace warpwright::inspect {
namespace {

struct ArHeader {
    char name[16], time[12], owner[6], group[6], mode[8], bytes[10], end[2];
};
static_assert(sizeof(ArHeader) == 60);
constexpr u64 kMagicBytes = 8;

std::string_view trimmed(std::string_view text) {
    return text.substr(0, text.find_last_not_of(' ') + 1);
}

std::optional<u64> number(std::string_view text) {
    text = trimmed(text);
    u64 value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

class ArReader {
public:
    ArReader(Visit& visit, const Item& archive) : visit_(visit), archive_(archive), file_(archive.bytes) {}

    void run() {
        for (u64 at = kMagicBytes; at < file_.size() && !visit_.stopped();) {
            const auto header = read_at<ArHeader>(file_, at);
            const auto bytes = header ? number({header->bytes, sizeof header->bytes}) : std::nullopt;
            if (!header || !bytes || header->end[0] != '`' || header->end[1] != '\n')
                return refuse(fmt::format("no member's header at {:#x}: the rest is left out", at));
            const auto content = slice(file_, at + sizeof(ArHeader), *bytes);
            if (!content)
                return refuse(fmt::format("the member at {:#x} says {} bytes, which are not there: cut off",
                                          at, *bytes));
            if (!take(*header, *content)) return;
            at += sizeof(ArHeader) + *bytes + (*bytes & 1);
        }
    }

private:
    void refuse(const std::string& what) { visit_.refuse(fmt::format("{}: {}", archive_.path, what)); }

    // False: there are too many members.
    bool take(const ArHeader& header, Bytes content) {
        std::string_view name = trimmed({header.name, sizeof header.name});
        if (name == "//") {
            long_names_ = as_text(content);
            return true;
        }
        if (name == "/" || name == "/SYM64/" || name.starts_with("__.SYMDEF"))
            return true;                // tables of symbols
        if (name.starts_with("#1/")) {  // BSD: the name is the beginning of the content
            const auto bytes = number(name.substr(3));
            if (!bytes || *bytes > content.size())
                return refuse("a member with a long name that is not there"), true;
            name = as_text(content.first(*bytes));
            name = name.substr(0, name.find('\0'));
            content = content.subspan(*bytes);
            if (name.starts_with("__.SYMDEF")) return true;
        } else if (name.starts_with('/')) {  // GNU: a place in the table of long names
            const auto offset = number(name.substr(1));
            if (!offset || *offset >= long_names_.size())
                return refuse("a member with a long name that is not there"), true;
            name = long_names_.substr(*offset);
            name = name.substr(0, name.find('\n'));
        }
        if (name.ends_with('/')) name.remove_suffix(1);
        if (content.empty()) return true;
        if (!visit_.count_file()) return false;
        const auto path = member_path(visit_, archive_, name);
        if (!path) return true;
        Visit& visit = visit_;
        visit.tasks.add_first([&visit, item = Item{*path, content, archive_.owner, archive_.top,
                                                   archive_.depth + 1}] { visit_item(visit, item); });
        return true;
    }

    Visit& visit_;
    const Item& archive_;
    Bytes file_;
    std::string_view long_names_;
};

}  // namespace

void visit_ar(Visit& visit, const Item& archive) {
    ArReader(visit, archive).run();
}

}  // namespace warpwright::inspect
