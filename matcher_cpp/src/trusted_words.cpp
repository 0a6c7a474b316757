#include "distillex/trusted_words.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <stdexcept>

namespace distillex {

std::string TrustedWords::packed(std::size_t row) const {
    const TrustedWord* const first = begin(row);
    const auto size = static_cast<std::size_t>(end(row) - first) * sizeof(TrustedWord);
    return size == 0 ? std::string() : std::string(reinterpret_cast<const char*>(first), size);
}

TrustedWords TrustedWords::from_packed(const std::vector<std::string_view>& rows) {
    TrustedWords words(rows.size());
    for (std::size_t row = 0; row < rows.size(); ++row) {
        const std::string_view bytes = rows[row];
        bool sound = bytes.size() % sizeof(TrustedWord) == 0;
        for (std::size_t at = 0; sound && at < bytes.size(); at += sizeof(TrustedWord)) {
            TrustedWord word{};
            std::memcpy(&word, bytes.data() + at, sizeof(word));
            sound = word.start >= 0 && word.end > word.start && word.type > 0 &&
                    is_trust(static_cast<double>(word.trust));
            words.append(word);
        }
        if (!sound) {
            throw std::invalid_argument("row " + std::to_string(row) +
                                        ": the trusted words are not as they were packed");
        }
        words.end_row(row);
    }
    return words;
}

void keep_longest_of_each_type(std::vector<TrustedWord>& words, std::size_t text_length) {
    if (words.size() < 2) return;
    std::vector<std::uint32_t> order(words.size());
    std::iota(order.begin(), order.end(), 0U);
    std::sort(order.begin(), order.end(), [&words](std::uint32_t a, std::uint32_t b) {
        const TrustedWord& one = words[a];
        const TrustedWord& other = words[b];
        if (one.type != other.type) return one.type < other.type;
        if (one.end - one.start != other.end - other.start)
            return one.end - one.start > other.end - other.start;
        return one.start < other.start;
    });
    // A word that overlaps one at least as long, which was taken before, has an end of its own in it.
    std::vector<std::int32_t> taken_for(text_length, 0);
    std::vector<bool> kept(words.size(), false);
    for (const std::uint32_t i : order) {
        const TrustedWord& word = words[i];
        const auto first = static_cast<std::size_t>(word.start);
        const auto last = static_cast<std::size_t>(word.end) - 1;
        if (taken_for[first] == word.type || taken_for[last] == word.type) continue;
        std::fill(taken_for.begin() + word.start, taken_for.begin() + word.end, word.type);
        kept[i] = true;
    }
    std::size_t next = 0;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (kept[i]) words[next++] = words[i];
    }
    words.resize(next);
}

}  // namespace distillex
