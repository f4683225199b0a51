// SPDX-License-Identifier: Apache-2.0
// Plain words shared by host code and kernels. No standard header: NVRTC reads this file too.
#pragma once

namespace warpwright {

using i8 = signed char;
using u8 = unsigned char;
using i16 = short;
using u16 = unsigned short;
using i32 = int;
using u32 = unsigned int;
using i64 = long long;
using u64 = unsigned long long;

enum class DType : u8 { f32, f16, bf16, i32, u8 };

constexpr int dtype_bytes(DType type) {
    return type == DType::f32 || type == DType::i32 ? 4 : type == DType::u8 ? 1 : 2;
}

constexpr const char* dtype_name(DType type) {
    switch (type) {
        case DType::f32: return "f32";
        case DType::f16: return "f16";
        case DType::bf16: return "bf16";
        case DType::i32: return "i32";
        case DType::u8: return "u8";
    }
    return "?";
}

enum class Activation : u8 { none, silu, gelu, gelu_tanh };  // gelu: the exact one, by erf

constexpr const char* activation_name(Activation activation) {
    switch (activation) {
        case Activation::none: return "none";
        case Activation::silu: return "silu";
        case Activation::gelu: return "gelu";
        case Activation::gelu_tanh: return "gelu_tanh";
    }
    return "?";
}

// Kernels are written once per class; a row says which class it belongs to.
enum class ArchClass : u8 { host, portable, sm90, sm100, sm120 };

struct ArchClassFacts {
    const char* name;
    int capability;  // 10 x major + minor of the first GPU it is for; 0 is the CPU
};

constexpr ArchClassFacts facts_of(ArchClass arch) {
    switch (arch) {
        case ArchClass::host: return {"host", 0};
        case ArchClass::portable: return {"portable", 80};
        case ArchClass::sm90: return {"sm90", 90};
        case ArchClass::sm100: return {"sm100", 100};
        case ArchClass::sm120: return {"sm120", 120};
    }
    return {"?", 0};
}

constexpr const char* arch_class_name(ArchClass arch) {
    return facts_of(arch).name;
}

// What a kernel is compiled for (DESIGN section 4). `host` rows are C++ functions; `compute_80`, the last
// one, is PTX only: the safety net that the driver compiles for a GPU without a build target of its own.
enum class BuildTarget : u8 { host, sm_80, sm_89, sm_90a, sm_100f, sm_120f, compute_80 };
constexpr int kNumBuildTargets = static_cast<int>(BuildTarget::compute_80) + 1;

struct BuildTargetFacts {
    const char* name;
    ArchClass native;      // the class compiled for it beside `portable`
    int first_capability;  // of the GPUs that load its images
    int last_capability;
    // The largest opt-in shared memory of any of those GPUs. A row that needs more can run nowhere; what one
    // GPU really has is in TargetFacts. CUDA programming guide, compute capabilities.
    i64 max_shared_per_block_bytes;
};

constexpr BuildTargetFacts facts_of(BuildTarget target) {
    switch (target) {
        case BuildTarget::host: return {"host", ArchClass::host, 0, 0, 1ll << 62};
        case BuildTarget::sm_80: return {"sm_80", ArchClass::portable, 80, 88, 163 * 1024};
        case BuildTarget::sm_89: return {"sm_89", ArchClass::portable, 89, 89, 99 * 1024};
        case BuildTarget::sm_90a: return {"sm_90a", ArchClass::sm90, 90, 90, 227 * 1024};
        case BuildTarget::sm_100f: return {"sm_100f", ArchClass::sm100, 100, 109, 227 * 1024};
        case BuildTarget::sm_120f: return {"sm_120f", ArchClass::sm120, 120, 129, 99 * 1024};
        case BuildTarget::compute_80: return {"compute_80", ArchClass::portable, 80, 999, 99 * 1024};
    }
    return {"?", ArchClass::host, 0, 0, 0};
}

constexpr const char* build_target_name(BuildTarget target) {
    return facts_of(target).name;
}

constexpr i64 max_shared_per_block_bytes(BuildTarget target) {
    return facts_of(target).max_shared_per_block_bytes;
}

// The build target whose images a GPU of this compute capability (10 x major + minor) loads: of those whose
// range it is in, the one whose range begins last, and of two that begin alike the first.
constexpr BuildTarget build_target_for(int compute_capability) {
    BuildTarget best = BuildTarget::compute_80;
    int best_first = -1;
    for (int i = 0; i < kNumBuildTargets; ++i) {
        const auto target = static_cast<BuildTarget>(i);
        const BuildTargetFacts facts = facts_of(target);
        if (compute_capability < facts.first_capability || compute_capability > facts.last_capability)
            continue;
        if (facts.first_capability <= best_first) continue;
        best = target;
        best_first = facts.first_capability;
    }
    return best;
}

// The numbers of a Target that legality and cost are functions of. Rates are dense, datasheet or measured.
struct TargetFacts {
    int compute_capability = 0;  // 10 x major + minor; 0 for the CPU
    BuildTarget build_target = BuildTarget::host;
    int num_sms = 0;  // CPU: cores
    int boost_mhz = 0;
    int max_threads_per_sm = 0;
    i64 shared_per_sm_bytes = 0;
    i64 shared_per_block_bytes = 0;  // opt-in limit
    i64 l2_bytes = 0;
    i64 memory_bytes = 0;
    double memory_gb_s = 0;  // 1e9 bytes per second
    double bf16_tflops = 0;  // bf16/fp16 matrix products with fp32 accumulation
    double fp16acc_tflops = 0;
    double fp8_tflops = 0;
    double fp4_tflops = 0;
    double int8_tops = 0;
};

// Why a row does not serve a (target, problem). `rule` is null when it does.
struct Rejection {
    const char* rule = nullptr;  // stable name of the rule: "shared_memory", "head_dim", "alignment", ...
    i64 required = 0;
    i64 actual = 0;
    // How the two numbers read: "bytes", "sm" (compute capability), "dtype", "multiple", "at_most", ""
    // (equal).
    const char* kind = "";

    constexpr explicit operator bool() const { return rule != nullptr; }
};

constexpr Rejection accepted() {
    return {};
}

struct Prediction {
    double us = 0;
    const char* bound = "";  // "memory", "tensor cores", "arithmetic", "latency", "link"
};

// A row's readable name: it is the row's identity everywhere (images, explanations, bench, errors).
struct RowName {
    char text[48] = {};

    constexpr RowName() = default;
    constexpr RowName(const char* name) {  // NOLINT: rows are written as string literals
        for (int i = 0; name[i] != 0 && i < 47; ++i) text[i] = name[i];
    }
};

// Reads one row at compile time, so that the table itself is not emitted into an image.
template <class Row, int N>
consteval Row row_at(const Row (&table)[N], int index) {
    return table[index];
}

}  // namespace warpwright
