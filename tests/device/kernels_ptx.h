// SPDX-License-Identifier: Apache-2.0
// Small kernels for the tests of the CUDA device, as PTX text: they need no compiler, so a failure here is
// the device's and not the image layer's. Each takes one argument struct; the C++ side of it stands beside
// it.
#pragma once

#include "warpwright/device.h"

namespace warpwright::test {

// slots[c] = 7 * c and then counter = c + 1, for the counter's value c: shows that a replayed graph reads
// what is in memory now. One thread.
struct CounterArgs {
    u32* counter;
    u32* slots;
};
constexpr const char* kCounterPtx = R"(
.version 7.0
.target sm_80
.address_size 64
.visible .entry counter(.param .align 8 .b8 args[16])
{
    .reg .b32 %r<4>;
    .reg .b64 %rd<6>;
    ld.param.u64 %rd1, [args];
    ld.param.u64 %rd2, [args+8];
    cvta.to.global.u64 %rd1, %rd1;
    cvta.to.global.u64 %rd2, %rd2;
    ld.global.u32 %r1, [%rd1];
    mul.lo.u32 %r2, %r1, 7;
    mul.wide.u32 %rd3, %r1, 4;
    add.u64 %rd4, %rd2, %rd3;
    st.global.u32 [%rd4], %r2;
    add.u32 %r3, %r1, 1;
    st.global.u32 [%rd1], %r3;
    ret;
}
)";

// out[i] = i * scale + offset over all threads, by way of dynamic shared memory: each thread stores into the
// last words of `shared_bytes` and reads its neighbour's back.
struct SharedArgs {
    u32* out;
    u32 scale;
    u32 offset;
    u32 shared_bytes;
};
constexpr const char* kSharedPtx = R"(
.version 7.0
.target sm_80
.address_size 64
.extern .shared .align 16 .b8 dynamic[];
.visible .entry shared_words(.param .align 8 .b8 args[24])
{
    .reg .b32 %r<16>;
    .reg .b64 %rd<4>;
    ld.param.u64 %rd1, [args];
    ld.param.u32 %r1, [args+8];
    ld.param.u32 %r2, [args+12];
    ld.param.u32 %r3, [args+16];
    mov.u32 %r4, %tid.x;
    mov.u32 %r5, %ntid.x;
    mov.u32 %r6, %ctaid.x;
    mad.lo.u32 %r7, %r6, %r5, %r4;
    mad.lo.u32 %r8, %r7, %r1, %r2;
    mov.u32 %r9, dynamic;
    add.u32 %r9, %r9, %r3;
    shl.b32 %r10, %r5, 2;
    sub.u32 %r9, %r9, %r10;
    xor.b32 %r11, %r4, 1;
    shl.b32 %r12, %r4, 2;
    add.u32 %r12, %r9, %r12;
    st.shared.u32 [%r12], %r8;
    bar.sync 0;
    shl.b32 %r13, %r11, 2;
    add.u32 %r13, %r9, %r13;
    ld.shared.u32 %r14, [%r13];
    mad.lo.u32 %r15, %r6, %r5, %r11;
    cvta.to.global.u64 %rd1, %rd1;
    mul.wide.u32 %rd2, %r15, 4;
    add.u64 %rd3, %rd1, %rd2;
    st.global.u32 [%rd3], %r14;
    ret;
}
)";

// Block b of a cluster writes 100 + its rank to its shared memory and then stores, at out[b], what the block
// of the next rank wrote there. One thread per block.
struct ClusterArgs {
    u32* out;
};
constexpr const char* kClusterPtx = R"(
.version 8.0
.target sm_90
.address_size 64
.visible .entry next_rank(.param .align 8 .b8 args[8])
{
    .reg .b32 %r<10>;
    .reg .b64 %rd<4>;
    .reg .pred %p;
    .shared .align 4 .b8 word[4];
    mov.u32 %r1, %cluster_ctarank;
    mov.u32 %r2, %cluster_nctarank;
    add.u32 %r3, %r1, 100;
    mov.u32 %r4, word;
    st.shared.u32 [%r4], %r3;
    barrier.cluster.arrive.release.aligned;
    barrier.cluster.wait.acquire.aligned;
    add.u32 %r5, %r1, 1;
    rem.u32 %r5, %r5, %r2;
    mapa.shared::cluster.u32 %r6, %r4, %r5;
    ld.shared::cluster.u32 %r7, [%r6];
    barrier.cluster.arrive.release.aligned;
    barrier.cluster.wait.acquire.aligned;
    mov.u32 %r8, %ctaid.x;
    ld.param.u64 %rd1, [args];
    cvta.to.global.u64 %rd1, %rd1;
    mul.wide.u32 %rd2, %r8, 4;
    add.u64 %rd3, %rd1, %rd2;
    st.global.u32 [%rd3], %r7;
    ret;
}
)";

// A chain of programmatic launches: each lets the next start, waits for the one before it, and only then adds
// `step` to the value, after a pause that a launch which did not wait would fall into. One thread.
struct ChainArgs {
    u32* value;
    u32 step;
    u32 pause_ns;
};
constexpr const char* kChainPtx = R"(
.version 8.0
.target sm_90
.address_size 64
.visible .entry chain(.param .align 8 .b8 args[16])
{
    .reg .b32 %r<6>;
    .reg .b64 %rd<3>;
    ld.param.u64 %rd1, [args];
    ld.param.u32 %r1, [args+8];
    ld.param.u32 %r2, [args+12];
    cvta.to.global.u64 %rd1, %rd1;
    griddepcontrol.launch_dependents;
    griddepcontrol.wait;
    ld.global.u32 %r3, [%rd1];
    nanosleep.u32 %r2;
    mul.lo.u32 %r3, %r3, 3;
    add.u32 %r4, %r3, %r1;
    st.global.u32 [%rd1], %r4;
    ret;
}
)";

// Copies one box of a two-dimensional map of 32-bit elements, 32 wide and 8 high, from (x, y) to out: 1 KiB.
// x is a multiple of 4 (see tensor_map.h). One thread.
struct TmaArgs {
    TensorMap map;
    u32* out;
    i32 x;
    i32 y;
};
constexpr const char* kTmaPtx = R"(
.version 8.0
.target sm_90
.address_size 64
.visible .entry tma_box(.param .align 64 .b8 args[192])
{
    .reg .b32 %r<10>;
    .reg .b64 %rd<8>;
    .reg .pred %p<3>;
    .shared .align 128 .b8 box[1024];
    .shared .align 8 .b8 barrier[8];
    mov.b64 %rd1, args;
    cvta.param.u64 %rd2, %rd1;
    ld.param.u64 %rd3, [args+128];
    ld.param.u32 %r1, [args+136];
    ld.param.u32 %r2, [args+140];
    cvta.to.global.u64 %rd3, %rd3;
    mov.u32 %r3, box;
    mov.u32 %r4, barrier;
    mbarrier.init.shared.b64 [%r4], 1;
    fence.proxy.async;
    mbarrier.arrive.expect_tx.shared.b64 %rd4, [%r4], 1024;
    cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%r3], [%rd2, {%r1, %r2}], [%r4];
wait:
    mbarrier.try_wait.parity.shared.b64 %p1, [%r4], 0;
    @!%p1 bra wait;
    mov.u32 %r5, 0;
word:
    add.u32 %r6, %r3, %r5;
    ld.shared.u32 %r7, [%r6];
    cvt.u64.u32 %rd5, %r5;
    add.u64 %rd6, %rd3, %rd5;
    st.global.u32 [%rd6], %r7;
    add.u32 %r5, %r5, 4;
    setp.lt.u32 %p2, %r5, 1024;
    @%p2 bra word;
    ret;
}
)";

inline Image ptx_image(const char* entry, const char* ptx) {
    Image image;
    image.row = entry;
    image.build_target = BuildTarget::compute_80;
    image.entry = entry;
    image.ptx = ptx;
    return image;
}

}  // namespace warpwright::test
