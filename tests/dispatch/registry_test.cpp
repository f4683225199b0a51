// SPDX-License-Identifier: Apache-2.0
// What every row of every operation agrees on: its name, and that its kernel file is there.
#include <gtest/gtest.h>

#include <set>

#include "dispatch/operation.h"
#include "image/sources.h"

namespace warpwright {
namespace {

TEST(Registry, NamesBeginWithTheOperationAndAreUnique) {
    std::set<std::string> seen;
    for (const Operation* operation : operations()) {
        EXPECT_TRUE(seen.insert(std::string(operation->name())).second) << operation->name();
        for (int row = 0; row < operation->num_rows(); ++row) {
            const std::string name = operation->row_name(row);
            EXPECT_TRUE(name.starts_with(std::string(operation->name()) + ".")) << name;
            EXPECT_LT(name.size() + 1, sizeof(RowName::text)) << name << " may have been cut short";
            EXPECT_TRUE(seen.insert(name).second) << name << " is there twice";
        }
    }
}

TEST(Registry, TheKernelFileOfEveryRowIsCompiledIn) {
    for (const ImageSpec& spec : all_image_specs()) {
        const auto sources = KernelSources::embedded().closure(spec.source);
        EXPECT_TRUE(sources.ok()) << spec.row << ": " << sources.status().message();
    }
}

TEST(Registry, TheKernelFileIsNamedInTheRowsName) {
    EXPECT_EQ(kernel_source("src/kernels/gemm", "gemm.portable.bf16.64x64x64.k2"),
              "src/kernels/gemm/portable.cuh");
    EXPECT_EQ(kernel_source("src/kernels/a/b", "op.sm90"), "src/kernels/a/b/sm90.cuh");
}

// No shipped row spills; one that had to would say so in a field of its row.
struct SpillingOp {
    struct Row {
        RowName name{"spilling.portable"};
        ArchClass arch = ArchClass::portable;
        RowName spill_reason{"measured faster"};
        template <class Self, class Visitor>
        static constexpr void visit(Self& self, Visitor&& v) {
            v("name", self.name);
        }
    };
    static constexpr const char* kFolder = "src/kernels/spilling";
    static std::span<const Row> rows() {
        static const Row table[1];
        return table;
    }
    static bool image_fits(const Row&, BuildTarget) { return true; }
};

TEST(Registry, ARowsReasonToSpillReachesItsImage) {
    EXPECT_EQ(image_spec_of<SpillingOp>(SpillingOp::rows()[0], BuildTarget::sm_80).spill_reason,
              "measured faster");
}

}  // namespace
}  // namespace warpwright
