// SPDX-License-Identifier: Apache-2.0
// The figures of a run of `bench`, as the JSON that docs/results keeps: a head, and one object a case.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "bench/cases.h"
#include "bench/host_overhead.h"
#include "bench/measure.h"
#include "bench/peers.h"
#include "bench/roofline.h"

namespace warpwright::bench {

using Json = nlohmann::ordered_json;

// op, problem, row, us, rates, the share of the roof, the peers.
Json case_json(const Case& item, const std::string& rows, const Timing& timing, const Roofline& roof,
               const std::vector<PeerTime>& peers);

// Adds "rows", every row's time, and "share_of_best": the best row's time over that of `chosen`.
void add_rows(Json& json, const std::vector<RowTime>& times, const std::string& chosen);

class Results {
public:
    // The head: gpu, target, date, command, method.
    explicit Results(Json head) : json_(std::move(head)) { json_["cases"] = Json::array(); }

    // Takes over the cases of an earlier run into `path`, where there is one. A run of another command or on
    // another GPU is refused.
    Status resume(const std::string& path);

    const Json* find(const Case& item) const;
    void add(Json json) { json_["cases"].push_back(std::move(json)); }
    Json& json() { return json_; }
    const Json& json() const { return json_; }

    // Replaces the file at once: a reader, and a run that goes on from it, see all of it or the one before.
    Status save(const std::string& path) const { return save(json_, path); }
    static Status save(const Json& json, const std::string& path);

private:
    Json json_;
};

Json host_json(const std::vector<HostOverhead>& overheads);
std::string host_lines(const std::vector<HostOverhead>& overheads);

// Lines of fixed width.
std::string heading_line();
std::string case_line(const Json& json);
std::string row_lines(const Json& json);      // of a case that has rows
std::string group_lines(const Json& cases);   // geometric means by group
std::string choice_lines(const Json& cases);  // how good the chosen rows are, where all rows were timed

}  // namespace warpwright::bench
