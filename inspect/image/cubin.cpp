// SPDX-License-Identifier: Apache-2.0
// A cubin's kernels: the functions of its symbol table with the entry bit, and what .nv.info says of each.
#include <algorithm>

#include <fmt/format.h>

#include "inspect/image/attributes.h"
#include "inspect/image/cubin_elf.h"
#include "inspect/image/kernel_code.h"
#include "inspect/image/kernel_texts.h"
#include "inspect/image/origin.h"
#include "inspect/image/read_image.h"
#include "inspect/image/stub.h"

namespace warpwright::inspect {

namespace {

constexpr int kFirstSmWithReservedShared = 90;
constexpr u64 kReservedSharedBytes = 1024;  // of every block from sm_90 on, inside the linked section's size
constexpr u64 kTensorMapBytes = 128;
constexpr size_t kMaxUndefined = 256;

// Figures that .nv.info gives by symbol. -1: not told.
struct SymbolFigures {
    int registers = -1;
    int frame_bytes = -1, min_stack_bytes = -1, max_stack_bytes = -1;
};

// Where the parts of a kernel are: sections, by the index of its code's section.
struct SectionsOfCode {
    u32 info = 0, shared = 0;
};

// A call to one of these is a copy to another CTA's shared memory that the chip has no hardware for.
constexpr std::string_view kEmulatedCopy = "__cuda_syscall_cp_async_bulk";

class CubinReader {
public:
    CubinReader(const CubinElf& elf, Depth depth, Image& image)
        : elf_(elf),
          image_(image),
          code_(elf, image.architecture.sm),
          texts_(elf),
          reads_code_(depth == Depth::instructions && can_read_code(image.architecture.sm)),
          left_bytes_(8 * elf.file_bytes) {}

    void read() {
        read_section_links();
        image_.texts = texts_.all();
        read_symbol_figures();
        read_kernels();
        read_undefined();
    }

private:
    void read_section_links() {
        of_code_.resize(elf_.sections.size());
        for (u32 i = 0; i < elf_.sections.size(); ++i) {
            const CubinSection& section = elf_.sections[i];
            if (section.info == 0 || section.info >= of_code_.size()) continue;
            if (section.type == kSectionInfo) of_code_[section.info].info = i;
            if (section.name.starts_with(".nv.shared.")) of_code_[section.info].shared = i;
        }
    }

    void read_symbol_figures() {
        figures_.resize(elf_.symbols.size());
        for (const CubinSection& section : elf_.sections) {
            if (section.type != kSectionInfo || section.info != 0) continue;
            if (!spend(section.content.size())) return;
            AttributeReader reader(section.content);
            while (const auto record = reader.next()) {
                if (record->data.size() < 8 || record->word(0) >= figures_.size()) continue;
                SymbolFigures& figures = figures_[record->word(0)];
                const int value = static_cast<int>(std::min(record->word(1), 0x7fffffffu));
                if (record->is(Attribute::registers)) figures.registers = value;
                if (record->is(Attribute::frame_bytes)) figures.frame_bytes = value;
                if (record->is(Attribute::min_stack_bytes)) figures.min_stack_bytes = value;
                if (record->is(Attribute::max_stack_bytes)) figures.max_stack_bytes = value;
            }
            if (reader.is_damaged()) damage("a record of .nv.info is cut off");
        }
    }

    void read_kernels() {
        for (u32 i = 0; i < elf_.symbols.size(); ++i) {
            const CubinSymbol& symbol = elf_.symbols[i];
            if (symbol.type != kSymbolFunction || symbol.section == 0) continue;
            if ((symbol.other & kSymbolOtherEntry) == 0) continue;
            if (symbol.section >= elf_.sections.size()) {
                damage(fmt::format("a kernel is in section {} of {}", symbol.section, elf_.sections.size()));
                continue;
            }
            const CubinSection& info = elf_.sections[of_code_[symbol.section].info];
            if (!spend(symbol.name.size() + info.content.size())) return;
            image_.kernels.push_back(read_kernel(i));
        }
    }

    Kernel read_kernel(u32 symbol_index) {
        const CubinSymbol& symbol = elf_.symbols[symbol_index];
        const CubinSection& code = elf_.sections[symbol.section];
        Kernel kernel;
        kernel.name = symbol.name;
        kernel.code_bytes = std::min<u64>(symbol.bytes, code.content.size());
        const SymbolFigures& figures = figures_[symbol_index];
        kernel.registers = figures.registers;
        kernel.stack_bytes =
            std::max({figures.frame_bytes, figures.min_stack_bytes, figures.max_stack_bytes});
        kernel.shared_bytes = shared_bytes(of_code_[symbol.section].shared);
        kernel.barriers = 0;
        if (image_.abi < 8) {  // in the header of the code's section, before there was an attribute
            if (kernel.registers < 0 && code.info >> 24 != 0)
                kernel.registers = static_cast<int>(code.info >> 24);
            kernel.barriers = static_cast<int>(code.flags >> 20 & 0x7f);
        }
        kernel.mbarriers = 0;
        kernel.num_parameters = kernel.parameter_bytes = 0;
        const u32 info = of_code_[symbol.section].info;
        if (info != 0) read_attributes(elf_.sections[info].content, kernel);
        const OutsideCalls calls = read_calls(symbol_index, kernel);
        if (reads_code_) read_instructions(symbol_index, calls, kernel);
        return kernel;
    }

    // What a kernel calls that is not in the file.
    struct OutsideCalls {
        int num_messages = 0, num_others = 0;
    };
    OutsideCalls read_calls(u32 symbol_index, Kernel& kernel) {
        std::vector<std::string_view> names = code_.calls_outside(symbol_index);
        for (const u32 symbol : externs_) {
            if (elf_.symbols[symbol].section == 0) names.push_back(elf_.symbols[symbol].name);
        }
        OutsideCalls calls;
        for (const std::string_view name : names) {
            ++(is_message_function(name) ? calls.num_messages : calls.num_others);
            kernel.calls_printf |= name == "vprintf";
            if (name.starts_with(kEmulatedCopy)) kernel.classes.add(InstructionClass::emulated_tma);
        }
        return calls;
    }

    void read_instructions(u32 symbol_index, const OutsideCalls& calls, Kernel& kernel) {
        const auto facts = code_.of(symbol_index);
        if (!facts) return damage("the sections of code overlap: instructions were not read");
        kernel.classes_known = true;
        kernel.classes.bits |= facts->classes.bits;
        kernel.uses_tensor_map = facts->uses_tensor_map;
        if (is_emulated_fp8(*facts, image_.architecture.sm))
            kernel.classes.add(InstructionClass::emulated_fp8_mma);
        // A call that leads nowhere goes through a pointer.
        const bool is_pointer_call = facts->calls && calls.num_messages + calls.num_others == 0 &&
                                     code_.sections_of(symbol_index).size() == 1;
        const BodyFacts body{.has_effect = facts->has_effect,
                             .traps = facts->traps,
                             .calls_message = calls.num_messages > 0,
                             .calls_unknown = calls.num_others > 0 || is_pointer_call,
                             .has_matrix_product = has_matrix_product(kernel.classes)};
        std::vector<std::string> texts;
        if (calls.num_messages > 0)
            texts = texts_.used_by(code_.sections_of(symbol_index), facts->bank4_offsets);
        kernel.stub = stub_of(body, kernel.num_parameters, texts);
    }

    // All that is read more than once, sections that overlap among it, is as long as a few times the file.
    bool spend(u64 bytes) {
        if (bytes > left_bytes_) {
            damage("sections overlap, or names do: the rest was not read");
            return false;
        }
        left_bytes_ -= bytes;
        return true;
    }

    int shared_bytes(u32 section) const {
        if (section == 0) return 0;
        u64 bytes = elf_.sections[section].bytes;
        const bool is_reserved = !image_.relocatable && image_.architecture.sm >= kFirstSmWithReservedShared;
        if (is_reserved) bytes -= std::min(bytes, kReservedSharedBytes);
        return static_cast<int>(std::min<u64>(bytes, 0x7fffffff));
    }

    void read_attributes(Bytes records, Kernel& kernel) {
        const auto three = [](const AttributeRecord& record, std::array<int, 3>& to) {
            if (record.data.size() < 12) return;
            for (int i = 0; i < 3; ++i)
                to[static_cast<size_t>(i)] = static_cast<int>(std::min(record.word(i), 0x7fffffffu));
        };
        externs_.clear();
        AttributeReader reader(records);
        while (const auto record = reader.next()) {
            switch (static_cast<Attribute>(record->id)) {
                case Attribute::max_threads: three(*record, kernel.max_threads); break;
                case Attribute::required_threads: three(*record, kernel.required_threads); break;
                case Attribute::cluster: three(*record, kernel.cluster); break;
                case Attribute::parameter:
                case Attribute::parameter2: ++kernel.num_parameters; break;
                case Attribute::param_bytes: kernel.parameter_bytes = static_cast<int>(record->value); break;
                case Attribute::barriers: kernel.barriers = static_cast<int>(record->value); break;
                case Attribute::mbarriers:
                    kernel.mbarriers = static_cast<int>(std::min(record->number().value_or(0), 0x7fffffffu));
                    kernel.classes.add(InstructionClass::mbarrier);
                    break;
                case Attribute::sparse_products:
                    if (record->value != 0) kernel.classes.add(InstructionClass::sparse_mma);
                    break;
                case Attribute::tcgen05_2cta:
                    kernel.classes.add(InstructionClass::tcgen05_2cta);
                    [[fallthrough]];
                case Attribute::tcgen05_1cta: kernel.classes.add(InstructionClass::tcgen05); break;
                case Attribute::setmaxnreg: kernel.classes.add(InstructionClass::setmaxnreg); break;
                case Attribute::externs:
                    for (int i = 0; u64{4} * i < record->data.size(); ++i) {
                        if (record->word(i) < elf_.symbols.size()) externs_.push_back(record->word(i));
                    }
                    break;
                default: break;
            }
        }
        if (reader.is_damaged()) damage("a record of a kernel's .nv.info is cut off");
    }

    // What a driver or a linker must give. Marks of the tools themselves are left out.
    void read_undefined() {
        for (const CubinSymbol& symbol : elf_.symbols) {
            if (symbol.section != 0 || symbol.name.empty() || symbol.binding == 0) continue;
            if (symbol.name.starts_with('.') || symbol.name.starts_with("__UDT") ||
                symbol.name.starts_with("__UFT"))
                continue;
            if (symbol.type > kSymbolFunction) continue;
            if (image_.undefined.size() == kMaxUndefined) break;
            image_.undefined.emplace_back(symbol.name.substr(0, 4096));
        }
        std::sort(image_.undefined.begin(), image_.undefined.end());
        image_.undefined.erase(std::unique(image_.undefined.begin(), image_.undefined.end()),
                               image_.undefined.end());
    }

    void damage(std::string sentence) {
        if (image_.damage.empty()) image_.damage = std::move(sentence);
    }

    const CubinElf& elf_;
    Image& image_;
    KernelCode code_;
    KernelTexts texts_;
    bool reads_code_;
    u64 left_bytes_;
    std::vector<SectionsOfCode> of_code_;
    std::vector<SymbolFigures> figures_;
    std::vector<u32> externs_;  // symbols, of the kernel that is read
};

// Without decoding: the image uses tensor maps, and this kernel's parameters have room for one, or it is the
// only kernel.
void guess_tensor_maps(const CubinElf& elf, Image& image) {
    if (tensor_map_use(elf) <= 0) return;
    for (Kernel& kernel : image.kernels) {
        kernel.uses_tensor_map = image.kernels.size() == 1 ||
                                 static_cast<u64>(std::max(kernel.parameter_bytes, 0)) >= kTensorMapBytes;
    }
}

}  // namespace

bool is_cubin(Bytes bytes) {
    return read_cubin_header(bytes).has_value();
}

void read_cubin(Bytes bytes, Depth depth, Image& image) {
    image.kind = ImageKind::cubin;
    const auto elf = read_cubin_elf(bytes);
    if (!elf) {
        image.damage = "no ELF file of CUDA device code";
        return;
    }
    image.damage = elf->damage;
    read_origin(*elf, image);
    CubinReader(*elf, depth, image).read();
    if (depth == Depth::headers) guess_tensor_maps(*elf, image);
}

}  // namespace warpwright::inspect
