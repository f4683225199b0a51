// SPDX-License-Identifier: Apache-2.0
// Registers that share slots keep their values: by hand, and by running random programs twice, on virtual
// registers and on slots.
#include <algorithm>
#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "emulator/decode/liveness.h"
#include "emulator/decode/slots.h"

namespace warpwright::emulator {
namespace {

class CodeBuilder {
public:
    int add_register(int width = 1) {
        code_.register_width.push_back(static_cast<u8>(width));
        return static_cast<int>(code_.register_width.size()) - 1;
    }
    void add(const std::vector<int>& dests, const std::vector<int>& sources, bool is_guarded = false,
             const std::vector<int>& both = {}) {
        Instruction instruction;
        int position = 0;
        const auto append = [&](int reg, bool is_dest, bool is_source) {
            code_.operands.push_back(reg);
            const int width = reg < 0 ? 1 : code_.register_width[static_cast<std::size_t>(reg)];
            instruction.slot_width[position] = static_cast<u8>(width);
            if (is_dest) instruction.dest_slots |= 1u << position;
            if (is_source) instruction.source_slots |= 1u << position;
            ++position;
        };
        for (const int reg : dests) append(reg, true, false);
        for (const int reg : both) append(reg, true, true);
        for (const int reg : sources) append(reg, false, true);
        if (is_guarded) instruction.guard = 2;
        code_.instructions.push_back(instruction);
        code_.first_operand.push_back(static_cast<u32>(code_.operands.size()));
        code_.ends_path.push_back(false);
    }
    void branch(int to, bool is_guarded) {
        const auto from = static_cast<i32>(code_.instructions.size());
        add({}, {}, is_guarded);
        code_.branches.push_back({from, to});
        code_.ends_path.back() = !is_guarded;
    }
    void ret() {
        add({}, {});
        code_.ends_path.back() = true;
    }
    BoundCode finish() { return code_; }

private:
    BoundCode code_;
};

void expect_interval(const LiveInterval& interval, i32 first, i32 last) {
    EXPECT_EQ(interval.first, first);
    EXPECT_EQ(interval.last, last);
}

TEST(Liveness, StraightCode) {
    CodeBuilder b;
    const int x = b.add_register(), y = b.add_register(), never = b.add_register(), dead = b.add_register();
    b.add({x}, {});
    b.add({y}, {x});
    b.add({dead}, {});
    b.add({x}, {y});
    b.ret();
    const auto intervals = live_intervals(b.finish());
    expect_interval(intervals[static_cast<std::size_t>(x)], 0, 3);
    expect_interval(intervals[static_cast<std::size_t>(y)], 1, 3);
    expect_interval(intervals[static_cast<std::size_t>(never)], 0, -1);
    expect_interval(intervals[static_cast<std::size_t>(dead)], 2, 2);
}

TEST(Liveness, AValueReadInALoopLivesThroughAllOfIt) {
    CodeBuilder b;
    const int outside = b.add_register(), inside = b.add_register(), carried = b.add_register();
    b.add({outside}, {});        // 0
    b.add({carried}, {});        // 1
    b.add({inside}, {outside});  // 2: the loop's head
    b.add({carried}, {inside, carried});
    b.add({}, {});
    b.branch(2, true);  // 5
    b.ret();
    const auto intervals = live_intervals(b.finish());
    expect_interval(intervals[static_cast<std::size_t>(outside)], 0, 5);
    expect_interval(intervals[static_cast<std::size_t>(inside)], 2, 3);
    expect_interval(intervals[static_cast<std::size_t>(carried)], 1, 5);
}

// Lanes for which the guard does not hold keep what was there.
TEST(Liveness, AGuardedWriteEndsNothing) {
    for (const bool is_guarded : {false, true}) {
        CodeBuilder b;
        const int x = b.add_register(), other = b.add_register();
        b.add({x}, {});              // 0
        b.branch(3, true);           // 1
        b.add({other}, {});          // 2
        b.add({x}, {}, is_guarded);  // 3
        b.add({}, {x});              // 4
        b.ret();
        const auto intervals = live_intervals(b.finish());
        expect_interval(intervals[static_cast<std::size_t>(x)], 0, 4);  // the first write is an event too
        // But the path matters where only the loop brings the value back.
        CodeBuilder loop;
        const int y = loop.add_register();
        loop.add({}, {});               // 0
        loop.add({y}, {}, is_guarded);  // 1
        loop.add({}, {y});              // 2
        loop.branch(0, true);           // 3
        loop.ret();
        const auto of_loop = live_intervals(loop.finish());
        expect_interval(of_loop[static_cast<std::size_t>(y)], is_guarded ? 0 : 1, is_guarded ? 3 : 2);
    }
}

TEST(Liveness, ReadAndWrittenIsNoNewValue) {
    CodeBuilder b;
    const int x = b.add_register();
    b.add({}, {});
    b.add({}, {}, false, {x});
    b.branch(0, true);
    b.ret();
    expect_interval(live_intervals(b.finish())[static_cast<std::size_t>(x)], 0, 2);
}

TEST(Slots, AreSharedAndConstantsComeFirst) {
    CodeBuilder b;
    const int x = b.add_register(), y = b.add_register(), z = b.add_register(), wide = b.add_register(2);
    BoundCode code;
    b.add({x}, {~0});
    b.add({y}, {x});
    b.add({z}, {y});
    b.add({wide}, {z});
    b.add({}, {wide});
    b.ret();
    code = b.finish();
    code.constants.slot_of(5, 1);
    Program program;
    ASSERT_TRUE(assign_slots(code, program).ok());
    EXPECT_EQ(program.num_constants, 1);
    EXPECT_EQ(program.num_virtual_registers, 4);
    EXPECT_EQ(program.code[0].slot[1], 0);
    EXPECT_EQ(program.code[0].slot[0], 1);
    EXPECT_EQ(program.code[1].slot[0], 2);  // x is still read there
    EXPECT_EQ(program.code[2].slot[0], 1);
    EXPECT_EQ(program.code[3].slot[0], 3);  // two in a row
    EXPECT_EQ(program.num_slots, 5);
    EXPECT_EQ(program.constants.size(), 32u);
}

// A random program of the builder's, and what it does to one thread's registers.
class RandomProgram {
public:
    explicit RandomProgram(u64 seed) : random_(seed) {
        CodeBuilder b;
        const int num_registers = 1 + below(24);
        constexpr int kWidths[] = {1, 1, 1, 2, 2, 4};
        for (int i = 0; i < num_registers; ++i) b.add_register(kWidths[below(6)]);
        const int size = 2 + below(40);
        for (int i = 0; i < size; ++i) {
            if (below(6) == 0) {
                b.branch(below(size + 1), below(3) != 0);
                continue;
            }
            std::set<int> dests, both;  // distinct: an instruction writes a register once
            for (int n = below(4); n > 0; --n) dests.insert(below(num_registers));
            if (below(8) == 0) both.insert(below(num_registers));
            for (const int reg : both) dests.erase(reg);
            std::vector<int> sources;
            for (int n = below(4); n > 0; --n) sources.push_back(below(num_registers));
            b.add({dests.begin(), dests.end()}, sources, below(4) == 0, {both.begin(), both.end()});
        }
        b.ret();
        code_ = b.finish();
    }

    // Runs the code with branches and guards by chance. What an instruction reads must be the same from
    // virtual registers and from slots, even when every destination is written before the sources are read.
    void check() {
        BoundCode code = code_;
        Program program;
        ASSERT_TRUE(assign_slots(code, program).ok());
        std::map<int, u64> of_register;
        std::map<int, u64> of_slot;
        u64 next_value = 1;
        std::size_t pc = 0;
        for (int step = 0; step < 2000; ++step) {
            const Instruction& i = program.code.at(pc);
            const u32 first = code_.first_operand[pc];
            const u32 count = code_.first_operand[pc + 1] - first;
            const bool runs = i.guard == kNoPredicate || below(2) == 0;
            const auto operand = [&](u32 o) { return code_.operands[first + o]; };
            const auto expect_value = [&](u32 o) {
                const auto known = of_register.find(operand(o));
                if (known == of_register.end()) return;
                for (int w = 0; w < i.slot_width[o]; ++w) {
                    ASSERT_EQ(of_slot[i.slot[o] + w], known->second + static_cast<u64>(w)) << "at " << pc;
                }
            };
            if (runs) {
                std::set<int> written;
                for (u32 o = 0; o < count; ++o) {
                    const bool is_source = (i.source_slots >> o & 1u) != 0;
                    if (is_source && (i.dest_slots >> o & 1u) != 0) expect_value(o);
                }
                for (u32 o = 0; o < count; ++o) {
                    if ((i.dest_slots >> o & 1u) == 0) continue;
                    written.insert(operand(o));
                    of_register[operand(o)] = next_value;
                    for (int w = 0; w < i.slot_width[o]; ++w)
                        of_slot[i.slot[o] + w] = next_value + static_cast<u64>(w);
                    next_value += 4;
                }
                for (u32 o = 0; o < count; ++o) {
                    if ((i.source_slots >> o & 1u) != 0 && !written.contains(operand(o))) expect_value(o);
                }
            }
            std::size_t next = pc + 1;
            for (const auto& branch : code_.branches) {
                if (static_cast<std::size_t>(branch.from) == pc && runs)
                    next = static_cast<std::size_t>(branch.to);
            }
            if (next == pc + 1 && code_.ends_path[pc]) return;
            pc = next;
        }
    }

private:
    int below(int limit) { return static_cast<int>(random_() % static_cast<u64>(limit)); }
    std::mt19937_64 random_;
    BoundCode code_;
};

TEST(Slots, RandomProgramsReadWhatTheyWrote) {
    for (u64 seed = 0; seed < 2000; ++seed) {
        RandomProgram(seed).check();
        if (HasFatalFailure()) FAIL() << "seed " << seed;
    }
}

TEST(Slots, TooManyAtOnceIsAnError) {
    CodeBuilder b;
    std::vector<int> registers;
    for (int i = 0; i < 5000; ++i) registers.push_back(b.add_register(4));
    for (const int reg : registers) b.add({reg}, {});
    for (const int reg : registers) b.add({}, {reg});
    b.ret();
    BoundCode code = b.finish();
    Program program;
    EXPECT_EQ(assign_slots(code, program).message(),
              "not covered yet: more than 16384 words of registers and constants at once");
}

}  // namespace
}  // namespace warpwright::emulator
