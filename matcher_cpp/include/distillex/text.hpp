// Text as the models see it: UTF-8 decoding, one-to-one normalisation, word hashes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace distillex {

inline constexpr char32_t kLastCodePoint = 0x10FFFF;

inline bool is_surrogate(char32_t point) { return point >= 0xD800 && point <= 0xDFFF; }

// Appends the code points of `bytes` to `out`. Returns npos, or the position of the first byte that is not
// UTF-8 (overlong forms, surrogates and points over U+10FFFF are refused).
std::size_t decode_utf8(std::string_view bytes, std::u32string& out);

void append_utf8(char32_t point, std::string& out);
std::string encode_utf8(std::u32string_view points);

// Lower case, full width to half width, every white space to U+0020; one code point to one code point.
char32_t normalize(char32_t point);

bool is_space(char32_t point);

// C0 (tab and line end among them), DEL and C1.
inline bool is_control(char32_t point) { return point < 0x20 || (point >= 0x7F && point <= 0x9F); }

// Text in quotes for a message: at most `most` code points of it, and U+FFFD for controls and for what is no
// character, so that it is UTF-8 of one line whatever it quotes.
std::string in_quotes(std::u32string_view points, std::size_t most = 40);
std::string in_quotes(std::string_view bytes, std::size_t most = 40);

// 32-bit FNV-1a over the code points' UTF-32 bytes, finished by a bit mixer.
std::uint32_t hash_word(const char32_t* word, std::size_t length);

// 1 .. word_hash_size - 1; 0 is kept for "no word".
inline std::uint32_t hashed_word_id(std::uint32_t hash, std::uint32_t word_hash_size) {
    return 1 + hash % (word_hash_size - 1);
}

}  // namespace distillex
