// Loaded before tritonserver (LD_PRELOAD): a division by zero in the server's own code gives 0 instead of
// ending it.
//
// Triton 2.51 divides by the size of an output's elements before it looks whether it can classify them, and
// strings have the size 0: one request that asks for the classification of a string output ends the server
// with SIGFPE. With 0 for a quotient it goes on to its own refusal of that type. ARM processors give 0 by
// themselves.
#if defined(__x86_64__) && defined(__linux__)

#include <elf.h>
#include <link.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdint>

namespace {

constexpr const char* kProgram = "/tritonserver";

struct Range {
    std::uintptr_t begin;
    std::uintptr_t end;
};
Range program_code{0, 0};

int find_program_code(dl_phdr_info* object, std::size_t, void*) {
    // The first object is the program itself.
    for (int i = 0; i < object->dlpi_phnum; ++i) {
        const ElfW(Phdr)& segment = object->dlpi_phdr[i];
        if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
        program_code.begin = object->dlpi_addr + segment.p_vaddr;
        program_code.end = program_code.begin + segment.p_memsz;
    }
    return 1;
}

// Length of an unsigned or signed division by a register, or 0 for any other instruction.
std::size_t division_length(const std::uint8_t* code) {
    const std::size_t prefix = (code[0] & 0xF0) == 0x40 ? 1 : 0;  // REX
    const std::uint8_t operation = code[prefix];
    const std::uint8_t operand = code[prefix + 1];
    const bool divides = operation == 0xF7 && (operand & 0xC0) == 0xC0 && ((operand >> 3) & 7) >= 6;
    return divides ? prefix + 2 : 0;
}

void on_arithmetic_fault(int number, siginfo_t* fault, void* context) {
    auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    const auto at = static_cast<std::uintptr_t>(registers[REG_RIP]);
    const bool inside = at >= program_code.begin && at < program_code.end;
    const std::size_t length = inside && fault->si_code == FPE_INTDIV
                                   ? division_length(reinterpret_cast<const std::uint8_t*>(at))
                                   : 0;
    if (length == 0) {
        // Not ours: the instruction runs again, and ends the program as it would have.
        signal(number, SIG_DFL);
        return;
    }
    registers[REG_RAX] = 0;
    registers[REG_RDX] = 0;
    registers[REG_RIP] += static_cast<greg_t>(length);
    constexpr char kSaid[] = "distillex: tritonserver divided by zero; it goes on with 0\n";
    const ssize_t ignored = write(STDERR_FILENO, kSaid, sizeof kSaid - 1);
    static_cast<void>(ignored);
}

// The server's children are other programs: they load what is preloaded besides this library, which stands
// first.
void leave_environment() {
    const char* const preloaded = getenv("LD_PRELOAD");
    const char* const others = preloaded == nullptr ? nullptr : strchr(preloaded, ':');
    if (others == nullptr) {
        unsetenv("LD_PRELOAD");
    } else {
        setenv("LD_PRELOAD", others + 1, 1);
    }
}

__attribute__((constructor)) void guard() {
    char path[4096];
    const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0) return;
    path[length] = '\0';
    const char* const name = strrchr(path, '/');
    if (name == nullptr || strcmp(name, kProgram) != 0) return;
    leave_environment();
    dl_iterate_phdr(find_program_code, nullptr);
    struct sigaction action {};
    action.sa_sigaction = on_arithmetic_fault;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGFPE, &action, nullptr);
}

}  // namespace

#endif
