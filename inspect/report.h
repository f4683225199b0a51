// SPDX-License-Identifier: Apache-2.0
// What `inspect` finds, as data: files, the images of device code in them, their kernels, the libraries they
// belong to, and for each GPU whether they run there. JSON, text and HTML are made from this and from nothing
// else.
//
//   container/  bytes of a path -> files -> payloads   (archives, host ELF, fatbins, compression)
//   image/      a payload -> Image                     (cubins, PTX, LTO-IR; resources, instruction classes,
//   stubs) knowledge/  FileReport -> libraries, verdicts      (fingerprints, which image a driver takes, what
//   to do)
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "warpwright/types.h"

namespace warpwright::inspect {

enum class ImageKind : u8 { ptx, cubin, ltoir };
const char* image_kind_name(ImageKind kind);  // "ptx", "cubin", "ltoir"

// sm_90a runs on 9.0 alone, sm_100f on its family (10.0, 10.3), sm_80 on 8.0 and later of its major (a cubin)
// or on everything later (PTX).
enum class Suffix : u8 { none, a, f };

struct Architecture {
    int sm = 0;  // 10 x major + minor; 0: nothing tells
    Suffix suffix = Suffix::none;
    bool operator==(const Architecture&) const = default;
};
std::string architecture_name(Architecture architecture);               // "sm_90a"
std::optional<Architecture> parse_architecture(std::string_view name);  // "sm_90a", "compute_120f"

enum class Compression : u8 { none, lz4, zstd };
const char* compression_name(Compression compression);  // "none", "lz4", "zstd"

// What a kernel is made of: groups of instructions that exist on some GPUs only, or that tell how fast it can
// be.
enum class InstructionClass : u8 {
    hmma,          // mma.sync, 16-bit and tf32
    imma,          // mma.sync, int8 and int4
    dmma,          // mma.sync, f64
    bmma,          // mma.sync, 1 bit
    qmma,          // mma.sync, fp8, fp6, fp4 (8.9, 12.x)
    qmma_scaled,   // the same with block scales, mxf8f6f4 (12.x)
    omma_scaled,   // mma.sync mxf4, mxf4nvf4 with block scales (12.x)
    hgmma,         // wgmma, 16-bit and tf32 (9.0a)
    igmma,         // wgmma, int8
    qgmma,         // wgmma, fp8
    bgmma,         // wgmma, 1 bit
    tcgen05,       // tensor-memory products (10.x, 11.0)
    tcgen05_2cta,  // the same over a pair of CTAs
    sparse_mma,    // any of the above with structured sparsity
    ldmatrix,
    cp_async,  // LDGSTS
    tma_load,  // cp.async.bulk.tensor, global to shared
    tma_store,
    tma_reduce,
    tma_multicast,
    bulk_copy,  // cp.async.bulk without a tensor map
    mbarrier,
    cluster_barrier,
    dsmem,  // st.async, red.async to shared::cluster
    clc,    // clusterlaunchcontrol
    setmaxnreg,
    pdl,             // griddepcontrol
    multimem,        // multimem.ld_reduce: the only one of its family that SASS shows
    system_atomics,  // atomics and reductions of system scope: what PCIe and old drivers may refuse between
                     // GPUs
    vector_256,      // 256-bit loads and stores
    packed_f32x2,    // FFMA2 (10.0, 10.3)
    redux_f32,
    fp8_conversions,   // F2FP of fp8, fp6, fp4
    emulated_fp8_mma,  // an fp8 mma.sync done by conversions and HMMA: works, slowly
    emulated_tma,      // cluster copies through a routine of the driver (12.x)
    num_classes
};
const char* instruction_class_name(InstructionClass c);  // "hmma", ..., "emulated_fp8_mma"
constexpr int kNumInstructionClasses = static_cast<int>(InstructionClass::num_classes);

struct InstructionClasses {
    u64 bits = 0;
    bool has(InstructionClass c) const { return bits >> static_cast<int>(c) & 1; }
    void add(InstructionClass c) { bits |= u64{1} << static_cast<int>(c); }
};
static_assert(kNumInstructionClasses <= 64);

// Why a kernel does nothing although its image is there: it was compiled without the macros its body asks
// for.
enum class Stub : u8 {
    none,
    empty,    // takes parameters and returns
    trap,     // stops at once
    message,  // prints or asserts that it was built for another architecture
};
const char* stub_name(Stub stub);  // "none", "empty", "trap", "message"

struct Kernel {
    std::string name;  // as in the symbol table, mangled
    // -1: not told by this image
    int registers = -1;
    int shared_bytes = -1;  // static, without what the system reserves
    int stack_bytes = -1;   // per thread: spills and local arrays
    int parameter_bytes = -1;
    int num_parameters = -1;
    int barriers = -1;  // named barriers
    int mbarriers = -1;
    u64 code_bytes = 0;
    std::array<int, 3> max_threads{};       // __launch_bounds__; 0: none given
    std::array<int, 3> required_threads{};  // .reqntid
    std::array<int, 3> cluster{};           // __cluster_dims__; zeros: a launch attribute, or no cluster
    bool uses_tensor_map = false;
    bool calls_printf = false;
    InstructionClasses classes;
    bool classes_known = false;  // false for libraries whose licence forbids disassembly, and for LTO-IR
    Stub stub = Stub::none;
};
std::string demangle(
    const std::string& name);  // "flash::kernel<128>(Params)"; the name itself where it is not mangled

// An instruction form of a PTX text, on one target.
struct IsaUse {
    std::string form;      // "mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32"
    std::string remark;    // "needs sm_90a", "emulated: HMMAx2 FADDx4 F2FPx12"
    std::string function;  // that the first is in, mangled
    int line = 0;          // of the first
    u64 count = 0;
};

// A PTX image's instructions on one target (`inspect --isa`).
struct ImageIsa {
    std::string target;        // "rtx-5090", "sm_90a"
    std::string architecture;  // "sm_120f", what it takes there
    u64 num_forms = 0;
    std::vector<IsaUse> illegal, slow, not_measured;
    std::string why_not;        // as it stands, with its own .target; empty: it loads there
    int needs_isa_version = 0;  // 10 x major + minor
};

struct Image {
    ImageKind kind = ImageKind::cubin;
    Architecture architecture;
    std::vector<std::string> architecture_evidence;  // "fatbin entry: 120f", "tkinfo: -arch sm_120f", ...
    std::string
        section;  // of the host file: ".nv_fatbin", ".cask_resource"; empty: no ELF file or between sections
    u64 offset = 0;  // in the file, of the payload
    // Where the fatbin begins in which it lies: its images are alternatives, of which a driver loads one.
    std::optional<u64> fatbin;  // none: a bare cubin or PTX text
    u64 stored_bytes = 0;
    u64 bytes = 0;  // expanded
    Compression compression = Compression::none;
    // An input of the device link that is also in its result (__nv_relfatbin beside .nv_fatbin): not loaded
    // by itself.
    bool link_input = false;
    int abi = 0;          // cubins: 7 up to CUDA 12, 8 from CUDA 13 on
    int isa_version = 0;  // PTX: 10 x major + minor of .version
    std::string toolkit;  // "13.0.88 (ptxas)", "12.3"; empty: not told
    std::string options;  // "-arch sm_90a -maxrregcount 96"
    bool made_by_nvrtc = false;
    bool relocatable = false;
    int isa_class =
        -1;  // .nv.compat attribute 2: how far the code is from what every chip has (1 plain, 4 one chip)
    std::vector<std::string>
        undefined;                   // symbols that a driver or linker must give: "vprintf", "nvshmemi_..."
    std::vector<std::string> texts;  // messages of .nv.global.init and the like that stubs print; few, short
    std::vector<Kernel> kernels;
    std::vector<ImageIsa> isa;  // of PTX, for the targets that were asked for
    std::string damage;         // not empty: what could not be read, in a sentence
};

struct Library {
    std::string id;       // "cutlass", "flash-attention-2": the ids of data/libraries
    std::string name;     // "FlashAttention 2"
    std::string version;  // "2.28.9"; empty: not told
    std::string detail;   // "templates of sm90 and sm100"
    std::vector<std::string> evidence;
};

enum class Runs : u8 { native, jit, partly, stub, no };
const char* runs_name(Runs runs);  // "native", "jit", "partly", "stub", "no"

// One file on one GPU.
struct Verdict {
    std::string target;  // id of the list of targets
    Runs runs = Runs::no;
    std::string text;                  // the reason, one sentence
    std::string fix;                   // what helps; empty where nothing is wrong
    int num_kernels = 0;               // that a driver finds there
    std::vector<std::string> kernels;  // partly, stub: those that do not run, demangled, at most 20
    int num_missing = 0;               // of all
    int num_for_others = 0;  // of those: made for other GPUs, which no build of the same sources would change
};

struct FileReport {
    std::string path;  // "wheel.whl!/vllm/_C.abi3.so"
    u64 bytes = 0;
    // "elf" (host code), "cubin", "fatbin", "ptx", "data" (anything else)
    std::string type;
    std::vector<Library> libraries;
    std::vector<Image> images;
    // One per target asked for, in the order of the list; none where there is no device code and none is
    // made.
    std::vector<Verdict> verdicts;
    std::string jit_cache;      // "Triton": whose compiler made it at run time; empty: a file that is shipped
    bool headers_only = false;  // the licence forbids disassembly: container and headers were read
    bool runtime_code = false;  // makes or loads device code at run time (NVRTC, nvJitLink, cuModuleLoadData)
    bool links_ltoir = false;   // by nvJitLink
    std::vector<std::string> notes;  // "17 images of __nv_relfatbin are inputs of the device link"
};

struct Report {
    std::vector<FileReport> files;  // those with device code, or asked for by name
    u64 num_files = 0;              // looked at
    u64 bytes = 0;
    std::vector<std::string> refused;  // "x.whl: an entry of 9 TB in 4 KB: refused"
};

}  // namespace warpwright::inspect
