// SPDX-License-Identifier: Apache-2.0
// The registry: every operation behind one type, for the verbs that walk over all of them.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dispatch/choose.h"
#include "dispatch/nearest.h"
#include "image/spec.h"
#include "warpwright/device.h"

namespace warpwright {

class Operation {
public:
    virtual ~Operation() = default;

    virtual std::string_view name() const = 0;
    virtual int num_rows() const = 0;
    virtual std::string row_name(int row) const = 0;
    virtual ArchClass row_arch(int row) const = 0;
    virtual FieldTexts row_fields(int row) const = 0;
    virtual FieldTexts default_problem() const = 0;  // the fields `why --set` knows, with their defaults

    // Whether an image of this row can be built for this target at all; host rows fit only the host.
    virtual bool image_fits(int row, BuildTarget target) const = 0;
    virtual ImageSpec image_spec(int row, BuildTarget target) const = 0;
    // What keeps this row from this GPU whatever the problem; nothing when some problem can run.
    virtual Rejection misfit(int row, const TargetFacts& target) const = 0;

    // Caller errors: a field or a row that the operation has not.
    virtual Status check_tuning(const TuningEntry& entry) const = 0;

    // The default problem with `settings` applied.
    virtual Result<Explanation> explain(const Target& target, const FieldTexts& settings,
                                        const ChoiceOptions& options) const = 0;
    // Of its choice alone the time, in microseconds; no_kernel without one.
    virtual Result<double> chosen_us(const Target& target, const FieldTexts& settings) const = 0;
};

std::span<const Operation* const> operations();
Result<const Operation*> find_operation(
    std::string_view name);  // unknown: caller error with the nearest name

// The kernel file that a row is compiled from: the second part of the row's name is the file's, so that
// "gemm.bandwidth.bf16.m8.n16" is compiled from bandwidth.cuh in the operation's folder.
inline std::string kernel_source(std::string_view folder, std::string_view row) {
    const std::size_t begin = row.find('.') + 1;
    const std::string_view kernel = row.substr(begin, row.find('.', begin) - begin);
    return std::string(folder) + '/' + std::string(kernel) + ".cuh";
}

// The build target whose code of this row serves `target` too. compute_80 is sm_80's text; all that 8.9 has
// beyond 8.0 are FP8 instructions, so that a row without a use for them (Op::uses_fp8) is compiled once for
// both: the instructions are the same, to which tests/image/code_target_test.cpp holds a row of every kernel.
template <class Op>
constexpr BuildTarget code_target(const typename Op::Row& row, BuildTarget target) {
    bool serves = target == BuildTarget::compute_80 || target == BuildTarget::sm_89;
    if constexpr (requires { Op::uses_fp8(row); }) {
        if (target == BuildTarget::sm_89 && Op::uses_fp8(row)) serves = false;
    }
    return serves && Op::image_fits(row, BuildTarget::sm_80) ? BuildTarget::sm_80 : target;
}

// A row's image, from its operation's traits.
template <class Op>
ImageSpec image_spec_of(const typename Op::Row& row, BuildTarget target) {
    ImageSpec spec;
    spec.source = kernel_source(Op::kFolder, row.name.text);
    spec.row_index = static_cast<int>(&row - Op::rows().data());
    spec.row = row.name.text;
    for (const auto& [name, text] : field_texts(row)) spec.row_content += name + "=" + text + " ";
    spec.build_target = target;
    if (const BuildTarget code = code_target<Op>(row, target); code != target) spec.code_of = code;
    if constexpr (requires { row.spill_reason; }) spec.spill_reason = row.spill_reason.text;
    return spec;
}

template <class Op>
class OperationOf final : public Operation {
public:
    std::string_view name() const override { return Op::kName; }
    int num_rows() const override { return static_cast<int>(Op::rows().size()); }
    std::string row_name(int row) const override { return Op::rows()[row].name.text; }
    ArchClass row_arch(int row) const override { return Op::rows()[row].arch; }
    FieldTexts row_fields(int row) const override { return field_texts(Op::rows()[row]); }
    FieldTexts default_problem() const override { return field_texts(typename Op::Problem{}); }
    bool image_fits(int row, BuildTarget target) const override {
        return Op::image_fits(Op::rows()[row], target);
    }
    ImageSpec image_spec(int row, BuildTarget target) const override {
        return image_spec_of<Op>(Op::rows()[row], target);
    }
    Rejection misfit(int row, const TargetFacts& target) const override {
        return target_misfit(Op::rows()[row], target);
    }
    Status check_tuning(const TuningEntry& entry) const override {
        typename Op::Problem problem;
        WW_TRY(set_fields(problem, entry.problem, Op::kName));
        for (const auto& [name, us] : entry.us) WW_TRY(find_row(name));
        return {};
    }
    Result<Explanation> explain(const Target& target, const FieldTexts& settings,
                                const ChoiceOptions& options) const override {
        typename Op::Problem problem;
        WW_TRY(set_fields(problem, settings, Op::kName));
        return warpwright::explain<Op>(target, problem, options);
    }
    Result<double> chosen_us(const Target& target, const FieldTexts& settings) const override {
        typename Op::Problem problem;
        WW_TRY(set_fields(problem, settings, Op::kName));
        return warpwright::chosen_us<Op>(target, problem);
    }

private:
    static Status find_row(std::string_view name) {
        std::vector<std::string> names;
        for (const auto& row : Op::rows()) {
            if (name == row.name.text) return {};
            names.emplace_back(row.name.text);
        }
        return caller_error(std::string(Op::kName) + ": no row named '" + std::string(name) +
                            "'; nearest: " + nearest(name, names));
    }
};

}  // namespace warpwright
