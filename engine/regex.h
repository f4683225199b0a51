// SPDX-License-Identifier: Apache-2.0
// Regular expressions of tokenizer files. The field's tokenizers run them with Oniguruma in its Ruby syntax;
// here PCRE2 does, after the few constructs that the two read differently have been rewritten or refused.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "warpwright/status.h"

struct pcre2_real_code_8;

namespace warpwright {

class Regex {
public:
    static Result<Regex> compile(std::string_view pattern);
    static std::string escape(std::string_view literal);

    struct Match {
        std::size_t begin = 0;
        std::size_t end = 0;
    };
    // Non-overlapping matches from left to right in valid UTF-8; an empty match right behind another is
    // dropped.
    Result<std::vector<Match>> find_all(std::string_view text) const;

private:
    std::shared_ptr<const pcre2_real_code_8> code_;
};

}  // namespace warpwright
