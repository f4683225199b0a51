// SPDX-License-Identifier: Apache-2.0
#include "inspect/image/sass.h"

#include <array>

namespace warpwright::inspect {

namespace {

using Class = InstructionClass;

// What is to be done about an instruction.
enum class Action : u8 {
    nothing,   // unknown, has an effect
    pure,      // has none beyond registers and the thread's own memory; fences and branches among them
    constant,  // pure, and reads a constant bank
    wide_constant,
    call,
    trap,
    // one class, plainly
    first_class,
    // Classes that depend on more bits.
    hmma = first_class + kNumInstructionClasses,
    imma,
    qmma,
    qmma_scaled,
    omma_scaled,
    hgmma,
    igmma,
    qgmma,
    tensor_pair,  // tcgen05 over one or two CTAs
    tma_load,
    tma_store,
    tma_reduce,
    tma_prefetch,
    bulk_copy,
    atomic,
    conversion,
    sum,
};
constexpr Action plainly(Class c) {
    return static_cast<Action>(static_cast<int>(Action::first_class) + static_cast<int>(c));
}

// Operand forms: the first digit of the opcode's three, halved. A row says in which the instruction was seen.
constexpr u8 forms(std::initializer_list<int> digits) {
    int mask = 0;
    for (const int digit : digits) mask |= 1 << (digit / 2);
    return static_cast<u8>(mask);
}
constexpr u8 kEvery = 0xff;
constexpr u8 kArithmetic = forms({0x2, 0x4, 0x6, 0x8, 0xa, 0xc, 0xe});

struct OpcodeRule {
    u16 opcode;
    u8 forms;
    u8 first_sm, last_sm;
    Action action;
};
// clang-format off
constexpr OpcodeRule kRules[] = {
    // ---- matrix products of a warp
    {0x03c, forms({0x2}),           75, 121, Action::hmma},
    {0x036, forms({0x2}),           75,  75, plainly(Class::hmma)},  // HMMA.884; an integer addition from 9.0 on
    {0x037, forms({0x2}),           75, 121, Action::imma},
    {0x03f, forms({0x2}),           80, 121, plainly(Class::dmma)},
    {0x03d, forms({0x2}),           75,  90, plainly(Class::bmma)},
    {0x07a, forms({0x2}),           89,  89, Action::qmma},
    {0x07a, forms({0x2}),          120, 121, Action::qmma},
    {0x07a, forms({0x4}),          120, 121, Action::qmma_scaled},
    {0x07f, forms({0x4}),          120, 121, Action::omma_scaled},
    // ---- of a warp group
    {0x1f0, forms({0x9, 0xd}),      90,  90, Action::hgmma},
    {0x1f1, forms({0x9, 0xd}),      90,  90, Action::igmma},
    {0x1f2, forms({0x9, 0xd}),      90,  90, plainly(Class::bgmma)},
    {0x1f3, forms({0x9, 0xd}),      90,  90, Action::qgmma},
    {0x1c8, forms({0x9}),           90, 121, plainly(Class::setmaxnreg)},
    // ---- tensor memory: products, copies, commit, shift, allocation; loads and stores; relinquish
    {0x1ea, forms({0x5, 0x9, 0xd}), 100, 110, Action::tensor_pair},
    {0x1e7, forms({0x9}),          100, 110, Action::tensor_pair},
    {0x1e9, forms({0x3}),          100, 110, Action::tensor_pair},
    {0x1e6, forms({0x9}),          100, 110, Action::tensor_pair},
    {0x1e3, forms({0x5, 0x9}),     100, 110, Action::tensor_pair},
    {0x1ee, forms({0x5, 0x9}),     100, 110, plainly(Class::tcgen05)},
    {0x1ed, forms({0x9}),          100, 110, plainly(Class::tcgen05)},
    {0x04c, forms({0x8}),          100, 110, plainly(Class::tcgen05)},
    // ---- copies
    {0x03b, forms({0x8}),           75, 121, plainly(Class::ldmatrix)},
    {0x1ae, forms({0xd, 0xf}),      80, 121, plainly(Class::cp_async)},
    {0x1b4, forms({0x3, 0x5}),      90, 121, Action::tma_load},
    {0x1b5, forms({0x3}),           90, 121, Action::tma_store},
    {0x1b6, forms({0x3}),           90, 121, Action::tma_reduce},
    {0x1b8, forms({0x3, 0x5}),      90, 121, Action::tma_prefetch},
    {0x1ba, forms({0x3}),           90, 121, Action::bulk_copy},
    {0x1bb, forms({0x3}),           90, 121, Action::bulk_copy},
    {0x1bc, forms({0x3}),           90, 121, Action::bulk_copy},
    // ---- barriers, clusters, launches
    {0x1a7, forms({0x5, 0x9}),      90, 121, plainly(Class::mbarrier)},
    {0x1b2, forms({0x5}),           90, 121, plainly(Class::mbarrier)},
    {0x1b1, forms({0x9}),           90, 121, plainly(Class::mbarrier)},
    {0x1b0, forms({0x9}),           80, 121, plainly(Class::mbarrier)},
    {0x1c7, forms({0x9, 0xd}),      90, 121, plainly(Class::cluster_barrier)},
    {0x1bd, forms({0xd}),           90, 121, plainly(Class::dsmem)},
    {0x1be, forms({0xd}),           90, 121, plainly(Class::dsmem)},
    {0x1ca, forms({0x3}),          100, 121, plainly(Class::clc)},
    {0x02d, forms({0x8}),           90, 121, plainly(Class::pdl)},
    {0x02e, forms({0x8}),           90, 121, plainly(Class::pdl)},
    // ---- memory
    {0x1a4, forms({0x9}),           90, 121, plainly(Class::multimem)},
    {0x1a5, forms({0x9}),           90, 121, plainly(Class::multimem)},
    {0x17e, forms({0x9}),          100, 121, plainly(Class::vector_256)},
    {0x17f, forms({0x9}),          100, 121, plainly(Class::vector_256)},
    {0x1a8, kEvery,                 75, 121, Action::atomic},  // global: integers; compare and swap
    {0x1a9, kEvery,                 75, 121, Action::atomic},
    {0x18e, kEvery,                 75, 121, Action::atomic},  // without a result
    {0x1a3, kEvery,                 90, 121, Action::atomic},  // floats and vectors
    {0x1a6, kEvery,                 90, 121, Action::atomic},
    {0x18a, kEvery,                 75, 121, Action::atomic},  // on addresses of any space
    {0x18b, kEvery,                 75, 121, Action::atomic},
    {0x1a2, kEvery,                 90, 121, Action::atomic},
    // ---- arithmetic that only some chips have
    {0x049, kArithmetic,           100, 103, plainly(Class::packed_f32x2)},
    {0x04a, kArithmetic,           100, 103, plainly(Class::packed_f32x2)},
    {0x04b, kArithmetic,           100, 103, plainly(Class::packed_f32x2)},
    {0x0cc, forms({0x2}),          100, 103, plainly(Class::redux_f32)},
    {0x03e, kArithmetic,            89, 121, Action::conversion},
    {0x021, forms({0x2}),           75, 121, Action::sum},
    {0x030, forms({0x2}),           75, 121, Action::sum},
    // ---- constants
    {0x182, forms({0xb}),           75, 121, Action::constant},
    {0x0b9, forms({0xa}),           75, 121, Action::constant},
    {0x002, forms({0xa}),           75, 121, Action::constant},
    {0x024, forms({0x6}),           75, 121, Action::constant},
    {0x1ac, forms({0x7}),          100, 121, Action::wide_constant},
    // ---- calls and traps
    {0x143, kEvery,                 75, 121, Action::call},
    {0x144, kEvery,                 75, 121, Action::call},
    {0x15c, kEvery,                 75, 121, Action::trap},
};
// clang-format on

// Moves, integer arithmetic, reads of constants and special registers, local memory, fences, branches, the
// end.
constexpr u16 kPure[] = {0x002, 0x004, 0x005, 0x007, 0x00c, 0x010, 0x011, 0x012, 0x016, 0x019, 0x024,
                         0x025, 0x027, 0x035, 0x036, 0x082, 0x08c, 0x090, 0x091, 0x092, 0x096, 0x099,
                         0x0a4, 0x0a5, 0x0b9, 0x0ca, 0x118, 0x119, 0x11a, 0x141, 0x145, 0x147, 0x14d,
                         0x14e, 0x150, 0x182, 0x183, 0x187, 0x18f, 0x192, 0x1ab, 0x1ac, 0x1c3};

using OpcodeTable = std::array<Action, 4096>;

constexpr OpcodeTable table_of(int sm) {
    OpcodeTable table{};
    for (const u16 opcode : kPure) {
        for (int form = 0; form < 8; ++form) table[static_cast<size_t>(form << 9 | opcode)] = Action::pure;
    }
    for (const OpcodeRule& rule : kRules) {
        if (sm < rule.first_sm || sm > rule.last_sm) continue;
        for (int form = 0; form < 8; ++form) {
            if (rule.forms >> form & 1) table[static_cast<size_t>(form << 9 | rule.opcode)] = rule.action;
        }
    }
    return table;
}

struct Generation {
    int first_sm, last_sm;
    OpcodeTable table;
};
constexpr Generation kGenerations[] = {
    {75, 75, table_of(75)},    {80, 88, table_of(80)},    {89, 89, table_of(89)},    {90, 90, table_of(90)},
    {100, 103, table_of(100)}, {110, 110, table_of(110)}, {120, 121, table_of(120)},
};
const Generation* generation_of(int sm) {
    for (const Generation& generation : kGenerations) {
        if (sm >= generation.first_sm && sm <= generation.last_sm) return &generation;
    }
    return nullptr;
}

constexpr bool bit(u64 high, int index) {
    return high >> index & 1;
}

// Conversions between fp16 or fp32 and 8 bits or fewer: bit 26 to those, bit 25 from those (with bit 22,
// tf32).
constexpr bool packs_small_floats(u64 high) {
    return bit(high, 26);
}
constexpr bool unpacks_small_floats(u64 high) {
    return bit(high, 25) && !bit(high, 26) && !bit(high, 22);
}

constexpr u64 kBankOfAddresses = 4;
constexpr size_t kMaxBankOffsets = 64;

// The bank is in bits 54 to 58 of the low word; the offset, in words, from bit 40 on. LDCU counts 8 bytes.
void add_constant(u64 low, u32 unit_bytes, CodeFacts& facts) {
    if ((low >> 54 & 31) != kBankOfAddresses || facts.bank4_offsets.size() >= kMaxBankOffsets) return;
    facts.bank4_offsets.push_back(static_cast<u32>(low >> 40 & 0x3fff) * unit_bytes);
}

constexpr u64 scope_of(u64 high) {
    return high >> 13 & 15;
}
constexpr u64 kScopeSystem = 10, kScopeSystemOf75 = 11, kScopeSystemIo = 12;
constexpr u64 kZeroRegister = 0xff;

void decode(Action action, u64 high, u64 system_scope, CodeFacts& facts) {
    InstructionClasses& classes = facts.classes;
    const auto add_product = [&](Class c, bool is_sparse) {
        classes.add(c);
        if (is_sparse) classes.add(Class::sparse_mma);
    };
    const auto add_copy = [&](Class c, bool uses_map) {
        classes.add(c);
        facts.uses_tensor_map |= uses_map;
        if (bit(high, 11)) classes.add(Class::tma_multicast);
    };
    switch (action) {
        case Action::hmma: {
            add_product(Class::hmma, bit(high, 9));
            const bool is_half = !bit(high, 18) && !bit(high, 19);  // not bf16, not tf32
            facts.num_half_products += is_half;
            facts.num_half_products_from_zero += is_half && (high & 0xff) == kZeroRegister;
            break;
        }
        case Action::imma: add_product(Class::imma, bit(high, 8)); break;
        case Action::qmma: add_product(Class::qmma, bit(high, 16)); break;
        case Action::qmma_scaled: add_product(Class::qmma_scaled, bit(high, 16)); break;
        case Action::omma_scaled: add_product(Class::omma_scaled, bit(high, 16)); break;
        case Action::hgmma: add_product(Class::hgmma, bit(high, 9)); break;
        case Action::igmma: add_product(Class::igmma, bit(high, 9)); break;
        case Action::qgmma: add_product(Class::qgmma, bit(high, 9)); break;
        case Action::tensor_pair:
            classes.add(Class::tcgen05);
            if (bit(high, 21)) classes.add(Class::tcgen05_2cta);
            break;
        case Action::tma_load: add_copy(Class::tma_load, true); break;
        case Action::tma_store:
        case Action::tma_reduce:
            classes.add(action == Action::tma_store ? Class::tma_store : Class::tma_reduce);
            facts.uses_tensor_map = true;
            break;
        case Action::tma_prefetch: facts.uses_tensor_map = true; break;
        case Action::bulk_copy: add_copy(Class::bulk_copy, false); break;
        case Action::atomic:
            if (scope_of(high) == system_scope || scope_of(high) == kScopeSystemIo)
                classes.add(Class::system_atomics);
            break;
        case Action::conversion:
            if (packs_small_floats(high)) classes.add(Class::fp8_conversions);
            if (unpacks_small_floats(high)) {
                classes.add(Class::fp8_conversions);
                ++facts.num_fp8_unpacked;
            }
            break;
        case Action::sum: ++facts.num_sums; break;
        default:
            classes.add(static_cast<Class>(static_cast<int>(action) - static_cast<int>(Action::first_class)));
            break;
    }
}

}  // namespace

void CodeFacts::add(const CodeFacts& other) {
    classes.bits |= other.classes.bits;
    uses_tensor_map |= other.uses_tensor_map;
    has_effect |= other.has_effect;
    calls |= other.calls;
    traps |= other.traps;
    num_instructions += other.num_instructions;
    num_half_products += other.num_half_products;
    num_half_products_from_zero += other.num_half_products_from_zero;
    num_fp8_unpacked += other.num_fp8_unpacked;
    num_sums += other.num_sums;
    bank4_offsets.insert(bank4_offsets.end(), other.bank4_offsets.begin(), other.bank4_offsets.end());
}

bool can_read_code(int sm) {
    return generation_of(sm) != nullptr;
}

CodeFacts read_code(Bytes code, int sm) {
    CodeFacts facts;
    const Generation* generation = generation_of(sm);
    if (generation == nullptr) return facts;
    const u64 system_scope = sm == 75 ? kScopeSystemOf75 : kScopeSystem;
    facts.num_instructions = code.size() / 16;
    for (u64 i = 0; i < facts.num_instructions; ++i) {
        u64 words[2];
        std::memcpy(words, code.data() + 16 * i, sizeof words);
        const Action action = generation->table[words[0] & 0xfff];
        if (action == Action::pure) continue;
        if (action == Action::constant) {
            add_constant(words[0], 4, facts);
        } else if (action == Action::wide_constant) {
            add_constant(words[0], 8, facts);
        } else if (action == Action::call) {
            facts.calls = true;
        } else if (action == Action::trap) {
            facts.traps = true;
        } else {
            facts.has_effect = true;
            if (action != Action::nothing) decode(action, words[1], system_scope, facts);
        }
    }
    return facts;
}

// Four sums of fp32, or two of pairs of fp16, follow each product; at least every other one begins at zero.
bool is_emulated_fp8(const CodeFacts& facts, int sm) {
    const bool has_no_fp8 = sm >= 90 && sm < 120;  // mma.sync; wgmma and tcgen05 have
    return has_no_fp8 && facts.num_fp8_unpacked > 0 && facts.num_half_products_from_zero > 0 &&
           2 * facts.num_half_products_from_zero >= facts.num_half_products &&
           facts.num_sums >= 2 * facts.num_half_products_from_zero;
}

}  // namespace warpwright::inspect
