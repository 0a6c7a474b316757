// Parsing word lists.
#include "distillex/word_list.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <unordered_map>

#include "distillex/decimal.hpp"

namespace distillex {
namespace {

constexpr char32_t kTab = U'\t';
constexpr char32_t kQuote = U'"';
constexpr std::size_t kFieldsAtLeast = 2;
constexpr std::size_t kFieldsAtMost = 4;
constexpr std::size_t kWeightField = 2;
constexpr std::size_t kTrustField = 3;
constexpr std::size_t kShownOfALine = 60;

std::u32string_view trimmed(std::u32string_view text) {
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    return text;
}

// Without the quotes that spreadsheets put around a field, in which a quote of its own stands twice.
std::u32string unquoted(std::u32string_view field) {
    if (field.size() < 2 || field.front() != kQuote || field.back() != kQuote) return std::u32string(field);
    std::u32string content;
    const std::u32string_view inner = field.substr(1, field.size() - 2);
    for (std::size_t i = 0; i < inner.size(); ++i) {
        if (inner[i] == kQuote && (++i == inner.size() || inner[i] != kQuote)) return std::u32string(field);
        content.push_back(inner[i]);
    }
    return std::u32string(trimmed(content));
}

std::vector<std::u32string> fields_of(std::u32string_view line) {
    std::vector<std::u32string> fields;
    for (;;) {
        const std::size_t tab = line.find(kTab);
        fields.push_back(unquoted(trimmed(line.substr(0, tab))));
        if (tab == std::u32string_view::npos) break;
        line.remove_prefix(tab + 1);
    }
    // Spreadsheets end lines with the tabs of columns that are empty.
    while (fields.size() > kFieldsAtLeast && fields.back().empty()) fields.pop_back();
    return fields;
}

bool is_comment(std::u32string_view line) {
    return line.front() == U'#' && (line.size() == 1 || (line[1] != kTab && is_space(line[1])));
}

// Digits with a point and an exponent, whatever the locale; no sign, no "inf".
double weight_from(const std::u32string& field) {
    const std::string text = encode_utf8(field);
    const bool plain = !text.empty() && (text[0] == '.' || (text[0] >= '0' && text[0] <= '9'));
    const double weight = plain ? parse_decimal(text).value_or(0.0) : 0.0;
    if (!is_weight(weight)) {
        throw LexiconError("the weight " + in_quotes(field) + " is not a number in (0, 1]");
    }
    return weight;
}

LexiconEntryInput entry_from(std::u32string_view line) {
    std::vector<std::u32string> fields = fields_of(line);
    if (fields.size() < kFieldsAtLeast || fields.size() > kFieldsAtMost) {
        throw LexiconError(in_quotes(trimmed(line), kShownOfALine) +
                           " is not WORD<TAB>TYPE[<TAB>WEIGHT[<TAB>TRUST]]" +
                           (trimmed(line).front() == U'#' ? " (a comment begins with '# ')" : ""));
    }
    LexiconEntryInput entry;
    entry.word = std::move(fields[0]);
    entry.type = encode_utf8(fields[1]);
    entry.hidden = entry.type == "null" || entry.type == "-";
    const bool says_weight = fields.size() > kWeightField && !fields[kWeightField].empty();
    if (says_weight) entry.weight = weight_from(fields[kWeightField]);
    if (fields.size() > kTrustField) entry.trust = parse_trust(encode_utf8(fields[kTrustField]));
    check_entry(entry);
    return entry;
}

// The same word in other characters (台積電 and 台积电) may stand in a list twice, to say the same.
void check_repeat(const LexiconEntryInput& entry, const LexiconEntryInput& earlier, std::size_t line) {
    const std::string where = "stands in line " + std::to_string(line) + " already";
    if (entry.word == earlier.word) throw LexiconError("the word " + in_quotes(entry.word) + " " + where);
    if (entry.hidden == earlier.hidden && (entry.hidden || entry.type == earlier.type)) return;
    throw LexiconError("the word " + in_quotes(entry.word) + " " + where + ", as " + in_quotes(earlier.word) +
                       " with another type");
}

}  // namespace

std::vector<LexiconEntryInput> read_word_list(std::string_view content, const std::string& source) {
    std::vector<LexiconEntryInput> entries;
    struct Seen {
        std::size_t line;
        std::size_t entry;
    };
    std::unordered_map<std::u32string, Seen> seen;  // by what the matcher compares
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (content.substr(0, kByteOrderMark.size()) == kByteOrderMark)
        content.remove_prefix(kByteOrderMark.size());
    for (std::size_t number = 1; !content.empty(); ++number) {
        const std::string_view bytes = content.substr(0, content.find('\n'));
        content.remove_prefix(std::min(content.size(), bytes.size() + 1));
        try {
            std::u32string line;
            const std::size_t bad = decode_utf8(bytes, line);
            if (bad != std::string_view::npos)
                throw LexiconError("not UTF-8 (byte " + std::to_string(bad) + " of the line)");
            if (trimmed(line).empty() || is_comment(trimmed(line))) continue;
            LexiconEntryInput entry = entry_from(line);
            const auto [found, added] =
                seen.emplace(normalized_word(entry.word), Seen{number, entries.size()});
            if (added) {
                entries.push_back(std::move(entry));
            } else {
                check_repeat(entry, entries[found->second.entry], found->second.line);
            }
        } catch (const LexiconError& error) {
            throw LexiconError(source + ":" + std::to_string(number) + ": " + error.what());
        }
    }
    return entries;
}

std::vector<LexiconEntryInput> load_word_list(const std::filesystem::path& path) {
    // Not only regular files: a shell may give a pipe.
    std::ifstream file(path, std::ios::binary);
    if (!file || std::filesystem::is_directory(path))
        throw LexiconError(path.string() + ": cannot be opened as a file");
    std::ostringstream content;
    if (file.peek() != std::ifstream::traits_type::eof()) content << file.rdbuf();
    if (file.bad() || content.fail()) throw LexiconError(path.string() + ": cannot be read");
    return read_word_list(content.str(), path.string());
}

}  // namespace distillex
