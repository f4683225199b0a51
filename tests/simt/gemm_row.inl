// SPDX-License-Identifier: Apache-2.0
// One row of gemm's kernel SIMT_KERNEL, entered as row<WW_ROW>_entry. A kernel file names things after its
// row: each gets a namespace that stands in for warpwright. No include guard: included once for every row.
#define SIMT_JOIN_(a, b, c) a##b##c
#define SIMT_JOIN(a, b, c) SIMT_JOIN_(a, b, c)
namespace SIMT_JOIN(row, WW_ROW, ) {
using namespace warpwright;
}
#define warpwright SIMT_JOIN(row, WW_ROW, )
#define WW_ENTRY SIMT_JOIN(row, WW_ROW, _entry)
#include SIMT_KERNEL
#undef warpwright
#undef WW_ENTRY
#undef WW_ROW
#undef SIMT_JOIN
#undef SIMT_JOIN_
