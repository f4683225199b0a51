// SPDX-License-Identifier: Apache-2.0
// Recorded words as a file: lines of JSON, each followed by the bytes it announces. The first line says where
// and when; one more for each form. A file is written form by form, so that what was recorded before a
// machine went away is kept.
//
// A full recording has every word. The committed one has the words of the first vectors, enough to see what
// is wrong, and for the rest digests of groups, enough to see that something is.
#pragma once

#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "tools/words/form.h"
#include "warpwright/status.h"

namespace warpwright::words {

// Levels of zstd: while a GPU is waiting, and for what is committed.
constexpr int kFastCompression = 3, kSmallCompression = 19;

struct Origin {
    std::string gpu, target, driver, date;
    int generator = kGeneratorVersion;
};

struct Record {
    std::string form;
    u64 identity = 0;  // identity_of(form) when it was recorded
    int vectors = 0;
    u64 digest = 0;         // of all words
    std::string problem;    // why there are none; empty when there are
    std::string words;      // of the first vectors: their output records, one after the other
    int group_vectors = 0;  // the others in groups of so many; the last may be smaller
    std::vector<u64> group_digests;

    int kept_vectors(const Form& form) const { return static_cast<int>(words.size()) / form.output_bytes(); }
};

struct Recording {
    Origin origin;
    std::vector<Record> records;
    const Record* find(std::string_view form) const;
};

// Changes whenever the kernel or its input does.
u64 identity_of(const Form& form);

Record full_record(const Form& form, std::string words);
Record failed_record(const Form& form, std::string problem);
// What is committed of a full record.
Record reduced(const Form& form, const Record& full);

// Creates the file, or appends to it.
Status write_origin(const std::string& path, const Origin& origin);
Status append(const std::string& path, const Record& record, int compression = kFastCompression);
Result<Recording> read_recording(const std::string& path);

// How the words of a device differ from the recorded ones; nothing when they do not. Of a form that is an
// approximation both have to keep the promise instead.
std::optional<std::string> difference(const Form& form, const Record& record, std::string_view words);

}  // namespace warpwright::words
