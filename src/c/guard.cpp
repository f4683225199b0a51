// SPDX-License-Identifier: Apache-2.0
#include "c/guard.h"

#include <cstdlib>
#include <string>

#include "image/pack.h"

namespace warpwright::c {
namespace {

// why: the process's only state of the C ABI, a thread each.
thread_local std::string last_error;

ww_status status_of(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::ok: return WW_OK;
        case ErrorKind::caller: return WW_ERROR_CALLER;
        case ErrorKind::no_kernel: return WW_ERROR_NO_KERNEL;
        case ErrorKind::unavailable: return WW_ERROR_UNAVAILABLE;
    }
    return WW_ERROR_INTERNAL;
}

}  // namespace

ww_status fail(ww_status status, std::string_view message) noexcept {
    try {
        last_error.assign(message);
    } catch (...) {
        last_error.clear();
    }
    return status;
}

ww_status answer(const Status& status) noexcept {
    return status.ok() ? ww_status{WW_OK} : fail(status_of(status.kind()), status.message());
}

Status need(const void* pointer, const char* function, const char* what) {
    if (pointer != nullptr) return {};
    return caller_error(std::string(function) + ": expected " + what + ", got null");
}

Result<char*> new_text(std::string_view text) {
    auto* copy = static_cast<char*>(std::malloc(text.size() + 1));
    if (copy == nullptr) return unavailable("out of memory of the host");
    std::memcpy(copy, text.data(), text.size());
    copy[text.size()] = 0;
    return copy;
}

}  // namespace warpwright::c

using namespace warpwright::c;

const char* ww_last_error(void) {
    return last_error.c_str();
}

const char* ww_status_name(ww_status status) {
    switch (status) {
        case WW_OK: return "ok";
        case WW_ERROR_CALLER: return "caller";
        case WW_ERROR_NO_KERNEL: return "no kernel";
        case WW_ERROR_UNAVAILABLE: return "unavailable";
        case WW_ERROR_INTERNAL: return "internal";
        default: return "?";
    }
}

void ww_free(void* pointer) {
    std::free(pointer);
}

int32_t ww_abi_version(void) {
    return WW_ABI_VERSION;
}

int32_t ww_abi_revision(void) {
    return WW_ABI_REVISION;
}

const void* ww_packed_images(size_t* bytes) {
    const std::string_view images = warpwright::packed_images();
    *bytes = images.size();
    return images.data();
}

const char* ww_version(void) {
    return WW_VERSION;
}
