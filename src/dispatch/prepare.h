// SPDX-License-Identifier: Apache-2.0
// choose -> load -> launch configuration: the part of preparing an operation that is the same for all of
// them.
#pragma once

#include <cstring>

#include "dispatch/choice_cache.h"
#include "dispatch/choose.h"
#include "dispatch/operation.h"
#include "warpwright/context.h"

namespace warpwright {

// The row for a problem in a context: with its wishes, and remembered.
template <class Op>
Result<const typename Op::Row*> choose_in(Context& context, const typename Op::Problem& problem,
                                          bool batch_invariant) {
    ChoiceCache& choices = context.choices();
    const ChoiceKey key = choice_key<Op>(problem, batch_invariant);
    if (const void* row = choices.find(key)) return static_cast<const typename Op::Row*>(row);
    const u64 generation = choices.generation();
    const std::string forced = context.forced(Op::kName);
    const auto forbidden = context.forbidden();
    WW_ASSIGN(
        const typename Op::Row* row,
        choose<Op>(context.target(), problem,
                   {.forced = forced, .batch_invariant = batch_invariant, .forbidden = forbidden.get()}));
    choices.insert(key, row, generation);
    return row;
}

// The loaded kernel of a row.
template <class Op>
Result<Kernel> kernel_of(Context& context, const typename Op::Row& row) {
    if (const Kernel kernel = context.loaded(row.name.text); kernel.handle != nullptr) return kernel;
    if (row.arch == ArchClass::host) return context.kernel(row.name.text, Op::host_function(row));
    return context.kernel(image_spec_of<Op>(row, context.target().facts.build_target));
}

// Appends one launch to `prepared`. Args is plain data; its pointers are device pointers.
template <class Op>
Status prepare_step(Context& context, const typename Op::Problem& problem, const typename Op::Args& args,
                    Prepared& prepared) {
    WW_ASSIGN(const typename Op::Row* row, choose_in<Op>(context, problem, prepared.batch_invariant));
    Prepared::Step step;
    step.row = row->name.text;
    WW_ASSIGN(step.kernel, kernel_of<Op>(context, *row));
    step.config = Op::launch_config(*row, context.target().facts, problem);
    // Every kernel keeps the rule of ptx/launch.cuh.
    step.config.programmatic = context.target().facts.compute_capability >= 90 && context.overlaps_launches();
    step.args.resize(sizeof(args));
    std::memcpy(step.args.data(), &args, sizeof(args));
    prepared.steps.push_back(std::move(step));
    return {};
}

// Prepares and launches at once.
template <class Call>
Status run_now(Context& context, Stream stream, const Call& call) {
    Prepared prepared;
    prepared.inputs = stream;
    WW_TRY(prepare(context, call, prepared));
    return prepared.launch(context.device(), stream);
}

}  // namespace warpwright
