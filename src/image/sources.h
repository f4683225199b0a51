// SPDX-License-Identifier: Apache-2.0
// Kernel sources as the compiler sees them: a kernel file and what it includes, from the files compiled into
// the library. Include names are relative to src/ or include/: "kernels/fused/rows.h", "warpwright/types.h".
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "image/embedded.h"
#include "warpwright/status.h"

namespace warpwright {

struct SourceFile {
    std::string include_name;  // null-terminated, as the compiler wants it
    std::string text;
};

// A kernel file and everything it includes, directly or not.
struct SourceClosure {
    std::vector<SourceFile> files;  // files[0] is the kernel
    std::string digest;             // of all texts without their row tables: 16 bytes
};

// The text without the regions between the lines that contain `// rows:begin` and `// rows:end`: the rows of
// other images, which must not change this one's key.
std::string without_row_tables(std::string_view text);

// The text with every row but the named one cut out of the table that has it; `found` is set when there is
// one. All namespace-scope constants become device variables under -default-device: whole tables would end up
// in every image, and adding a row would change the bytes of the others. A row is a braced group that begins
// with its name.
std::string with_only_row(std::string_view text, std::string_view row, bool& found);

class KernelSources {
public:
    explicit KernelSources(std::span<const EmbeddedFile> files) : files_(files) {}

    // The kernels compiled into the library.
    static const KernelSources& embedded();

    // Worked out once per kernel file. An include that is not among the files is left to the compiler to
    // report: it may sit in a branch that only host code takes.
    Result<std::shared_ptr<const SourceClosure>> closure(std::string_view source) const;

private:
    const EmbeddedFile* find(std::string_view include_name) const;

    std::span<const EmbeddedFile> files_;
    mutable std::mutex mutex_;
    mutable std::map<std::string, std::shared_ptr<const SourceClosure>, std::less<>> closures_;
};

}  // namespace warpwright
