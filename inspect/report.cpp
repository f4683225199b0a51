// SPDX-License-Identifier: Apache-2.0
#include "inspect/report.h"

#include <fmt/format.h>

namespace warpwright::inspect {

const char* image_kind_name(ImageKind kind) {
    switch (kind) {
        case ImageKind::ptx: return "ptx";
        case ImageKind::cubin: return "cubin";
        case ImageKind::ltoir: return "ltoir";
    }
    return "?";
}

std::string architecture_name(Architecture architecture) {
    if (architecture.sm == 0) return "unknown";
    const char* suffix = architecture.suffix == Suffix::a ? "a" : architecture.suffix == Suffix::f ? "f" : "";
    return fmt::format("sm_{}{}", architecture.sm, suffix);
}

std::optional<Architecture> parse_architecture(std::string_view name) {
    for (const std::string_view prefix : {"sm_", "compute_", "lto_"}) {
        if (!name.starts_with(prefix)) continue;
        name.remove_prefix(prefix.size());
        Architecture found;
        size_t digits = 0;
        while (digits < name.size() && name[digits] >= '0' && name[digits] <= '9') {
            if (digits == 3) return std::nullopt;
            found.sm = found.sm * 10 + (name[digits++] - '0');
        }
        const std::string_view rest = name.substr(digits);
        if (digits < 2 || rest.size() > 1) return std::nullopt;
        if (rest == "a") found.suffix = Suffix::a;
        if (rest == "f") found.suffix = Suffix::f;
        if (!rest.empty() && found.suffix == Suffix::none) return std::nullopt;
        return found;
    }
    return std::nullopt;
}

const char* compression_name(Compression compression) {
    switch (compression) {
        case Compression::none: return "none";
        case Compression::lz4: return "lz4";
        case Compression::zstd: return "zstd";
    }
    return "?";
}

const char* instruction_class_name(InstructionClass c) {
    switch (c) {
        case InstructionClass::hmma: return "hmma";
        case InstructionClass::imma: return "imma";
        case InstructionClass::dmma: return "dmma";
        case InstructionClass::bmma: return "bmma";
        case InstructionClass::qmma: return "qmma";
        case InstructionClass::qmma_scaled: return "qmma.sf";
        case InstructionClass::omma_scaled: return "omma.sf";
        case InstructionClass::hgmma: return "hgmma";
        case InstructionClass::igmma: return "igmma";
        case InstructionClass::qgmma: return "qgmma";
        case InstructionClass::bgmma: return "bgmma";
        case InstructionClass::tcgen05: return "tcgen05";
        case InstructionClass::tcgen05_2cta: return "tcgen05.2cta";
        case InstructionClass::sparse_mma: return "sparse";
        case InstructionClass::ldmatrix: return "ldmatrix";
        case InstructionClass::cp_async: return "cp.async";
        case InstructionClass::tma_load: return "tma.load";
        case InstructionClass::tma_store: return "tma.store";
        case InstructionClass::tma_reduce: return "tma.reduce";
        case InstructionClass::tma_multicast: return "tma.multicast";
        case InstructionClass::bulk_copy: return "bulk";
        case InstructionClass::mbarrier: return "mbarrier";
        case InstructionClass::cluster_barrier: return "cluster";
        case InstructionClass::dsmem: return "dsmem";
        case InstructionClass::clc: return "clc";
        case InstructionClass::setmaxnreg: return "setmaxnreg";
        case InstructionClass::pdl: return "pdl";
        case InstructionClass::multimem: return "multimem";
        case InstructionClass::system_atomics: return "atomics.sys";
        case InstructionClass::vector_256: return "vector256";
        case InstructionClass::packed_f32x2: return "f32x2";
        case InstructionClass::redux_f32: return "redux.f32";
        case InstructionClass::fp8_conversions: return "fp8.convert";
        case InstructionClass::emulated_fp8_mma: return "fp8.mma.emulated";
        case InstructionClass::emulated_tma: return "tma.emulated";
        case InstructionClass::num_classes: break;
    }
    return "?";
}

const char* stub_name(Stub stub) {
    switch (stub) {
        case Stub::none: return "none";
        case Stub::empty: return "empty";
        case Stub::trap: return "trap";
        case Stub::message: return "message";
    }
    return "?";
}

const char* runs_name(Runs runs) {
    switch (runs) {
        case Runs::native: return "native";
        case Runs::jit: return "jit";
        case Runs::partly: return "partly";
        case Runs::stub: return "stub";
        case Runs::no: return "no";
    }
    return "?";
}

}  // namespace warpwright::inspect
