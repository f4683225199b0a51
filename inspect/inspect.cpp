// SPDX-License-Identifier: Apache-2.0
#include "inspect/inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>

#include "inspect/container/files.h"
#include "inspect/container/payload.h"
#include "inspect/image/read_image.h"
#include "inspect/isa/image_isa.h"
#include "inspect/knowledge/identify.h"

namespace warpwright::inspect {
namespace {

// What the container says of a payload; the payload itself adds to it and overrules it.
Image image_of(const Payload& payload) {
    Image image;
    image.kind = payload.kind;
    image.architecture = payload.architecture;
    if (payload.architecture.sm != 0) {
        image.architecture_evidence.push_back("fatbin entry: " + architecture_name(payload.architecture));
    }
    image.section = payload.section;
    image.offset = payload.offset;
    image.fatbin = payload.fatbin;
    image.stored_bytes = payload.stored.size();
    image.bytes = payload.bytes;
    image.compression = payload.compression;
    image.link_input = payload.link_input;
    image.options = payload.options;
    if (payload.kind == ImageKind::cubin) image.abi = payload.minor;
    if (payload.kind == ImageKind::ptx) image.isa_version = 10 * payload.major + payload.minor;
    return image;
}

void read_payload(const Payload& payload, Depth depth, const InspectOptions& options, Expander& expander,
                  Image& image) {
    if (payload.kind == ImageKind::ltoir) return;  // opaque
    const auto expanded = expander.expand(payload, options.max_image_bytes);
    if (!expanded.ok()) {
        image.damage = expanded.status().message();
        return;
    }
    const Bytes bytes = expanded.value();
    image.bytes = bytes.size();
    if (payload.kind == ImageKind::cubin) {
        read_cubin(bytes, depth, image);
    } else if (options.isa.empty() || depth == Depth::headers) {
        read_ptx(as_text(bytes), depth, image);
    } else {
        FormUses uses(as_text(bytes));
        read_ptx(as_text(bytes), depth, image, &uses);
        image.isa = isa_of_image(text_of(image, uses), options.isa);
    }
}

}  // namespace

FileReport inspect_bytes(std::string path, Bytes bytes, const InspectOptions& options) {
    FileReport report;
    report.path = std::move(path);
    report.bytes = bytes.size();
    ScanNotes notes;
    const std::vector<Payload> payloads = find_payloads(bytes, notes);
    report.type = file_type(bytes);
    report.notes = std::move(notes.notes);
    if (notes.num_left_out != 0) report.notes.push_back(fmt::format("and {} more notes", notes.num_left_out));
    report.headers_only = headers_only(report.path, bytes);
    const Depth depth = report.headers_only ? Depth::headers : Depth::instructions;
    report.images.reserve(payloads.size());
    Expander expander;
    for (const Payload& payload : payloads) {
        if (options.stop && options.stop()) break;
        Image image = image_of(payload);
        read_payload(payload, depth, options, expander, image);
        report.images.push_back(std::move(image));
    }
    identify(report, bytes);
    if (!report.images.empty()) report.jit_cache = jit_cache_of(report.path);
    if (!report.images.empty() || report.runtime_code)
        report.verdicts = judge(report, options.targets, options.judge);
    return report;
}

Result<Report> inspect_paths(const std::vector<std::string>& paths, const InspectOptions& options) {
    Report report;
    std::mutex mutex;
    FileVisitor visitor;
    visitor.file = [&](const FileBytes& file) {
        FileReport found = inspect_bytes(file.path, file.bytes, options);
        const std::scoped_lock lock(mutex);
        ++report.num_files;
        report.bytes += found.bytes;
        if (file.named || !found.images.empty() || !found.libraries.empty() || found.runtime_code)
            report.files.push_back(std::move(found));
    };
    visitor.refused = [&](const std::string& sentence) {
        const std::scoped_lock lock(mutex);
        report.refused.push_back(sentence);
    };
    visitor.progress = options.progress;
    visitor.stop = options.stop;
    const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    WW_TRY(visit_files(paths, options.limits, options.threads > 0 ? options.threads : cores, visitor));
    std::ranges::sort(report.files, {}, &FileReport::path);
    std::ranges::sort(report.refused);
    return report;
}

}  // namespace warpwright::inspect
