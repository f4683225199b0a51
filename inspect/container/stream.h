// SPDX-License-Identifier: Apache-2.0
// Compressed bytes, read from the beginning to the end.
#pragma once

#include <memory>
#include <span>

#include "inspect/bytes.h"
#include "warpwright/status.h"

namespace warpwright::inspect {

enum class Codec : u8 { stored, deflate, gzip, xz, zstd };

class Stream {
public:
    virtual ~Stream() = default;

    // As many bytes as there is room for; fewer at the end, and then none. What is damaged, or ends early, is
    // a caller error without the file's name.
    virtual Result<u64> read(std::span<std::byte> to) = 0;

    // Of what is compressed.
    u64 consumed() const { return consumed_; }

protected:
    u64 consumed_ = 0;
};

// The bytes must outlive the stream.
Result<std::unique_ptr<Stream>> open_stream(Codec codec, Bytes bytes);

}  // namespace warpwright::inspect
