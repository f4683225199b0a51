// SPDX-License-Identifier: Apache-2.0
#include "inspect/page.h"

#include <fmt/format.h>

#include "image/embedded.h"
#include "inspect/container/printable.h"

namespace warpwright::inspect {
namespace {

std::string_view page_file(std::string_view name) {
    for (const EmbeddedFile& file : embedded_page())
        if (file.path.ends_with(name)) return file.text;
    return {};
}

}  // namespace

std::string escape_html(std::string_view text) {
    std::string html;
    html.reserve(text.size());
    for (const char c : printable(text)) {
        switch (c) {
            case '&': html += "&amp;"; break;
            case '<': html += "&lt;"; break;
            case '>': html += "&gt;"; break;
            case '"': html += "&quot;"; break;
            default: html += c;
        }
    }
    return html;
}

std::string page_begin(std::string_view title, std::string_view made_by) {
    return fmt::format(
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content=\"width=device-width, initial-scale=1\">"
        "<title>{0}</title>\n<style>\n{1}</style></head><body>\n"
        "<h1>{0}</h1>\n<p class=quiet>{2}</p>\n",
        escape_html(title), page_file("style.css"), escape_html(made_by));
}

std::string page_end() {
    return fmt::format("<script>\n{}</script>\n</body></html>\n", page_file("script.js"));
}

}  // namespace warpwright::inspect
