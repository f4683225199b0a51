// SPDX-License-Identifier: Apache-2.0
// What every operation has, prepare and run, of a call's struct and convert(struct, device) -> the C++ call.
#pragma once

#include "c/handles.h"

namespace warpwright::c {

template <class Call, class Convert>
ww_status prepare_call(const char* function, ww_context* context, const Call* given, ww_prepared** prepared,
                       Convert convert) {
    return guarded([&]() -> Status {
        WW_TRY(need(context, function, "a context"));
        WW_TRY(need(prepared, function, "where to put what is prepared"));
        WW_ASSIGN(const Call known, read_struct(function, given));
        WW_ASSIGN(const auto call, convert(known, context->device()));
        if (*prepared == nullptr) {
            auto fresh = std::make_unique<ww_prepared>(ww_prepared{context->context, {}});
            WW_TRY(prepare(*context->context, call, fresh->prepared));
            *prepared = fresh.release();
            return {};
        }
        ww_prepared& into = **prepared;
        if (into.context != context->context)
            return caller_error(std::string(function) + ": what it is to be added to is another context's");
        const std::size_t before = into.prepared.steps.size();
        const Status status = prepare(*context->context, call, into.prepared);
        if (!status.ok()) into.prepared.steps.resize(before);
        return status;
    });
}

template <class Call, class Convert>
ww_status run_call(const char* function, ww_context* context, const Call* given, void* stream,
                   Convert convert) {
    return guarded([&]() -> Status {
        WW_TRY(need(context, function, "a context"));
        WW_ASSIGN(const Call known, read_struct(function, given));
        WW_ASSIGN(const auto call, convert(known, context->device()));
        Prepared prepared;
        WW_TRY(prepare(*context->context, call, prepared));
        return prepared.launch(context->device(), stream_of(stream));
    });
}

// The functions of one operation; convert() is overloaded by the struct.
#define WW_OPERATION(op)                                                                          \
    ww_status ww_prepare_##op(ww_context* context, const ww_##op* call, ww_prepared** prepared) { \
        return prepare_call("ww_prepare_" #op, context, call, prepared,                           \
                            [](const ww_##op& c, const Device& d) { return convert(c, d); });     \
    }                                                                                             \
    ww_status ww_run_##op(ww_context* context, const ww_##op* call, void* stream) {               \
        return run_call("ww_run_" #op, context, call, stream,                                     \
                        [](const ww_##op& c, const Device& d) { return convert(c, d); });         \
    }

}  // namespace warpwright::c
