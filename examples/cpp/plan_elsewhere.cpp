// SPDX-License-Identifier: Apache-2.0
// Will a model run on GPUs that are not in this machine, on which kernels, and what refused the others?
//   plan_elsewhere [MODEL [GPU [HOW_MANY]]]
#include <warpwright/plan.h>

#include <cstdlib>
#include <iostream>

int main(int argc, char** argv) {
    using namespace warpwright;
    const char* model = argc > 1 ? argv[1] : "llama-3.1-70b";
    const char* gpu = argc > 2 ? argv[2] : "rtx-pro-6000";
    const int num_gpus = argc > 3 ? std::atoi(argv[3]) : 2;

    const Result<Plan> plan = plan_model(model, gpu, {.num_gpus = num_gpus, .context_tokens = 8192});
    if (!plan.ok()) {
        std::cerr << plan.status().message() << '\n';
        return 2;
    }
    std::cout << plan->model << " on " << plan->num_gpus << " x " << plan->gpu << ": "
              << (plan->runs() ? "runs" : "does not run") << ", " << plan->decode_tokens_per_s()
              << " tokens/s modelled at batch 1, bound by " << plan->decode.binds() << '\n';
    for (const PlannedLayer& layer : plan->layers) {
        const Candidate* row = layer.decode.choice();
        std::cout << "  " << layer.name << ": " << (row == nullptr ? "no row" : row->row) << '\n';
    }
    const Explanation& why = plan->layers.front().decode;
    for (const Candidate& candidate : why.candidates) {
        if (!candidate.accepted) std::cout << "  not " << candidate.row << ": " << candidate.text << '\n';
    }
    return plan->runs() ? 0 : 1;
}
