// Words of scripts that set spaces between them: where in a text they begin and end.
#pragma once

#include <algorithm>
#include <cstddef>

namespace distillex {

// A letter of a script that has capitals and small ones (Latin, Greek, Cyrillic, Armenian, …), all of which
// are written with spaces; or an accent that follows a letter as a character of its own.
bool is_cased_letter_of_the_table(char32_t point);
inline bool is_cased_letter(char32_t point) {
    if (point < 0x80) return (point >= U'a' && point <= U'z') || (point >= U'A' && point <= U'Z');
    constexpr char32_t kIdeographsFrom = 0x2E80;  // nearly every character served
    constexpr char32_t kIdeographsTo = 0xA000;
    return (point < kIdeographsFrom || point >= kIdeographsTo) && is_cased_letter_of_the_table(point);
}

inline bool is_digit(char32_t point) { return point >= U'0' && point <= U'9'; }

// Whether two neighbours belong to one word, or to one number.
inline bool are_one_word(char32_t first, char32_t second) {
    return (is_digit(first) && is_digit(second)) || (is_cased_letter(first) && is_cased_letter(second));
}

// Whether text[start:end] is no part of a longer word: `cat` in `concatenate` is, and so is `g20` in `g200`.
// What has no cased letter stands alone anywhere (`1号` in `21号线`), and so does one beside characters of
// other scripts (`iphone` in `买iphone了`) and a name beside a number (`iphone` in `iphone15`). `seen` maps
// each character to what is compared.
template <class Character, class Seen>
bool stands_alone(const Character* text, std::size_t size, std::size_t start, std::size_t end, Seen&& seen) {
    const auto point = [&](std::size_t at) { return seen(static_cast<char32_t>(text[at])); };
    const bool is_part = (start > 0 && are_one_word(point(start - 1), point(start))) ||
                         (end < size && are_one_word(point(end - 1), point(end)));
    return !is_part || std::none_of(text + start, text + end, [&](Character each) {
        return is_cased_letter(seen(static_cast<char32_t>(each)));
    });
}

}  // namespace distillex
