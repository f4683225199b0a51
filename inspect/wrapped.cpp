// SPDX-License-Identifier: Apache-2.0
#include "inspect/wrapped.h"

#include <algorithm>

namespace warpwright::inspect {

std::string wrapped(const std::string& lead, std::string_view text, size_t columns) {
    std::string out = lead;
    const std::string indent(lead.size(), ' ');
    size_t column = lead.size();
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find(' ', at), text.size());
        if (column > indent.size() && column + 1 + (end - at) > columns) {
            out += "\n" + indent;
            column = indent.size();
        } else if (column > indent.size()) {
            out += ' ';
            ++column;
        }
        out += text.substr(at, end - at);
        column += end - at;
        at = end + 1;
    }
    return out + "\n";
}

}  // namespace warpwright::inspect
