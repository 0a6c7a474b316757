// Bytes as a word list: what is read can be built, what is refused is refused in UTF-8 with its line.
#include <cstdlib>

#include "distillex/word_list.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace distillex;
    const std::string_view content(reinterpret_cast<const char*>(data), size);
    std::vector<LexiconEntryInput> entries;
    try {
        entries = read_word_list(content, "list");
    } catch (const LexiconError& error) {
        const std::string_view message = error.what();
        std::u32string points;
        if (decode_utf8(message, points) != std::string_view::npos) std::abort();
        if (message.rfind("list:", 0) != 0 || message.find('\n') != std::string_view::npos) std::abort();
        return 0;
    }
    const std::size_t count = entries.size();
    if (Lexicon::build(std::move(entries), Repeats::kRefuse, "", 1)->size() != count) std::abort();
    return 0;
}
