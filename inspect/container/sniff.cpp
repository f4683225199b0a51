// SPDX-License-Identifier: Apache-2.0
#include "inspect/container/sniff.h"

#include <algorithm>
#include <array>

#include "inspect/container/ptx_text.h"
#include "inspect/container/tar.h"

namespace warpwright::inspect {
namespace {

using namespace std::string_view_literals;

struct Signature {
    std::string_view bytes;
    FileForm form;
};

constexpr std::array kSignatures = {
    Signature{"!<arch>\n"sv, FileForm::ar},
    Signature{"!<thin>\n"sv, FileForm::thin_ar},
    Signature{"PK\x03\x04"sv, FileForm::zip},
    Signature{"PK\x05\x06"sv, FileForm::zip},  // without members
    Signature{"\x1F\x8B\x08"sv, FileForm::gzip},
    Signature{"\xFD"
              "7zXZ\0"sv,
              FileForm::xz},
    Signature{"BZh"sv, FileForm::bzip2},
    Signature{"\x28\xB5\x2F\xFD"sv, FileForm::zstd},
    // What environments and caches are full of.
    Signature{"\x89PNG"sv, FileForm::other},
    Signature{"\xFF\xD8\xFF"sv, FileForm::other},
    Signature{"GIF8"sv, FileForm::other},
    Signature{"%PDF"sv, FileForm::other},
    Signature{"\x93NUMPY"sv, FileForm::other},
    Signature{"\x89HDF"sv, FileForm::other},
    Signature{"SQLite format 3\0"sv, FileForm::other},
    Signature{"GGUF"sv, FileForm::other},
};

// A length, then a JSON object: weights.
bool is_safetensors(Bytes bytes) {
    const auto length = read_at<u64>(bytes, 0);
    return length && *length < u64{1} << 32 && as_text(bytes).substr(8, 2) == "{\"";
}

// Python's byte code: a version, then a line end that no text mode survives.
bool is_python_code(Bytes bytes) {
    const std::string_view text = as_text(bytes);
    return text.size() >= 16 && text.substr(2, 2) == "\r\n" && static_cast<u8>(text[1]) <= 0x0F;
}

bool is_text(std::string_view text) {
    return std::none_of(text.begin(), text.end(), [](char c) {
        const auto byte = static_cast<u8>(c);
        return byte == 0x7F || (byte < 0x20 && (byte < '\t' || byte > '\r') && byte != 0x1B);
    });
}

}  // namespace

FileForm sniff(Bytes beginning) {
    const std::string_view text = as_text(beginning).substr(0, kSniffBytes);
    if (text.empty()) return FileForm::other;
    for (const Signature& signature : kSignatures) {
        if (text.starts_with(signature.bytes)) return signature.form;
    }
    if (is_tar(beginning)) return FileForm::tar;
    if (is_safetensors(beginning) || is_python_code(beginning)) return FileForm::other;
    if (is_text(text) && begins_as_ptx(text) == PtxBeginning::no) return FileForm::other;
    return FileForm::code;
}

}  // namespace warpwright::inspect
