// SPDX-License-Identifier: Apache-2.0
// What the opaque handles of the C ABI are.
#pragma once

#include <memory>

#include "c/guard.h"
#include "warpwright/context.h"

struct ww_context {
    std::shared_ptr<warpwright::Context> context;

    warpwright::Device& device() const { return context->device(); }
};

struct ww_prepared {
    std::shared_ptr<warpwright::Context> context;
    warpwright::Prepared prepared;
};

namespace warpwright::c {

inline Stream stream_of(void* handle) {
    return Stream{handle};
}

}  // namespace warpwright::c
