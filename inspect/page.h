// SPDX-License-Identifier: Apache-2.0
// The frame of a self-contained page: style and script are inside (inspect/page/), nothing is fetched.
#pragma once

#include <string>
#include <string_view>

namespace warpwright::inspect {

// Until after the title; `title` and `made_by` are escaped.
std::string page_begin(std::string_view title, std::string_view made_by);
std::string page_end();

std::string escape_html(std::string_view text);

}  // namespace warpwright::inspect
