// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "inspect/container/elf.h"
#include "inspect/container/fatbin.h"
#include "inspect/container/magic.h"
#include "inspect/container/own_pack.h"
#include "inspect/container/payload.h"
#include "inspect/container/ptx_text.h"
#include "inspect/container/zstd_frame.h"

namespace warpwright::inspect {
namespace {

class Scan {
public:
    Scan(Bytes file, ScanNotes& notes)
        : file_(file), notes_(notes), sections_(file), work_left_(kWorkPerByte * file.size() + kFreeWork) {}

    std::vector<Payload> run() {
        u64 at = 0;
        while (const auto hit = next_magic(file_, at)) {
            const u64 end = take(*hit);
            floor_ = std::max(floor_, end);
            at = std::max(end, hit->offset + 1);
        }
        mark_link_inputs();
        return std::move(payloads_);
    }

private:
    // Where a file is made of beginnings of ELF files or zstd frames that lead nowhere, each look costs more
    // than the bytes that it goes on by. What is real costs less than twice its size.
    static constexpr u64 kWorkPerByte = 8, kFreeWork = u64{64} << 20;

    // The end of what is there, validated; 0: nothing.
    u64 take(const MagicHit& hit) {
        switch (hit.magic) {
            case Magic::fatbin: return take_fatbin(hit.offset);
            case Magic::cubin: return may_work() ? take_cubin(hit.offset) : 0;
            case Magic::zstd: return may_work() ? take_zstd(hit.offset) : 0;
            case Magic::ptx: return take_ptx(hit.offset);
            case Magic::pack: return may_work() ? take_pack(hit.offset) : 0;
        }
        return 0;
    }

    u64 take_fatbin(u64 offset) {
        auto fatbin = read_fatbin(file_, offset, notes_);
        if (!fatbin) return 0;
        const std::string section = sections_.name_at(offset);
        for (Payload& payload : fatbin->entries) {
            payload.section = section;
            payloads_.push_back(std::move(payload));
        }
        return fatbin->end;
    }

    u64 take_cubin(u64 offset) {
        const auto header = read_elf_header(file_, offset);
        const auto extent = elf_extent(file_.subspan(offset));
        work(u64{header->num_sections} * 64 + 64);
        if (!extent) {
            notes_.add(fmt::format("cubin at {:#x}: is not whole, or its headers are damaged", offset));
            return 0;
        }
        add_bare(ImageKind::cubin, offset, *extent);
        return offset + *extent;
    }

    u64 take_zstd(u64 offset) {
        const Bytes rest = file_.subspan(offset);
        const ZstdPeek peek = peek_zstd(rest);
        work(peek.work);
        const auto kind = image_kind_of(peek.beginning);
        if (!kind) return 0;
        const ZstdExtent extent = zstd_extent(rest);
        work(extent.work);
        if (extent.bytes == 0) {
            notes_.add(
                fmt::format("zstd frame of a {} at {:#x}: is not whole", image_kind_name(*kind), offset));
            return 0;
        }
        Payload& payload = add_bare(*kind, offset, extent.bytes);
        payload.compression = Compression::zstd;
        payload.bytes = peek.content_bytes;
        return offset + extent.bytes;
    }

    u64 take_ptx(u64 offset) {
        const auto text = find_ptx(file_, offset, floor_);
        if (!text) return 0;
        Payload& payload = add_bare(ImageKind::ptx, text->begin, text->end - text->begin);
        payload.major = text->major;
        payload.minor = text->minor;
        return text->end;
    }

    u64 take_pack(u64 offset) {
        auto images = read_own_pack(file_, offset);
        work(images.work);
        const std::string section = sections_.name_at(offset);
        for (Payload& payload : images.payloads) {
            payload.section = section;
            payloads_.push_back(std::move(payload));
        }
        return images.end;
    }

    static std::optional<ImageKind> image_kind_of(Bytes beginning) {
        const auto header = read_elf_header(beginning);
        if (header && header->machine == kElfMachineCuda) return ImageKind::cubin;
        if (begins_as_ptx(as_text(beginning)) == PtxBeginning::yes) return ImageKind::ptx;
        return std::nullopt;
    }

    Payload& add_bare(ImageKind kind, u64 offset, u64 stored_bytes) {
        Payload payload;
        payload.kind = kind;
        payload.section = sections_.name_at(offset);
        payload.offset = offset;
        payload.stored = file_.subspan(offset, stored_bytes);
        payload.bytes = stored_bytes;
        return payloads_.emplace_back(std::move(payload));
    }

    // The inputs of the device link stay in the file beside its result.
    void mark_link_inputs() {
        const auto is_in = [](const char* section) {
            return [section](const Payload& payload) { return payload.section == section; };
        };
        if (std::none_of(payloads_.begin(), payloads_.end(), is_in(".nv_fatbin"))) return;
        for (Payload& payload : payloads_) payload.link_input = is_in("__nv_relfatbin")(payload);
    }

    bool may_work() {
        if (work_left_ > 0) return true;
        if (!said_too_much_)
            notes_.add(
                "has too many beginnings of cubins or zstd frames that are none: later ones "
                "outside of fatbins are not looked at");
        said_too_much_ = true;
        return false;
    }
    void work(u64 bytes) { work_left_ -= std::min(work_left_, bytes); }

    Bytes file_;
    ScanNotes& notes_;
    HostSections sections_;
    std::vector<Payload> payloads_;
    u64 floor_ = 0;  // the end of the last payload: no text begins before it
    u64 work_left_;
    bool said_too_much_ = false;
};

}  // namespace

std::string file_type(Bytes file) {
    if (const auto header = read_elf_header(file))
        return header->machine == kElfMachineCuda ? "cubin" : "elf";
    if (is_fatbin(file, 0)) return "fatbin";
    return begins_as_ptx(as_text(file)) == PtxBeginning::yes ? "ptx" : "data";
}

std::vector<Payload> find_payloads(Bytes file, ScanNotes& notes) {
    return Scan(file, notes).run();
}

}  // namespace warpwright::inspect
