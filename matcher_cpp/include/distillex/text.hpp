// Text as the models see it: UTF-8 decoding, one-to-one normalisation, word hashes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace distillex {

inline constexpr char32_t kLastCodePoint = 0x10FFFF;

inline bool is_surrogate(char32_t point) { return point >= 0xD800 && point <= 0xDFFF; }

// Appends the code points of `bytes` to `out`. Returns npos, or the position of the first byte that is not
// UTF-8 (overlong forms, surrogates and points over U+10FFFF are refused).
std::size_t decode_utf8(std::string_view bytes, std::u32string& out);

void append_utf8(char32_t point, std::string& out);
std::string encode_utf8(std::u32string_view points);

// A text where its owner keeps it: UTF-8, or code points of one, two or four bytes (Python's three layouts).
struct TextView {
    enum class Form : std::uint8_t { kUtf8, kOneByte, kTwoBytes, kFourBytes };
    const void* data = nullptr;
    std::size_t size = 0;  // bytes of UTF-8, code points of the other forms
    Form form = Form::kUtf8;

    static TextView of(std::string_view utf8) { return {utf8.data(), utf8.size(), Form::kUtf8}; }
    static TextView of(std::u32string_view points) {
        return {points.data(), points.size(), Form::kFourBytes};
    }

    // Calls use(pointer to code points, their number) with the pointer's own width; not for UTF-8.
    template <class Use>
    auto with_points(Use&& use) const {
        if (form == Form::kOneByte) return use(static_cast<const std::uint8_t*>(data), size);
        if (form == Form::kTwoBytes) return use(static_cast<const std::uint16_t*>(data), size);
        return use(static_cast<const char32_t*>(data), size);
    }
};

// Appends the code points of a text in any form; where it is not UTF-8, returns what decode_utf8 does.
std::size_t append_points(const TextView& text, std::u32string& out);

// Whether capital letters are seen as small ones, or as they are.
enum class Case { kFolded, kKept };

// Lower case, full width to half width, traditional to simplified, radicals and compatibility ideographs to
// the ideograph, white space and what is not to be seen (joiners, marks of writing direction) to U+0020; one
// code point to one code point. docs/how-to/lexicons.md has the table, tools/generate_fold_tables.py makes
// it.
class Normalizer {
  public:
    explicit Normalizer(Case letters = Case::kFolded);
    char32_t operator()(char32_t point) const {
        return point < 0x10000 ? plane_[point] : beyond_plane(point);
    }

  private:
    char32_t beyond_plane(char32_t point) const;
    const char32_t* plane_;  // of the Basic Multilingual Plane: every character served passes through it
    Case letters_;
};

// For a point or two; a text takes a Normalizer of its own.
inline char32_t normalize(char32_t point) { return Normalizer()(point); }
std::u32string normalized(std::u32string points, Case letters = Case::kFolded);

// White space and what is not to be seen.
inline bool is_space(char32_t point) { return normalize(point) == U' '; }

// As a lexicon keeps it: a run of spaces is one, and there is none around it.
std::u32string normalized_word(std::u32string word);

// A text as lexicons search it: a run of spaces is one there, as it is in their words.
class SingleSpaced {
  public:
    // Of a normalised text; the result is `normal` itself where it has no such run, and lives as long as
    // both.
    std::u32string_view assign(std::u32string_view normal);

    // A visitor of matches in what assign returned, for one of matches in the text: runs count whole.
    template <class Visitor>
    auto in_text(Visitor&& visit) const {
        return [this, &visit](std::uint32_t start, std::uint32_t end, std::uint32_t entry) {
            if (begins_.empty()) {
                visit(start, end, entry);
            } else {
                visit(begins_[start], begins_[end], entry);
            }
        };
    }

  private:
    std::u32string points_;
    std::vector<std::uint32_t>
        begins_;  // of each of the points in the text, and the text's end; empty: the same
};

// C0 (tab and line end among them), DEL and C1.
inline bool is_control(char32_t point) { return point < 0x20 || (point >= 0x7F && point <= 0x9F); }

// Text in quotes for a message: at most `most` code points of it, and U+FFFD for controls and for what is no
// character, so that it is UTF-8 of one line whatever it quotes.
std::string in_quotes(std::u32string_view points, std::size_t most = 40);
std::string in_quotes(std::string_view bytes, std::size_t most = 40);

// 32-bit FNV-1a over the code points' UTF-32 bytes, finished by a bit mixer.
std::uint32_t hash_word(const char32_t* word, std::size_t length);

// 1 .. word_hash_size - 1; 0 is kept for "no word". `word_hash_size` is at least 2.
inline std::uint32_t hashed_word_id(std::uint32_t hash, std::uint32_t word_hash_size) {
    return 1 + hash % (word_hash_size - 1);
}

// Of a normalised word. Throws std::invalid_argument for a `word_hash_size` below 2.
std::uint32_t hashed_word_id(std::u32string_view word, std::uint32_t word_hash_size);

}  // namespace distillex
