// Building a double array from a sorted word list.
#include "distillex/double_array_builder.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>

#include "distillex/text.hpp"

namespace distillex {
namespace {

// A search for a base looks at 64 at a time. After so many of these steps in vain, what lies behind is left
// to smaller states: without this the time to build grows much faster than the number of words.
constexpr std::size_t kStepsInVain = 16;

// Which slots of the growing array are taken, with a quick way to the next free one.
class Occupancy {
  public:
    bool taken(std::size_t slot) const {
        return slot / 64 < words_.size() && ((words_[slot / 64] >> (slot % 64)) & 1) != 0;
    }

    void take(std::size_t slot) {
        if (slot / 64 >= words_.size()) {
            words_.resize(std::max(slot / 64 + 1, words_.size() * 2), 0);
            for (std::size_t word = next_open_word_.size(); word < words_.size(); ++word)
                next_open_word_.push_back(word);
        }
        words_[slot / 64] |= std::uint64_t{1} << (slot % 64);
        if (words_[slot / 64] == kFull) next_open_word_[slot / 64] = slot / 64 + 1;
        end_ = std::max(end_, slot + 1);
    }

    std::size_t next_free(std::size_t slot) {
        std::size_t word = slot / 64;
        if (word >= words_.size()) return slot;
        std::uint64_t free = ~words_[word] & (kFull << (slot % 64));
        if (free == 0) {
            word = not_full(word + 1);
            if (word >= words_.size()) return word * 64;
            free = ~words_[word];
        }
        return word * 64 + static_cast<std::size_t>(__builtin_ctzll(free));
    }

    std::size_t end() const { return end_; }

    // Bit i: whether slot + i is taken.
    std::uint64_t window(std::size_t slot) const {
        const std::size_t word = slot / 64;
        const std::size_t shift = slot % 64;
        const std::uint64_t low = word < words_.size() ? words_[word] : 0;
        if (shift == 0) return low;
        const std::uint64_t high = word + 1 < words_.size() ? words_[word + 1] : 0;
        return low >> shift | high << (64 - shift);
    }

  private:
    static constexpr std::uint64_t kFull = ~std::uint64_t{0};

    // The first word from `word` on that is not full: a chain of full words is walked once and then cut short
    // (union-find with path halving), for a full array is long and is searched once a state.
    std::size_t not_full(std::size_t word) {
        while (word < next_open_word_.size() && next_open_word_[word] != word) {
            const std::size_t next = next_open_word_[word];
            if (next < next_open_word_.size()) next_open_word_[word] = next_open_word_[next];
            word = next;
        }
        return word;
    }

    std::vector<std::uint64_t> words_;
    std::vector<std::size_t> next_open_word_;  // of a full word a later one, of another itself
    std::size_t end_ = 0;
};

// The lowest base from about `search_from` on at which the slots of all codes are free; moves `search_from`
// on where that took long.
std::size_t first_fitting_base(const Occupancy& occupancy, const std::uint32_t* codes, std::size_t count,
                               std::size_t& search_from) {
    for (std::size_t base = search_from, steps = 1;; base += 64, ++steps) {
        std::uint64_t taken = 0;
        for (std::size_t i = 0; i < count && taken != ~std::uint64_t{0}; ++i)
            taken |= occupancy.window(base + codes[i]);
        if (taken != ~std::uint64_t{0}) return base + static_cast<std::size_t>(__builtin_ctzll(~taken));
        if (steps % kStepsInVain == 0) search_from = base;
    }
}

}  // namespace

DoubleArrayBuilder::DoubleArrayBuilder(const std::vector<DoubleArrayTrie::Word>& words,
                                       CodePointTables& tables, const TrieLayoutOptions& options)
    : words_(words), options_(options) {
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (words[i].second == 0) throw std::invalid_argument("word " + std::to_string(i) + " is empty");
        if (words[i].second > kMaxWordLength) {
            throw std::invalid_argument("word " + std::to_string(i) + " has " +
                                        std::to_string(words[i].second) + " code points; at most " +
                                        std::to_string(kMaxWordLength) + " are accepted");
        }
        const char32_t* const end = words[i].first + words[i].second;
        if (std::any_of(words[i].first, end, [](char32_t point) { return point > kLastCodePoint; })) {
            throw std::invalid_argument("word " + std::to_string(i) + " holds a code point beyond U+10FFFF");
        }
    }
    assign_codes(tables);
    sort_words();
    collect_states();
}

void DoubleArrayBuilder::assign_codes(CodePointTables& tables) {
    std::size_t total = 0;
    for (const auto& [word, length] : words_) {
        total += length;
        for (std::size_t i = 0; i < length; ++i) ++tables.slot(word[i]);
    }
    struct Counted {
        std::uint32_t count;
        char32_t point;
    };
    std::vector<Counted> counted;
    for (std::size_t page = 0; page < CodePointMap::kPageCount; ++page) {
        if (tables.page_index[page] == 0) continue;
        for (std::size_t i = 0; i < CodePointMap::kPageSize; ++i) {
            const auto point = static_cast<char32_t>(page * CodePointMap::kPageSize + i);
            if (const std::uint32_t count = tables.slot(point); count > 0) counted.push_back({count, point});
        }
    }
    // Collected in the order of code points; a stable sort keeps that among the equally frequent.
    if (options_.codes == TrieLayoutOptions::Codes::kByFrequency) {
        std::stable_sort(counted.begin(), counted.end(),
                         [](const Counted& a, const Counted& b) { return a.count > b.count; });
    }
    for (std::size_t i = 0; i < counted.size(); ++i)
        tables.slot(counted[i].point) = static_cast<std::uint32_t>(i + 1);
    code_count_ = static_cast<std::uint32_t>(counted.size());

    const CodePointMap map(tables.page_index.data(), tables.pages.data());
    codes_.reserve(total);
    offsets_.reserve(words_.size() + 1);
    for (const auto& [word, length] : words_) {
        offsets_.push_back(static_cast<std::uint32_t>(codes_.size()));
        for (std::size_t i = 0; i < length; ++i) codes_.push_back(map[word[i]]);
    }
    offsets_.push_back(static_cast<std::uint32_t>(codes_.size()));
}

void DoubleArrayBuilder::sort_words() {
    // The first two codes decide most comparisons, so they travel beside the index.
    struct Key {
        std::uint64_t head;
        std::uint32_t word;
    };
    std::vector<Key> keys(words_.size());
    for (std::uint32_t i = 0; i < keys.size(); ++i) {
        const std::uint32_t* codes = codes_of(i);
        keys[i] = {(std::uint64_t{codes[0]} << 32) | (length_of(i) > 1 ? codes[1] : 0), i};
    }
    std::sort(keys.begin(), keys.end(), [this](const Key& a, const Key& b) {
        if (a.head != b.head) return a.head < b.head;
        return std::lexicographical_compare(codes_of(a.word), codes_of(a.word) + length_of(a.word),
                                            codes_of(b.word), codes_of(b.word) + length_of(b.word));
    });
    order_.resize(keys.size());
    std::transform(keys.begin(), keys.end(), order_.begin(), [](const Key& key) { return key.word; });
    for (std::size_t i = 1; i < order_.size(); ++i) {
        const std::uint32_t a = order_[i - 1];
        const std::uint32_t b = order_[i];
        if (length_of(a) == length_of(b) &&
            std::equal(codes_of(a), codes_of(a) + length_of(a), codes_of(b))) {
            throw RepeatedWordError(std::min(a, b), std::max(a, b));
        }
    }
}

void DoubleArrayBuilder::collect_states() {
    std::vector<Range> ranges{{0, static_cast<std::uint32_t>(order_.size()), 0}};
    for (std::size_t s = 0; s < ranges.size(); ++s) {
        const Range range = ranges[s];
        State state{static_cast<std::uint32_t>(edge_codes_.size()), 0, kNoEntry};
        std::uint32_t i = range.begin;
        if (i < range.end && length_of(order_[i]) == range.depth) state.entry = order_[i++];
        while (i < range.end) {
            const std::uint32_t code = codes_of(order_[i])[range.depth];
            std::uint32_t end = i + 1;
            while (end < range.end && codes_of(order_[end])[range.depth] == code) ++end;
            edge_codes_.push_back(code);
            ranges.push_back({i, end, range.depth + 1});
            ++state.edge_count;
            i = end;
        }
        states_.push_back(state);
    }
}

std::vector<std::uint32_t> DoubleArrayBuilder::choose_bases(std::size_t& slot_count) {
    std::vector<std::uint32_t> by_size;
    for (std::uint32_t s = 1; s < states_.size(); ++s) {
        if (states_[s].edge_count > 0) by_size.push_back(s);
    }
    if (options_.placement == TrieLayoutOptions::Placement::kManyChildrenFirst) {
        std::stable_sort(by_size.begin(), by_size.end(), [this](std::uint32_t a, std::uint32_t b) {
            return states_[a].edge_count > states_[b].edge_count;
        });
    }

    std::vector<std::uint32_t> bases(states_.size(), 0);
    Occupancy occupancy;
    occupancy.take(0);  // the root's own slot
    bases[0] = states_[0].edge_count > 0 ? 1 : 0;
    for (std::uint32_t e = 0; e < states_[0].edge_count; ++e) occupancy.take(bases[0] + edge_codes_[e]);

    // A search begins where the last one of the same size ended: what was full for it is full for the next.
    std::size_t search_from = 1;
    std::uint32_t size_class = 0;
    for (const std::uint32_t s : by_size) {
        const State& state = states_[s];
        const std::uint32_t* codes = &edge_codes_[state.first_edge];
        if (state.edge_count != size_class) {
            size_class = state.edge_count;
            search_from = 1;
        }
        std::size_t base = 0;
        if (state.edge_count == 1) {
            const std::size_t slot = occupancy.next_free(std::max<std::size_t>(search_from, codes[0] + 1));
            base = slot - codes[0];
            if (slot == occupancy.next_free(search_from)) search_from = slot;
        } else {
            base = first_fitting_base(occupancy, codes, state.edge_count, search_from);
        }
        bases[s] = static_cast<std::uint32_t>(base);
        for (std::uint32_t e = 0; e < state.edge_count; ++e) occupancy.take(base + codes[e]);
    }
    slot_count = occupancy.end();
    return bases;
}

std::vector<TrieNode> DoubleArrayBuilder::build() {
    std::size_t slot_count = 0;
    const std::vector<std::uint32_t> bases = choose_bases(slot_count);
    const std::size_t highest_base = bases.empty() ? 0 : *std::max_element(bases.begin(), bases.end());
    // Room behind the last base for every code: a probe needs no bounds check.
    std::vector<TrieNode> nodes(std::max(slot_count, highest_base + code_count_ + 1) + 1);
    std::vector<std::uint32_t> slots(states_.size(), 0);
    for (std::uint32_t s = 0; s < states_.size(); ++s) {
        const State& state = states_[s];
        TrieNode& node = nodes[slots[s]];
        node.base = bases[s];
        node.entry = state.entry;
        for (std::uint32_t e = state.first_edge; e < state.first_edge + state.edge_count; ++e) {
            const std::uint32_t slot = bases[s] + edge_codes_[e];
            slots[e + 1] = slot;
            nodes[slot].check = slots[s];
        }
    }
    return nodes;
}

}  // namespace distillex
