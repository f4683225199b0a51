// SPDX-License-Identifier: Apache-2.0
// Device code among any bytes: host ELF files, fatbins, cubins, zstd frames, PTX. Payloads lie in the file,
// in order, side by side, and expand within the limit or are refused.
#include <string>
#include <vector>

#include "input.h"
#include "inspect/container/payload.h"

using namespace warpwright;           // NOLINT: a program of one function
using namespace warpwright::inspect;  // NOLINT
using namespace warpwright::fuzz;     // NOLINT

namespace {

constexpr u64 kMaxBytes = 1 << 20;

void check(Expander& expander, const Payload& payload) {
    const auto bytes = expander.expand(payload, kMaxBytes);
    if (!bytes.ok()) {
        require(!bytes.status().message().empty() && bytes.status().message().size() < 500,
                "a refusal is a sentence");
        return;
    }
    require(bytes->size() <= kMaxBytes, "a payload expands within the limit");
    const bool is_padded = payload.kind == ImageKind::ptx && payload.compression != Compression::none;
    require(
        payload.bytes == 0 || bytes->size() == payload.bytes || (is_padded && bytes->size() < payload.bytes),
        "a payload is as large as it says");
    touch(*bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto* bytes = reinterpret_cast<const std::byte*>(data);
    const std::vector<std::byte> file(bytes, bytes + size);
    ScanNotes notes;
    Expander expander;
    u64 begin = 0, end = 0;
    for (const Payload& payload : find_payloads(file, notes)) {
        const bool is_shared =
            payload.offset < end && !payload.head.empty();  // by texts with different heads
        require(payload.offset >= end || (is_shared && payload.offset == begin),
                "payloads lie side by side, in order");
        begin = payload.offset;
        require(payload.offset <= size && payload.stored.size() <= size - payload.offset,
                "a payload is in the file");
        require(payload.stored.empty() || payload.stored.data() == file.data() + payload.offset,
                "a payload is where it says");
        require(!payload.fatbin || *payload.fatbin < payload.offset, "a fatbin begins before its entries");
        end = payload.offset + payload.stored.size();
        check(expander, payload);
    }
    require(notes.notes.size() <= ScanNotes::kMaxNotes, "notes are few");
    require(!file_type(file).empty(), "a file has a type");
    return 0;
}
