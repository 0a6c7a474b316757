// A real lexicon file with bytes overwritten by the input and its checksum made right again: hostile, not
// just broken.
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

#include "distillex/checksum.hpp"
#include "distillex/lexicon.hpp"

namespace {

constexpr std::size_t kHeader = 64;
constexpr std::size_t kChecksumAt = 24;

std::string file_path() { return "/tmp/distillex-fuzz-" + std::to_string(::getpid()) + ".lex"; }

const std::string& sound_file() {
    static const std::string content = [] {
        distillex::Lexicon::build(
            {{U"甲乙", "n", false, 0.5F}, {U"甲", "ns", false, 1.0F}, {U"丙丁戊", "n", false, 0.1F}},
            distillex::Repeats::kRefuse, "fuzz", 1)
            ->save(file_path());
        std::ifstream file(file_path(), std::ios::binary);
        return std::string(std::istreambuf_iterator<char>(file), {});
    }();
    return content;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string content = sound_file();
    for (std::size_t i = 0; i + 3 <= size; i += 3) {
        content[(data[i] * 256U + data[i + 1]) % content.size()] = static_cast<char>(data[i + 2]);
    }
    std::memset(&content[kChecksumAt], 0, 8);
    const std::uint64_t checksum = distillex::checksum64(content.data() + kHeader, content.size() - kHeader,
                                                         distillex::checksum64(content.data(), kHeader));
    std::memcpy(&content[kChecksumAt], &checksum, 8);
    std::ofstream(file_path(), std::ios::binary) << content;
    try {
        const auto lexicon = distillex::Lexicon::load(file_path());
        const std::u32string text = U"甲乙丙丁戊甲";
        std::size_t used = 0;
        lexicon->find_all(text.data(), text.size(), [&](std::uint32_t, std::uint32_t, std::uint32_t entry) {
            used += lexicon->word(entry).size() + lexicon->entry_type(entry);
        });
        if (used == SIZE_MAX) std::abort();
    } catch (const distillex::LexiconError&) {
    }
    return 0;
}
