// SPDX-License-Identifier: Apache-2.0
#include "inspect/image/ptx_classes.h"

namespace warpwright::inspect {

namespace {

using Class = InstructionClass;

// The parts between the dots, in order: mnemonics are short, and only the rare ones come here.
bool has(std::string_view mnemonic, std::string_view part) {
    for (size_t at = mnemonic.find(part); at != mnemonic.npos; at = mnemonic.find(part, at + 1)) {
        const size_t end = at + part.size();
        const bool begins = at > 0 && mnemonic[at - 1] == '.';
        if (begins && (end == mnemonic.size() || mnemonic[end] == '.')) return true;
    }
    return false;
}

template <class... Parts>
bool has_any(std::string_view mnemonic, Parts... parts) {
    return (has(mnemonic, parts) || ...);
}

bool has_small_float(std::string_view m) {
    return has_any(m, "e4m3", "e5m2", "e3m2", "e2m3", "e2m1");
}

Class product_class(std::string_view m, Class float16, Class integer, Class float64, Class bit,
                    Class float8) {
    if (has_small_float(m)) return float8;
    if (has_any(m, "s8", "u8", "s4", "u4")) return integer;
    if (has(m, "b1")) return bit;
    if (has(m, "f64")) return float64;
    return float16;
}

void add_mma(std::string_view m, InstructionClasses& classes) {
    if (has(m, "block_scale"))
        classes.add(has(m, "kind::mxf8f6f4") ? Class::qmma_scaled : Class::omma_scaled);
    else
        classes.add(product_class(m, Class::hmma, Class::imma, Class::dmma, Class::bmma, Class::qmma));
    if (m.starts_with("mma.sp.") || m.starts_with("mma.sp::")) classes.add(Class::sparse_mma);
}

void add_wgmma(std::string_view m, InstructionClasses& classes) {
    if (!m.starts_with("wgmma.mma_async")) return;  // fence, commit_group, wait_group
    classes.add(product_class(m, Class::hgmma, Class::igmma, Class::hgmma, Class::bgmma, Class::qgmma));
    if (has(m, "sp")) classes.add(Class::sparse_mma);
}

void add_tcgen05(std::string_view m, InstructionClasses& classes) {
    classes.add(Class::tcgen05);
    if (has(m, "cta_group::2")) classes.add(Class::tcgen05_2cta);
    if (m.starts_with("tcgen05.mma.sp") || m.starts_with("tcgen05.mma.ws.sp")) classes.add(Class::sparse_mma);
}

// cp.async, cp.async.bulk, cp.async.bulk.tensor, cp.reduce.async.bulk, and what waits for them.
void add_copy(std::string_view m, InstructionClasses& classes) {
    if (m.starts_with("cp.async.ca.") || m.starts_with("cp.async.cg.")) return classes.add(Class::cp_async);
    if (m.starts_with("cp.async.mbarrier.")) return classes.add(Class::mbarrier);
    const bool is_reduction = m.starts_with("cp.reduce.async.bulk.");
    if (!is_reduction && !m.starts_with("cp.async.bulk.")) return;
    if (has_any(m, "commit_group", "wait_group")) return;
    if (has_any(m, "multicast::cluster")) classes.add(Class::tma_multicast);
    if (!has(m, "tensor")) return classes.add(Class::bulk_copy);
    if (has(m, "prefetch")) return;
    if (is_reduction) return classes.add(Class::tma_reduce);
    classes.add(m.find(".global.shared::cta") != m.npos ? Class::tma_store : Class::tma_load);
}

void add_memory(std::string_view m, InstructionClasses& classes) {
    const bool is_async = m.starts_with("st.async") || m.starts_with("red.async");
    if (has(m, "shared::cluster") || (is_async && !has(m, "global"))) classes.add(Class::dsmem);
    if (is_async) return;
    const bool is_atomic = m.starts_with("atom.") || m.starts_with("red.");
    if (is_atomic && has(m, "sys")) classes.add(Class::system_atomics);
    if (!is_atomic && !m.starts_with("ld.shared") && !m.starts_with("st.shared")) {
        const bool is_v8 = has(m, "v8") && has_any(m, "b32", "u32", "s32", "f32");
        const bool is_v4 = has(m, "v4") && has_any(m, "b64", "u64", "s64", "f64");
        if (is_v8 || is_v4) classes.add(Class::vector_256);
    }
}

}  // namespace

InstructionClasses classes_of_mnemonic(std::string_view m) {
    InstructionClasses classes;
    if (m.size() < 3) return classes;
    switch (m[0]) {
        case 'a':
            if (m.starts_with("atom.")) add_memory(m, classes);
            if (m.starts_with("add.") && has(m, "f32x2")) classes.add(Class::packed_f32x2);
            break;
        case 'b':
            if (m.starts_with("barrier.cluster.")) classes.add(Class::cluster_barrier);
            break;
        case 'c':
            if (m.starts_with("cp.")) add_copy(m, classes);
            if (m.starts_with("cvt.") && (m.find(".e") != m.npos || m.find(".ue8m0") != m.npos))
                classes.add(Class::fp8_conversions);
            if (m.starts_with("clusterlaunchcontrol.try_cancel")) classes.add(Class::clc);
            break;
        case 'f':
            if (m.starts_with("fma.") && has(m, "f32x2")) classes.add(Class::packed_f32x2);
            break;
        case 'g':
            if (m.starts_with("griddepcontrol.")) classes.add(Class::pdl);
            break;
        case 'l':
            if (m.starts_with("ldmatrix.")) classes.add(Class::ldmatrix);
            if (m.starts_with("ld.")) add_memory(m, classes);
            break;
        case 'm':
            if (m.starts_with("mma.")) add_mma(m, classes);
            if (m.starts_with("mbarrier.")) classes.add(Class::mbarrier);
            if (m.starts_with("mul.") && has(m, "f32x2")) classes.add(Class::packed_f32x2);
            if (m.starts_with("multimem.")) {
                classes.add(Class::multimem);
                if (m.starts_with("multimem.red.") && has(m, "sys")) classes.add(Class::system_atomics);
            }
            break;
        case 'r':
            if (m.starts_with("red.")) add_memory(m, classes);
            if (m.starts_with("redux.sync.") && m.ends_with(".f32")) classes.add(Class::redux_f32);
            break;
        case 's':
            if (m.starts_with("st.")) add_memory(m, classes);
            if (m.starts_with("setmaxnreg.")) classes.add(Class::setmaxnreg);
            if (m.starts_with("sub.") && has(m, "f32x2")) classes.add(Class::packed_f32x2);
            break;
        case 't':
            if (m.starts_with("tcgen05.")) add_tcgen05(m, classes);
            break;
        case 'w':
            if (m.starts_with("wgmma.")) add_wgmma(m, classes);
            if (m.starts_with("wmma.mma.")) add_mma(m, classes);
            break;
        default: break;
    }
    return classes;
}

bool uses_tensor_map(std::string_view m) {
    if (m.starts_with("tensormap.")) return true;
    if (!m.starts_with("cp.") && !m.starts_with("prefetch.")) return false;
    return has(m, "tensor") || has(m, "tensormap");
}

}  // namespace warpwright::inspect
