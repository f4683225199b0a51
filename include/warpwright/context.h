// SPDX-License-Identifier: Apache-2.0
// Context: a device, the images it has loaded, and the caller's wishes about rows. One per device and process
// is enough; it is thread-safe. Operations take it as their first argument.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "warpwright/device.h"
#include "warpwright/explain.h"

namespace warpwright {

class ChoiceCache;
class ImageStore;
struct ImageSpec;

class Context {
public:
    // `device` as in open_device: "auto", "cpu", "cuda:0". Rows that failed their check on this very device
    // are forbidden (dispatch/trust.h).
    static Result<std::shared_ptr<Context>> open(std::string_view device);
    static Result<std::shared_ptr<Context>> open(std::shared_ptr<Device> device);
    // Of a device whose checks are not to be heard of.
    explicit Context(std::shared_ptr<Device> device);
    ~Context();

    Device& device() { return *device_; }
    const Device& device() const { return *device_; }
    std::shared_ptr<Device> shared_device() { return device_; }
    const Target& target() const { return device_->target(); }

    // From now on `op` uses the row of this name (empty: the chooser's choice again). The Explanation says
    // so.
    void force(std::string_view op, std::string_view row);
    std::string forced(std::string_view op) const;

    // From now on this row is not chosen, and refusals give the reason. Without a reason: it may be chosen
    // again. A forced row is used all the same.
    void forbid(std::string_view row, std::string_view reason);
    std::shared_ptr<const ForbiddenRows> forbidden() const;

    // Kernels loaded from now on are compiled without contraction of products and sums to fma: what two
    // devices compute can be compared bit by bit then. For checks; images are compiled anew.
    void forbid_contraction();
    bool allows_contraction() const;

    // Launches prepared from now on start when the one before them in the stream has ended, and not while it
    // drains (programmatic dependent launch, from compute capability 9.0 on). For debugging: what is computed
    // is the same.
    void forbid_overlap();
    bool overlaps_launches() const;

    // Whether operations that are prepared from now on read the starts, lengths, page tables, lists and
    // positions that they are given in device memory, once what is before them in the stream has ended, and
    // refuse those that are out of range, by name and place: causal queries without a key too. For
    // debugging: waits, cannot be captured, and what changes after the preparation is not seen.
    void check_inputs(bool wanted);
    bool checks_inputs() const;

    // Another context of the same device, with this one's wishes and kernels: what is forced in one is not
    // in the other.
    std::shared_ptr<Context> sibling() const;

    // Rows chosen before (dispatch/choice_cache.h).
    ChoiceCache& choices() { return *choices_; }

    // The kernel of a row, where it is loaded already; otherwise none.
    Kernel loaded(std::string_view row) const;
    // The loaded kernel of an image: from the pack, the on-disk cache, or compiled now.
    Result<Kernel> kernel(const ImageSpec& spec);
    Result<Kernel> kernel(const std::string& row, HostFunction function);
    // Loads this image, and uses it for its row from now on: how a test brings kernels of its own.
    Status use(const Image& image);

private:
    std::shared_ptr<Device> device_;
    mutable std::mutex mutex_;
    std::map<std::string, std::string, std::less<>> forced_;
    std::shared_ptr<const ForbiddenRows> forbidden_ =
        std::make_shared<ForbiddenRows>();                // replaced, never changed
    std::map<std::string, Kernel, std::less<>> kernels_;  // by row name
    std::unique_ptr<ChoiceCache> choices_;
    bool contracts_ = true;
    bool overlaps_ = true;
    bool checks_inputs_ = false;
};

// What an operation is after all host work is done: launches with their arguments. Launching allocates
// nothing, waits for nothing, and may be captured. Pointers given at preparation must stay valid.
class Prepared {
public:
    struct Step {
        std::string row;
        Kernel kernel;
        LaunchConfig config;
        std::vector<std::byte> args;
    };

    Status launch(Device& device, Stream stream) const {
        for (const Step& step : steps) WW_TRY(device.launch(step.kernel, step.config, step.args, stream));
        return {};
    }

    std::vector<Step> steps;

    // Set before anything is prepared into it: the stream whose work writes what a context that checks inputs
    // reads.
    Stream inputs{};

    // Set before anything is prepared into it: every row is chosen, and every schedule made, without regard
    // to how many tokens and sequences the call has. What a token gets is then the same bits whatever is in
    // the batch beside it. Slower: no row is the best for one token and for a thousand, and keys are not
    // split.
    bool batch_invariant = false;
};

}  // namespace warpwright
