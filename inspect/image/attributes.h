// SPDX-License-Identifier: Apache-2.0
// Records of .nv.info (EIATTR) and .nv.compat: a format byte, an attribute byte, then two bytes of value, or
// two bytes of length and that many bytes.
#pragma once

#include <optional>

#include "inspect/bytes.h"

namespace warpwright::inspect {

// Of .nv.info.
enum class Attribute : u8 {
    max_threads = 0x05,       // __launch_bounds__, .maxntid: 3 x u32
    param_bank = 0x0a,        // u32 symbol, u16 offset in the bank, u16 bytes
    externs = 0x0f,           // u32 symbol each: what it calls outside
    required_threads = 0x10,  // .reqntid: 3 x u32
    frame_bytes = 0x11,       // u32 symbol, u32 bytes: of one function
    min_stack_bytes = 0x12,   // the same, with what it calls
    parameter = 0x17,         // u32 index, u16 ordinal, u16 offset, u32 with the size from bit 18 on
    param_bytes = 0x19,
    max_stack_bytes = 0x23,
    registers = 0x2f,  // u32 symbol, u32 registers
    mbarriers = 0x38,  // initialised; there wherever one is used
    cluster = 0x3d,    // 3 x u32
    parameter2 = 0x45,
    barriers = 0x4c,
    sparse_products = 0x50,  // a bit for each kind of product with structured sparsity
    tcgen05_1cta = 0x51,
    tcgen05_2cta = 0x52,
    setmaxnreg = 0x54,
};

// Of .nv.compat.
enum class CompatAttribute : u8 {
    isa_class = 0x02,
    tensor_maps = 0x03,  // 1: used, 2: also edited
    specific = 0x09,     // 1: 'a', refused by any other SM number
};

struct AttributeRecord {
    u8 format = 0;
    u8 id = 0;
    u32 value = 0;  // formats 1 to 3
    Bytes data;     // format 4

    bool is(Attribute attribute) const { return id == static_cast<u8>(attribute); }
    bool is(CompatAttribute attribute) const { return id == static_cast<u8>(attribute); }
    // A number wherever it is: in `value`, or in the last 4 bytes of data.
    std::optional<u32> number() const;
    u32 word(int index) const { return read_at<u32>(data, u64{4} * index).value_or(0); }
};

class AttributeReader {
public:
    explicit AttributeReader(Bytes records) : rest_(records) {}
    // Nothing at the end, or where a record ends beyond it.
    std::optional<AttributeRecord> next();
    bool is_damaged() const { return is_damaged_; }

private:
    Bytes rest_;
    bool is_damaged_ = false;
};

}  // namespace warpwright::inspect
