// SPDX-License-Identifier: Apache-2.0
// Tables of texts in data/*.toml that are compiled in: every key is known, every demanded one is there.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace warpwright {

// One table of a file; what is read is noted, so that a misspelt key is a flaw and not a fact that nobody
// sees. Every flaw throws std::logic_error with the file and the table's name.
class DataTable {
public:
    // A text is a list of one.
    using Values = std::map<std::string, std::vector<std::string>, std::less<>>;
    DataTable(Values values, std::string where) : values_(std::move(values)), where_(std::move(where)) {}

    std::string text(std::string_view key);                // must be there, and not empty
    std::vector<std::string> texts(std::string_view key);  // at least one
    std::string one_of(std::string_view key, const std::vector<std::string_view>& names);
    std::string date(std::string_view key);  // YYYY-MM-DD
    void finish() const;                     // no key is left
    [[noreturn]] void broken(const std::string& what) const;

private:
    Values values_;
    std::string where_;
    std::set<std::string, std::less<>> known_;
};

// Calls read for every [[name]] of the file's text, which has at least one. `path` is for messages.
void for_each_table(std::string_view path, std::string_view text, const char* name,
                    const std::function<void(DataTable&)>& read);

// The text of an embedded file of data/.
std::string_view data_file(std::string_view path);

}  // namespace warpwright
