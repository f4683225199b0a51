// SPDX-License-Identifier: Apache-2.0
// Contexts, their memory, streams, events and graphs.
#include "warpwright/context.h"

#include <nlohmann/json.hpp>

#include "c/handles.h"
#include "dispatch/nearest.h"
#include "dispatch/operation.h"
#include "dispatch/targets_json.h"
#include "emulator/device/emulated.h"

using namespace warpwright;
using namespace warpwright::c;

namespace {

Status check_context(const ww_context* context, const char* function) {
    return need(context, function, "a context");
}

// A name that is no row of any of these operations.
Status check_row(const char* function, std::string_view row, std::span<const Operation* const> all) {
    std::vector<std::string> names;
    for (const Operation* operation : all) {
        for (int i = 0; i < operation->num_rows(); ++i) {
            names.push_back(operation->row_name(i));
            if (names.back() == row) return {};
        }
    }
    return caller_error(std::string(function) + ": no row named '" + std::string(row) +
                        "'; nearest: " + nearest(row, names));
}

}  // namespace

ww_status ww_context_open(const char* device, const ww_context_options* options, ww_context** context) {
    return guarded([&]() -> Status {
        WW_TRY(need(device, "ww_context_open", "the name of a device"));
        WW_TRY(need(context, "ww_context_open", "where to put the context"));
        ww_context_options known{};
        if (options != nullptr) {
            WW_ASSIGN(known, read_struct("ww_context_open", options));
        }
        WW_ASSIGN(auto opened, open_device(device));
        if (known.allocator != nullptr) {
            WW_ASSIGN(const ww_allocator allocator,
                      read_struct("ww_context_open: allocator", known.allocator));
            WW_TRY(opened->use_allocator(
                {.user = allocator.user, .allocate = allocator.allocate, .release = allocator.release}));
        }
        WW_ASSIGN(auto made, Context::open(std::move(opened)));
        if (known.forbid_overlap != 0) made->forbid_overlap();
        *context = new ww_context{std::move(made)};
        return {};
    });
}

void ww_context_close(ww_context* context) {
    delete context;
}

const char* ww_context_device(const ww_context* context) {
    return context == nullptr ? nullptr : context->device().id().c_str();
}

ww_status ww_context_json(ww_context* context, char** json) {
    return guarded([&]() -> Status {
        WW_TRY(check_context(context, "ww_context_json"));
        WW_TRY(need(json, "ww_context_json", "where to put the text"));
        Device& device = context->device();
        WW_ASSIGN(const MemoryInfo memory, device.memory());
        const nlohmann::ordered_json facts{
            {"device", device.id()},
            {"target", target_json(device.target())},
            {"memory", {{"free_bytes", memory.free_bytes}, {"total_bytes", memory.total_bytes}}},
            {"shares_host_memory", device.shares_host_memory()},
            {"supports_graphs", device.supports_graphs()}};
        WW_ASSIGN(*json, new_text(facts.dump(2)));
        return {};
    });
}

ww_status ww_context_force(ww_context* context, const char* op, const char* row) {
    return guarded([&]() -> Status {
        WW_TRY(check_context(context, "ww_context_force"));
        WW_TRY(need(op, "ww_context_force", "the name of an operation"));
        WW_ASSIGN(const Operation* operation, find_operation(op));
        const std::string_view name = text_or_empty(row);
        if (!name.empty()) WW_TRY(check_row("ww_context_force", name, std::span(&operation, 1)));
        context->context->force(op, name);
        return {};
    });
}

ww_status ww_context_forbid(ww_context* context, const char* row, const char* reason) {
    return guarded([&]() -> Status {
        WW_TRY(check_context(context, "ww_context_forbid"));
        WW_TRY(need(row, "ww_context_forbid", "the name of a row"));
        WW_TRY(check_row("ww_context_forbid", row, operations()));
        context->context->forbid(row, text_or_empty(reason));
        return {};
    });
}

ww_status ww_context_check_inputs(ww_context* context, int32_t wanted) {
    return guarded([&]() -> Status {
        WW_TRY(check_context(context, "ww_context_check_inputs"));
        context->context->check_inputs(wanted != 0);
        return {};
    });
}

ww_status ww_allocate(ww_context* context, size_t bytes, void** pointer) {
    return guarded([&]() -> Status {
        WW_TRY(check_context(context, "ww_allocate"));
        WW_TRY(need(pointer, "ww_allocate", "where to put the pointer"));
        WW_ASSIGN(*pointer, context->device().allocate(bytes));
        return {};
    });
}

void ww_release(ww_context* context, void* pointer) {
    if (context == nullptr || pointer == nullptr) return;
    (void)guarded([&]() -> Status {
        context->device().release(pointer);
        return {};
    });
}

ww_status ww_allocate_pinned(ww_context* context, size_t bytes, void** pointer) {
    return guarded([&]() -> Status {
        WW_TRY(check_context(context, "ww_allocate_pinned"));
        WW_TRY(need(pointer, "ww_allocate_pinned", "where to put the pointer"));
        WW_ASSIGN(*pointer, context->device().allocate_pinned(bytes));
        return {};
    });
}

void ww_release_pinned(ww_context* context, void* pointer) {
    if (context == nullptr || pointer == nullptr) return;
    (void)guarded([&]() -> Status {
        context->device().release_pinned(pointer);
        return {};
    });
}

ww_status ww_import_host(ww_context* context, void* data, size_t bytes, int32_t read_only, void** pointer) {
    return guarded([&]() -> Status {
        WW_TRY(check_context(context, "ww_import_host"));
        WW_TRY(need(data, "ww_import_host", "memory"));
        WW_TRY(need(pointer, "ww_import_host", "where to put the pointer"));
        auto* emulated = dynamic_cast<emulator::EmulatedDevice*>(&context->device());
        if (emulated == nullptr) {
            return caller_error(
                "ww_import_host: expected an emulated device, whose kernels reach host memory only "
                "so, got " +
                context->device().id());
        }
        WW_ASSIGN(*pointer, emulated->import(data, bytes, read_only != 0));
        return {};
    });
}

ww_status ww_copy_in(ww_context* context, void* device, const void* host, size_t bytes, void* stream) {
    return guarded([&]() -> Status {
        WW_TRY(check_context(context, "ww_copy_in"));
        return context->device().copy_in(device, host, bytes, stream_of(stream));
    });
}

ww_status ww_copy_out(ww_context* context, void* host, const void* device, size_t bytes, void* stream) {
    return guarded([&]() -> Status {
        WW_TRY(check_context(context, "ww_copy_out"));
        return context->device().copy_out(host, device, bytes, stream_of(stream));
    });
}

ww_status ww_copy(ww_context* context, void* to, const void* from, size_t bytes, void* stream) {
    return guarded([&]() -> Status {
        WW_TRY(check_context(context, "ww_copy"));
        return context->device().copy(to, from, bytes, stream_of(stream));
    });
}

ww_status ww_fill(ww_context* context, void* device, uint8_t value, size_t bytes, void* stream) {
    return guarded([&]() -> Status {
        WW_TRY(check_context(context, "ww_fill"));
        return context->device().fill(device, value, bytes, stream_of(stream));
    });
}

ww_status ww_stream_create(ww_context* context, void** stream) {
    return guarded([&]() -> Status {
        WW_TRY(check_context(context, "ww_stream_create"));
        WW_TRY(need(stream, "ww_stream_create", "where to put the stream"));
        WW_ASSIGN(const Stream created, context->device().create_stream());
        *stream = created.handle;
        return {};
    });
}

void ww_stream_destroy(ww_context* context, void* stream) {
    if (context != nullptr && stream != nullptr) context->device().destroy(stream_of(stream));
}

ww_status ww_stream_synchronize(ww_context* context, void* stream) {
    return guarded([&]() -> Status {
        WW_TRY(check_context(context, "ww_stream_synchronize"));
        return context->device().synchronize(stream_of(stream));
    });
}

ww_status ww_event_create(ww_context* context, void** event) {
    return guarded([&]() -> Status {
        WW_TRY(check_context(context, "ww_event_create"));
        WW_TRY(need(event, "ww_event_create", "where to put the event"));
        WW_ASSIGN(const Event created, context->device().create_event());
        *event = created.handle;
        return {};
    });
}

void ww_event_destroy(ww_context* context, void* event) {
    if (context != nullptr && event != nullptr) context->device().destroy(Event{event});
}

ww_status ww_event_record(ww_context* context, void* event, void* stream) {
    return guarded([&]() -> Status {
        WW_TRY(check_context(context, "ww_event_record"));
        return context->device().record(Event{event}, stream_of(stream));
    });
}

ww_status ww_stream_wait(ww_context* context, void* stream, void* event) {
    return guarded([&]() -> Status {
        WW_TRY(check_context(context, "ww_stream_wait"));
        return context->device().wait(stream_of(stream), Event{event});
    });
}

ww_status ww_event_synchronize(ww_context* context, void* event) {
    return guarded([&]() -> Status {
        WW_TRY(check_context(context, "ww_event_synchronize"));
        return context->device().wait(Event{event});
    });
}

ww_status ww_event_elapsed_us(ww_context* context, void* from, void* to, double* us) {
    return guarded([&]() -> Status {
        WW_TRY(check_context(context, "ww_event_elapsed_us"));
        WW_TRY(need(us, "ww_event_elapsed_us", "where to put the time"));
        WW_ASSIGN(*us, context->device().elapsed_us(Event{from}, Event{to}));
        return {};
    });
}

ww_status ww_capture_begin(ww_context* context, void* stream) {
    return guarded([&]() -> Status {
        WW_TRY(check_context(context, "ww_capture_begin"));
        return context->device().begin_capture(stream_of(stream));
    });
}

ww_status ww_capture_end(ww_context* context, void* stream, void** graph) {
    return guarded([&]() -> Status {
        WW_TRY(check_context(context, "ww_capture_end"));
        WW_TRY(need(graph, "ww_capture_end", "where to put the graph"));
        WW_ASSIGN(const Graph captured, context->device().end_capture(stream_of(stream)));
        *graph = captured.handle;
        return {};
    });
}

ww_status ww_graph_launch(ww_context* context, void* graph, void* stream) {
    return guarded([&]() -> Status {
        WW_TRY(check_context(context, "ww_graph_launch"));
        return context->device().launch(Graph{graph}, stream_of(stream));
    });
}

void ww_graph_destroy(ww_context* context, void* graph) {
    if (context != nullptr && graph != nullptr) context->device().destroy(Graph{graph});
}
