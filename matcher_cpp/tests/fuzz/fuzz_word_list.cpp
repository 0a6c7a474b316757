// Whole word lists: the input's bytes as they are, and lists of several lines put together from what the
// rules speak of, so that repeats, quotes, weights and comments meet. What is read can be built, keeps every
// rule and reads the same when it is written again; what is refused is refused in UTF-8 with its line.
#include <cstdlib>
#include <set>
#include <string>

#include "distillex/decimal.hpp"
#include "distillex/word_list.hpp"

namespace {

using namespace distillex;

constexpr std::string_view kPieces[] = {
    "\n", "\n",       "\n",  "\r\n", "\t",   "\t",   "\t", "\t",    "甲",   "乙",           "ＡＢ",
    "ab", "北京大学", "n",   "name", "null", "-",    "\"", "\"",    "\"\"", "# ",           "#",
    " ",  "　",       "0.5", "1",    "1e-3", "1.01", "0",  "1e-60", "\x80", "\xEF\xBB\xBF",
};

void require(bool condition) {
    if (!condition) std::abort();
}

// A line that reads as this entry.
std::string line_of(const LexiconEntryInput& entry) {
    std::string word = "\"";
    for (const char32_t point : entry.word) {
        if (point == U'"') word += '"';
        append_utf8(point, word);
    }
    std::string type = "\"";
    for (const char byte : entry.type) type += byte == '"' ? "\"\"" : std::string(1, byte);
    return word + "\"\t" + (entry.hidden ? "null" : type + '"') + '\t' + shortest_decimal(entry.weight) +
           '\n';
}

void check(std::string_view content) {
    std::vector<LexiconEntryInput> entries;
    try {
        entries = read_word_list(content, "list");
    } catch (const LexiconError& error) {
        const std::string_view message = error.what();
        std::u32string points;
        require(decode_utf8(message, points) == std::string_view::npos);
        require(message.rfind("list:", 0) == 0 && message.find('\n') == std::string_view::npos);
        return;
    }
    std::set<std::u32string> words;
    std::string again = "\xEF\xBB\xBF# again\r\n\n";
    for (const LexiconEntryInput& entry : entries) {
        check_entry(entry);
        require(words.insert(normalized_word(entry.word)).second);
        require(!is_space(entry.word.front()) && !is_space(entry.word.back()));
        again += line_of(entry);
    }
    const auto read_again = read_word_list(again, "again");
    require(read_again.size() == entries.size());
    for (std::size_t i = 0; i < entries.size(); ++i) {
        require(read_again[i].word == entries[i].word && read_again[i].hidden == entries[i].hidden);
        require(entries[i].hidden || read_again[i].type == entries[i].type);
        require(read_again[i].weight == entries[i].weight);
    }
    const std::size_t count = entries.size();
    require(Lexicon::build(std::move(entries), Repeats::kRefuse, "", 1)->size() == count);
    if (count > 0) {
        bool refused = false;
        try {
            read_word_list(again + line_of(read_again.front()), "again");
        } catch (const LexiconError&) {
            refused = true;
        }
        require(refused);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    check({reinterpret_cast<const char*>(data), size});
    std::string list;
    for (std::size_t i = 0; i < size; ++i) list += kPieces[data[i] % std::size(kPieces)];
    check(list);
    return 0;
}
