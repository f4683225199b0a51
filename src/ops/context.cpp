// SPDX-License-Identifier: Apache-2.0
#include "warpwright/context.h"

#include "dispatch/choice_cache.h"
#include "dispatch/trust.h"
#include "image/spec.h"
#include "image/store.h"

namespace warpwright {

Result<std::shared_ptr<Context>> Context::open(std::string_view device) {
    WW_ASSIGN(auto opened, open_device(device));
    return open(std::move(opened));
}

Result<std::shared_ptr<Context>> Context::open(std::shared_ptr<Device> device) {
    WW_ASSIGN(const ForbiddenRows distrusted, distrusted_rows(*device));
    auto context = std::make_shared<Context>(std::move(device));
    for (const auto& [row, reason] : distrusted) context->forbid(row, reason);
    return context;
}

Context::Context(std::shared_ptr<Device> device)
    : device_(std::move(device)), choices_(std::make_unique<ChoiceCache>()) {}
Context::~Context() = default;

std::shared_ptr<Context> Context::sibling() const {
    auto other = std::make_shared<Context>(device_);
    const std::lock_guard lock(mutex_);
    other->forced_ = forced_;
    other->forbidden_ = forbidden_;
    other->kernels_ = kernels_;
    other->contracts_ = contracts_;
    other->overlaps_ = overlaps_;
    other->checks_inputs_ = checks_inputs_;
    return other;
}

void Context::force(std::string_view op, std::string_view row) {
    const std::lock_guard lock(mutex_);
    if (row.empty()) {
        forced_.erase(std::string(op));
    } else {
        forced_[std::string(op)] = row;
    }
    choices_->clear();
}

std::string Context::forced(std::string_view op) const {
    const std::lock_guard lock(mutex_);
    const auto entry = forced_.find(op);
    return entry == forced_.end() ? std::string() : entry->second;
}

void Context::forbid(std::string_view row, std::string_view reason) {
    const std::lock_guard lock(mutex_);
    auto rows = std::make_shared<ForbiddenRows>(*forbidden_);
    if (reason.empty()) {
        rows->erase(std::string(row));
    } else {
        (*rows)[std::string(row)] = reason;
    }
    forbidden_ = std::move(rows);
    choices_->clear();
}

std::shared_ptr<const ForbiddenRows> Context::forbidden() const {
    const std::lock_guard lock(mutex_);
    return forbidden_;
}

void Context::forbid_contraction() {
    const std::lock_guard lock(mutex_);
    if (contracts_) kernels_.clear();
    contracts_ = false;
}

void Context::forbid_overlap() {
    const std::lock_guard lock(mutex_);
    overlaps_ = false;
}

bool Context::overlaps_launches() const {
    const std::lock_guard lock(mutex_);
    return overlaps_;
}

void Context::check_inputs(bool wanted) {
    const std::lock_guard lock(mutex_);
    checks_inputs_ = wanted;
}

bool Context::checks_inputs() const {
    const std::lock_guard lock(mutex_);
    return checks_inputs_;
}

bool Context::allows_contraction() const {
    const std::lock_guard lock(mutex_);
    return contracts_;
}

Kernel Context::loaded(std::string_view row) const {
    const std::lock_guard lock(mutex_);
    const auto known = kernels_.find(row);
    return known == kernels_.end() ? Kernel{} : known->second;
}

Result<Kernel> Context::kernel(const ImageSpec& given) {
    const std::lock_guard lock(mutex_);
    if (const auto known = kernels_.find(given.row); known != kernels_.end()) return known->second;
    ImageSpec spec = given;
    spec.contracts = contracts_;
    WW_ASSIGN(const auto image, ImageStore::shared().get(spec));
    WW_ASSIGN(const Kernel kernel, device_->load(*image));
    kernels_[spec.row] = kernel;
    return kernel;
}

Result<Kernel> Context::kernel(const std::string& row, HostFunction function) {
    const std::lock_guard lock(mutex_);
    if (const auto known = kernels_.find(row); known != kernels_.end()) return known->second;
    Image image;
    image.row = row;
    image.host = function;
    WW_ASSIGN(const Kernel kernel, device_->load(image));
    kernels_[row] = kernel;
    return kernel;
}

Status Context::use(const Image& image) {
    const std::lock_guard lock(mutex_);
    WW_ASSIGN(kernels_[image.row], device_->load(image));
    return {};
}

}  // namespace warpwright
