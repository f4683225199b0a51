// SPDX-License-Identifier: Apache-2.0
// choose -> load -> launch configuration: the part of preparing an operation that is the same for all of
// them.
#pragma once

#include <cstring>

#include "dispatch/choose.h"
#include "dispatch/operation.h"
#include "warpwright/context.h"

namespace warpwright {

// Appends one launch to `prepared`. Args is plain data; its pointers are device pointers.
template <class Op>
Status prepare_step(Context& context, const typename Op::Problem& problem, const typename Op::Args& args,
                    Prepared& prepared) {
    const std::string forced = context.forced(Op::kName);
    const auto forbidden = context.forbidden();
    WW_ASSIGN(const typename Op::Row* row, choose<Op>(context.target(), problem,
                                                      {.forced = forced,
                                                       .batch_invariant = prepared.batch_invariant,
                                                       .forbidden = forbidden.get()}));
    Prepared::Step step;
    step.row = row->name.text;
    const TargetFacts& facts = context.target().facts;
    if (row->arch == ArchClass::host) {
        WW_ASSIGN(step.kernel, context.kernel(step.row, Op::host_function(*row)));
    } else {
        WW_ASSIGN(step.kernel, context.kernel(image_spec_of<Op>(*row, facts.build_target)));
    }
    step.config = Op::launch_config(*row, facts, problem);
    step.args.resize(sizeof(args));
    std::memcpy(step.args.data(), &args, sizeof(args));
    prepared.steps.push_back(std::move(step));
    return {};
}

// Prepares and launches at once.
template <class Call>
Status run_now(Context& context, Stream stream, const Call& call) {
    Prepared prepared;
    WW_TRY(prepare(context, call, prepared));
    return prepared.launch(context.device(), stream);
}

}  // namespace warpwright
