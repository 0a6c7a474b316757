#include "distillex/trusted_words.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <unordered_map>

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
    // Longest first, and in their own order where equally long: a counting sort, since the words of a hostile
    // request are tens of thousands.
    const auto length_of = [](const TrustedWord& word) {
        return static_cast<std::size_t>(word.end) - static_cast<std::size_t>(word.start);
    };
    std::vector<std::uint32_t> places(text_length + 2, 0);
    for (const TrustedWord& word : words) ++places[text_length - length_of(word) + 1];
    std::partial_sum(places.begin(), places.end(), places.begin());
    std::vector<std::uint32_t> order(words.size());
    for (std::uint32_t i = 0; i < words.size(); ++i) order[places[text_length - length_of(words[i])]++] = i;

    // A word that overlaps one at least as long, which was taken before, has an end of its own in it.
    std::unordered_map<std::int32_t, std::vector<bool>> taken;
    std::vector<bool> kept(words.size(), false);
    for (const std::uint32_t i : order) {
        const TrustedWord& word = words[i];
        std::vector<bool>& of_type = taken[word.type];
        of_type.resize(text_length);
        const auto first = static_cast<std::size_t>(word.start);
        const auto last = static_cast<std::size_t>(word.end) - 1;
        if (of_type[first] || of_type[last]) continue;
        std::fill(of_type.begin() + word.start, of_type.begin() + word.end, true);
        kept[i] = true;
    }
    std::size_t next = 0;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (kept[i]) words[next++] = words[i];
    }
    words.resize(next);
}

}  // namespace distillex
