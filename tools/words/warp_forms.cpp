// SPDX-License-Identifier: Apache-2.0
// Instructions of a warp (PTX ISA 9.7.9.6, 9.7.13.8 to 9.7.13.12) and barriers of a block (9.7.13.1).
#include <fmt/format.h>

#include "tools/words/form.h"

namespace warpwright::words {
namespace {

// Runs the body in the lanes of the mask %i1 only; the others' results are 0.
std::string in_lanes_of_mask(int num_outputs, const std::string& body) {
    std::string text = "shr.u32 %r0, %i1, %lane;\nand.b32 %r0, %r0, 1;\nsetp.eq.u32 %p0, %r0, 0;\n";
    for (int i = 0; i < num_outputs; ++i) text += fmt::format("mov.b32 %o{}, 0;\n", i);
    return text + "@%p0 bra OUTSIDE;\n" + body + "OUTSIDE:\n";
}

void add_shuffles(Forms& forms) {
    for (const char* mode : {"up", "down", "bfly", "idx"}) {
        forms.add(fmt::format("shfl.sync.{}.b32", mode), "i32 lane bounds > b32 pred b32",
                  fmt::format("shfl.sync.{0}.b32 %o0|%o1, %i0, %i1, %i2, 0xffffffff;\n"
                              "shfl.sync.{0}.b32 %o2, %i0, {1}, {2}, -1;\n",
                              mode, mode[0] == 'i' ? 5 : 2, mode[0] == 'u' ? 0 : 31));
        // Two halves of a warp, each for itself.
        forms.add(fmt::format("shfl.sync.{}.b32 of half a warp", mode), "i32 lane > b32 pred",
                  fmt::format("and.b32 %i1, %i1, 15;\nsetp.lt.u32 %p0, %lane, 16;\n@%p0 bra LOW;\n"
                              "shfl.sync.{0}.b32 %o0|%o1, %i0, %i1, {1}, 0xffff0000;\nbra JOINED;\n"
                              "LOW:\nshfl.sync.{0}.b32 %o0|%o1, %i0, %i1, {1}, 0x0000ffff;\n"
                              "JOINED:\n",
                              mode, mode[0] == 'u' ? 0x1000 : 0x100f));
    }
}

void add_votes(Forms& forms) {
    const auto bit = [](int output) { return fmt::format("selp.b32 %o{}, 1, 0, %p1;\n", output); };
    forms.add("vote.sync", "i32 mask few32 > b32 b32 b32 b32 b32 b32",
              in_lanes_of_mask(6,
                               "and.b32 %r1, %i2, 1;\nsetp.ne.u32 %p2, %r1, 0;\n"
                               "vote.sync.all.pred %p1, %p2, %i1;\n" +
                                   bit(0) + "vote.sync.any.pred %p1, %p2, %i1;\n" + bit(1) +
                                   "vote.sync.uni.pred %p1, %p2, %i1;\n" + bit(2) +
                                   "vote.sync.all.pred %p1, !%p2, %i1;\n" + bit(3) +
                                   "vote.sync.ballot.b32 %o4, %p2, %i1;\n"
                                   "vote.sync.ballot.b32 %o5, !%p2, %i1;\n"));
    for (const char* size : {"32", "64"}) {
        forms.add(fmt::format("match.sync.b{}", size), fmt::format("i32 mask few{} > b32 b32 b32 b32", size),
                  in_lanes_of_mask(4, fmt::format("match.any.sync.b{0} %o0, %i2, %i1;\n"
                                                  "match.all.sync.b{0} %o1|%p1, %i2, %i1;\n"
                                                  "selp.b32 %o2, 1, 0, %p1;\n"
                                                  "match.all.sync.b{0} %o3, %i2, %i1;\n",
                                                  size)));
    }
    int output = 0;
    std::string body, results;
    for (const char* operation :
         {"add.u32", "min.u32", "max.u32", "add.s32", "min.s32", "max.s32", "and.b32", "or.b32", "xor.b32"}) {
        body += fmt::format("redux.sync.{} %o{}, %i0, %i1;\n", operation, output++);
        results += " b32";
    }
    forms.add("redux.sync", "i32 mask >" + results, in_lanes_of_mask(output, body));
    forms.add("elect.sync", "i32 mask > b32 b32 b32",
              in_lanes_of_mask(3,
                               "elect.sync %o0|%p1, %i1;\nselp.b32 %o1, 1, 0, %p1;\n"
                               "elect.sync _|%p1, %i1;\nselp.b32 %o2, 1, 0, %p1;\n"));
    forms.add("activemask", "i32 > b32", "activemask.b32 %o0;\n");
    // Each lane reads what its neighbour in the mask has left in memory.
    forms
        .add("bar.warp.sync", "i32 mask > b32",
             "shl.b32 %r1, %thread, 2;\nadd.u32 %r1, %buffer, %r1;\nst.shared.u32 [%r1], %i0;\n"
             "bar.warp.sync 0xffffffff;\nxor.b32 %r2, %r1, 4;\nld.shared.u32 %r3, [%r2];\n"
             "bar.warp.sync -1;\n" +
                 in_lanes_of_mask(1, "bar.warp.sync %i1;\nmov.b32 %o0, %r3;\n"))
        .with_shared(512);
}

void add_barriers(Forms& forms) {
    const std::string write =
        "shl.b32 %r1, %thread, 2;\nadd.u32 %r1, %buffer, %r1;\nst.shared.u32 [%r1], %i0;\n";
    const std::string read = "xor.b32 %r2, %r1, {0};\nld.shared.u32 %o{1}, [%r2];\n";
    // The thread at the other end of the block, and of half of it.
    forms
        .add("bar.sync", "i32 > b32 b32 b32 b32",
             write + "bar.sync 0;\nxor.b32 %r2, %r1, 508;\nld.shared.u32 %o0, [%r2];\nbar.sync 3, 128;\n" +
                 "st.shared.u32 [%r1], %thread;\nbarrier.sync 0;\nld.shared.u32 %o1, [%r2];\n"
                 "barrier.sync.aligned 2;\nst.shared.u32 [%r1], %i0;\n"
                 "shr.u32 %r3, %thread, 6;\nadd.u32 %r3, %r3, 4;\nbar.sync %r3, 64;\n"
                 "xor.b32 %r2, %r1, 252;\nld.shared.u32 %o2, [%r2];\nbar.sync 0;\n"
                 "setp.lt.u32 %p0, %thread, 64;\n@%p0 bra FIRST;\n"
                 "bar.sync 1, 128;\nld.shared.u32 %o3, [%buffer];\nbra JOINED;\n"
                 "FIRST:\nst.shared.u32 [%r1], 77;\nbar.arrive 1, 128;\nmov.b32 %o3, 5;\nJOINED:\n"
                 "bar.cta.sync 0;\nbarrier.cta.sync 5, 128;\n")
        .with_shared(512);
    // A block of one warp is of one mind now and then.
    const std::string reduce =
        "and.b32 %r0, %i0, 1;\nsetp.ne.u32 %p1, %r0, 0;\n"
        "bar.red.popc.u32 %o0, 0, %p1;\nbar.red.and.pred %o1, 0, %p1;\n"
        "bar.red.or.pred %o2, 1, COUNT, %p1;\nbar.red.popc.u32 %o3, 2, COUNT, !%p1;\n"
        "barrier.red.and.pred %o4, 3, !%p1;\nbarrier.cta.red.or.aligned.pred %o5, 0, !%p1;\n";
    for (const int threads : {32, 128}) {
        std::string body = reduce;
        for (std::size_t at = body.find("COUNT"); at != body.npos; at = body.find("COUNT"))
            body.replace(at, 5, fmt::format("{}", threads));
        forms.add(fmt::format("bar.red of {} threads", threads), "few32 > b32 pred pred b32 pred pred", body)
            .with_block(threads);
    }
}

}  // namespace

void add_warp_forms(Forms& forms) {
    add_shuffles(forms);
    add_votes(forms);
    add_barriers(forms);
}

}  // namespace warpwright::words
