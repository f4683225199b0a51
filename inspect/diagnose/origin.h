// SPDX-License-Identifier: Apache-2.0
// Which library a failure belongs to whose own line does not tell: the deepest frame of the traceback before
// it, the .so files of the backtrace behind it, names in the line itself.
#pragma once

#include <optional>
#include <string_view>

#include "inspect/diagnose/catalogue.h"
#include "inspect/diagnose/literals.h"
#include "inspect/diagnose/log_reader.h"

namespace warpwright::diagnose {

struct Named {
    const Origin* origin = nullptr;
    std::string_view line;  // that names it; a view into the log's buffer
};

class OriginFinder {
public:
    explicit OriginFinder(const Catalogue& catalogue);

    // Nothing where no library is named near the line.
    std::optional<Named> find(const LogLine& line) const;

private:
    const Catalogue& catalogue_;
    LiteralScanner scanner_;
};

}  // namespace warpwright::diagnose
