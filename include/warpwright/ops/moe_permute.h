// SPDX-License-Identifier: Apache-2.0
// The order of rows in which grouped products work on routed tokens: rows of one expert beside each other. A
// slot is one choice of one token, number t * top_k + j. Within an expert rows are in the order of slots, on
// every device. Nothing goes through the host: capacities are known, counts stay on the device.
//   contiguous  experts one after another, each from a multiple of `alignment` on (DeepGEMM's m_indices)
//   masked      expert e has rows e * max_rows up to (e + 1) * max_rows (DeepGEMM's masked_m); slots beyond
//               them are left out, which expert_rows shows
// The rows themselves are gathered by `embedding` with token_of_row as its ids, which makes padding zeros, or
// by a product.
#pragma once

#include "warpwright/context.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct MoePermute {
    Tensor ids;  // [tokens, top_k] i32, dense: experts; one that does not exist (-1) is no row
    // Optional, [all experts] i32: the expert here of each expert that ids may name, -1 where it is on
    // another GPU. Null: ids name experts here.
    Tensor expert_map;

    Tensor row_of_slot;   // [tokens, top_k] i32, written, dense: -1 where there is none
    Tensor token_of_row;  // [rows] i32, written: -1 for padding
    Tensor expert_rows;   // [experts] i32, written: how many slots each expert here has; at most 1024 experts
    // Contiguous: [rows] i32, written, the expert of each row, -1 for padding. Null: masked.
    Tensor expert_of_row;
    i64 alignment = 128;  // contiguous, of an expert's first row
    // Optional, [ceil(slots / 1024), experts] i32, dense: space. With it thousands of slots take two launches
    // that read each once, where without it every block reads all of them.
    Tensor chunk_counts;
};

// Rows that are enough for any routing, contiguous: an expert that has rows wastes at most alignment - 1.
constexpr i64 moe_rows(i64 slots, i64 experts, i64 alignment) {
    const i64 used = slots < experts ? slots : experts;
    return (slots + used * (alignment - 1)) / alignment * alignment;
}

// Errors: shapes or types that disagree; contiguous: fewer rows than moe_rows; masked: rows that experts do
// not divide (caller).
Status prepare(Context& context, const MoePermute& call, Prepared& prepared);
Status moe_permute(Context& context, Stream stream, const MoePermute& call);

}  // namespace warpwright
