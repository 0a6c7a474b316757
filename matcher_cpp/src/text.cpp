// UTF-8 decoding, normalisation and word hashes.
#include "distillex/text.hpp"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <stdexcept>
#include <utility>
#include <vector>

#include "distillex/letters.hpp"

namespace distillex {
namespace {

struct Fold {
    char32_t from;
    char32_t to;
};

// By code point; what a character becomes in the end, so that folding twice changes nothing more.
constexpr Fold kFolds[] = {
#include "fold_table.inc"
};

constexpr std::size_t kPlaneSize = 0x10000;

char32_t folded(const Fold& fold, Case letters) {
    if (letters == Case::kFolded) return fold.to;
    constexpr char32_t kFullWidthFirst = 0xFF01;
    constexpr char32_t kFullWidthLast = 0xFF5E;
    constexpr char32_t kToHalfWidth = 0xFEE0;
    if (fold.from >= kFullWidthFirst && fold.from <= kFullWidthLast) return fold.from - kToHalfWidth;
    return is_cased_letter(fold.from) ? fold.from : fold.to;
}

std::vector<char32_t> plane_table(Case letters) {
    std::vector<char32_t> values(kPlaneSize);
    std::iota(values.begin(), values.end(), U'\0');
    for (const Fold& fold : kFolds) {
        if (fold.from < kPlaneSize) values[fold.from] = folded(fold, letters);
    }
    return values;
}

const char32_t* plane_of(Case letters) {
    static const std::vector<char32_t> without_case = plane_table(Case::kFolded);
    if (letters == Case::kFolded) return without_case.data();
    static const std::vector<char32_t> with_case = plane_table(Case::kKept);
    return with_case.data();
}

bool both_spaces(char32_t a, char32_t b) { return a == U' ' && b == U' '; }

}  // namespace

Normalizer::Normalizer(Case letters) : plane_(plane_of(letters)), letters_(letters) {}

char32_t Normalizer::beyond_plane(char32_t point) const {
    const auto* found = std::lower_bound(std::begin(kFolds), std::end(kFolds), point,
                                         [](const Fold& fold, char32_t value) { return fold.from < value; });
    return found != std::end(kFolds) && found->from == point ? folded(*found, letters_) : point;
}

std::u32string normalized(std::u32string points, Case letters) {
    std::transform(points.begin(), points.end(), points.begin(), Normalizer(letters));
    return points;
}

std::u32string normalized_word(std::u32string word) {
    word = normalized(std::move(word));
    word.erase(std::unique(word.begin(), word.end(), both_spaces), word.end());
    if (!word.empty() && word.back() == U' ') word.pop_back();
    if (!word.empty() && word.front() == U' ') word.erase(0, 1);
    return word;
}

std::u32string_view SingleSpaced::assign(std::u32string_view normal) {
    points_.clear();
    begins_.clear();
    if (std::adjacent_find(normal.begin(), normal.end(), both_spaces) == normal.end()) return normal;
    for (std::size_t i = 0; i < normal.size(); ++i) {
        if (i > 0 && both_spaces(normal[i - 1], normal[i])) continue;
        points_.push_back(normal[i]);
        begins_.push_back(static_cast<std::uint32_t>(i));
    }
    begins_.push_back(static_cast<std::uint32_t>(normal.size()));
    return points_;
}

std::size_t append_points(const TextView& text, std::u32string& out) {
    if (text.form == TextView::Form::kUtf8) {
        return decode_utf8({static_cast<const char*>(text.data), text.size}, out);
    }
    text.with_points([&out](const auto* points, std::size_t count) { out.append(points, points + count); });
    return std::string_view::npos;
}

std::size_t decode_utf8(std::string_view bytes, std::u32string& out) {
    const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
    const std::size_t size = bytes.size();
    out.reserve(out.size() + size / 3 + 1);
    std::size_t i = 0;
    while (i < size) {
        const unsigned char lead = data[i];
        if (lead < 0x80) {
            out.push_back(lead);
            ++i;
            continue;
        }
        std::size_t length = 0;
        char32_t point = 0;
        char32_t smallest = 0;
        if ((lead & 0xE0) == 0xC0) {
            length = 2, point = lead & 0x1F, smallest = 0x80;
        } else if ((lead & 0xF0) == 0xE0) {
            length = 3, point = lead & 0x0F, smallest = 0x800;
        } else if ((lead & 0xF8) == 0xF0) {
            length = 4, point = lead & 0x07, smallest = 0x10000;
        } else {
            return i;
        }
        if (length > size - i) return i;
        for (std::size_t k = 1; k < length; ++k) {
            if ((data[i + k] & 0xC0) != 0x80) return i;
            point = (point << 6) | (data[i + k] & 0x3F);
        }
        if (point < smallest || point > kLastCodePoint || is_surrogate(point)) return i;
        out.push_back(point);
        i += length;
    }
    return std::string_view::npos;
}

void append_utf8(char32_t point, std::string& out) {
    const auto byte = [&out](char32_t value) { out.push_back(static_cast<char>(value)); };
    if (point < 0x80) {
        byte(point);
    } else if (point < 0x800) {
        byte(0xC0 | (point >> 6));
        byte(0x80 | (point & 0x3F));
    } else if (point < 0x10000) {
        byte(0xE0 | (point >> 12));
        byte(0x80 | ((point >> 6) & 0x3F));
        byte(0x80 | (point & 0x3F));
    } else {
        byte(0xF0 | (point >> 18));
        byte(0x80 | ((point >> 12) & 0x3F));
        byte(0x80 | ((point >> 6) & 0x3F));
        byte(0x80 | (point & 0x3F));
    }
}

std::string encode_utf8(std::u32string_view points) {
    std::string out;
    out.reserve(points.size() * 3);
    for (const char32_t point : points) append_utf8(point, out);
    return out;
}

std::string in_quotes(std::u32string_view points, std::size_t most) {
    constexpr char32_t kReplacement = 0xFFFD;
    std::string out = "'";
    for (const char32_t point : points.substr(0, most)) {
        const bool sound = !is_control(point) && !is_surrogate(point) && point <= kLastCodePoint;
        append_utf8(sound ? point : kReplacement, out);
    }
    return out + (points.size() > most ? "…'" : "'");
}

std::string in_quotes(std::string_view bytes, std::size_t most) {
    std::u32string points;
    while (!bytes.empty() && points.size() <= most) {
        const std::size_t bad = decode_utf8(bytes, points);
        if (bad == std::string_view::npos) break;
        points.push_back(0xFFFD);
        bytes.remove_prefix(bad + 1);
    }
    return in_quotes(points, most);
}

std::uint32_t hash_word(const char32_t* word, std::size_t length) {
    std::uint32_t hash = 2166136261U;
    for (std::size_t i = 0; i < length; ++i) {
        for (unsigned shift = 0; shift < 32; shift += 8) {
            hash = (hash ^ ((word[i] >> shift) & 0xFFU)) * 16777619U;
        }
    }
    hash ^= hash >> 16;
    hash *= 0x7FEB352DU;
    hash ^= hash >> 15;
    return hash;
}

std::uint32_t hashed_word_id(std::u32string_view word, std::uint32_t word_hash_size) {
    if (word_hash_size < 2) {
        throw std::invalid_argument("word_hash_size is " + std::to_string(word_hash_size) +
                                    "; at least 2 is accepted");
    }
    return hashed_word_id(hash_word(word.data(), word.size()), word_hash_size);
}

}  // namespace distillex
