// Keeping the longest of overlapping trusted words, and packing them for the decoder.
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
                    is_trust(static_cast<double>(word.trust)) && word.trust != kTrustUnsaid;
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

namespace {

// Which places of a text the words of one type have taken.
struct TakenPlaces {
    std::vector<bool> insisted;
    std::vector<bool> within;  // an insisted word holds this character and the one before
    std::vector<bool> others;
};

void fill(std::vector<bool>& places, std::int32_t begin, std::int32_t end) {
    std::fill(places.begin() + begin, places.begin() + end, true);
}

}  // namespace

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
    std::unordered_map<std::int32_t, TakenPlaces> taken;
    std::vector<bool> kept(words.size(), false);
    const auto has_an_end_in = [](const std::vector<bool>& places_taken, const TrustedWord& word) {
        return places_taken[static_cast<std::size_t>(word.start)] ||
               places_taken[static_cast<std::size_t>(word.end) - 1];
    };
    for (const std::uint32_t i : order) {
        const TrustedWord& word = words[i];
        TakenPlaces& of_type = taken[word.type];
        of_type.insisted.resize(text_length);
        if (word.trust != kInsist || has_an_end_in(of_type.insisted, word)) continue;
        of_type.within.resize(text_length + 1);
        fill(of_type.insisted, word.start, word.end);
        fill(of_type.within, word.start + 1, word.end);
        kept[i] = true;
    }
    for (const std::uint32_t i : order) {
        const TrustedWord& word = words[i];
        if (word.trust == kInsist) continue;
        TakenPlaces& of_type = taken[word.type];
        of_type.others.resize(text_length);
        of_type.within.resize(text_length + 1);
        const bool is_cut = of_type.within[static_cast<std::size_t>(word.start)] ||
                            of_type.within[static_cast<std::size_t>(word.end)];
        if (is_cut || has_an_end_in(of_type.others, word)) continue;
        fill(of_type.others, word.start, word.end);
        kept[i] = true;
    }
    std::size_t next = 0;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (kept[i]) words[next++] = words[i];
    }
    words.resize(next);
}

}  // namespace distillex
